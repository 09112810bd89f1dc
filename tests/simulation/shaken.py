"""A store before each of whose transactions the worst may happen, or right after."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from exchange.delivery.saga import Answered, Claimed, InstructionKey
from partners.program_port import Fault, ProgramAnswer
from tests.simulation.coalition import number_of

if TYPE_CHECKING:
    from tests.simulation.world import World

_Found = TypeVar("_Found")


class DatabaseLost(Exception):
    """The connection was lost, before a transaction was committed or after it."""


class Shaken:
    """A `DeliveryStore` before each of whose transactions the worst may happen."""

    def __init__(self, world: "World", who: str, store: Any) -> None:
        self._world = world
        self._who = who
        self._store = store

    async def _do(self, what: str, call: Callable[[], Awaitable[_Found]]) -> _Found:
        world = self._world
        await world.before(f"{self._who} {what}")
        if world.loses_database():
            raise DatabaseLost
        found = await call()
        if world.loses_database():
            raise DatabaseLost
        return found

    async def due(self) -> Sequence[str]:
        return sorted(await self._do("looks", self._store.due))

    async def claim(
        self, program: str, most: int, lease: timedelta, *, in_turn: bool = False
    ) -> Sequence[Claimed]:
        claimed: Sequence[Claimed] = await self._do(
            f"claims of {program}", lambda: self._store.claim(program, most, lease, in_turn=in_turn)
        )
        if self._world.tell:
            for each in claimed:
                self._world.say(
                    f"    {self._who} has {number_of(each.key[0])}: {each.step},"
                    f" attempt {each.attempts}"
                )
        return claimed

    async def find(self, key: InstructionKey) -> Claimed | None:
        return await self._do(f"finds {number_of(key[0])}", lambda: self._store.find(key))

    async def unanswered(self, claimed: Claimed, fault: Fault, pause: timedelta) -> None:
        await self._do(
            f"lets {number_of(claimed.key[0])} go: {fault}",
            lambda: self._store.unanswered(claimed, fault, pause),
        )

    async def answered(self, key: InstructionKey, answer: ProgramAnswer) -> bool:
        return await self._do(
            f"stores {answer.outcome} of {number_of(key[0])}",
            lambda: self._store.answered(key, answer),
        )

    async def unbooked(self, most: int, lease: timedelta) -> Sequence[Answered]:
        found = await self._do("sweeps", lambda: self._store.unbooked(most, lease))
        return sorted(found, key=lambda each: each.key)

    async def booked(self, key: InstructionKey) -> None:
        await self._do(f"has booked {number_of(key[0])}", lambda: self._store.booked(key))

    async def unproved(self, key: InstructionKey, fault: Fault, pause: timedelta) -> None:
        await self._do(
            f"asks again about {number_of(key[0])}: {fault}",
            lambda: self._store.unproved(key, fault, pause),
        )

    async def postponed(self, key: InstructionKey, pause: timedelta) -> None:
        await self._do(f"postpones {number_of(key[0])}", lambda: self._store.postponed(key, pause))

    async def lapsed(self, most: int) -> Sequence[UUID]:
        return sorted(await self._do("looks for what lapsed", lambda: self._store.lapsed(most)))
