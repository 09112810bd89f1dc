"""Pay-out files against a real database: what a file has told the bank to pay counts as paid when
its window is stated again, and a file is made once whoever makes it. Threat 30.
"""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine
from uuid_utils import uuid7

from exchange.commands import Book, Fact
from exchange.embedded_postgres import OWNER_ROLE
from exchange.fold import InvariantBroken
from partners.caller import Caller
from partners.commands import RevokeKey
from partners.envelope import COLLATERAL_WITHDRAWAL, SETTLEMENT_ACCOUNT, sign
from partners.errors import Reason, Refused
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.settlement.v1 import (
    account_pb2,
    approval_pb2,
    bank_pb2,
    collateral_pb2,
    overdue_pb2,
    own_funds_pb2,
    payout_pb2,
)
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.accounts.account import AccountEvent, Address, BankAccount
from settlement.accounts.wire import event_payload
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.payouts.making import FORMATS
from settlement.payouts.store import PAYOUT
from settlement.references import collateral_reference, leg_reference
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
    answer: payout_pb2.MakePayOutFileResponse = asyncio.run(
        coalition.service.make_pay_out_file(asked, OPERATOR)
    )
    return answer.file


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


# Other payments than a window's legs


SETTLEMENT, COLLATERAL = (
    bank_pb2.BANK_ACCOUNT_KIND_SETTLEMENT,
    bank_pb2.BANK_ACCOUNT_KIND_COLLATERAL,
)
ACCOUNTS = {SETTLEMENT: "", COLLATERAL: "pointclear-collateral-cny"}
PAYEE = bank_pb2.Payee(name="Somebody Ltd", account="DE89370400440532013000")


