"""Between "the books say so" and "the member sees the points": telling programs, and what they say.

`saga` decides, `courier` tells one program one thing, `engine` keeps at it, `store` is where it all
stands.
"""
