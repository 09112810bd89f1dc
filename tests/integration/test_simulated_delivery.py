"""The simulation's courses over PostgreSQL, and its store in memory held to the database's: both
are asked the same, and answer the same.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from exchange.commands import Command, Conclude, DecideHeld, TakeBack, Verdict
from exchange.delivery.saga import Claimed, InstructionKey
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Evidence,
    Fault,
    InstructionKind,
    ProgramAnswer,
)
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database, Databases
from tests.simulation.coalition import SIGNERS, founded, order_of
from tests.simulation.laws import broken_laws
from tests.simulation.memory import MemoryDatabase
from tests.simulation.plan import CONFIRMED, PROMISED, plan_of
from tests.simulation.postgres import SqlDatabase, founded_in
from tests.simulation.schedule import SECOND, Schedule
from tests.simulation.world import World

COURSES = 50
GROUPS = 5


@pytest.fixture(scope="module")
def coalition(postgres: Databases) -> Database:
    """Where every course begins."""
    return founded_in(postgres)


@contextmanager
def over(
    postgres: Databases, coalition: Database, now: Callable[[], datetime]
) -> Iterator[tuple[SqlDatabase, Database]]:
    """A copy of it for one course."""
    copy = postgres.copy_of(coalition)
    database = SqlDatabase(copy, now)
    try:
        yield database, copy
    finally:
        database.close()


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_course_in_the_database_is_step_by_step_the_one_in_memory(
    postgres: Databases, coalition: Database, group: int
) -> None:
    for seed in range(group, COURSES, GROUPS):
        remembered: list[str] = []
        World(plan_of(seed), tell=remembered.append).run()
        stored: list[str] = []
        schedule = Schedule()
        with over(postgres, coalition, lambda: schedule.now) as (database, copy):  # noqa: B023
            world = World(plan_of(seed), database, schedule, stored.append)
            world.run()
            assert stored == remembered
            assert not list(broken_laws(world)), f"seed {seed}"
            with copy.connection() as connection:
                assert not check_books(connection), f"seed {seed}"


# The two stores


@dataclass
class Both:
    """The same exchange in memory and in the database."""

    memory: MemoryDatabase
    sql: SqlDatabase
    chance: Random
    clock: Schedule
    claimed: list[Claimed] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def same(self, what: str, *arguments: object) -> Any:
        """What both stores answer to a call; fails where they differ."""
        self.asked.append(f"{what}{arguments}")
        remembered, stored = (
            finished(getattr(each.store, what)(*arguments)) for each in (self.memory, self.sql)
        )
        if isinstance(remembered, Sequence) and what in ("due", "unbooked", "lapsed"):
            # In no order that anybody may rely on.
            remembered, stored = (sorted(each, key=repr) for each in (remembered, stored))
        self.require_same(remembered, stored)
        return remembered

    def decide(self, command: Command) -> None:
        """Have both books decide; fails where they differ."""
        self.asked.append(repr(type(command)))
        remembered, stored = self.memory.decide(command), self.sql.decide(command)
        self.require_same(type(remembered), type(stored))

    def require_same(self, remembered: object, stored: object) -> None:
        """Fail with all that was asked."""
        if remembered == stored and self.memory.standing() == self.sql.standing():
            return
        course = "\n".join(self.asked)
        pytest.fail(
            f"{course}\nmemory: {remembered} {self.memory.standing()}\n"
            f"database: {stored} {self.sql.standing()}",
            pytrace=False,
        )


def finished(call: Coroutine[Any, Any, Any]) -> Any:
    """What a call that waits for nothing returns."""
    try:
        call.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


def an_answer(chance: Random) -> ProgramAnswer:
    """One of few, so that some agree."""
    key_id = SIGNERS["fuel"][chance.randint(0, 1)].key_id
    outcome, reference = chance.choice([*CreditOutcome]), ""
    points, reason = 0, None
    match outcome:
        case CreditOutcome.DONE:
            points, reference = 50, chance.choice(["", "one", "two"])
        case CreditOutcome.DECLINED:
            reason = DeclineReason.LIMIT
    content = f"{outcome} {reference} {chance.randint(1, 3)}".encode()
    evidence = Evidence("text/plain", content, key_id, b"signature")
    signed = evidence if chance.random() < 0.7 else None
    return ProgramAnswer(outcome, points, reason, reference, signed)


def ask_something(both: Both) -> None:
    """One call of the interface, or a command, or time."""
    chance, keys = both.chance, [each.key for each in both.memory.standing()]
    pause = timedelta(seconds=chance.choice([0, 5, 30]))
    key = chance.choice(keys)
    fault = chance.choice([Fault.LATE, Fault.CIRCUIT_OPEN])
    match chance.randint(1, 14):
        case 1:
            both.clock.run(both.clock.clock + chance.choice([1, 5_000, 30_000]))
        case 2:
            both.same("due")
        case 3 | 4 | 5:
            program, most = chance.choice(["fuel", "deli"]), chance.randint(1, 3)
            both.claimed += both.same("claim", program, most, timedelta(seconds=15))
        case 6 if both.claimed:
            both.same("unanswered", chance.choice(both.claimed), fault, pause)
        case 7:
            both.same("answered", key, an_answer(chance))
        case 8:
            both.same("unbooked", 100, timedelta(seconds=15))
        case 9:
            both.same("booked", key)
        case 10:
            both.same("unproved", key, fault, pause)
        case 11:
            both.same("postponed", key, pause)
        case 12:
            both.same("lapsed", 100)
            both.same("find", key)
        case 13:
            number = both.chance.randint(1, 8)
            points = both.chance.choice([1, 20, 50])
            source = chance.choice(["grocery", "deli", "fuel"])
            both.decide(make.reverse(chance.randint(1, 20), number, points, source))
        case _:
            both.decide(an_end(chance, key))


def an_end(chance: Random, key: InstructionKey) -> Command:
    """Of a transfer, for a reason or for none."""
    if chance.random() < 0.3:
        return DecideHeld(key[0], Verdict.CANCELLED, "grocery")
    verdict = chance.choice([Verdict.CREDITED, Verdict.DECLINED, Verdict.LAPSED])
    proof = chance.choice([None, make.proof("fuel"), make.proof("deli")])
    if key[1] is InstructionKind.REVERSE:
        return TakeBack(key[0], chance.choice([0, 1]), proof or make.proof("fuel"))
    return Conclude(key[0], verdict, proof)


@pytest.fixture
def both(postgres: Databases, coalition: Database) -> Iterator[Both]:
    """Both exchanges at their beginning."""
    clock = Schedule()
    with over(postgres, coalition, lambda: clock.now) as (sql, _):
        yield Both(MemoryDatabase(founded(), lambda: clock.now), sql, Random(0), clock)


@pytest.mark.parametrize("seed", range(10))
def test_the_store_in_memory_answers_as_the_databases_does(both: Both, seed: int) -> None:
    chance = both.chance
    chance.seed(seed)
    for number in range(1, 9):
        mode = chance.choice([CONFIRMED, CONFIRMED, PROMISED])
        target = chance.choice(["fuel", "deli"])
        both.decide(order_of(number, target, mode, chance.randint(1, 2)))
    for _ in range(120):
        ask_something(both)


def test_t24_who_comes_back_after_its_lease_unsays_nothing_that_another_did(both: Both) -> None:
    both.decide(order_of(1, "fuel", CONFIRMED, 1))
    lease, pause = timedelta(seconds=15), timedelta(seconds=1)
    (late,) = both.same("claim", "fuel", 1, lease)
    both.clock.run(15 * SECOND)
    (told,) = both.same("claim", "fuel", 1, lease)
    both.same("unanswered", late, Fault.CIRCUIT_OPEN, pause)
    assert [each.state for each in both.memory.standing()] == ["SENT"]
    both.decide(DecideHeld(told.transfer_id, Verdict.CANCELLED, "grocery"))
    both.same("unanswered", told, Fault.LATE, pause)
    assert [each.state for each in both.memory.standing()] == ["SENT"], "nobody took it back"


def test_an_answer_that_nobody_signed_stands_in_the_way_of_no_other(both: Both) -> None:
    both.decide(order_of(1, "fuel", CONFIRMED, 1))
    (told,) = both.same("claim", "fuel", 1, timedelta(seconds=15))
    unsigned = ProgramAnswer(CreditOutcome.DONE, 50, reference="b-1")
    assert both.same("answered", told.key, unsigned)
    both.same("unproved", told.key, Fault.SIGNATURE_INVALID, timedelta(0))
    seen = ProgramAnswer(
        CreditOutcome.DECLINED,
        reason=DeclineReason.OTHER,
        evidence=Evidence("text/plain", b"a letter", "", b""),
    )
    assert both.same("answered", told.key, seen)
    (waiting,) = both.same("unbooked", 1, timedelta(0))
    assert waiting.answer == seen
    assert not both.same("answered", told.key, unsigned), "now another one counts"
