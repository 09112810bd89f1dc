"""The points program of the example brand in Node.js, called as the exchange calls it: it passes
every check, and keeps what it answered when it is killed.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uuid_utils.compat

from adapters.conformance import Subject, run_checks
from adapters.grpc_program import GrpcProgram
from exchange.cli.deployment.initialise import ensure_calling_tls
from partners.program_port import (
    Credit,
    CreditOutcome,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramUnavailable,
)
from tests.brands import Brands, made
from tests.node import node, require_node, serving_node
from tests.processes import folder

BRAND, MEMBER = "borealis", "B-77"
CREDITS, POINTS, KILLS = 60, 7, 3


@pytest.fixture(scope="module")
def brands() -> Iterator[Brands]:
    require_node()
    with folder() as home:
        yield made(home)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Of a program with two members, one of whom may not take part."""
    path = tmp_path / "program.jsonl"
    for words in ((MEMBER,), ("--ineligible", "B-78")):
        done = node("enrol", "--journal", path, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    return path


@asynccontextmanager
async def calling(brands: Brands, address: str, **changes: Any) -> AsyncIterator[GrpcProgram]:
    """The exchange's end; `changes` are fields of its endpoint."""
    endpoint = replace(brands.endpoint(address, BRAND), **changes)
    port = GrpcProgram(endpoint, brands.registered(BRAND).get, lambda: datetime.now(UTC))
    try:
        yield port
    finally:
        await port.close()


def a_credit() -> Credit:
    new_id = uuid_utils.compat.uuid7()
    return Credit(new_id, BRAND, MEMBER, POINTS, bytes(32), committed=True)


def test_the_node_program_passes_every_check(brands: Brands, journal: Path) -> None:
    async def faults(address: str) -> list[str]:
        async with calling(brands, address) as port:
            subject = Subject(port, BRAND, MEMBER, uuid_utils.compat.uuid7, unknown_member="B-99")
            verdicts = await run_checks(subject)
            assert verdicts
            assert await port.validate_member("B-78") is Eligibility.INELIGIBLE
            return [f"{each.name}: {each.fault}" for each in verdicts if not each.passed]

    with serving_node(brands.profile(BRAND), journal) as program:
        assert asyncio.run(faults(program.address)) == []
        program.process.terminate()
        assert program.process.wait() == 0


def test_the_node_program_stops_when_told_whatever_is_connected(
    brands: Brands, journal: Path
) -> None:
    with serving_node(brands.profile(BRAND), journal) as program:
        host, _, port = program.address.rpartition(":")
        with socket.create_connection((host, int(port))):
            asyncio.run(distrusted(brands, program.address))
            program.process.terminate()
            assert program.process.wait() == 0


async def distrusted(brands: Brands, address: str) -> None:
    """A caller that takes the program for another brand's, and leaves in the middle."""
    async with calling(brands, address, partner_id="aurora") as port:
        with pytest.raises(ProgramUnavailable) as caught:
            await port.balance(MEMBER)
        assert caught.value.fault is Fault.NOT_TRUSTED


def test_nobody_but_this_exchange_gives_points_of_the_node_program(
    brands: Brands, journal: Path
) -> None:
    async def refused(address: str, certificate: Path, key: Path) -> None:
        shown = {"certificate": certificate.read_bytes(), "tls_key": key.read_bytes()}
        async with calling(brands, address, **shown) as port:
            with pytest.raises(ProgramUnavailable) as caught:
                await port.credit(a_credit())
            assert caught.value.fault is Fault.FAILED

    partner, other = brands.profile("aurora"), brands.folder / "other"
    other.mkdir()
    ensure_calling_tls(other, brands.authority, "pointclear.test/other", datetime.now(UTC))
    before = journal.read_bytes()
    with serving_node(brands.profile(BRAND), journal) as program:
        for shown, name in ((partner, "tls"), (other, "calling-tls")):
            key = shown / f"{name}-key.pem"
            asyncio.run(refused(program.address, shown / f"{name}.pem", key))
    assert journal.read_bytes() == before


def test_whenever_the_node_program_is_killed_each_credit_is_given_once(
    brands: Brands, journal: Path
) -> None:
    """Each is asked for until there is an answer, while the process is killed again and again; and
    once more afterwards.
    """
    credits, profile = [a_credit() for _ in range(CREDITS)], brands.profile(BRAND)
    before = len(journal.read_bytes().splitlines())

    def decided() -> int:
        return len(journal.read_bytes().splitlines()) - before

    async def given(port: GrpcProgram, credit: Credit, slots: asyncio.Semaphore) -> str:
        async with slots:
            while True:
                with suppress(ProgramUnavailable):
                    answer = await port.credit(credit)
                    assert answer.outcome is CreditOutcome.DONE
                    return answer.reference
                await asyncio.sleep(0.02)

    async def killing(stack: ExitStack) -> None:
        running = first
        for number in range(1, KILLS + 1):
            while decided() < number * CREDITS // (KILLS + 1):
                await asyncio.sleep(0)
            running.kill()
            again = serving_node(profile, journal, first.address)
            running = await asyncio.to_thread(stack.enter_context, again)

    async def under_fire(stack: ExitStack) -> list[str]:
        # A few at a time, so that each kill has some before it and some behind.
        slots = asyncio.Semaphore(4)
        async with calling(brands, first.address) as port:
            async with asyncio.TaskGroup() as group:
                group.create_task(killing(stack))
                tasks = [group.create_task(given(port, each, slots)) for each in credits]
            references = [each.result() for each in tasks]
            assert [await given(port, each, slots) for each in credits] == references
            for credit in credits:
                found = await port.look_up(credit.instruction_id, InstructionKind.CREDIT)
                assert found is not None
                assert (found.outcome, found.points) == (CreditOutcome.DONE, POINTS)
            assert await port.balance(MEMBER) == CREDITS * POINTS
            return references

    with ExitStack() as stack:
        first = stack.enter_context(serving_node(profile, journal))
        references = asyncio.run(under_fire(stack))
    assert len(set(references)) == decided() == CREDITS
