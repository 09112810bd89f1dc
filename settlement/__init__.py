"""Closes windows, nets positions, writes statements and squares up through the bank."""