@dataclass
class TwoAccounts:
    """Both accounts at the bank, and the files that pay out of them."""

    coalition: Coalition
    balances: dict[bank_pb2.BankAccountKind.ValueType, Decimal]
    files: int = 0

    @property
    def service(self) -> SettlementService:
        """As it is now."""
        return self.coalition.service

    def books(
        self, account: bank_pb2.BankAccountKind.ValueType, *payments: PaymentRequest
    ) -> pb.ImportBankFileResponse:
        """The bank's next day of an account, imported."""
        self.files += 1
        name, opening = f"B{self.files}", self.balances[account]
        day = bank_day(name, "CNY", FIRST, opening, payments, account=ACCOUNTS[account])
        self.balances[account] = day.closing
        return self.coalition.import_file(day.content)

    def listed(
        self, account: bank_pb2.BankAccountKind.ValueType
    ) -> payout_pb2.ListPayOutFilesResponse:
        """The files of an account, and what the next would pay."""
        asked = payout_pb2.ListPayOutFilesRequest(currency="CNY", account=account)
        answer: payout_pb2.ListPayOutFilesResponse = asyncio.run(
            self.service.list_pay_out_files(asked, OPERATOR)
        )
        return answer

    def make(
        self, account: bank_pb2.BankAccountKind.ValueType, number: int = 1
    ) -> payout_pb2.PayOutFile:
        """Make a file of other payments."""
        asked = payout_pb2.MakePayOutFileRequest(currency="CNY", account=account, number=number)
        answer: payout_pb2.MakePayOutFileResponse = asyncio.run(
            self.service.make_pay_out_file(asked, OPERATOR)
        )
        return answer.file

    def content(
        self, account: bank_pb2.BankAccountKind.ValueType, form: str, number: int = 1
    ) -> bytes:
        """A file's bytes."""
        asked = payout_pb2.GetPayOutFileRequest(
            currency="CNY", account=account, number=number, format=form
        )

        async def read() -> bytes:
            chunks = self.service.get_pay_out_file(asked, OPERATOR)
            return b"".join([each.chunk async for each in chunks])

        return asyncio.run(read())

    def reject(
        self, account: bank_pb2.BankAccountKind.ValueType, number: int = 1, reference: str = ""
    ) -> payout_pb2.PayOutFile:
        """The bank rejects a file, or one payment of it."""
        asked = payout_pb2.RejectPayOutFileRequest(
            currency="CNY", account=account, number=number, reference=reference
        )
        answer: payout_pb2.RejectPayOutFileResponse = asyncio.run(
            self.service.reject_pay_out_file(asked, OPERATOR)
        )
        return answer.file

    def withdraw(self, partner: str, amount: int) -> collateral_pb2.Withdrawal:
        """A partner asks for collateral, and two operators let it go."""
        payload = collateral_pb2.CollateralWithdrawal(
            audience=AUDIENCE,
            partner_id=partner,
            withdrawal_id=UUID(str(uuid7())).bytes,
            currency="CNY",
            amount=amount,
            issued_at=time_to_proto(datetime.now(UTC).replace(microsecond=0)),
        ).SerializeToString(deterministic=True)
        envelope = envelope_to_proto(sign(OWN[partner], COLLATERAL_WITHDRAWAL, payload))
        asked = collateral_pb2.RequestWithdrawalRequest(withdrawal=envelope)
        caller = Caller("partner", partner)
        found = asyncio.run(self.service.request_withdrawal(asked, caller)).withdrawal
        letting_go = collateral_pb2.ApproveWithdrawalRequest(
            withdrawal_id=found.withdrawal_id, sha256=found.sha256
        )
        answer: collateral_pb2.ApproveWithdrawalResponse = asyncio.run(
            self.service.approve_withdrawal(letting_go, OPERATOR)
        )
        return answer.withdrawal

    def refuse(self, withdrawal: collateral_pb2.Withdrawal) -> collateral_pb2.Withdrawal:
        """Take a withdrawal back."""
        asked = collateral_pb2.RefuseWithdrawalRequest(withdrawal_id=withdrawal.withdrawal_id)
        answer: collateral_pb2.RefuseWithdrawalResponse = asyncio.run(
            self.service.refuse_withdrawal(asked, OPERATOR)
        )
        return answer.withdrawal

    def give_back(self, item_id: str) -> str:
        """Money in suspense goes back; the reference."""
        asked = bank_pb2.ResolveSuspenseRequest(currency="CNY", item_ids=[item_id], payee=PAYEE)
        answer: bank_pb2.ResolveSuspenseResponse = asyncio.run(
            self.service.resolve_suspense(asked, OPERATOR)
        )
        return answer.reference

    def draw(self) -> str:
        """Aurora's collateral pays what it has not; the reference."""
        asked = overdue_pb2.DrawCollateralRequest(
            window_id=WINDOW, reference=leg_reference(1, AURORA)
        )
        answer: overdue_pb2.DrawCollateralResponse = asyncio.run(
            self.service.draw_collateral(asked, OPERATOR)
        )
        return answer.draw_reference


def came(amount: str, reference: str) -> PaymentRequest:
    """Money in."""
    return PaymentRequest("PAY_IN", Decimal(amount), reference, "somebody")


def went(amount: str, reference: str) -> PaymentRequest:
    """Money out."""
    return PaymentRequest("PAY_OUT", Decimal(amount), reference, "somebody")


@pytest.fixture
def both(coalition: Coalition) -> Iterator[TwoAccounts]:
    """Aurora has not paid, both have put collateral up, and 2.00 are nobody's."""
    worked_example(coalition)
    coalition.settle()
    accounts = TwoAccounts(coalition, {SETTLEMENT: Decimal("0.00"), COLLATERAL: Decimal("0.00")})
    top_ups = [
        came("10.00", collateral_reference(AURORA)),
        came("5.00", collateral_reference(BOREALIS)),
    ]
    accounts.books(COLLATERAL, *top_ups)
    accounts.books(SETTLEMENT, came("2.00", "a gift"))
    yield accounts
    assert not coalition.findings()


