"""The commands about the month."""
