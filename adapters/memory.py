"""A program that keeps everything in memory: for tests, and for sandboxes, where nobody is real.

It takes any member, except for those whose reference says what is to happen:

| reference | what happens |
| --- | --- |
| `unknown-…` | there is no such member |
| `ineligible-…` | the member may not take part |
| `away-…` | the program cannot be reached |
| `slow-…` | no answer comes before the exchange gives up |
"""

import asyncio

from partners.program_port import Eligibility, ProgramUnavailable

UNKNOWN, INELIGIBLE, AWAY, SLOW = "unknown-", "ineligible-", "away-", "slow-"
"""How magic references begin."""


class MemoryProgram:
    """A program with magic members; implements `ProgramPort`."""

    async def validate_member(self, member: str) -> Eligibility:
        """What the reference says; raises ProgramUnavailable where it says so."""
        if member.startswith(SLOW):
            # Cancelled by whoever does not want to wait any longer.
            await asyncio.Event().wait()
        if member.startswith(AWAY):
            raise ProgramUnavailable("the program is away, as its member's reference says")
        if member.startswith(UNKNOWN):
            return Eligibility.UNKNOWN
        if member.startswith(INELIGIBLE):
            return Eligibility.INELIGIBLE
        return Eligibility.ELIGIBLE
