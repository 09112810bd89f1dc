"""When an instruction that had no answer is tried again. Pure.

Exponential, capped, with full jitter: those who failed together, since one system was down, come
back spread over the whole pause. Source: M. Brooker, "Exponential Backoff And Jitter" (AWS
Architecture Blog, 2015).

Two lines of arithmetic: the libraries that have them (tenacity, stamina) take clock and chance from
the process, and keep the schedule in a running loop. Here it is in the database.
"""

from datetime import timedelta

FIRST_PAUSE = timedelta(seconds=2)
"""The longest pause after the first attempt; it doubles with each further one."""
LONGEST_PAUSE = timedelta(minutes=10)

_DOUBLINGS_MAX = 16
"""More would only make numbers large: the cap is reached long before."""


def pause_after(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts, at least 1; `chance` is from 0 to 1."""
    if attempts < 1:
        raise ValueError("there is a next attempt only after a first one")
    if not 0 <= chance <= 1:
        raise ValueError("chance is from 0 to 1")
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(attempts - 1, _DOUBLINGS_MAX)))
    return longest * chance
