"""The demo: a coalition of brands replays the purchases of real households."""
