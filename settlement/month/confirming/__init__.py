"""The calls about balances and their confirmation."""
