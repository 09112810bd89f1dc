"""Operators of the coalition and their roles."""
