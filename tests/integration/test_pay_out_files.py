"""Pay-out files against a real database: what a file has told the bank to pay counts as paid when
its window is stated again, and a file is made once whoever makes it. Threat 30.
"""

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import create_engine

from exchange.embedded_postgres import OWNER_ROLE
from exchange.fold import InvariantBroken
from partners.caller import Caller
from partners.commands import RevokeKey
from partners.envelope import SETTLEMENT_ACCOUNT, sign
from partners.errors import Reason, Refused
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import account_pb2, approval_pb2, payout_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.accounts.account import AccountEvent, Address, BankAccount
from settlement.accounts.wire import event_payload
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.references import leg_reference
from settlement.service import SettlementService
from tests.integration.test_settlement_cycle import (
    AUDIENCE,
    FIRST,
    OPERATOR,
    OWN,
    SIGNERS,
    Coalition,
    Crash,
    coalition,
    server,
    worked_example,
)

__all__ = ["coalition", "server"]

WINDOW = f"cny-{FIRST}"
AURORA, BOREALIS = 1, 2
ACCOUNT = BankAccount(
    "", "6222020200112233445", "ICBKCNBJ", "", "", "北极光", Address("", "", "", "北京", "CN")
)
PAID_OUT = leg_reference(1, BOREALIS)


def clock(coalition: Coalition, hours: int) -> None:
    """Let the service's clock show a later time."""
    coalition.service = SettlementService(
        coalition.engine,
        coalition.submit,
        AUDIENCE,
        SIGNERS,
        lambda: datetime.now(UTC) + timedelta(hours=hours),
    )


def let_in(coalition: Coalition, partner: str) -> None:
    """Submit and approve an account; it cools."""
    event = AccountEvent(partner, "CNY", 1, ACCOUNT)
    payload = event_payload(AUDIENCE, event, datetime.now(UTC).replace(microsecond=0))
    envelope = envelope_to_proto(sign(OWN[partner], SETTLEMENT_ACCOUNT, payload))
    submitting = account_pb2.SubmitSettlementAccountRequest(event=envelope)
    service = coalition.service
    caller = Caller("partner", partner)
    submitted = asyncio.run(service.submit_settlement_account(submitting, caller)).account
    approving = account_pb2.ApproveSettlementAccountRequest(
        partner_id=partner, version=1, sha256=submitted.sha256
    )
    asyncio.run(service.approve_settlement_account(approving, OPERATOR))


def make(coalition: Coalition, number: int) -> payout_pb2.PayOutFile:
    """Make a file."""
    asked = payout_pb2.MakePayOutFileRequest(window_id=WINDOW, number=number)
    return asyncio.run(coalition.service.make_pay_out_file(asked, OPERATOR)).file


@pytest.fixture
def paid_in(coalition: Coalition) -> Iterator[Coalition]:
    """Aurora has paid, borealis is to be paid, and its account is in effect."""
    worked_example(coalition)
    coalition.pay(coalition.settle().legs)
    let_in(coalition, "borealis")
    with pytest.raises(Refused) as refused:
        make(coalition, 1)
    assert refused.value.reason is Reason.LEG_STATE
    clock(coalition, 25)
    yield coalition
    assert not coalition.findings()


def unwind(coalition: Coalition, partner: str) -> dict[tuple[str, int], tuple[int, int]]:
    """Take a partner out; each leg's amount and state, by partner and version."""
    asked = approval_pb2.UnwindPartnerRequest(window_id=WINDOW, partner_id=partner)
    asyncio.run(coalition.service.unwind_partner(asked, OPERATOR))
    return {
        (leg.partner_id, leg.version): (
            leg.amount if leg.direction == pb.LEG_DIRECTION_PAY_OUT else -leg.amount,
            leg.state,
        )
        for leg in coalition.settle().legs
    }


def test_what_no_file_instructs_is_taken_back_when_the_window_is_stated_again(
    paid_in: Coalition,
) -> None:
    legs = unwind(paid_in, "aurora")
    assert legs["borealis", 1] == (6_150_000, pb.LEG_STATE_CANCELLED)
    assert legs["borealis", 2] == (-40_000, pb.LEG_STATE_PENDING)


