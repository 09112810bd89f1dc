"""The command line against a server process: from nothing to a settled window."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from settlement.bank_simulator import PaymentRequest, bank_day

WINDOW = "usd-2017-01-01"
PROPOSAL = (
    "agreement propose --as grocery --id grocery-fuel --source-program grocery"
    " --target-partner fuel --target-program fuel --rate 50:25 --maximum 5000"
    " --currency USD --price 0.0196 --fee-bps 100 --tax vat6"
)
TRANSFER = "transfer --as grocery --agreement grocery-fuel --source-member h1 --target-member f1"


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs commands in a directory of their own, against one exchange."""

    directory: Path
    address: str = ""

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "exchange", *command.split()],
            cwd=self.directory,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, command: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command as it is; fails the test for another exit code."""
        process = self.start(command)
        out, err = process.communicate(timeout=120)
        assert process.returncode == exit_code, (command, out, err)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def call(self, command: str) -> Any:
        """Run a command against the exchange, and return its document."""
        return json.loads(self.run(f"{command} --server {self.address} --json").stdout)

    def refused(self, command: str) -> Any:
        """Run a command that the exchange refuses, and return the error."""
        result = self.run(f"{command} --server {self.address} --json", exit_code=1)
        assert result.stdout == ""
        return json.loads(result.stderr)["error"]


def environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    kept = {name: value for name, value in os.environ.items() if "POINTCLEAR" not in name}
    return {**kept, "PYTHONPATH": f"{root}{os.pathsep}{root / 'proto'}"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # pytest's own temporary folders are closed to the user that runs the database for root.
    with tempfile.TemporaryDirectory(prefix="pointclear-cli-") as name:
        os.chmod(name, 0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def shell(directory: Path) -> Iterator[Shell]:
    """A served exchange with two partners."""
    alone = Shell(directory)
    alone.run("init --audience pointclear.test/cli")
    server = alone.start("serve --listen 127.0.0.1:0 --json")
    assert server.stdout is not None
    try:
        ready = server.stdout.readline()
        assert ready, server.communicate()[1]
        shell = Shell(directory, json.loads(ready)["address"])
        for name in ("grocery", "fuel"):
            shell.call(f"partner add {name} {partner_options(name)}")
        yield shell
    finally:
        server.terminate()
        server.communicate(timeout=60)


def partner_options(name: str) -> str:
    return f"--name {name} --program {name} --currency USD --cap 5000.00 --out {name}"


@pytest.fixture(scope="module")
def trading(shell: Shell) -> Shell:
    """The same exchange with a window open and an agreement in force."""
    shell.call("window open --currency USD --business-date 2017-01-01")
    assert shell.call(PROPOSAL)["state"] == "PROPOSED"
    early = shell.refused("agreement activate grocery-fuel 1")
    assert early["reason"] == "COUNTER_SIGNATURE_MISSING"
    assert shell.call("agreement sign grocery-fuel 1 --as fuel")["state"] == "SIGNED"
    assert shell.call("agreement activate grocery-fuel 1")["state"] == "IN_FORCE"
    return shell


def test_adding_a_partner_again_changes_nothing(shell: Shell) -> None:
    again = shell.call(f"partner add grocery {partner_options('grocery')}")
    assert again["partner"]["net_debit_cap"] == "5000.000000"
    assert len(again["keys"]) == 3
    assert len(shell.call("key list --holder partner/grocery")["keys"]) == 3
    assert [each["partner_id"] for each in shell.call("partner list")["partners"]] == [
        "fuel",
        "grocery",
    ]


def test_a_partner_cannot_be_added_a_second_time_with_other_terms(shell: Shell) -> None:
    options = partner_options("grocery").replace("5000.00", "9000.00")
    assert shell.refused(f"partner add grocery {options}")["reason"] in (
        "ALREADY_EXISTS",
        "MODIFIED_REQUEST",
    )


def test_a_route_keeps_what_a_command_does_not_name(shell: Shell) -> None:
    shell.call(
        "routes set fuel --by http --address https://fuel.example/points --timeout-ms 1500"
        " --zone Europe/Berlin --closed sun@01:30-03:30 --closed wed@23:00-01:00"
        " --closed-once 2026-12-24T22:00Z/2026-12-25T06:00Z"
    )
    shell.call("routes set fuel --calls-max 3 --zone Asia/Tokyo")
    (route,) = shell.call("routes list --as fuel")["routes"]
    assert route == {
        "program": "fuel",
        "kind": "HTTP",
        "address": "https://fuel.example/points",
        "timeout_ms": 1500,
        "calls_max": 3,
        "answer_within_s": 900,
        "lease_s": 60,
        "zone": "Asia/Tokyo",
        "closed": ["sun@01:30-03:30", "wed@23:00-01:00"],
        "closed_once": ["2026-12-24T22:00:00Z/2026-12-25T06:00:00Z"],
    }
    assert shell.call("routes list --as grocery")["routes"] == []
    shell.call("routes set fuel --by stream --always-open")
    (route,) = shell.call("routes list")["routes"]
    assert (route["kind"], route["address"], route["closed"]) == ("STREAM", "", [])
    assert (route["zone"], route["closed_once"]) == ("UTC", [])


def test_a_route_that_cannot_be_is_refused_with_its_field(shell: Shell) -> None:
    for options, field in (
        ("--by http --address http://fuel.example", "route.address"),
        ("--zone Mars/Olympus", "route.maintenance.zone"),
        (
            "--closed-once 2026-12-24T22:00Z/2026-12-24T06:00Z",
            "route.maintenance.once[0].ends",
        ),
    ):
        refusal = shell.refused(f"routes set fuel {options}")
        assert (refusal["reason"], refusal["field"]) == ("FIELD_INVALID", field)
    shell.run(f"routes set fuel --closed sunday --server {shell.address}", exit_code=2)


def test_a_transfer_is_answered_by_a_receipt_that_verifies(trading: Shell) -> None:
    done = trading.call(f"{TRANSFER} --points 100 --out receipt.json")
    assert (done["state"], done["source_points"], done["target_points"]) == ("COMMITTED", 100, 50)
    assert (done["value"], done["fee"], done["tax"]) == ("0.980000", "0.009800", "0.000588")
    assert json.loads((trading.directory / "receipt.json").read_text()) == done["envelope"]
    for partner, kind in (("grocery", "transfer-receipt"), ("fuel", "credit-notice")):
        found = trading.call(f"lookup {done['transfer_id']} --as {partner}")
        assert (found["kind"], found["transfer_id"]) == (kind, done["transfer_id"])
    assert "fee" not in trading.call(f"lookup {done['transfer_id']} --as fuel")


def test_a_kept_order_can_be_sent_again_and_gets_the_same_receipt(trading: Shell) -> None:
    first = trading.call(f"{TRANSFER} --points 50 --order order.json")
    again = trading.call(f"{TRANSFER} --points 50 --order order.json")
    assert again["envelope"] == first["envelope"]


def test_a_recorded_refusal_leaves_its_receipt(trading: Shell) -> None:
    error = trading.refused(f"{TRANSFER} --points 120 --out refused.json")
    assert (error["reason"], error["field"]) == ("INCREMENT", "source_points")
    assert json.loads((trading.directory / "refused.json").read_text()) == error["receipt"]


def test_a_refusal_for_people_is_two_lines(trading: Shell) -> None:
    command = f"{TRANSFER} --points 50 --target-points 26 --server {trading.address}"
    result = trading.run(command, exit_code=1)
    first, second = result.stderr.splitlines()
    assert first.startswith("AMOUNT_MISMATCH (target_points): ")
    assert second.startswith("  ")


def test_a_new_key_signs_from_now_on(trading: Shell) -> None:
    key = trading.call("key rotate --purpose orders --as fuel")["key"]
    assert key["purpose"] == "ORDERS"
    own = trading.call("key list --as fuel")["keys"]
    assert [each["key_id"] for each in own if each["purpose"] == "ORDERS"][-1] == key["key_id"]


def test_streams_are_whole_and_files_hold_one_envelope_a_line(trading: Shell) -> None:
    whole = trading.call("receipts --as grocery --out archive/grocery/receipts.jsonl")["receipts"]
    assert [each["stream_seq"] for each in whole] == list(range(1, len(whole) + 1))
    lines = (trading.directory / "archive/grocery/receipts.jsonl").read_text().splitlines()
    assert len(lines) == len(whole)
    assert trading.call("receipts --as grocery --after 1")["receipts"] == whole[1:]


@pytest.mark.parametrize(
    ("command", "exit_code", "told"),
    [
        ("partner list --server localhost:1", 3, "no exchange answers at localhost:1"),
        ("window close usd-2017-01-01 --as grocery", 2, "an operator's call"),
        ("receipts --as nowhere", 3, "there is no profile here"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    shell: Shell, command: str, exit_code: int, told: str
) -> None:
    assert told in shell.run(command, exit_code).stderr


def test_a_stranger_with_another_authority_is_told_so_in_two_lines(shell: Shell) -> None:
    shell.run("init --data-dir strange")
    result = shell.run(f"partner list --as strange/operator --server {shell.address}", exit_code=3)
    wrong, remedy = result.stderr.splitlines()[-2:]
    assert wrong == f"UNAVAILABLE: the TLS handshake with {shell.address} failed"
    assert remedy.startswith("  Use a profile")


def test_transfers_are_listed_newest_first_and_by_what_is_asked(trading: Shell) -> None:
    sent = trading.call(f"{TRANSFER} --points 50 --reference till-9")
    shown = trading.call("transfers --as grocery")
    assert shown["more"] is False
    positions = [each["stream_seq"] for each in shown["transfers"]]
    assert positions == sorted(positions, reverse=True)
    (found,) = trading.call("transfers --as grocery --reference till-9")["transfers"]
    assert found["transfer_id"] == sent["transfer_id"]
    assert (found["member"], found["value"]) == ("h1", sent["value"])
    committed = trading.call(f"transfers --as fuel --state COMMITTED --window {WINDOW}")
    assert {each["member"] for each in committed["transfers"]} == {"f1"}
    one = trading.call("transfers --as grocery --limit 1")
    assert (len(one["transfers"]), one["more"]) == (1, True)
    moment = found["recorded_at"]
    assert found not in trading.call(f"transfers --as grocery --until {moment}")["transfers"]
    assert found in trading.call(f"transfers --as grocery --from {moment}")["transfers"]
    table = trading.run(f"transfers --as grocery --server {trading.address}").stdout
    assert sent["transfer_id"] in table


def test_a_simulation_orders_nothing_and_a_position_tells_what_is_left(trading: Shell) -> None:
    ask = "simulate --as grocery --source-program grocery --target-program fuel"
    before = trading.call("position --as grocery")
    said = trading.call(f"{ask} --points 100")
    assert (said["target_points"], said["value"], said["refusal"]) == (50, "0.980000", None)
    refused = trading.call(f"{ask} --points 120")
    assert (refused["refusal"]["reason"], refused["target_points"]) == ("INCREMENT", None)
    assert trading.call("position --as grocery") == before
    assert trading.call("position --partner grocery") == before
    assert Decimal(before["headroom"]) == Decimal("5000") + Decimal(before["open"])
    assert trading.refused("position --partner nobody")["reason"] == "PARTNER_UNKNOWN"
    told = trading.run(f"{ask} --points 120 --server {trading.address}").stdout
    assert told.startswith("would be refused: INCREMENT")


def test_corridors_show_the_terms_in_force(trading: Shell) -> None:
    (corridor,) = trading.call("corridors --as fuel")["corridors"]
    assert (corridor["agreement_id"], corridor["version"]) == ("grocery-fuel", 1)
    assert (corridor["rate"], corridor["price_per_target_point"]) == ("50:25", "0.019600")
    assert trading.call("corridors")["corridors"] == [corridor]


def test_rates_are_checked_and_drawn_with_proposals_before_anyone_signs(trading: Shell) -> None:
    checked = trading.call("rates check")
    assert [(each["multiplier"], each["best_return"]) for each in checked["corridors"]] == [
        ("1/2", None)
    ]
    derive = (
        "rates derive grocery/grocery={} fuel/fuel=0.02 --block 50 --currency USD --maximum 5000"
        " --fee-bps 100 --tax vat6 --out rates --json"
    )
    trading.run(derive.format("0.01"))
    back = "rates/fuel-grocery.json"
    assert trading.call(f"rates check {back} --as grocery")["loop"] is None
    assert len(trading.call(f"rates graph {back} --out rates.svg")["corridors"]) == 2
    assert (trading.directory / "rates.svg").read_text().startswith("<svg")
    trading.run(derive.format("0.009"))
    refusal = trading.refused(f"rates check {back}")
    assert refusal["reason"] == "FREE_LUNCH"
    assert refusal["metadata"]["product"] == "111/100"
    assert refusal["metadata"]["agreements"] == "fuel-grocery version 1, grocery-fuel version 1"


def test_a_transfer_by_a_link_names_no_member_and_its_member_can_be_erased(trading: Shell) -> None:
    programs = "--source-program grocery --target-program fuel"
    started = trading.call(f"link start --as grocery {programs} --member g-17")
    again = f"--id {started['link_id']} --salt {started['member_salt']}"
    assert trading.call(f"link start --as grocery {programs} --member g-17 {again}") == started
    link = started["link_id"]
    confirming = f"link confirm {link} --as fuel --program fuel --member f-42 --consent sharing-1"
    confirmed = trading.call(confirming)
    assert (confirmed["state"], confirmed["member"]) == ("ACTIVE", "f-42")
    order = f"transfer --as grocery --agreement grocery-fuel --link {link} --points 100"
    assert trading.call(order)["state"] == "COMMITTED"
    trading.call(f"link freeze {link}")
    assert trading.refused(order)["reason"] == "MEMBER_FROZEN"
    (frozen,) = trading.call("link list --state FROZEN")["links"]
    assert (frozen["link_id"], frozen["member"]) == (link, "")
    trading.call(f"link unfreeze {link}")
    assert trading.call("link require fuel")["programs"] == ["fuel"]
    assert trading.refused(f"{TRANSFER} --points 100")["reason"] == "LINK_REQUIRED"
    assert trading.call("link require fuel --off")["programs"] == []
    erased = trading.call("member erase --as fuel --program fuel --member f-42")
    assert erased == {"links_ended": 1, "orders_emptied": 0}
    (left,) = trading.call("link list --as grocery --member g-17")["links"]
    assert left["state"] == "REVOKED"
    assert trading.call(f"link revoke {link} --as fuel")["member"] == ""
    asked = "member validate --as grocery --program fuel --member f-1 --consent sharing-1"
    assert trading.refused(asked)["reason"] == "PROGRAM_UNKNOWN"


@pytest.fixture(scope="module")
def confirmed(trading: Shell) -> Shell:
    """The same exchange; grocery fetches, and confirms what comes from fuel."""
    terms = {
        "agreement_id": "fuel-grocery",
        "source_partner": "fuel",
        "target_partner": "grocery",
        "source_program": "fuel",
        "target_program": "grocery",
        "rate": "10:10",
        "maximum_source_points": 5000,
        "currency": "USD",
        "price_per_target_point": "0.01",
        "fee_basis_points": 0,
        "tax_code": "vat6",
        "credit_mode": "CONFIRMED",
    }
    (trading.directory / "confirmed.json").write_text(json.dumps(terms))
    trading.call("agreement propose --as fuel --terms confirmed.json")
    trading.call("agreement sign fuel-grocery 1 --as grocery")
    trading.call("agreement activate fuel-grocery 1")
    trading.call("routes set grocery --by pull")
    return trading


def reserved(shell: Shell, member: str) -> str:
    """The id of a transfer to grocery that waits for its answer."""
    order = "transfer --as fuel --agreement fuel-grocery --source-member f1 --points 10"
    done = shell.call(f"{order} --target-member {member}")
    assert done["state"] == "RESERVED"
    return str(done["transfer_id"])


def test_a_brand_fetches_its_instructions_and_answers_them(confirmed: Shell) -> None:
    good, bad = reserved(confirmed, "g1"), reserved(confirmed, "g2")
    fetched = confirmed.call("delivery pull --as grocery --program grocery")["instructions"]
    told = {each["instruction_id"]: each for each in fetched}
    assert [told[each]["member"] for each in (good, bad)] == ["g1", "g2"]
    assert (told[good]["step"], told[good]["kind"], told[good]["points"]) == ("GIVE", "CREDIT", 10)
    assert not told[good]["committed"]
    leased = confirmed.call("delivery pull --as grocery --program grocery")["instructions"]
    assert {each["instruction_id"] for each in leased}.isdisjoint(told)
    answers = "--as grocery --program grocery"
    for _ in range(2):
        said = confirmed.call(f"delivery confirm {good} {answers} --done 10 --reference b-1")
        assert (said["outcome"], said["state"]) == ("DONE", "CONCLUDED")
    changed = confirmed.refused(f"delivery confirm {good} {answers} --declined other")
    assert changed["reason"] == "MODIFIED_REQUEST"
    wrong = confirmed.refused(f"delivery confirm {bad} {answers} --done 11")
    assert (wrong["reason"], wrong["field"]) == ("FIELD_INVALID", "points")
    confirmed.call(f"delivery confirm {bad} {answers} --declined member_unknown")
    listed = confirmed.call("transfers --as fuel")["transfers"]
    states = {each["transfer_id"]: each["state"] for each in listed}
    assert (states[good], states[bad]) == ("COMMITTED", "ABORTED")


def test_a_transfer_in_doubt_is_listed_and_ended_by_evidence(confirmed: Shell) -> None:
    doubtful = reserved(confirmed, "g3")
    listed = confirmed.call("delivery list --program grocery")["deliveries"]
    (waits,) = [each for each in listed if each["transfer_id"] == doubtful]
    assert (waits["state"], waits["in_doubt"], waits["sent_at"]) == ("QUEUED", False, None)
    assert confirmed.call("delivery list --program fuel --in-doubt")["deliveries"] == []
    confirmed.call("delivery pull --as grocery --program grocery")
    listed = confirmed.call("delivery list --in-doubt")["deliveries"]
    assert [each["transfer_id"] for each in listed] == [doubtful]
    shown = confirmed.run(f"delivery list --in-doubt --server {confirmed.address}").stdout
    assert "IN DOUBT" in shown
    resolve = f"delivery resolve {doubtful} --not-credited --evidence"
    (confirmed.directory / "letter.txt").write_text("They never booked it, says their system.")
    (confirmed.directory / "long.txt").write_text("x" * 4097)
    assert confirmed.refused(f"{resolve} long.txt")["field"] == "evidence"
    assert confirmed.call(f"{resolve} letter.txt")["state"] == "ABORTED"
    assert confirmed.call("delivery list --in-doubt")["deliveries"] == []


def test_a_window_is_closed_settled_through_the_bank_and_stated(trading: Shell) -> None:
    trading.call(f"{TRANSFER} --points 200")
    closed = trading.call(f"window close {WINDOW}")
    nets = {name: Decimal(net) for name, net in closed["window"]["net_positions"].items()}
    assert sum(nets.values()) == 0
    assert nets["grocery"] < 0 < nets["fuel"]
    assert closed["next_window"]["business_date"] == "2017-01-02"
    assert trading.call(f"window close {WINDOW}") == closed

    state, opening = trading.call(f"settle {WINDOW} --out legs.json"), Decimal("0.00")
    for number in range(1, 3):
        pending = [leg for leg in state["legs"] if leg["state"] == "PENDING"]
        day = bank_day(
            f"s{number}", "USD", date(2017, 1, 2), opening, [payment(leg) for leg in pending]
        )
        (trading.directory / "bank.csv").write_bytes(day.content)
        opening = day.closing
        state = trading.call(f"settle {WINDOW} --bank-file bank.csv")
        assert state["bank_file"]["matched"] == len(pending)
    assert state["window"]["state"] == "SETTLED"
    assert {leg["state"] for leg in state["legs"]} == {"CONFIRMED"}

    for name in ("grocery", "fuel"):
        stated = trading.call(f"statement {WINDOW} --as {name} --out archive/{name}")
        assert Decimal(stated["net"]) == nets[name]
        trading.call(f"receipts --as {name} --out archive/{name}/receipts.jsonl")
    trading.call("key list --holder exchange --out archive")
    trading.run("verify archive")


def payment(leg: dict[str, str]) -> PaymentRequest:
    amount = Decimal(leg["amount"]).quantize(Decimal("0.01"))
    if leg["direction"] == "PAY_IN":
        return PaymentRequest("PAY_IN", amount, leg["reference"], leg["partner_id"])
    return PaymentRequest("PAY_OUT", amount, leg["reference"], leg["partner_id"])