def test_a_withdrawal_a_refund_and_a_draw_are_filed_and_the_banks_statements_confirm_them(
    both: TwoAccounts,
) -> None:
    withdrawal = both.withdraw("borealis", 3_000_000)
    let_in(both.coalition, "borealis")
    listed = both.listed(COLLATERAL)
    assert list(listed.payable) == []
    assert [(each.reference, each.reason) for each in listed.left_out] == [
        (withdrawal.reference, payout_pb2.LEFT_OUT_REASON_NO_ACCOUNT)
    ]
    clock(both.coalition, 30 * 24)
    refund, draw = both.give_back("B2-1"), both.draw()

    of_collateral, of_settlement = both.make(COLLATERAL), both.make(SETTLEMENT)
    assert [(each.reference, each.kind, each.amount) for each in of_collateral.payments] == [
        (withdrawal.reference, payout_pb2.PAY_OUT_KIND_WITHDRAWAL, 3_000_000),
        (draw, payout_pb2.PAY_OUT_KIND_DRAW, 6_300_000),
    ]
    paid_out, drawn = of_collateral.payments
    assert (paid_out.account.other, paid_out.account_version) == (ACCOUNT.other, 1)
    assert drawn.account.other == "pointclear-settlement-cny"
    (back,) = of_settlement.payments
    assert (back.reference, back.kind, back.account.iban) == (
        refund,
        payout_pb2.PAY_OUT_KIND_REFUND,
        PAYEE.account,
    )
    records = both.coalition.records()
    assert both.make(COLLATERAL) == of_collateral
    assert both.coalition.records() == records
    for form in FORMATS:
        content = both.content(COLLATERAL, form)
        assert content == both.content(COLLATERAL, form)
        assert b"pointclear-collateral-cny" in content
        assert paid_out.account_sha256.hex().encode() in content

    both.books(COLLATERAL, went("3.00", withdrawal.reference), went("6.30", draw))
    both.books(SETTLEMENT, went("2.00", refund), came("6.30", draw))
    assert both.coalition.position("aurora") == "0.006120"
    for account in (COLLATERAL, SETTLEMENT):
        after = both.listed(account)
        assert (list(after.payable), list(after.left_out)) == ([], [])
        with pytest.raises(Refused) as refused:
            both.make(account, 2)
        assert (refused.value.reason, refused.value.field) == (Reason.LEG_STATE, "currency")
        with pytest.raises(Refused) as refused:
            both.reject(account)
        assert refused.value.reason is Reason.LEG_STATE
    # The draw has brought the money for what the window pays: that is the window's own to file.
    assert [each.reference for each in coalition_legs(both)] == [PAID_OUT]


def coalition_legs(both: TwoAccounts) -> list[payout_pb2.InstructedPayOut]:
    """What the window's next file would pay."""
    asked = payout_pb2.ListPayOutFilesRequest(window_id=WINDOW)
    return list(asyncio.run(both.service.list_pay_out_files(asked, OPERATOR)).payable)


def test_a_withdrawal_that_a_file_instructs_is_taken_back_only_when_the_bank_rejected_it(
    both: TwoAccounts,
) -> None:
    let_in(both.coalition, "borealis")
    withdrawal = both.withdraw("borealis", 3_000_000)
    clock(both.coalition, 25)
    first = both.make(COLLATERAL)
    with pytest.raises(Refused) as refused:
        both.refuse(withdrawal)
    assert refused.value.reason is Reason.LEG_STATE
    assert first.message_id in refused.value.text
    assert both.reject(COLLATERAL).rejected
    second = both.make(COLLATERAL, 2)
    assert list(second.payments) == list(first.payments), "one reference for ever"
    assert second.message_id != first.message_id
    both.reject(COLLATERAL, 2)
    assert both.refuse(withdrawal).state == collateral_pb2.WITHDRAWAL_STATE_REFUSED
    assert both.reject(COLLATERAL, 2).rejected, "saying it again changes nothing"
    assert list(both.listed(COLLATERAL).payable) == []