def test_what_a_file_has_told_the_bank_to_pay_counts_as_paid_when_stated_again(
    paid_in: Coalition,
) -> None:
    (payment,) = make(paid_in, 1).payments
    assert (payment.reference, payment.amount) == (PAID_OUT, 6_150_000)
    legs = unwind(paid_in, "aurora")
    assert legs["borealis", 1] == (6_150_000, pb.LEG_STATE_PENDING), "the bank will pay it"
    assert legs["borealis", 2] == (-6_190_000, pb.LEG_STATE_PENDING), "and this asks it back"
    assert not paid_in.findings()
    paid = PaymentRequest("PAY_OUT", Decimal("6.15"), PAID_OUT, "borealis")
    paid_in.import_file(bank_day("S9", "CNY", FIRST, paid_in.bank_balance, [paid]).content)
    assert paid_in.position("borealis") == "0.001734"


def test_t30_a_file_is_made_once_however_often_it_is_asked_for(paid_in: Coalition) -> None:
    first = make(paid_in, 1)
    records = paid_in.records()
    assert make(paid_in, 1) == first
    assert paid_in.records() == records
    for number, reason in (
        (2, Reason.LEG_STATE),
        (3, Reason.FIELD_INVALID),
        (0, Reason.FIELD_INVALID),
    ):
        with pytest.raises(Refused) as refused:
            make(paid_in, number)
        assert refused.value.reason is reason
    assert paid_in.records() == records


def test_a_file_books_nothing_where_the_process_ends_before_it(paid_in: Coalition) -> None:
    records = paid_in.records()
    paid_in.crash_after = paid_in.submitted
    with pytest.raises(Crash):
        make(paid_in, 1)
    assert paid_in.records() == records
    paid_in.crash_after = None
    assert [each.reference for each in make(paid_in, 1).payments] == [PAID_OUT]


def test_t29_a_partner_that_revokes_its_key_while_an_account_cools_is_not_paid_there(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    coalition.pay(coalition.settle().legs)
    let_in(coalition, "borealis")
    key = OWN["borealis"].key_id
    coalition.run(RevokeKey("partner/borealis", key, "COMPROMISED", (key,), b"{}"))
    clock(coalition, 25)
    with pytest.raises(Refused) as refused:
        make(coalition, 1)
    assert "borealis: NO_ACCOUNT" in refused.value.text
    asked = account_pb2.ListSettlementAccountsRequest(partner_id="borealis")
    listed = asyncio.run(coalition.service.list_settlement_accounts(asked, OPERATOR)).accounts
    assert [each.state for each in listed] == [account_pb2.ACCOUNT_STATE_KEY_REVOKED]


def test_t29_an_account_that_was_altered_in_the_database_is_paid_by_nobody(
    coalition: Coalition,
) -> None:
    worked_example(coalition)
    coalition.pay(coalition.settle().legs)
    let_in(coalition, "borealis")
    clock(coalition, 25)
    owner = create_engine(coalition.engine.url.set(username=OWNER_ROLE))
    with owner.begin() as connection:
        named = "WHERE entry_key = 'settlement-account/borealis/1'"
        found = connection.exec_driver_sql(f"SELECT record FROM record {named}").scalar_one()
        before, start, rest = bytes(found).partition(b'"payload":"')
        payload, end, after = rest.partition(b'"')
        altered = base64.b64decode(payload).replace(b"112233445", b"112233446")
        changed = before + start + base64.b64encode(altered) + end + after
        connection.exec_driver_sql("ALTER TABLE record DISABLE TRIGGER append_only")
        connection.exec_driver_sql(f"UPDATE record SET record = %s {named}", (changed,))
        connection.exec_driver_sql("ALTER TABLE record ENABLE ALWAYS TRIGGER append_only")
    owner.dispose()
    records = coalition.records()
    with pytest.raises(InvariantBroken, match="borealis"):
        make(coalition, 1)
    assert coalition.records() == records
