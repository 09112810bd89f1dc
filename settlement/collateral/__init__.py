"""Collateral: what partners deposit, take back, and what pays for them when they do not."""
