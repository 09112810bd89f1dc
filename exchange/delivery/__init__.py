"""Between "the books say so" and "the member sees the points": telling programs, and what they say.

`saga` decides what is done next, `booking` what an answer asks of the books; `courier` tells one
program one thing, `engine` keeps at it, `store` is where it all stands.
"""
