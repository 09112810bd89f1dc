"""What delivery tells whoever measures it. This one keeps nothing.

Its methods are quick and raise nothing. They are told no member.
"""

from exchange.delivery.saga import InstructionKey
from partners.program_port import CreditOutcome, InstructionKind


class Watcher:
    """Is told what delivery does."""

    def answered(self, program: str, kind: InstructionKind, outcome: CreditOutcome) -> None:
        """A program gave a definite answer."""

    def handed_out(self, program: str, instructions: int) -> None:
        """A brand fetched so many."""

    def contradicted(self, program: str, key: InstructionKey) -> None:
        """An answer cannot be true beside what was answered or decided before."""
