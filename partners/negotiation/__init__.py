"""The life of an agreement version, from the first proposal to its end."""