def test_one_payment_that_the_bank_did_not_take_stands_in_another_file(both: TwoAccounts) -> None:
    let_in(both.coalition, "borealis")
    one, other = (both.withdraw("borealis", amount) for amount in (3_000_000, 2_000_000))
    clock(both.coalition, 25)
    first = both.make(COLLATERAL)
    assert [each.reference for each in first.payments] == [one.reference, other.reference]
    for _ in range(2):
        after = both.reject(COLLATERAL, 1, other.reference)
        assert [each.rejected for each in after.payments] == [False, True]
        assert not after.rejected
    assert [each.reference for each in both.listed(COLLATERAL).payable] == [other.reference]
    again = both.make(COLLATERAL, 2)
    assert [each.reference for each in again.payments] == [other.reference]
    assert both.coalition.findings() == ()
    both.books(COLLATERAL, went("3.00", one.reference))
    with pytest.raises(Refused) as refused:
        both.reject(COLLATERAL, 1, one.reference)
    assert refused.value.reason is Reason.LEG_STATE
    with pytest.raises(Refused) as refused:
        both.reject(COLLATERAL, 2, one.reference)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "reference")
    assert both.reject(COLLATERAL, 2).rejected
    # What the bank has made of the first file stands, and what it has not made was rejected.
    assert both.refuse(other).state == collateral_pb2.WITHDRAWAL_STATE_REFUSED


def test_the_operators_own_money_is_left_out_by_name(coalition: Coalition) -> None:
    worked_example(coalition)
    coalition.pay(coalition.settle().legs)
    asked = own_funds_pb2.WithdrawOwnFundsRequest(
        currency="CNY", number=1, account="hub.fees", amount=10_000
    )
    own = asyncio.run(coalition.service.withdraw_own_funds(asked, OPERATOR)).withdrawal
    both = TwoAccounts(coalition, {})
    (left_out,) = both.listed(SETTLEMENT).left_out
    assert (left_out.reference, left_out.partner_id) == (own.reference, "")
    assert left_out.reason == payout_pb2.LEFT_OUT_REASON_ACCOUNT_UNKNOWN
    with pytest.raises(Refused) as refused:
        both.make(SETTLEMENT)
    assert f"{own.reference}: ACCOUNT_UNKNOWN" in refused.value.text


def test_a_payment_in_two_files_is_found(coalition: Coalition) -> None:
    reference = leg_reference(9, BOREALIS)
    fact = Fact(PAYOUT, "CNY", BOREALIS, None, reference)
    first, second = (f"payout-file/CNY/collateral/{number}" for number in (1, 2))

    def found(key: str, facts: tuple[Fact, ...] = ()) -> set[tuple[str, str]]:
        coalition.run(Book(key, "application/json", b"{}", facts=facts))
        return {(each.rule, each.subject) for each in coalition.findings()}

    broken = {("payments_stand_in_one_file", f"payment {reference}")}
    assert not found(first, (fact,))
    assert found(second, (fact,)) == broken
    assert not found(f"{first}/rejected")
    assert found(f"cancelled/{reference}") == broken
    assert not found(f"{second}/rejected")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "window_id"),
        ({"account": SETTLEMENT}, "account"),
        ({"currency": "CNY"}, "account"),
        ({"currency": "CNY", "account": 9}, "account"),
        ({"currency": "cny", "account": SETTLEMENT}, "currency"),
        ({"currency": "USD", "account": SETTLEMENT}, "currency"),
        ({"currency": "CNY", "account": SETTLEMENT, "window_id": WINDOW}, "window_id"),
    ],
)
def test_whose_files_are_asked_for_is_said_in_one_way(
    coalition: Coalition, asked: dict[str, Any], field: str
) -> None:
    request = payout_pb2.ListPayOutFilesRequest(**asked)
    with pytest.raises(Refused) as refused:
        asyncio.run(coalition.service.list_pay_out_files(request, OPERATOR))
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)
