"""A bonus that three pay for, over two servers: budgets hold, funders see what they pay, and every
refusal that terms of this kind bring has its name.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from partners.envelope import FUNDING_NOTICE, RATE_AGREEMENT, sign
from partners.errors import Reason
from partners.points import currency_scale, format_amount
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as exchange_pb
from pointclear.partners.v1 import agreement_pb2
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from pointclear.settlement.v1.statement_pb2 import SettlementStatement
from settlement.bank_papers import Paper
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.overdue.store import overdue_legs
from settlement.standing import bank_balances
from settlement.store import unit_of
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    CURRENCY,
    PRICE,
    USD,
    Brand,
    Coalition,
    agree,
    check_log_and_books,
    coalition,
    join,
    make_data_dir,
    refusal_of,
    refused,
    sign_terms,
    terms,
)
from tests.processes import Server, connection, folder, pointclear

SPONSOR = "sponsor"
BASE, BONUS = 50, 10
"""Points of an order of two blocks, and a fifth more."""
GRANTED = 25
"""Orders that the budget covers."""
SHARE = BONUS * PRICE * 3 // 10
"""What the sponsor pays for one bonus."""
ROOM = BONUS * PRICE // 2
"""What the sponsor's cap leaves beside the budget: not enough to pay one bonus alone."""


def promotion(name: str, budget: int, **shares: int) -> agreement_pb2.Promotion:
    now = datetime.now(UTC)
    return agreement_pb2.Promotion(
        promotion_id=name,
        bonus_basis_points=2_000,
        effective_from=time_to_proto(now - timedelta(days=1)),
        effective_until=time_to_proto(now + timedelta(days=1)),
        budget_points=budget,
        funders=[
            agreement_pb2.Funder(funder=funder, share_basis_points=share)
            for funder, share in shares.items()
        ],
    )


