"""The adapter for `ProgramService` against brands that are processes of their own, over real mutual
TLS: what they may be believed, and that nothing is lost when they are not.
"""

import asyncio
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
import uuid_utils

from adapters.conformance import Subject, Verdict, run_checks
from adapters.grpc_program import GrpcEndpoint, GrpcProgram
from exchange.cli.deployment.development_ca import create_authority, new_tls_key, pem
from exchange.cli.deployment.initialise import ensure_client_tls, ensure_serving_tls
from partners.caller import partner_uri
from partners.fulfilment import open_sealed
from partners.keys import SeedSigner
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    Eligibility,
    ExpiryLot,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
    contradicts,
)
from tests.brands import (
    AUDIENCE,
    FAULTY_BRAND,
    Brands,
    Serving,
    enrol,
    made,
    misbehave,
    serving,
)
from tests.processes import folder

MEMBER = "B-77"
SOURCE = SeedSigner(bytes(range(32)))

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class House:
    """Brands with the journal of borealis."""

    brands: Brands
    journal: Path


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as path:
        brands = made(path)
        brands.profile("borealis")
        brands.profile("aurora")
        journal = path / "borealis.db"
        enrol(journal, MEMBER)
        enrol(journal, "B-closed", eligible=False)
        yield House(brands, journal)


@pytest.fixture(scope="module")
def good(house: House) -> Iterator[Serving]:
    with serving(house.brands.profile("borealis"), house.journal) as brand:
        yield brand


@pytest.fixture(scope="module")
def faulty(house: House) -> Iterator[Serving]:
    profile = house.brands.profile("borealis")
    with serving(profile, house.journal, script=FAULTY_BRAND) as brand:
        yield brand


@asynccontextmanager
async def program(house: House, endpoint: GrpcEndpoint) -> AsyncIterator[GrpcProgram]:
    keys = house.brands.registered("borealis", "aurora")
    opened = GrpcProgram(endpoint, keys.get, lambda: datetime.now(UTC))
    try:
        yield opened
    finally:
        await opened.close()


def asking(
    house: House, endpoint: GrpcEndpoint, ask: Callable[[GrpcProgram], Awaitable[_Found]]
) -> _Found:
    """What a program answers, asked over a connection of its own."""

    async def run() -> _Found:
        async with program(house, endpoint) as opened:
            return await ask(opened)

    return asyncio.run(run())


def no_answer(
    house: House, endpoint: GrpcEndpoint, ask: Callable[[GrpcProgram], Awaitable[object]]
) -> Fault:
    """Why a program gave none."""
    with pytest.raises(ProgramUnavailable) as raised:
        asking(house, endpoint, ask)
    assert "B-77" not in str(raised.value)
    return raised.value.fault


def new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)


def credit(points: int = 100, member: str = MEMBER, program_id: str = "borealis") -> Credit:
    return Credit(
        new_id(),
        program_id,
        member,
        points,
        bytes(32),
        committed=True,
        source_key=SOURCE.public_key,
    )


def balance(house: House, brand: Serving) -> int:
    endpoint = house.brands.endpoint(brand.address)
    return asking(house, endpoint, lambda program: program.balance(MEMBER))


# A brand that does as it should


def test_the_example_brand_passes_every_check(house: House, good: Serving) -> None:
    def checked(opened: GrpcProgram) -> Awaitable[tuple[Verdict, ...]]:
        subject = Subject(opened, "borealis", MEMBER, new_id, unknown_member="B-nobody")
        return run_checks(subject)

    verdicts = asking(house, house.brands.endpoint(good.address), checked)
    assert [each for each in verdicts if not each.passed] == []


def test_members_are_told_apart(house: House, good: Serving) -> None:
    async def ask(opened: GrpcProgram) -> list[Eligibility]:
        return [await opened.validate_member(each) for each in (MEMBER, "B-closed", "B-nobody")]

    found = asking(house, house.brands.endpoint(good.address), ask)
    assert found == [Eligibility.ELIGIBLE, Eligibility.INELIGIBLE, Eligibility.UNKNOWN]


def test_an_answer_comes_with_what_the_brand_signed(house: House, good: Serving) -> None:
    given = replace(
        credit(), expiry_lots=(ExpiryLot(60, datetime(2027, 1, 1, tzinfo=UTC)), ExpiryLot(40, None))
    )
    answer = asking(house, house.brands.endpoint(good.address), lambda opened: opened.credit(given))
    assert (answer.outcome, answer.points) == (CreditOutcome.DONE, 100)
    assert answer.evidence is not None
    assert answer.evidence.key_id == house.brands.orders_key("borealis").key_id
    assert MEMBER.encode() not in answer.evidence.content


