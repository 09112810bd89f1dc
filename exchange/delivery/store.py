"""Where instructions stand, as the courier sees it: one interface, in the database and in tests."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from exchange.delivery.saga import Answered, Claimed, InstructionKey
from partners.program_port import Fault, ProgramAnswer


class DeliveryStore(Protocol):
    """Each call is one short transaction; a crash leaves it whole or not at all."""

    async def due(self) -> Sequence[str]:
        """The programs for which there is something to tell or to ask now."""

    async def claim(
        self, program: str, most: int, lease: timedelta, *, in_turn: bool = False
    ) -> Sequence[Claimed]:
        """Take up to so many instructions of a program, the oldest due first; nobody else is given
        them until the lease ends. Of one member only the oldest is given; where the program does
        in their turn what it has at work, the oldest that it has not. From here on the program may
        have heard of them.
        """

    async def unanswered(self, claimed: Claimed, fault: Fault, pause: timedelta) -> None:
        """Let an instruction go that has no answer; it is due again after the pause. Nothing is
        changed where the lease ended and somebody else has taken it since.
        """

    async def answered(self, key: InstructionKey, answer: ProgramAnswer) -> bool:
        """Store an answer. It counts where none does yet; False where it contradicts the one that
        does.
        """

    async def unbooked(self, most: int, lease: timedelta) -> Sequence[Answered]:
        """Take up to so many instructions whose answer is not in the books yet."""

    async def booked(self, key: InstructionKey) -> None:
        """Nothing is left to do about an instruction."""

    async def unproved(self, key: InstructionKey, fault: Fault, pause: timedelta) -> None:
        """What was answered does not count, and another answer may: ask again after the pause."""

    async def postponed(self, key: InstructionKey, pause: timedelta) -> None:
        """The books cannot take an answer now: try again after the pause."""

    async def lapsed(self, most: int) -> Sequence[UUID]:
        """Reserved transfers whose time is over, and of which nothing was told."""
