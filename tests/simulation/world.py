"""A whole exchange in virtual time: its processes, its database, two brands, senders, operators.

The brand `fuel` is called, and `deli` fetches. Before each effect - a transaction, a call - the
plan may end the process, hold it up, or take its database away.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from uuid import UUID

from exchange.commands import CloseWindow, Command, DecideHeld, Verdict
from exchange.delivery.saga import Claimed, InstructionKey, Step
from exchange.delivery.watcher import Watcher
from exchange.outcomes import Recorded, Result, Reversed
from partners.caller import Caller
from partners.errors import Refused
from partners.keys import Purpose
from partners.program_port import (
    CreditOutcome,
    Fault,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from tests import factories as make
from tests.simulation.brand import Brand
from tests.simulation.coalition import (
    CORRIDORS,
    SIGNERS,
    founded,
    member_of,
    number_of,
    order_of,
)
from tests.simulation.database import ANSWERED, CONCLUDED, SENT, Database, Standing
from tests.simulation.memory import MemoryDatabase
from tests.simulation.network import Network
from tests.simulation.plan import QUIET_AT, Ordered, Plan, Reversing
from tests.simulation.process import Process
from tests.simulation.schedule import CRASH, MINUTE, SECOND, Crew, Pause, Schedule
from tests.simulation.shaken import DatabaseLost

END = QUIET_AT + 90 * MINUTE
"""By then everything has come to rest, or it never will."""


class World(Watcher):
    """A course under way."""

    def __init__(
        self,
        plan: Plan,
        database: "Database | None" = None,
        schedule: Schedule | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """In memory unless a database is given, with the schedule that it reads; `tell` is told
        what happens, line by line.
        """
        self.plan = plan
        self.schedule = schedule or Schedule()
        self.chance = Random(f"course {plan.seed}")
        self.database: Database = database or MemoryDatabase(founded(), lambda: self.schedule.now)
        self.tell = tell
        self.network = Network(plan, self.schedule)
        refused = Random(f"declined {plan.seed}")
        self.brands = {
            name: Brand(
                name,
                lambda: self.schedule.clock,
                partial(self.signing_key, name),
                frozenset(member_of(n) for n in (1, 2) if refused.randrange(1000) < plan.declined),
                lambda: refused.randrange(1000) < plan.spent,
                lambda: bool(plan.lies) and refused.randrange(1000) < plan.lies,
            )
            for name in SIGNERS
        }
        self.outcomes: list[Recorded] = []
        """Of transfers, in the order of the log."""
        self.reversals: list[Reversed] = []
        """Of what was booked back."""
        self.contradictions: list[InstructionKey] = []
        self.orders_due = 0
        """Of brands that have taken points back, and not told yet."""
        self.effects = 0
        self.is_over = False
        self.outside = Crew("outside")
        self.processes = [Process(self, number) for number in range(plan.processes)]

    # What goes wrong

    async def before(self, what: str, *, may_end: bool = True) -> None:
        """Let time pass before an effect, and maybe more."""
        plan = self.plan
        self.effects += 1
        if self.tell:
            self.say(f"{self.effects}: {what}")
        pause = self.chance.randint(1, 50)
        if may_end and self.schedule.clock < QUIET_AT:
            if self.effects == plan.crash_at:
                pause = CRASH
            elif plan.crash or plan.stall:
                drawn = self.chance.randrange(1000)
                if drawn < plan.crash:
                    pause = CRASH
                elif drawn < plan.crash + plan.stall:
                    pause = self.chance.randint(10 * SECOND, 3 * MINUTE)
        if self.tell and pause == CRASH:
            self.say("    and there it ends")
        await Pause(pause)

    def loses_database(self) -> bool:
        """Whether the connection goes now."""
        return self.network.happens(self.plan.lost_database)

    def say(self, text: str) -> None:
        """Have a line told."""
        if self.tell:
            self.tell(f"{self.schedule.clock / SECOND:9.3f} {text}")

    # Brands

    def signing_key(self, brand: str) -> str:
        """What a brand signs with now; empty for nothing."""
        now = self.schedule.clock
        if brand in self.plan.unsigned and not 0 < self.plan.unsigned_until <= now:
            return ""
        return self.key_in_use(brand)

    def key_in_use(self, brand: str) -> str:
        """The key with which a brand signs, if it does."""
        now = self.schedule.clock
        if brand not in SIGNERS:
            return make.order_signer(brand).key_id
        first, second = SIGNERS[brand]
        revoked = dict(self.plan.revoked).get(brand)
        signer = first if revoked is None or now < revoked + 20 * SECOND else second
        return signer.key_id

    def fault_of(self, answer: ProgramAnswer) -> Fault | None:
        """What an adapter finds wrong with an answer's key."""
        if answer.evidence is None or self.plan.is_view_stale:
            return None
        key = self.database.registry.keys[answer.evidence.key_id]
        in_force = key.in_force(1 << 40, self.schedule.now)
        return None if in_force else Fault.KEY_NOT_IN_FORCE

    async def fetching(self, brand: Brand) -> None:
        """A brand that fetches what there is to do, and brings its answers."""
        lease = timedelta(seconds=20)
        while True:
            await Pause(self.chance.randint(5 * SECOND, 25 * SECOND))
            if self.network.is_out(brand.name):
                continue
            process = self.chance.choice(self.processes)
            if not process.is_up:
                continue
            try:
                claimed = await process.store.claim(brand.name, 8, lease)
            except DatabaseLost:
                continue
            for each in claimed:
                brand.heard.add(each.key)
                self.network.send(partial(self.fetched, brand, each), self.plan.lost_answer)

    def fetched(self, brand: Brand, claimed: Claimed) -> None:
        """A brand acts on what it fetched, and its answer goes to the exchange."""
        credit, network = claimed.instruction, self.network
        try:
            if claimed.step is Step.ASK:
                answer = brand.look_up(claimed.key)
            elif isinstance(credit, Reversal):
                answer = brand.reverse(credit)
            else:
                takes = self.chance.randint(SECOND, MINUTE)
                answer = brand.credit(credit, takes if network.happens(self.plan.at_work) else 0)
        except ProgramUnavailable:
            return
        if answer is None or answer.evidence is None:
            return
        network.send(partial(self.brought, claimed.key, answer), self.plan.lost_request)

    def brought(self, key: InstructionKey, answer: ProgramAnswer) -> None:
        """A brand's answer comes in at some process."""
        process = self.chance.choice(self.processes)
        if process.is_up:
            self.schedule.start(process.crew, process.confirm(key, answer))

    # Everybody else

    def decide(self, command: Command) -> Result:
        """Have the sequencer decide; what it records is kept."""
        result = self.database.decide(command)
        if isinstance(result, Recorded):
            self.outcomes.append(result)
            self.say(f"    {number_of(result.order.transfer_id)} is {result.state}")
        if isinstance(result, Reversed):
            self.reversals.append(result)
            self.say(f"    a reversal of {number_of(result.order.transfer_id)} is {result.state}")
        return result

    async def ordering(self, ordered: Ordered) -> None:
        """A sender: repeats its order until it has an answer."""
        await Pause(ordered.at)
        order = order_of(ordered.number, ordered.target, ordered.mode, ordered.member)
        while await self.asked(f"order {ordered.number}", order):
            await Pause(SECOND)

    async def cancelling(self, ordered: Ordered, at: int) -> None:
        """A sender that wants its transfer back."""
        await Pause(at)
        source = CORRIDORS[ordered.target, ordered.mode]
        command = DecideHeld(make.transfer_id(ordered.number), Verdict.CANCELLED, source)
        while await self.asked(f"cancel {ordered.number}", command):
            await Pause(SECOND)

    async def asking_back(self, number: int, reversing: Reversing) -> None:
        """A source wants points back: once, whatever becomes of it."""
        await Pause(reversing.at)
        ordered, points = self.wanted(reversing)
        source = CORRIDORS[ordered.target, ordered.mode]
        command = make.reverse(
            number, ordered.number, points, source, key_id=self.key_in_use(source)
        )
        while await self.asked(f"ask for {points} of {ordered.number} back", command):
            await Pause(SECOND)

    async def taking_back(self, number: int, reversing: Reversing) -> None:
        """A target takes points back by itself, and orders until that is in the books."""
        await Pause(reversing.at)
        ordered, points = self.wanted(reversing)
        target = ordered.target
        self.orders_due += 1
        taken = self.brands[target].take(make.transfer_id(ordered.number), points)
        for attempt in range(1000 * number, 1000 * number + 300):
            if not taken or self.is_reversed(make.reversal_id(attempt - 1)):
                break
            key_id = self.key_in_use(target)
            command = make.reverse(attempt, ordered.number, taken, target, key_id=key_id)
            while await self.asked(f"reverse {taken} of {ordered.number}", command):
                await Pause(SECOND)
            await Pause(10 * SECOND)
        self.orders_due -= 1

    def wanted(self, reversing: Reversing) -> tuple[Ordered, int]:
        """Of which transfer, and how many points."""
        (ordered,) = [each for each in self.plan.transfers if each.number == reversing.number]
        order = order_of(ordered.number, ordered.target, ordered.mode, ordered.member)
        return ordered, max(1, order.target_points * reversing.percent // 100)

    def is_reversed(self, reversal_id: UUID) -> bool:
        """Whether the books have a reversal."""
        return any(
            each.order.reversal_id == reversal_id and each.portion for each in self.reversals
        )

    async def asked(self, what: str, command: Command) -> bool:
        """Have a command decided; whether it is to be sent again."""
        await self.before(what, may_end=False)
        if self.loses_database():
            return True
        self.decide(command)
        return self.loses_database()

    async def commanding(self, at: int, command: Command) -> None:
        """Something that is decided at some time."""
        await Pause(at)
        await self.before(type(command).__name__, may_end=False)
        self.decide(command)

    async def operating(self, at: int) -> None:
        """Two operators end what is in doubt, by what they see in the brand's own record."""
        await Pause(at)
        await self.resolve()

    async def resolve(self, is_theirs: Callable[[Standing], bool] = lambda _: True) -> None:
        """End what is in doubt now; the brand fences off what it never saw."""
        process = self.processes[0]
        for each in self.database.standing():
            if each.committed or each.state != SENT or not is_theirs(each):
                continue
            seen = self.brands[each.program].look_up(each.key)
            if seen is None:
                continue
            request = pb.ResolveTransferRequest(
                transfer_id=each.key[0].bytes,
                credited=seen.outcome is CreditOutcome.DONE,
                evidence=b"as seen in the brand's record",
                evidence_type="text/plain",
            )
            await self.before(f"resolve {number_of(each.key[0])}", may_end=False)
            try:
                await process.calm_service.resolve_transfer(request, Caller("operator", "ada"))
            except Refused as refusal:
                self.say(f"    refused: {refusal}")

    def contradicted(self, program: str, key: InstructionKey) -> None:
        """No honest brand contradicts itself."""
        self.contradictions.append(key)
        self.say(f"    {number_of(key[0])} was contradicted")

    # The course

    def run(self) -> None:
        """The whole course, until everything has come to rest and all that was late has come."""
        plan, start = self.plan, partial(self.schedule.start, self.outside)
        for each in plan.transfers:
            start(self.ordering(each))
            if each.cancel_at is not None:
                start(self.cancelling(each, each.cancel_at))
        numbers = {each.number for each in plan.transfers}
        for number, reversing in enumerate(plan.reversals, 1):
            if reversing.number in numbers:
                wanting = self.asking_back if reversing.by_source else self.taking_back
                start(wanting(number, reversing))
        for brand, at in plan.revoked:
            revoked = make.revoke_key(f"partner/{brand}", Purpose.ORDERS)
            start(self.commanding(at, revoked))
        if plan.closing_at:
            start(self.commanding(plan.closing_at, CloseWindow(make.WINDOW, None)))
        if plan.operators_at:
            start(self.operating(plan.operators_at))
        for process in self.processes:
            process.begin()
        fetching = Crew(
            "deli", lambda: self.schedule.start(fetching, self.fetching(self.brands["deli"]))
        )
        self.schedule.start(fetching, self.fetching(self.brands["deli"]))
        self.schedule.run(QUIET_AT + 20 * MINUTE, lambda: self.is_over)
        if any(map(self.waits_for_people, self.database.standing())):
            self.say("people look at what is left for them")
            start(self.resolve(self.waits_for_people))
        self.is_over = False
        self.schedule.run(END, lambda: self.is_over)
        for crew in (self.outside, fetching, *(each.crew for each in self.processes)):
            crew.on_crash = None
            crew.crash()
        self.schedule.run(END + END)

    def rests(self) -> bool:
        """Whether nothing is left to do but for people."""
        if self.schedule.clock < QUIET_AT + MINUTE:
            return False
        left = [each for each in self.database.standing() if each.state != CONCLUDED]
        if not all(map(self.waits_for_people, left)):
            return False
        # What a brand has taken back of a transfer in doubt waits for the same people, once.
        in_doubt = any(not each.committed for each in left)
        return in_doubt or not self.orders_due

    def waits_for_people(self, standing: Standing) -> bool:
        """Whether only people can end it: what the brand answers, nobody signs."""
        if standing.program not in self.plan.unsigned:
            return False
        if standing.committed:
            # A promise that was broken without a signature; it is not asked again.
            return standing.state == ANSWERED
        return standing.state == SENT and not self.plan.unsigned_until