def test_a_brand_that_was_killed_says_what_it_said_before(house: House) -> None:
    profile, given = house.brands.profile("borealis"), credit()
    answers = []
    for _ in range(2):
        with serving(profile, house.journal) as brand:
            endpoint = house.brands.endpoint(brand.address)
            answers.append(asking(house, endpoint, lambda opened: opened.credit(given)))
            brand.kill()
    assert answers[0] == answers[1]


def test_a_code_in_place_of_points_is_read_by_the_source_alone(house: House) -> None:
    journal = house.brands.folder / "codes.db"
    enrol(journal, MEMBER)
    given = credit(500)

    async def ask(opened: GrpcProgram) -> list[ProgramAnswer | None]:
        found = opened.look_up(given.instruction_id, InstructionKind.CREDIT)
        return [await opened.credit(given), await opened.credit(given), await found]

    with serving(house.brands.profile("borealis"), journal, "--codes") as brand:
        answers = asking(house, house.brands.endpoint(brand.address), ask)
    first = answers[0]
    assert first is not None
    assert all(each == first for each in answers)
    code = open_sealed(first.fulfilment, SOURCE.opening_key(), AUDIENCE, given.instruction_id)
    assert code.endswith(b" 500")
    assert code not in journal.read_bytes()


# Answers that are none


WRONG = {
    "unsigned": Fault.MALFORMED,
    "garbage": Fault.MALFORMED,
    "nothing": Fault.MALFORMED,
    "wrong-type": Fault.TYPE_WRONG,
    "strangers-key": Fault.KEY_UNKNOWN,
    "altered": Fault.SIGNATURE_INVALID,
    "other-audience": Fault.AUDIENCE_WRONG,
    "other-brand": Fault.PARTNER_WRONG,
    "other-instruction": Fault.INSTRUCTION_WRONG,
    "other-program": Fault.PROGRAM_WRONG,
    "unknown-outcome": Fault.OUTCOME_UNKNOWN,
    "never": Fault.OUTCOME_UNKNOWN,
    "fewer-points": Fault.POINTS_WRONG,
    "declined-with-points": Fault.POINTS_WRONG,
    "fulfilment-missing": Fault.FULFILMENT_WRONG,
    "status": Fault.FAILED,
    "huge": Fault.MALFORMED,
}


@pytest.mark.parametrize(("wrong", "fault"), WRONG.items(), ids=WRONG)
def test_a_wrong_answer_is_none_and_a_look_up_finds_what_was_done(
    house: House, faulty: Serving, wrong: str, fault: Fault
) -> None:
    endpoint, given = house.brands.endpoint(faulty.address), credit()
    misbehave(house.journal, "")
    before = balance(house, faulty)
    misbehave(house.journal, wrong)
    assert no_answer(house, endpoint, lambda opened: opened.credit(given)) is fault
    misbehave(house.journal, "")
    found = asking(
        house, endpoint, lambda opened: opened.look_up(given.instruction_id, InstructionKind.CREDIT)
    )
    assert found is not None
    assert (found.outcome, found.points) == (CreditOutcome.DONE, given.points)
    assert balance(house, faulty) == before + given.points


def test_a_look_up_without_a_confirmation_says_that_the_brand_is_still_at_work(
    house: House, faulty: Serving
) -> None:
    misbehave(house.journal, "nothing")
    endpoint = house.brands.endpoint(faulty.address)
    found = asking(house, endpoint, lambda opened: opened.look_up(new_id(), InstructionKind.CREDIT))
    assert found is None


def test_a_changed_answer_is_an_answer_that_contradicts_the_first(
    house: House, faulty: Serving
) -> None:
    endpoint, given = house.brands.endpoint(faulty.address), credit()
    misbehave(house.journal, "")
    first = asking(house, endpoint, lambda opened: opened.credit(given))
    misbehave(house.journal, "changed")
    later = asking(house, endpoint, lambda opened: opened.credit(given))
    assert (later.outcome, later.reason) == (CreditOutcome.DECLINED, DeclineReason.LIMIT)
    assert contradicts(first, later)


def test_another_brands_signature_is_no_answer_of_this_one(house: House) -> None:
    """aurora serves borealis's program: with borealis's certificate, and its own key."""
    both = house.brands.folder / "mixed"
    shutil.copytree(house.brands.profile("borealis"), both)
    for name in ("keys", "passphrase"):
        shutil.rmtree(both / name) if name == "keys" else (both / name).unlink()
    shutil.copytree(house.brands.profile("aurora") / "keys", both / "keys")
    shutil.copy(house.brands.profile("aurora") / "passphrase", both / "passphrase")
    with serving(both, house.journal) as brand:
        endpoint = house.brands.endpoint(brand.address)
        fault = no_answer(house, endpoint, lambda opened: opened.credit(credit()))
    assert fault is Fault.KEY_WRONG


