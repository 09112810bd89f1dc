"""The port behind which every brand's own system stands: what the exchange asks of a program.

An adapter speaks a brand's protocol and implements this one. Rules for whoever writes one:

- Whatever moves points is keyed by the transfer id: the same id with the same content is carried
  out once and answered as it was first; with other content it is refused.
- No answer means that nothing is known. An adapter raises `ProgramUnavailable` and never guesses.
- `validate_member` only reads. What it tells apart, the exchange shows to nobody: an unknown member
  and an ineligible one are one answer to another brand.

Crediting, reversing, balances and look-ups come with delivery; they will be methods of this port.
"""

from enum import StrEnum
from typing import Protocol

from partners.errors import PointclearError


class Eligibility(StrEnum):
    """What a program says of a member."""

    ELIGIBLE = "ELIGIBLE"
    INELIGIBLE = "INELIGIBLE"
    UNKNOWN = "UNKNOWN"


class ProgramUnavailable(PointclearError):
    """The program gave no answer, or none that means anything."""


class ProgramPort(Protocol):
    """A program, whoever runs it."""

    async def validate_member(self, member: str) -> Eligibility:
        """Whether a member of the program may take part; raises ProgramUnavailable."""
