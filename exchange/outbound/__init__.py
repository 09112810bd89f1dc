"""What every call to a brand's system passes on its way out: no brand's outage is another's.

`GuardedProgram` wraps any `ProgramPort`: the brand's maintenance, a circuit breaker, a limit of
calls at a time, a time-out, and what is measured of each call.
"""
