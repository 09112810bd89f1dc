"""Hostile bytes for every method of the edge. POINTCLEAR_FUZZ_EXAMPLES says how many of each kind
are tried; unless it is set they are few and the same at every run.
"""