# Time and connections


def test_what_is_answered_after_the_deadline_is_no_answer_and_was_done_all_the_same(
    house: House, faulty: Serving
) -> None:
    given = credit()
    misbehave(house.journal, "late")
    hasty = house.brands.endpoint(faulty.address, deadline_s=0.5)
    assert no_answer(house, hasty, lambda opened: opened.credit(given)) is Fault.LATE
    misbehave(house.journal, "")
    patient = house.brands.endpoint(faulty.address)
    found = asking(
        house, patient, lambda opened: opened.look_up(given.instruction_id, InstructionKind.CREDIT)
    )
    assert found is not None
    assert found.outcome is CreditOutcome.DONE


def test_a_brand_that_dies_after_it_acted_has_acted_once(house: House) -> None:
    profile, given = house.brands.profile("borealis"), credit()
    with serving(profile, house.journal, script=FAULTY_BRAND) as brand:
        misbehave(house.journal, "")
        before = balance(house, brand)
        misbehave(house.journal, "dies")
        endpoint = house.brands.endpoint(brand.address)
        assert no_answer(house, endpoint, lambda opened: opened.credit(given)) is Fault.UNREACHABLE
        assert brand.process.wait() == 9
    misbehave(house.journal, "")
    with serving(profile, house.journal) as brand:
        endpoint = house.brands.endpoint(brand.address)
        again = asking(house, endpoint, lambda opened: opened.credit(given))
        assert again.outcome is CreditOutcome.DONE
        assert balance(house, brand) == before + given.points


def test_t24_a_brand_that_is_killed_under_load_gives_each_credit_once(house: House) -> None:
    journal, given = house.brands.folder / "killed.db", [credit(7) for _ in range(120)]
    faults: set[Fault] = set()
    enrol(journal, MEMBER)
    profile = house.brands.profile("borealis")
    with serving(profile, journal) as first:
        address = first.address
        first.kill()

    async def until_answered(opened: GrpcProgram, each: Credit) -> ProgramAnswer:
        while True:
            try:
                return await opened.credit(each)
            except ProgramUnavailable as gone:
                faults.add(gone.fault)
                await asyncio.sleep(0.05)

    async def run() -> tuple[list[ProgramAnswer], int]:
        async with program(house, house.brands.endpoint(address)) as opened:
            asked = [asyncio.create_task(until_answered(opened, each)) for each in given]
            for done in (10, 40, 80):
                with serving(profile, journal, listen=address) as brand:
                    while sum(each.done() for each in asked) < done:
                        await asyncio.sleep(0.005)
                    brand.kill()
            with serving(profile, journal, listen=address):
                return await asyncio.gather(*asked), await opened.balance(MEMBER)

    answers, balance_after = asyncio.run(run())
    assert Fault.UNREACHABLE in faults <= {Fault.UNREACHABLE, Fault.LATE}
    assert {(each.outcome, each.points) for each in answers} == {(CreditOutcome.DONE, 7)}
    assert balance_after == 7 * len(given)
    # The brand's own records say the same, and no id twice.
    with closing(sqlite3.connect(journal)) as books:
        rows = books.execute("SELECT transfer_id, points FROM credit").fetchall()
    assert sorted(rows) == sorted((each.instruction_id.bytes, 7) for each in given)