GOLD = agreement_pb2.Segment(segment_id="gold", multiplier_numerator=6, multiplier_denominator=5)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and the coalition behind both."""

    first: Server
    second: Server
    members: Coalition


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as first,
        Server(first.data_dir) as second,
        coalition(first, home, ("aurora", "borealis")) as members,
        join(members.operator, home, SPONSOR, cap=GRANTED * SHARE + ROOM) as sponsor,
    ):
        members.brands[SPONSOR] = sponsor
        spring = promotion(
            "spring", GRANTED * BONUS + 9, aurora=3_000, borealis=2_000, hub=2_000, sponsor=3_000
        )
        agree_by_three(members, "aurora", "borealis", promotions=[spring], segments=[GOLD])
        alone = promotion("alone", 1_000, sponsor=10_000)
        agree_by_three(members, "borealis", "aurora", promotions=[alone])
        yield Pair(first, second, members)


def agree_by_three(members: Coalition, source: str, target: str, **changes: Any) -> None:
    """Put version 2 in force, which the sponsor signs as well."""
    payload = terms(source, target, 2, **changes)
    by = {
        name: envelope_to_proto(sign(members[name].agreements, RATE_AGREEMENT, payload))
        for name in (source, target, SPONSOR)
    }
    proposer = members[source].connection
    proposer.call(
        proposer.partners.ProposeAgreement,
        partners_pb.ProposeAgreementRequest(agreement=by[source]),
    )
    activation = partners_pb.ActivateAgreementRequest(agreement_id=f"{source}-{target}", version=2)
    for name in (target, SPONSOR):
        signer = members[name].connection
        signer.call(
            signer.partners.SignAgreement, partners_pb.SignAgreementRequest(agreement=by[name])
        )
    members.operator.call(members.operator.partners.ActivateAgreement, activation)


def send_at_once(
    servers: Sequence[Server], brand: Brand, orders: Sequence[SignedEnvelope]
) -> Counter[str]:
    """Send the orders in turn to these servers, all at once; how many were answered with what."""

    def send_to(at: int) -> list[str]:
        profile = load_profile(brand.connection.profile.directory, servers[at].address)
        with connect(profile) as own:
            calls = [
                own.exchange.CreateTransfer.future(
                    exchange_pb.CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
                )
                for order in orders[at :: len(servers)]
            ]
            errors = [call.exception() for call in calls]
            return [refusal_of(e).reason.value if e is not None else "COMMITTED" for e in errors]

    with ThreadPoolExecutor(len(servers)) as pool:
        return Counter(chain.from_iterable(pool.map(send_to, range(len(servers)))))


def test_t14_no_budget_is_overrun_by_200_orders_over_two_servers_and_each_funder_pays_its_share(
    pair: Pair,
) -> None:
    members = pair.members
    aurora = members["aurora"]
    orders = [aurora.order(agreement_version=2, target_points=BASE + BONUS) for _ in range(200)]
    outcomes = send_at_once((pair.first, pair.second), aurora, orders)
    assert outcomes == {"COMMITTED": GRANTED, "PROMOTION_EXHAUSTED": 200 - GRANTED}
    without = aurora.proof(aurora.send(aurora.order(agreement_version=2, target_points=BASE)))
    assert list(without.record.promotions) == []
    check_log_and_books(members.data_dir)
    sponsor = members[SPONSOR]
    page = sponsor.connection.call(
        sponsor.connection.exchange.ListReceipts, exchange_pb.ListReceiptsRequest()
    )
    assert len(page.entries) == GRANTED
    for entry in page.entries:
        assert entry.envelope.payload_type == FUNDING_NOTICE
        assert entry.member == ""
        (applied,) = sponsor.proof(entry.envelope).record.promotions
        (share,) = [each for each in applied.shares if each.funder == SPONSOR]
        assert (applied.bonus_points, share.amount) == (BONUS, SHARE)
    listed = sponsor.connection.call(
        sponsor.connection.exchange.ListTransfers, exchange_pb.ListTransfersRequest()
    )
    assert list(listed.transfers) == []


def test_a_bonus_that_is_used_up_is_refused_by_name_with_what_the_points_become(
    pair: Pair,
) -> None:
    aurora = pair.members["aurora"]
    used_up = aurora.order(agreement_version=2, target_points=BASE + BONUS)
    refusal = aurora.refused(used_up)
    assert (refusal.reason, refusal.field) == (Reason.PROMOTION_EXHAUSTED, "target_points")
    assert refusal.metadata == {"targetPoints": str(BASE), "promotions": "spring"}
    assert refusal.receipt is not None


def test_a_segment_that_the_agreement_lacks_is_refused_by_name(pair: Pair) -> None:
    aurora = pair.members["aurora"]
    refusal = aurora.refused(aurora.order(agreement_version=2, segment="silver"))
    assert (refusal.reason, refusal.field) == (Reason.SEGMENT_UNKNOWN, "segment")
    assert refusal.receipt is not None
    golden = aurora.order(agreement_version=2, segment="gold", target_points=BASE + BASE // 5)
    assert aurora.proof(aurora.send(golden)).record.segment == GOLD


def test_a_funder_without_room_refuses_the_order_and_is_not_named(pair: Pair) -> None:
    borealis = pair.members["borealis"]
    order = borealis.order("aurora", agreement_version=2, target_points=BASE + BONUS)
    refusal = borealis.refused(order)
    assert (refusal.reason, refusal.field) == (Reason.COUNTERPARTY_LIMIT, "")
    assert refusal.metadata == {}
    assert SPONSOR.encode() not in refusal.status


def test_lots_that_are_missing_are_refused_by_name(pair: Pair) -> None:
    members = pair.members
    inherits = agreement_pb2.EXPIRY_RULE_INHERIT
    agree(members, "borealis", "aurora", 3, expiry_rule=inherits)
    borealis = members["borealis"]
    refusal = borealis.refused(borealis.order("aurora", agreement_version=3))
    assert (refusal.reason, refusal.field) == (Reason.LOTS_MISMATCH, "source_lots")


def test_terms_that_a_funder_has_not_signed_are_not_put_in_force(pair: Pair) -> None:
    members = pair.members
    again = promotion("again", 1_000, sponsor=10_000)
    activation = sign_terms(members, "aurora", "borealis", 3, promotions=[again])
    refusal = refused(members.operator.partners.ActivateAgreement, activation)
    assert refusal.reason is Reason.COUNTER_SIGNATURE_MISSING


def test_statements_say_what_the_promotion_cost_whom(pair: Pair) -> None:
    members = pair.members
    at = members.operator
    closing = settlement_pb.CloseWindowRequest(window_id="usd-2017-01-01")
    at.call(at.settlement.CloseWindow, closing)
    settling = settlement_pb.SettleWindowRequest(window_id="usd-2017-01-01")
    at.call(at.settlement.SettleWindow, settling)
    stated = {}
    for name in ("aurora", "borealis", SPONSOR):
        own = members[name].connection
        wanted = settlement_pb.GetStatementRequest(window_id="usd-2017-01-01")
        envelope = own.call(own.settlement.GetStatement, wanted).statement
        stated[name] = SettlementStatement.FromString(envelope.payload)
    whole = GRANTED * BONUS * PRICE
    assert stated[SPONSOR].promotions == -GRANTED * SHARE
    assert stated["aurora"].promotions == -whole * 3 // 10
    assert stated["borealis"].promotions == whole * 8 // 10
    of = {each.funder: each for each in stated["borealis"].promotion_lines}
    assert {name: each.amount for name, each in of.items()} == {
        "aurora": whole * 3 // 10,
        "hub": whole * 2 // 10,
        SPONSOR: whole * 3 // 10,
        "borealis": 0,
    }
    assert of["borealis"].own_share == whole * 2 // 10
    check_log_and_books(members.data_dir)


def money(units: int) -> str:
    return format_amount(units, currency_scale(CURRENCY).scale)


def own_funds(members: Coalition, *arguments: str) -> "subprocess.CompletedProcess[str]":
    where = ("--data-dir", members.data_dir, "--server", members.operator.profile.server)
    return pointclear("own-funds", *arguments, *where)


def run(members: Coalition, *arguments: str) -> Any:
    """A command's JSON document."""
    where = ("--data-dir", members.data_dir, "--server", members.operator.profile.server)
    done = pointclear(*arguments, *where, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def figure(listed: Any, account: str, name: str) -> str:
    """A figure of one of the operator's accounts."""
    (found,) = [each[name] for each in listed["accounts"] if each["name"] == account]
    return str(found)


def settled(members: Coalition, window_id: str) -> settlement_pb.SettleWindowResponse:
    request = settlement_pb.SettleWindowRequest(window_id=window_id)
    operator = members.operator
    return operator.call(operator.settlement.SettleWindow, request)


def import_file(members: Coalition, content: bytes) -> None:
    request = settlement_pb.ImportBankFileRequest(currency=CURRENCY, content=content)
    members.operator.call(members.operator.settlement.ImportBankFile, request)


def bank_books(
    members: Coalition, legs: Sequence[settlement_pb.Leg], direction: Any, opening: Decimal
) -> Decimal:
    """The bank books what is asked for in one direction; its balance then."""
    name: Any = settlement_pb.LegDirection.Name(direction).removeprefix("LEG_DIRECTION_")
    asked = [
        PaymentRequest(name, Decimal(leg.amount) / USD, leg.reference, leg.partner_id)
        for leg in legs
        if leg.direction == direction and leg.state == settlement_pb.LEG_STATE_PENDING
    ]
    day = bank_day(name, CURRENCY, date(2017, 1, 3), opening, asked)
    import_file(members, day.content)
    return day.closing


def test_the_operator_pays_its_share_by_a_leg_of_its_own_and_takes_its_fees_out(
    pair: Pair,
) -> None:
    members = pair.members
    windows = ("usd-2017-01-01", "usd-2017-01-02")
    window_id = windows[1]
    borealis = members["borealis"]
    agree(members, "borealis", "aurora", 4, promotions=[promotion("hub", 10 * BONUS, hub=10_000)])
    borealis.send(borealis.order("aurora", agreement_version=4, target_points=BASE + BONUS))
    own_before = run(members, "own-funds", "list", CURRENCY)
    owed = -GRANTED * BONUS * PRICE * 2 // 10
    assert figure(own_before, "hub.promotions", "balance") == money(owed - BONUS * PRICE)
    # The first window's leg waits for the bank: the second asks for what has come since.
    at = members.operator
    at.call(at.settlement.CloseWindow, settlement_pb.CloseWindowRequest(window_id=window_id))
    draft = run(members, "window", "draft", window_id)
    assert draft["own"] == {
        "partner_id": "hub",
        "brought_forward": money(0),
        "restated": money(0),
        "net": money(-BONUS * PRICE),
        "withheld": money(0),
        "due": money(-BONUS * PRICE),
        "payment": money(-BONUS * PRICE),
        "carried_forward": money(0),
        "shortfall": money(0),
    }
    run(members, "settle", window_id, "--draft", draft["draft_sha256"])

    assert figure(own_before, "hub.fees", "free") == money(0)
    early = own_funds(members, "withdraw", CURRENCY, "0.01")
    assert early.returncode == 1
    assert "FIELD_INVALID (amount)" in early.stderr

    with connection(members.data_dir) as database:
        late = overdue_legs(database, CURRENCY, datetime.now(UTC) + timedelta(days=30))
    asked = [(e.leg.window_id, e.leg.amount, e.steps) for e in late if e.leg.partner_id == "hub"]
    assert asked == [(windows[0], -owed, ()), (windows[1], BONUS * PRICE, ())]

    balance = Decimal(0)
    for direction in (settlement_pb.LEG_DIRECTION_PAY_IN, settlement_pb.LEG_DIRECTION_PAY_OUT):
        legs = [leg for name in windows for leg in settled(members, name).legs]
        balance = bank_books(members, legs, direction, balance)
    for name in windows:
        done = settled(members, name)
        assert done.window.state == settlement_pb.WINDOW_STATE_SETTLED
        (own,) = [leg for leg in done.legs if leg.partner_id == "hub"]
        assert own.state == settlement_pb.LEG_STATE_CONFIRMED
    own_after = run(members, "own-funds", "list", CURRENCY)
    assert figure(own_after, "hub.promotions", "balance") == money(0)
    fees = figure(own_after, "hub.fees", "balance")

    amount = fees[: fees.index(".") + 3]
    asked = run(members, "own-funds", "withdraw", CURRENCY, amount)["withdrawal"]
    assert asked["state"] == "PENDING"
    # Who asks again means the same one, and more there is not.
    assert run(members, "own-funds", "withdraw", CURRENCY, amount)["withdrawal"] == asked
    assert own_funds(members, "withdraw", CURRENCY, "0.02").returncode == 1
    assert run(members, "own-funds", "recall", CURRENCY, "1")["withdrawal"]["state"] == "CANCELLED"
    again = run(members, "own-funds", "withdraw", CURRENCY, amount)["withdrawal"]
    assert (again["number"], again["state"]) == (2, "PENDING")
    paid_out = PaymentRequest("PAY_OUT", Decimal(again["amount"]), again["reference"], "operator")
    day = bank_day("F", CURRENCY, date(2017, 1, 3), balance, [paid_out])
    import_file(members, day.content)
    made = run(members, "own-funds", "list", CURRENCY)["withdrawals"]
    assert [each["state"] for each in made] == ["CANCELLED", "CONFIRMED"]
    assert own_funds(members, "recall", CURRENCY, "2").returncode == 1
    check_log_and_books(members.data_dir)


def test_a_charge_of_the_bank_beyond_what_fees_are_left_is_in_the_operators_next_draft(
    pair: Pair,
) -> None:
    members, at = pair.members, pair.members.operator
    window_id = "usd-2017-01-03"
    accounts = run(members, "own-funds", "list", CURRENCY)["accounts"]
    left = sum(Decimal(each["balance"]) for each in accounts if each["name"] != "hub.promotions")
    with connection(members.data_dir) as database:
        lies = -bank_balances(database, unit_of(database, CURRENCY)).mirror_posted
    # Somebody's money of unknown origin, so that the bank has something to charge.
    stray = PaymentRequest("PAY_IN", Decimal(5), "who?", "")
    charge = PaymentRequest("PAY_OUT", Decimal(3), "", "", kind="CHARGE")
    opening = Decimal(lies) / USD
    import_file(
        members,
        bank_day(
            "C", CURRENCY, date(2017, 1, 4), opening, [stray, charge], paper=Paper.CAMT_053
        ).content,
    )
    at.call(at.settlement.CloseWindow, settlement_pb.CloseWindowRequest(window_id=window_id))
    draft = run(members, "window", "draft", window_id)
    shortfall = Decimal(draft["own"]["shortfall"])
    assert shortfall == left - 3
    carried = Decimal(draft["own"]["brought_forward"]) + Decimal(draft["own"]["net"])
    assert Decimal(draft["own"]["due"]) == shortfall + carried
    where = ("--data-dir", members.data_dir, "--server", at.profile.server)
    assert f"{shortfall}" in pointclear("window", "draft", window_id, *where).stdout
    run(members, "settle", window_id, "--draft", draft["draft_sha256"])
    (own,) = [leg for leg in settled(members, window_id).legs if leg.partner_id == "hub"]
    assert own.direction == settlement_pb.LEG_DIRECTION_PAY_IN
    assert Decimal(own.amount) / USD == -Decimal(draft["own"]["payment"])
    check_log_and_books(members.data_dir)
