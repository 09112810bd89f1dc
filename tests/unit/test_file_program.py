"""A program that takes files: handed over, cut, sent, answered; and each file that is refused."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.instructions import ProgramName
from adapters.file_program.intake import Taken, Turned, Waiting
from adapters.file_program.journal import Journal, JournalWrong
from adapters.file_program.places import Files, Listed, LocalPlace, PlaceFailed
from adapters.file_program.program import FileProgram, Rhythm, Visit
from adapters.file_program.results import Signing, parse_results
from adapters.file_program.signature import SIGNATURE_SUFFIX, sign_results
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.evidence import said_in
from partners.confirmations.file_evidence import RESULT_FILE
from partners.envelope import counter_sign, from_json, sign, to_json
from partners.keys import Purpose, VerifyKey
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
)
from tests.factories import NOW, order_signer
from tests.file_program import (
    NAME,
    Clock,
    answer,
    batches,
    credit,
    done,
    hand_over,
    hand_over_many,
    instruction_id,
    keys_of,
    lay,
    ordering_key,
    program,
    results,
    reversal,
)

CREDIT, REVERSE = InstructionKind.CREDIT, InstructionKind.REVERSE
DONE = ProgramAnswer(CreditOutcome.DONE, 100, None, "B-1")
DECLINED = replace(done(1), outcome=CreditOutcome.DECLINED, points=0, reason=DeclineReason.LIMIT)
NEVER = replace(done(1), outcome=CreditOutcome.NEVER, points=0)


async def visited(of: FileProgram, now: Any = NOW) -> Visit:
    visit = await of.visit(now)
    assert not visit.failed
    assert not visit.differs
    return visit


async def asked(folder: Path, *numbers: int, **more: Any) -> FileProgram:
    """A program whose brand was sent these credits."""
    made = program(folder, **more)
    await hand_over(made, *(credit(number) for number in numbers))
    await visited(made)
    return made


async def refusal(of: FileProgram, folder: Path, name: str = "r-1.results.csv") -> FileRefused:
    """What refuses the one file that lies there; nothing of it may have any effect."""
    keys = [(instruction_id(number), kind) for number in (1, 2, 3) for kind in InstructionKind]
    before = [of.journal.find(key) for key in keys]
    (found,) = (await visited(of)).found
    assert isinstance(found, Turned)
    assert [of.journal.find(key) for key in keys] == before
    shared = folder / "shared"
    assert (shared / "refused" / name).exists()
    assert not (shared / "results" / name).exists()
    written = json.loads((shared / "refused" / f"{name}.refused.json").read_text())
    assert (written["file"], written["fault"]) == (name, found.refused.fault)
    assert (written["line"], written["field"]) == (found.refused.line, found.refused.field)
    assert written["remedy"]
    return found.refused


# Handing over


async def scenario_of_a_credit(folder: Path) -> None:
    made = await asked(folder, 1, 2)
    assert await made.look_up(instruction_id(1), CREDIT) is None
    assert batches(folder) == ["fuel-00000001.instructions.csv"]
    lay(folder, done(1))
    assert (await visited(made)).found == (Taken("r-1.results.csv", 1, repeated=False),)
    assert await made.look_up(instruction_id(1), CREDIT) == DONE
    assert await answer(made, credit(1)) == DONE
    # Some are answered now, others later.
    assert await answer(made, credit(2)) is None
    lay(folder, done(2), file_id="r-2")
    await visited(made)
    assert await answer(made, credit(2)) == DONE


def test_a_credit_is_handed_over_and_answered_by_a_later_file(tmp_path: Path) -> None:
    asyncio.run(scenario_of_a_credit(tmp_path))


async def scenario_of_repeats(folder: Path) -> None:
    made = program(folder)
    await hand_over(made, credit(1), credit(1))
    await visited(made)
    await hand_over(made, credit(1))
    assert (await visited(made)).cut == ()
    conflict = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
    for other in (
        credit(1, member="member-2"),
        credit(1, points=99),
        credit(1, order_sha256=bytes(32)),
    ):
        assert await answer(made, other) == conflict
    # What it was declined with by us stands in no journal: the first one is still at work.
    assert await answer(made, credit(1)) is None
    lay(folder, done(1))
    await visited(made)
    assert await answer(made, credit(1, points=99)) == conflict


def test_an_instruction_is_sent_once_and_other_content_under_its_id_is_declined(
    tmp_path: Path,
) -> None:
    asyncio.run(scenario_of_repeats(tmp_path))


async def scenario_of_a_reversal(folder: Path) -> None:
    made = await asked(folder, 1)
    await hand_over(made, reversal(2, of=1), reversal(3, of=1))
    await visited(made)
    lay(
        folder,
        done(2, kind=REVERSE, points=40),
        replace(NEVER, instruction_id=instruction_id(3), kind=REVERSE),
    )
    await visited(made)
    assert await answer(made, reversal(2, of=1)) == replace(DONE, points=40)
    assert await made.look_up(instruction_id(2), CREDIT) is None
    lay(folder, done(1, points=99))
    assert (await visited(made)).found[0]


def test_a_reversal_may_take_back_fewer_points_than_were_asked_for(tmp_path: Path) -> None:
    asyncio.run(scenario_of_a_reversal(tmp_path))


async def scenario_of_a_fence(folder: Path) -> None:
    made = program(folder)
    assert await made.look_up(instruction_id(1), CREDIT) is None
    # While the brand is asked, it is not told to carry it out.
    assert await answer(made, credit(1)) is None
    await visited(made)
    assert (
        b"LOOK_UP_CREDIT" in next((folder / "shared" / "instructions").glob("*.csv")).read_bytes()
    )
    lay(folder, NEVER)
    await visited(made)
    found = await made.look_up(instruction_id(1), CREDIT)
    assert found == ProgramAnswer(CreditOutcome.NEVER, reference="B-1")
    declined = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.OTHER)
    assert await answer(made, credit(1)) == declined
    assert (await visited(made)).cut == ()


def test_nothing_is_never_but_what_the_brands_file_says_is_and_that_is_a_fence(
    tmp_path: Path,
) -> None:
    asyncio.run(scenario_of_a_fence(tmp_path))


async def scenario_of_a_lost_journal(folder: Path) -> None:
    made = program(folder)
    for number in (1, 2):
        await made.look_up(instruction_id(number), CREDIT)
    await visited(made)
    lay(folder, done(1), done(2, points=50))
    await visited(made)
    # The brand had carried them out: the journal that knew is lost, and the answers stand.
    assert await answer(made, credit(1)) == DONE
    conflict = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
    assert await answer(made, credit(2)) == conflict


def test_what_was_carried_out_before_the_journal_was_lost_is_learnt_by_a_look_up(
    tmp_path: Path,
) -> None:
    asyncio.run(scenario_of_a_lost_journal(tmp_path))


async def scenario_of_reading(folder: Path) -> None:
    made = program(folder)
    with pytest.raises(ProgramUnavailable):
        await made.validate_member("member-1")
    with pytest.raises(ProgramUnavailable):
        await made.balance("member-1")
    with pytest.raises(ValueError, match="deli"):
        await made.credit(credit(1, program="deli"))


def test_files_check_no_member_and_show_no_balance(tmp_path: Path) -> None:
    asyncio.run(scenario_of_reading(tmp_path))


async def scenario_of_cutting(folder: Path) -> None:
    clock = Clock()
    rhythm = Rhythm(instructions_max=2, age=timedelta(minutes=5))
    made = program(folder, rhythm=rhythm, clock=clock)
    await hand_over(made, *(credit(number) for number in range(5)))
    assert await made.cut_batch(clock.now) == (1, 2)
    assert await made.cut_batch(clock.later(timedelta(minutes=4))) == ()
    assert await made.cut_batch(clock.later(timedelta(minutes=1))) == (3,)
    assert await made.cut_batch(clock.later(timedelta(days=1))) == ()
    assert (await visited(made)).sent == (1, 2, 3)


def test_a_batch_is_cut_when_it_is_full_or_its_oldest_is_old_and_numbers_have_no_gap(
    tmp_path: Path,
) -> None:
    asyncio.run(scenario_of_cutting(tmp_path))


def test_threads_that_hand_over_and_cut_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    program(tmp_path, rhythm=Rhythm(instructions_max=3))

    def work(first: int) -> None:
        own = program(tmp_path, rhythm=Rhythm(instructions_max=3, age=timedelta(0)))
        for number in range(first, first + 12):
            asyncio.run(hand_over(own, credit(number % 20)))
            asyncio.run(own.visit(NOW))

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 7, 14)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    asyncio.run(visited(program(tmp_path)))
    files = sorted((tmp_path / "shared" / "instructions").glob("*.csv"))
    assert [each.name for each in files] == [
        f"fuel-{number:08d}.instructions.csv" for number in range(1, len(files) + 1)
    ]
    sent = [
        row.split(",")[3]
        for each in files
        for row in each.read_text().splitlines()
        if ",CREDIT,0" in row
    ]
    assert sorted(sent) == [str(instruction_id(number)) for number in range(20)]


def test_of_several_processes_one_visits(tmp_path: Path) -> None:
    @dataclass
    class Slow:
        """The folder, entered while another process is there."""

        place: LocalPlace
        meanwhile: list[Visit] = field(default_factory=list)

        @asynccontextmanager
        async def open(self) -> AsyncIterator[Files]:
            self.meanwhile.append(await program(tmp_path).visit(NOW))
            async with self.place.open() as files:
                yield files

    slow = Slow(LocalPlace(tmp_path / "shared"))
    asyncio.run(visited(program(tmp_path, place=slow)))
    assert slow.meanwhile == [Visit(busy=True)]


def test_a_journal_belongs_to_one_program_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = program(tmp_path)
    assert made.journal.path.stat().st_mode & 0o077 == 0
    with pytest.raises(JournalWrong):
        Journal.at(made.journal.path, ProgramName(NAME.audience, "deli", "deli"))


async def scenario_of_forgetting(folder: Path) -> None:
    clock = Clock()
    made = program(
        folder, clock=clock, rhythm=Rhythm(age=timedelta(0), members_kept=timedelta(days=30))
    )
    await hand_over(made, credit(1), credit(2))
    await visited(made)
    lay(folder, done(1))
    await visited(made)
    assert (await visited(made, NOW + timedelta(days=60))).forgotten == ()
    lay(folder, done(2), file_id="r-2")
    await visited(made, NOW + timedelta(days=60))
    assert b"member-1" in made.journal.path.read_bytes()
    assert (await visited(made, NOW + timedelta(days=91))).forgotten == (1,)
    assert b"member-1" not in made.journal.path.read_bytes()
    assert not batches(folder)
    assert await answer(made, credit(1)) == DONE
    conflict = ProgramAnswer(CreditOutcome.DECLINED, reason=DeclineReason.CONFLICT)
    assert await answer(made, credit(1, points=5)) == conflict
    assert (await visited(made, NOW + timedelta(days=92))).forgotten == ()


def test_members_are_forgotten_when_their_batch_was_answered_long_ago(tmp_path: Path) -> None:
    asyncio.run(scenario_of_forgetting(tmp_path))


# Bad files


@pytest.mark.parametrize(
    ("changes", "answers", "fault", "line", "where"),
    [
        ({"partner_id": "deli"}, [done(1)], FileFault.NOT_THIS_PROGRAM, 2, "partner"),
        ({"program": "deli"}, [done(1)], FileFault.NOT_THIS_PROGRAM, 2, "program"),
        ({"audience": "other/sandbox"}, [done(1)], FileFault.NOT_THIS_PROGRAM, 2, "audience"),
        ({}, [done(1), done(9)], FileFault.INSTRUCTION_UNKNOWN, 4, "instruction_id"),
        ({}, [done(1), done(2, kind=REVERSE)], FileFault.INSTRUCTION_UNKNOWN, 4, "instruction_id"),
        ({}, [done(1), done(2), done(1)], FileFault.ANSWERED_TWICE, 5, "instruction_id"),
        ({}, [done(1), done(2, points=99)], FileFault.POINTS_WRONG, 4, "points"),
        ({}, [done(1), done(2, points=101)], FileFault.POINTS_WRONG, 4, "points"),
    ],
)
def test_a_file_with_one_wrong_line_is_refused_whole(
    tmp_path: Path,
    changes: dict[str, str],
    answers: list[Confirmation],
    fault: FileFault,
    line: int,
    where: str,
) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1, 2)
        lay(tmp_path, *answers, name=replace(NAME, **changes))
        found = await refusal(made, tmp_path)
        assert (found.fault, found.line, found.field) == (fault, line, where)
        # Corrected, under the same name, it is taken.
        lay(tmp_path, done(1), done(2))
        assert (await visited(made)).found == (Taken("r-1.results.csv", 2, repeated=False),)

    asyncio.run(scenario())


def test_one_bad_line_among_ten_thousand_refuses_all_and_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = program(tmp_path, rhythm=Rhythm(instructions_max=10_000, settled_after=timedelta(0)))
        await hand_over_many(made, range(10_000))
        await visited(made)
        lines = [done(number) for number in range(10_000)]
        lay(tmp_path, *lines[:7_000], replace(lines[7_000], points=1), *lines[7_001:])
        found = await refusal(made, tmp_path)
        assert (found.fault, found.line, found.field) == (FileFault.POINTS_WRONG, 7_003, "points")
        lay(tmp_path, *lines)
        assert (await visited(made)).found == (Taken("r-1.results.csv", 10_000, repeated=False),)

    asyncio.run(scenario())


def test_what_stands_in_no_batch_yet_cannot_be_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = program(tmp_path, rhythm=Rhythm(settled_after=timedelta(0)))
        await hand_over(made, credit(1))
        lay(tmp_path, done(1))
        assert (await refusal(made, tmp_path)).fault is FileFault.INSTRUCTION_UNKNOWN

    asyncio.run(scenario())


def test_another_programs_instructions_cannot_be_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        await asked(tmp_path / "fuel", 1)
        deli = program(tmp_path / "deli", name=ProgramName(NAME.audience, "deli", "deli"))
        lay(tmp_path / "deli", done(1), name=deli.journal.name)
        assert (await refusal(deli, tmp_path / "deli")).fault is FileFault.INSTRUCTION_UNKNOWN

    asyncio.run(scenario())


def test_the_same_file_twice_has_no_effect_and_that_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        for repeated in (False, True, True):
            lay(tmp_path, done(1))
            found = Taken("r-1.results.csv", 0 if repeated else 1, repeated=repeated)
            assert (await visited(made)).found == (found,)
        # The same answers under another name are another file, and nothing new.
        lay(tmp_path, done(1), file_id="r-2")
        found = Taken("r-2.results.csv", 0, repeated=False)
        assert (await visited(made)).found == (found,)
        assert await made.look_up(instruction_id(1), CREDIT) == DONE

    asyncio.run(scenario())


def test_a_name_that_was_taken_is_not_taken_with_other_content(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1, 2)
        lay(tmp_path, done(1))
        await visited(made)
        lay(tmp_path, done(2))
        assert (await refusal(made, tmp_path)).fault is FileFault.NAME_USED
        # A copy is not that file under another name: it says itself which one it is.
        lay(tmp_path, done(2)).rename(tmp_path / "shared" / "results" / "r-9.results.csv")
        found = await refusal(made, tmp_path, "r-9.results.csv")
        assert (found.fault, found.field) == (FileFault.NOT_THIS_PROGRAM, "file")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (done(1), DECLINED),
        (done(1), NEVER),
        (DECLINED, done(1)),
        (NEVER, done(1)),
    ],
)
def test_an_answer_that_is_taken_back_refuses_the_file_and_the_first_one_stands(
    tmp_path: Path, first: Any, then: Any
) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1, 2)
        lay(tmp_path, first)
        await visited(made)
        lay(tmp_path, done(2), then, file_id="r-2")
        found = await refusal(made, tmp_path, "r-2.results.csv")
        assert (found.fault, found.line) == (FileFault.ANSWER_CHANGED, 4)

    asyncio.run(scenario())


def test_a_file_that_is_still_being_written_waits_and_one_that_was_cut_is_refused(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        clock = Clock()
        rhythm = Rhythm(age=timedelta(0), settled_after=timedelta(minutes=1))
        made = await asked(tmp_path, 1, rhythm=rhythm)
        content = results(done(1))
        waiting = (Waiting("r-1.results.csv"),)
        for size in (0, 100, len(content) // 2, len(content) - 3):
            lay(tmp_path, content=content[:size])
            assert (await visited(made, clock.later(timedelta(seconds=50)))).found == waiting
        path = lay(tmp_path, content=content)
        assert (await visited(made, clock.later(timedelta(seconds=50)))).found == (
            Taken("r-1.results.csv", 1, repeated=False),
        )
        # Nobody writes on.
        path.with_name("r-2.results.csv").write_bytes(content[:-9])
        assert (await visited(made, clock.later())).found == (Waiting("r-2.results.csv"),)
        (found,) = (await visited(made, clock.later())).found
        assert isinstance(found, Turned)
        assert found.refused.fault is FileFault.CUT_SHORT

    asyncio.run(scenario())


def test_parts_and_other_files_are_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        folder = tmp_path / "shared" / "results"
        content = results(done(1))
        (tmp_path / "elsewhere").write_bytes(content)
        (folder / "r-1.results.csv.part").write_bytes(content)
        (folder / "README.txt").write_bytes(content)
        (folder / "r-3.results.csv").mkdir()
        (folder / "r-4.results.csv").symlink_to(tmp_path / "elsewhere")
        names = {each.name for each in folder.iterdir()}
        assert (await visited(made)).found == ()
        assert {each.name for each in folder.iterdir()} == names

    asyncio.run(scenario())


def test_a_file_that_is_too_large_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        path = lay(tmp_path, done(1))
        monkeypatch.setattr("adapters.file_program.intake.BYTES_MAX", path.stat().st_size - 1)
        assert (await refusal(made, tmp_path)).fault is FileFault.TOO_LARGE

    asyncio.run(scenario())


# Signatures


def test_every_line_of_a_signed_file_is_evidence(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1, 2)
        lay(
            tmp_path,
            done(1),
            replace(DECLINED, instruction_id=instruction_id(2)),
            signer=order_signer("fuel"),
        )
        await visited(made)
        key = VerifyKey.of(order_signer("fuel").public_key)
        for number in (1, 2):
            found = await made.look_up(instruction_id(number), CREDIT)
            assert found is not None
            assert found.evidence is not None
            assert b"member" not in found.evidence.content
            said = said_in(found.evidence, key)
            assert said.instruction_id == instruction_id(number)
            assert (said.outcome, said.points) == (found.outcome, found.points)
        assert sorted(each.name for each in (tmp_path / "shared" / "taken").iterdir()) == [
            "r-1.results.csv",
            "r-1.results.csv.dsse.json",
        ]

    asyncio.run(scenario())


def test_a_file_that_names_a_signature_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        path = lay(tmp_path, done(1), signer=order_signer("fuel"))
        signature = path.with_name(path.name + SIGNATURE_SUFFIX)
        content = signature.read_bytes()
        signature.unlink()
        for days in range(3):
            visit = await visited(made, NOW + timedelta(days=days))
            assert visit.found == (Waiting("r-1.results.csv"),)
        signature.write_bytes(content)
        assert isinstance((await visited(made)).found[0], Taken)

    asyncio.run(scenario())


def test_a_signature_beside_a_file_that_names_none_is_no_evidence(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        path = lay(tmp_path, done(1))
        signature = sign_results(order_signer("fuel"), parse_results(path.read_bytes()))
        path.with_name(path.name + SIGNATURE_SUFFIX).write_bytes(signature)
        await visited(made)
        assert await made.look_up(instruction_id(1), CREDIT) == DONE

    asyncio.run(scenario())


KEY = ordering_key()


def signed(*answers: Confirmation, by: str = "fuel", **more: Any) -> bytes:
    content = results(*answers, signing=Signing.DSSE, **more)
    return sign_results(order_signer(by), parse_results(content))


def sealed(payload: bytes) -> bytes:
    return to_json(sign(order_signer("fuel"), RESULT_FILE, payload)).encode()


def counter_signed(signature: bytes) -> bytes:
    return to_json(counter_sign(order_signer("deli"), from_json(signature.decode()))).encode()


@pytest.mark.parametrize(
    ("key_of", "signature"),
    [
        (keys_of(), None),
        (keys_of(replace(KEY, holder="partner/deli")), None),
        (keys_of(replace(KEY, purpose=Purpose.STATEMENTS)), None),
        (keys_of(replace(KEY, revoked_index=9)), None),
        (keys_of(replace(KEY, valid_until=NOW)), None),
        (keys_of(KEY), b"\xff"),
        (keys_of(KEY), b"{}"),
        (keys_of(KEY), b"{" * 20_000),
        (keys_of(KEY), signed(done(1), by="deli")),
        (keys_of(KEY), signed(done(1), done(2))),
        (keys_of(KEY), signed(done(1, program_reference="B-2"))),
        (keys_of(KEY), signed(done(1), file_id="r-2")),
        (keys_of(KEY), signed(done(1), name=replace(NAME, audience="other/sandbox"))),
        (keys_of(KEY), signed(done(1)).replace(b'"sig":"', b'"sig":"AAAA')),
        (keys_of(KEY), sealed(b"{}")),
        (keys_of(KEY), sealed(b'{"audience":"","partner":"","program":"","file":"","lines":true}')),
        (keys_of(KEY), counter_signed(signed(done(1)))),
    ],
)
def test_a_file_whose_signature_is_not_the_brands_over_its_bytes_is_refused(
    tmp_path: Path, key_of: Any, signature: bytes | None
) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1, key_of=key_of)
        path = lay(tmp_path, done(1), signer=order_signer("fuel"))
        if signature is not None:
            path.with_name(path.name + SIGNATURE_SUFFIX).write_bytes(signature)
        assert (await refusal(made, tmp_path)).fault is FileFault.SIGNATURE_WRONG
        assert (tmp_path / "shared" / "refused" / "r-1.results.csv.dsse.json").exists()

    asyncio.run(scenario())


# What a crash leaves


class Crash(Exception):
    """The process is gone."""


@dataclass
class CrashingPlace:
    """The folder of a process that dies before or after the n-th thing that it does there."""

    files: LocalPlace
    steps_left: int
    done_before_crash: bool

    @asynccontextmanager
    async def open(self) -> AsyncIterator["CrashingPlace"]:
        async with self.files.open():
            yield self

    async def put(self, name: str, content: bytes, *, replace: bool = False) -> None:
        await self._step(self.files.put(name, content, replace=replace))

    async def listed(self, folder: str) -> tuple[Listed, ...]:
        return await self.files.listed(folder)

    async def read(self, name: str, bytes_max: int) -> bytes | None:
        return await self.files.read(name, bytes_max)

    async def move(self, name: str, target: str) -> None:
        await self._step(self.files.move(name, target))

    async def remove(self, name: str) -> None:
        await self._step(self.files.remove(name))

    async def _step(self, effect: Any) -> None:
        self.steps_left -= 1
        if self.steps_left or self.done_before_crash:
            await effect
        else:
            effect.close()
        if not self.steps_left:
            raise Crash


@pytest.mark.parametrize("done_before_crash", [False, True])
@pytest.mark.parametrize("step", range(1, 7))
def test_a_crash_at_any_step_of_a_visit_leaves_what_the_next_visit_finishes(
    tmp_path: Path, step: int, done_before_crash: bool
) -> None:
    async def scenario() -> None:
        place = LocalPlace(tmp_path / "shared")
        rhythm = Rhythm(
            instructions_max=1,
            age=timedelta(0),
            settled_after=timedelta(0),
            members_kept=timedelta(0),
        )
        made = program(tmp_path, rhythm=rhythm)
        await hand_over(made, credit(1), credit(2))
        await visited(made)
        await hand_over(made, credit(3))
        lay(tmp_path, done(1), signer=order_signer("fuel"))
        lay(tmp_path, done(2, points=1), file_id="r-2")
        crashing = CrashingPlace(place, step, done_before_crash)
        dying = program(tmp_path, rhythm=rhythm, place=crashing)
        # What the steps of the first visit leave, the second one forgets.
        with pytest.raises(Crash):
            await dying.visit(NOW) and await dying.visit(NOW + timedelta(days=1))
        again = program(tmp_path, rhythm=rhythm)
        await visited(again)
        await visited(again, NOW + timedelta(days=2))
        shared = tmp_path / "shared"
        assert batches(tmp_path) == [f"fuel-{number:08d}.instructions.csv" for number in (2, 3)]
        assert [*(shared / "results").iterdir()] == []
        assert len([*(shared / "taken").iterdir()]) == 2
        assert len([*(shared / "refused").iterdir()]) == 2
        found = await answer(again, credit(1))
        assert found is not None
        assert found.evidence is not None
        assert await answer(again, credit(2)) is None

    asyncio.run(scenario())


def test_a_part_that_a_crash_left_is_written_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = program(tmp_path)
        part = tmp_path / "shared" / "instructions" / "fuel-00000001.instructions.csv.part"
        part.write_bytes(b"half of someth")
        await hand_over(made, credit(1))
        assert (await visited(made)).sent == (1,)
        assert not part.exists()

    asyncio.run(scenario())


def test_nothing_is_sent_over_what_stands_under_a_batchs_name_and_results_are_taken_still(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        made = await asked(tmp_path, 1)
        # As when an older journal was restored, and numbers batches anew.
        other = tmp_path / "shared" / "instructions" / "fuel-00000002.instructions.csv"
        other.write_bytes(b"another batch")
        await hand_over(made, credit(2))
        lay(tmp_path, done(1))
        visit = await made.visit(NOW)
        assert "fuel-00000002.instructions.csv" in visit.differs
        assert visit.sent == ()
        assert isinstance(visit.found[0], Taken)
        assert other.read_bytes() == b"another batch"

    asyncio.run(scenario())


def test_two_journals_never_send_to_one_folder(tmp_path: Path) -> None:
    async def scenario() -> None:
        await asked(tmp_path, 1)
        # As a second host would, or one whose journal was lost and made anew.
        (tmp_path / "journal.sqlite").unlink()
        # The brand has booked the first batch and taken it away.
        (tmp_path / "shared" / "instructions" / "fuel-00000001.instructions.csv").unlink()
        other = program(tmp_path)
        await hand_over(other, credit(2))
        visit = await other.visit(NOW)
        assert "journal.id" in visit.differs
        assert visit.sent == ()
        assert not batches(tmp_path)

    asyncio.run(scenario())


def test_a_journal_that_cannot_be_written_leaves_everything_unknown(tmp_path: Path) -> None:
    async def scenario() -> None:
        made = program(tmp_path)
        made.journal.path.write_bytes(b"no database at all" * 100)
        with pytest.raises(JournalWrong):
            program(tmp_path)
        for call in (made.credit(credit(1)), made.look_up(instruction_id(1), CREDIT)):
            with pytest.raises(ProgramUnavailable):
                await call

    asyncio.run(scenario())


def test_a_place_that_is_lost_fails_the_visit_and_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        @dataclass
        class Gone:
            gone: bool = True

            @asynccontextmanager
            async def open(self) -> AsyncIterator[Files]:
                if self.gone:
                    raise PlaceFailed("no route to host")
                yield LocalPlace(tmp_path)

        made = program(tmp_path, place=Gone())
        await hand_over(made, credit(1))
        assert await made.visit(NOW) == Visit(cut=(1,), failed="no route to host")
        assert (await visited(program(tmp_path))).sent == (1,)

    asyncio.run(scenario())
