"""The commands that the README shows, run as it shows them, against a server process.

Only the address differs: a test takes a free port, so `serve` and the clients are told of it.
"""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from settlement.bank_simulator import PaymentRequest, bank_day
from tests.processes import ROOT, Server, connection, contents, folder, pointclear, written

HEADING = "## A coalition of your own"
CUT = "…"
TRAIL = {"operator_action", "action_request", "action_outcome", "record", "head"}
"""The tables that an operator's action touches by itself."""
"""Stands in the README for lines that are left out."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of the README, and the lines that it shows of the answer."""

    arguments: tuple[str, ...]
    answer: tuple[str, ...]


def commands(page: str = "README.md", heading: str = HEADING) -> list[Shown]:
    """What a page shows below a heading, up to the next one."""
    section = (ROOT / page).read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    assert blocks
    shown: list[Shown] = []
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if line.startswith("$ pointclear "):
            words = shlex.split(line.removeprefix("$ pointclear "), comments=True)
            shown.append(Shown(tuple(word for word in words if word != "&"), ()))
        elif line != CUT:
            shown[-1] = Shown(shown[-1].arguments, (*shown[-1].answer, line))
    return shown


@dataclass(frozen=True, slots=True)
class Walked:
    """What became of the commands."""

    home: Path
    server: str
    answers: dict[tuple[str, ...], str]


@pytest.fixture(scope="module")
def walked() -> Iterator[Walked]:
    with folder() as home, ExitStack() as stack:
        answers: dict[tuple[str, ...], str] = {}
        server = ""
        for each in commands():
            if each.arguments[0] == "serve":
                running = stack.enter_context(Server(home / "pointclear-data"))
                server = running.address
                continue
            if "--bank-file" in each.arguments:
                write_bank_file(home, each.arguments, server)
            more = ("--server", server) if server else ()
            done = pointclear(*each.arguments, *more, cwd=home)
            assert done.returncode == 0, (each.arguments, done.stderr)
            answers[each.arguments] = done.stdout
        yield Walked(home, server, answers)


def write_bank_file(home: Path, settle: Sequence[str], server: str) -> None:
    """The bank books the payments in that the README's settlement waits for."""
    place = settle.index("--bank-file")
    asked = pointclear(*settle[:place], "--server", server, "--json", cwd=home)
    legs = [leg for leg in json.loads(asked.stdout)["legs"] if leg["state"] == "PENDING"]
    payments = [
        PaymentRequest("PAY_IN", Decimal(leg["amount"]), leg["reference"], leg["partner_id"])
        for leg in legs
    ]
    assert payments
    day = bank_day("first", "CNY", date(2026, 11, 22), Decimal("0.00"), payments)
    (home / settle[place + 1]).write_bytes(day.content)


def test_the_readmes_commands_do_what_it_shows(walked: Walked) -> None:
    shown = [each for each in commands() if each.answer]
    assert shown
    for each in shown:
        answered = [line.rstrip() for line in walked.answers[each.arguments].splitlines()]
        for line in each.answer:
            assert line.rstrip() in answered, each.arguments


def test_the_readmes_walk_ends_with_money_paid_in_and_papers_that_verify(walked: Walked) -> None:
    (settled,) = (text for name, text in walked.answers.items() if "--bank-file" in name)
    assert "1 matched" in settled
    assert "CONFIRMED" in settled
    options = ("--server", walked.server)
    for command in (
        ("key", "list", "--holder", "exchange", "--out", "papers"),
        ("receipts", "--as", "aurora", "--out", "papers/aurora/receipts.jsonl"),
        ("statement", "cny-2026-11-21", "--as", "aurora", "--out", "papers/aurora"),
    ):
        assert pointclear(*command, *options, cwd=walked.home).returncode == 0
    verified = pointclear("verify", "papers/aurora", "--keys", "papers/keys.json", cwd=walked.home)
    assert verified.returncode == 0, verified.stdout


def test_what_an_operator_and_a_brand_do_at_the_end_of_a_day_repeats_harmlessly(
    walked: Walked,
) -> None:
    with connection(walked.home / "pointclear-data") as database:
        before = contents(database)
        for arguments in walked.answers:
            if arguments[0] in ("window", "settle", "statement"):
                again = pointclear(*arguments, "--server", walked.server, cwd=walked.home)
                assert again.returncode == 0, again.stderr
        more = written(before, contents(database))
        # That an operator did it again is on record, and nothing else.
        assert more.keys() <= TRAIL
        assert more["record"] == more["operator_action"]
    refused = pointclear("init", cwd=walked.home)
    assert (refused.returncode, refused.stdout) == (1, "")
