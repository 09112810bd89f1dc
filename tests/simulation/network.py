"""The way between the exchange and brands: what is sent may be lost, come late, come twice, or come
when nobody waits for the answer any more.
"""

from collections.abc import Callable
from random import Random
from uuid import UUID

from partners.program_port import (
    Credit,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from tests.simulation.brand import Brand
from tests.simulation.plan import QUIET_AT, Plan
from tests.simulation.schedule import MINUTE, SECOND, Pause, Schedule

TIMEOUT = 5 * SECOND

Said = ProgramAnswer | ProgramUnavailable | None


class Network:
    """Carries messages; what goes wrong is the plan's, and over when that is quiet."""

    def __init__(self, plan: Plan, schedule: Schedule) -> None:
        self.plan = plan
        self.schedule = schedule
        self.chance = Random(f"network {plan.seed}")

    def happens(self, per_mille: int) -> bool:
        """Whether one of the plan's troubles comes now."""
        troubled = per_mille and self.schedule.clock < QUIET_AT
        return bool(troubled and self.chance.randrange(1000) < per_mille)

    def is_out(self, brand: str) -> bool:
        """Whether a brand's system does not answer now."""
        now = self.schedule.clock
        return any(
            each.brand == brand and each.begins <= now < each.ends for each in self.plan.outages
        )

    def send(self, arrive: Callable[[], None], lost: int) -> int | None:
        """Put a message on its way, maybe more than once; when it comes first, if it does."""
        if self.happens(lost):
            return None
        first = self.chance.randint(1, SECOND)
        if self.happens(self.plan.late):
            first += self.chance.randint(SECOND, 4 * MINUTE)
        self.schedule.after(first, arrive)
        if self.happens(self.plan.repeated):
            self.schedule.after(first + self.chance.randint(1, 3 * MINUTE), arrive)
        return first

    async def ask(
        self, brand: Brand, about: tuple[UUID, InstructionKind], said: Callable[[], Said]
    ) -> ProgramAnswer | None:
        """What a brand answers; raises ProgramUnavailable where nothing comes in time."""
        answers: list[Said] = []

        def arrive() -> None:
            try:
                if self.is_out(brand.name):
                    raise ProgramUnavailable("out", Fault.UNREACHABLE)
                answers.append(said())
            except ProgramUnavailable as nothing:
                answers.append(nothing)

        brand.heard.add(about)
        arrives = self.send(arrive, self.plan.lost_request)
        back = None if self.happens(self.plan.lost_answer) else self.chance.randint(1, SECOND)
        if arrives is None or back is None or arrives + back > TIMEOUT:
            await Pause(TIMEOUT)
            raise ProgramUnavailable("nothing came in time", Fault.LATE)
        await Pause(arrives + back)
        answer = answers[0]
        if isinstance(answer, ProgramUnavailable):
            raise answer
        return answer


class Port:
    """A brand that the exchange calls; implements `ProgramPort`."""

    def __init__(
        self, brand: Brand, network: Network, check: Callable[[ProgramAnswer], Fault | None]
    ) -> None:
        """`check` says what is wrong with the key that signed an answer."""
        self._brand = brand
        self._network = network
        self._check = check

    async def validate_member(self, member: str) -> Eligibility:
        """Not asked here."""
        raise NotImplementedError

    async def balance(self, member: str) -> int:
        """Not asked here."""
        raise NotImplementedError

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Tell the brand."""
        network, key = self._network, (credit.instruction_id, InstructionKind.CREDIT)
        takes = (
            network.chance.randint(SECOND, MINUTE) if network.happens(network.plan.at_work) else 0
        )
        answer = await self._asked(key, lambda: self._brand.credit(credit, takes))
        assert answer is not None, "only a look-up has no answer"
        return answer

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Have the brand take back."""
        key = reversal.instruction_id, InstructionKind.REVERSE
        answer = await self._asked(key, lambda: self._brand.reverse(reversal))
        assert answer is not None, "only a look-up has no answer"
        return answer

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """Ask the brand."""
        key = instruction_id, kind
        return await self._asked(key, lambda: self._brand.look_up(key))

    async def _asked(
        self, key: tuple[UUID, InstructionKind], said: Callable[[], Said]
    ) -> ProgramAnswer | None:
        if self._network.happens(self._network.plan.held_back):
            raise ProgramUnavailable("the circuit is open", Fault.CIRCUIT_OPEN)
        answer = await self._network.ask(self._brand, key, said)
        fault = self._check(answer) if answer else None
        if fault is not None:
            raise ProgramUnavailable("what it signed is no answer", fault)
        return answer
