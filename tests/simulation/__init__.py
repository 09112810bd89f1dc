"""Delivery from seeds: the courier, the fold and a store against brands' systems that lose, delay,
repeat and forget nothing but what they were never told. Time is virtual, and nothing runs by
itself: a seed is a course, step by step.
"""
