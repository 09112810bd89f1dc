"""Brands' own program systems behind one port."""
