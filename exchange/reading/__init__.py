"""What callers may read of transfers, positions and corridors."""
