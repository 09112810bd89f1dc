"""Journals: what finance books by hand, by two people, in the open window."""
