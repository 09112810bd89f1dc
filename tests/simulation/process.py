"""One process of the exchange, written as the engine is: it looks for what is due, has the courier
carry it, and sweeps.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from exchange.commands import Command
from exchange.delivery.courier import Courier
from exchange.delivery.saga import Claimed, InstructionKey
from exchange.delivery.service import Delivering
from exchange.delivery.sql_store import answer_digest
from exchange.delivery.store import DeliveryStore
from exchange.outbound.backoff import pause_after
from exchange.outcomes import Result
from partners.errors import Reason, Refused
from partners.program_port import ProgramAnswer
from tests import factories as make
from tests.simulation.coalition import number_of
from tests.simulation.network import TIMEOUT, Port
from tests.simulation.schedule import MINUTE, SECOND, Crew, Pause
from tests.simulation.shaken import DatabaseLost, Shaken

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE = timedelta(milliseconds=TIMEOUT) + timedelta(seconds=10)


class Process:
    """One process of the exchange."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.name = f"process {number}"
        self.is_up = True
        self.crew = Crew(self.name, self.ended)
        self.store = Shaken(world, self.name, world.database.store)
        self.courier = self._courier(self.store, self.submit)
        calm = self._courier(world.database.store, self.decided)
        self.calm_service = Delivering(
            world.database.store, calm, cast(Any, None), make.AUDIENCE, lambda: world.schedule.now
        )
        """What operators speak to; what may end in the middle of it is tried elsewhere."""
        check = world.fault_of
        self.port = Port(world.brands["fuel"], world.network, check)

    def _courier(
        self, store: DeliveryStore, submit: Callable[[Command], Awaitable[Result]]
    ) -> Courier:
        def pause(attempts: int) -> timedelta:
            return pause_after(attempts, self.world.chance.random())

        world = self.world
        return Courier(
            store,
            submit,
            answer_digest,
            lambda program: world.database.registry.programs[program],
            lambda: world.schedule.now,
            pause,
            world,
        )

    def begin(self) -> None:
        """Start, or start again."""
        self.is_up = True
        self.world.schedule.start(self.crew, self.looking())

    def ended(self) -> None:
        """It crashed: something starts it again after a while."""
        self.is_up = False
        self.world.schedule.after(self.world.chance.randint(SECOND, MINUTE), self.begin)

    async def submit(self, command: Command) -> Result:
        """The sequencer of this process."""
        world = self.world
        await world.before(f"{self.name} submits {type(command).__name__}")
        later = Refused(Reason.TRY_LATER, "", "the database could not be reached")
        if world.loses_database():
            return later
        result = world.decide(command)
        return later if world.loses_database() else result

    async def decided(self, command: Command) -> Result:
        """The same, when nothing goes wrong."""
        return self.world.decide(command)

    async def looking(self) -> None:
        """As the engine: begin what is due, sweep, wait."""
        world = self.world
        while True:
            with suppress(DatabaseLost):
                await self.look()
            if world.rests():
                world.is_over = True
            await Pause(world.chance.randint(5 * SECOND, 25 * SECOND))

    async def look(self) -> None:
        """One look."""
        for program in await self.store.due():
            if program != "fuel":
                continue
            for each in await self.store.claim(program, 8, LEASE):
                self.world.schedule.start(self.crew, self.carry(each))
        await self.courier.let_lapse(100)
        for answered in await self.store.unbooked(100, LEASE):
            await self.courier.book(answered)

    async def carry(self, claimed: Claimed) -> None:
        """Carry one instruction, as far as the database lasts."""
        with suppress(DatabaseLost):
            await self.world.before(f"{self.name} calls about {number_of(claimed.key[0])}")
            await self.courier.carry(claimed, self.port)

    async def confirm(self, key: InstructionKey, answer: ProgramAnswer) -> None:
        """A brand brings its answer."""
        with suppress(DatabaseLost):
            claimed = await self.store.find(key)
            if claimed is not None and self.world.fault_of(answer) is None:
                await self.courier.take(claimed, answer)
