"""Signed actions of operators: which call needs whose signature, and what was done when, why and by
whom.
"""