def test_a_connection_that_is_cut_in_the_middle_leaves_nothing_known_and_nothing_lost(
    house: House, good: Serving
) -> None:
    before, given = balance(house, good), credit()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take everything there, and of what comes back only the handshake."""
        host, port = good.address.split(":")
        back, there = await asyncio.open_connection(host, int(port))

        async def forward() -> None:
            while data := await reader.read(65536):
                there.write(data)
                await there.drain()

        forwarding = asyncio.create_task(forward())
        passed = 0
        while (data := await back.read(65536)) and passed < 4096:
            writer.write(data)
            passed += len(data)
            if passed > 2500:
                break
        await asyncio.sleep(0.2)
        forwarding.cancel()
        for each in (there, writer):
            each.close()

    async def run() -> Fault:
        server = await asyncio.start_server(cut, "127.0.0.1", 0)
        address = "{}:{}".format(*server.sockets[0].getsockname())
        try:
            async with program(house, house.brands.endpoint(address)) as opened:
                await opened.credit(given)
        except ProgramUnavailable as gone:
            return gone.fault
        finally:
            server.close()
        raise AssertionError("the connection was to be cut")

    assert asyncio.run(run()) is Fault.UNREACHABLE
    endpoint = house.brands.endpoint(good.address)
    again = asking(house, endpoint, lambda opened: opened.credit(given))
    assert again.outcome is CreditOutcome.DONE
    assert balance(house, good) == before + given.points


def test_where_nobody_listens_there_is_no_answer(house: House) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*taken.getsockname())
        fault = no_answer(
            house, house.brands.endpoint(address), lambda opened: opened.credit(credit())
        )
    assert fault is Fault.UNREACHABLE


# Who answers, and who asks


def with_certificate(house: House, name: str, partner_id: str, days_ago: int = 0) -> Path:
    """A profile of borealis whose server shows another certificate."""
    path = house.brands.folder / name
    shutil.copytree(house.brands.profile("borealis"), path)
    for each in ("serving-tls.pem", "serving-tls-key.pem"):
        (path / each).unlink()
    at = datetime.now(UTC) - timedelta(days=days_ago)
    ensure_serving_tls(path, house.brands.authority, partner_uri(partner_id), at)
    return path


def test_a_brand_with_an_expired_certificate_is_not_believed(house: House) -> None:
    profile = with_certificate(house, "expired", "borealis", days_ago=900)
    with serving(profile, house.journal) as brand:
        endpoint = house.brands.endpoint(brand.address)
        fault = no_answer(house, endpoint, lambda opened: opened.validate_member(MEMBER))
    assert fault is Fault.NOT_TRUSTED


def test_another_brands_server_is_not_believed_on_the_same_host(house: House) -> None:
    profile = with_certificate(house, "another", "aurora")
    with serving(profile, house.journal) as brand:
        endpoint = house.brands.endpoint(brand.address)
        fault = no_answer(house, endpoint, lambda opened: opened.validate_member(MEMBER))
        assert fault is Fault.NOT_TRUSTED
        # It is the identity that is wrong, and nothing else.
        as_aurora = replace(endpoint, partner_id="aurora")
        found = asking(house, as_aurora, lambda opened: opened.validate_member(MEMBER))
        assert found is Eligibility.ELIGIBLE


def test_a_server_of_another_authority_is_not_believed(house: House, good: Serving) -> None:
    other = create_authority("other", new_tls_key(), datetime.now(UTC))
    endpoint = replace(house.brands.endpoint(good.address), authority=pem(other.certificate))
    fault = no_answer(house, endpoint, lambda opened: opened.validate_member(MEMBER))
    assert fault is Fault.NOT_TRUSTED


def test_a_client_certificate_of_the_brand_is_none_for_its_server(house: House) -> None:
    path = house.brands.folder / "client-only"
    shutil.copytree(house.brands.profile("borealis"), path)
    for one, other in (("tls.pem", "serving-tls.pem"), ("tls-key.pem", "serving-tls-key.pem")):
        shutil.copy(path / one, path / other)
    with serving(path, house.journal) as brand:
        endpoint = house.brands.endpoint(brand.address)
        fault = no_answer(house, endpoint, lambda opened: opened.validate_member(MEMBER))
    assert fault is Fault.NOT_TRUSTED


def test_a_brand_lets_nobody_in_but_the_exchange(house: House, good: Serving) -> None:
    endpoint, given = house.brands.endpoint(good.address), credit()
    before = balance(house, good)
    aurora = house.brands.profile("aurora")
    operator = house.brands.folder / "operator"
    ensure_client_tls(
        operator, house.brands.authority, "pointclear://operator/eve", datetime.now(UTC)
    )
    for profile in (aurora, operator):
        as_other = replace(
            endpoint,
            certificate=(profile / "tls.pem").read_bytes(),
            tls_key=(profile / "tls-key.pem").read_bytes(),
        )
        assert no_answer(house, as_other, lambda opened: opened.credit(given)) is Fault.FAILED
    assert balance(house, good) == before


def test_a_brand_takes_no_instruction_for_another_exchange_or_program(
    house: House, good: Serving
) -> None:
    endpoint = house.brands.endpoint(good.address)
    before = balance(house, good)
    sandbox = replace(endpoint, audience="pointclear.local/sandbox")
    assert no_answer(house, sandbox, lambda opened: opened.credit(credit())) is Fault.FAILED
    another = credit(program_id="borealis-miles")
    assert no_answer(house, endpoint, lambda opened: opened.credit(another)) is Fault.FAILED
    assert balance(house, good) == before


def test_points_are_taken_back_as_far_as_the_member_has_them(house: House, good: Serving) -> None:
    endpoint, given = house.brands.endpoint(good.address), credit(40)

    async def ask(opened: GrpcProgram) -> list[ProgramAnswer]:
        await opened.credit(given)
        taking = [
            Reversal(new_id(), given.instruction_id, "borealis", MEMBER, points)
            for points in (30, 30, 30)
        ]
        return [await opened.reverse(each) for each in taking]

    answers = asking(house, endpoint, ask)
    assert [each.points for each in answers] == [30, 10, 0]
    assert answers[2].reason is DeclineReason.SPENT
