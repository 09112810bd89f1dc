"""What a course needs of a database, in memory or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from exchange.commands import Command
from exchange.delivery.saga import InstructionKey
from exchange.ledger.postings import Balance
from exchange.outcomes import Result
from partners.registry import Registry

QUEUED, SENT, ANSWERED, CONCLUDED = "QUEUED", "SENT", "ANSWERED", "CONCLUDED"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an instruction has come."""

    key: InstructionKey
    program: str
    committed: bool
    state: str


class Database(Protocol):
    """What the processes share."""

    @property
    def store(self) -> Any:
        """Where instructions stand: a `DeliveryStore` that also finds one by its name."""

    @property
    def registry(self) -> Registry:
        """As the last batch left it."""

    def decide(self, command: Command) -> Result:
        """Carry out a batch of one."""

    def standing(self) -> Sequence[Standing]:
        """How far each instruction has come, in the order of the log."""

    def balances(self) -> dict[int, Balance]:
        """By account."""
