"""Makes pay-out files and the papers beside them from the books, which it only reads."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from exchange.fold import InvariantBroken
from partners.errors import Reason, Refused
from settlement import store
from settlement.bank.matching import AccountKind
from settlement.calendar.banking import banking_day_after, parse_calendar
from settlement.payouts.csv_form import write_csv
from settlement.payouts.due import due_payments
from settlement.payouts.instruction import (
    Debtor,
    Instructed,
    LeftOut,
    PayoutFile,
    sorted_out,
    with_digests,
)
from settlement.payouts.pain import PainVersion, write_pain
from settlement.payouts.papers import (
    Paper,
    PaymentRequest,
    RemittanceAdvice,
    paper_of,
    payment_request,
    remittance_advice,
)
from settlement.payouts.series import Series, of_window
from settlement.payouts.store import (
    QUERIES,
    accounts_in_effect,
    files_of,
    recorded_at,
    references_in,
)
from settlement.schemes.scheme import Scheme, scheme_of
from settlement.standing import partners_on_hold
from settlement.windows import Leg, LegDirection, SettlementWindow

FORMATS: Mapping[str, Callable[[PayoutFile], bytes]] = MappingProxyType(
    {
        PainVersion.V03.value: lambda file: write_pain(file, PainVersion.V03),
        PainVersion.V09.value: lambda file: write_pain(file, PainVersion.V09),
        "csv": write_csv,
    }
)
"""Writers by format. What they write of a file may never change: its digests are in the log."""


def write_file(file: PayoutFile, form: str) -> bytes:
    """A booked file in one format: the very bytes of every export before. Raises
    Refused(FIELD_INVALID) for a format that there is not, InvariantBroken where the bytes are not
    those that were booked.
    """
    writer = FORMATS.get(form)
    if writer is None:
        known = ", ".join(FORMATS)
        raise Refused(Reason.FIELD_INVALID, "format", f"a pay-out file is written as {known}")
    content = writer(file)
    if hashlib.sha256(content).hexdigest() != file.digests[form]:
        raise InvariantBroken(f"{file.message_id} as {form} is not what was booked")
    return content


def payable(
    connection: Any, series: Series, audience: str, now: datetime
) -> tuple[tuple[Instructed, ...], tuple[LeftOut, ...]]:
    """What the next file of a series would pay, and what it would leave out."""
    due = due_payments(connection, series, audience)
    paid = frozenset(each.partner_id for each in due)
    return sorted_out(
        due,
        references_in(files_of(connection, series)),
        accounts_in_effect(connection, paid, audience, now),
        partners_on_hold(connection),
    )


def next_file(
    connection: Any, series: Series, number: int, audience: str, now: datetime
) -> PayoutFile:
    """The next file of a series, written once in every format; raises Refused(LEG_STATE) where
    there is nothing to pay.
    """
    payments, left_out = payable(connection, series, audience, now)
    if not payments:
        waiting = "".join(f"; {each.partner_id or each.reference}: {each.why}" for each in left_out)
        # Whoever repeats what a second operator has approved finds that it was carried out.
        after = f" that is not in its files up to number {number - 1}" if number > 1 else ""
        raise Refused(
            Reason.LEG_STATE, series.field, f"{series.name} has nothing to pay out{after}{waiting}"
        )
    scheme = scheme_of(connection, series.currency.code)
    created_at = now.replace(microsecond=0)
    file = PayoutFile(
        series.window.window_id if series.window else "",
        number,
        series.message_id(number, created_at),
        series.currency.code,
        created_at,
        execution_date(scheme, _due_date(connection, series, payments), created_at),
        _debtor(scheme, series.account, audience),
        payments,
        left_out,
        {},
        series.account,
    )
    digests = {form: hashlib.sha256(write(file)).hexdigest() for form, write in FORMATS.items()}
    return with_digests(file, digests)


def _debtor(scheme: Scheme, account: AccountKind, audience: str) -> Debtor:
    numbers = {
        AccountKind.SETTLEMENT: scheme.settlement_account_id,
        AccountKind.COLLATERAL: scheme.collateral_account_id,
    }
    return Debtor(scheme.operator_name or audience, numbers[account], scheme.bank_bic)


def _due_date(connection: Any, series: Series, payments: Iterable[Instructed]) -> date | None:
    """The last of the days on which a window's payments are due; other payments name none."""
    if series.window is None:
        return None
    days = (due_date_of(connection, series.window, each.partner_id) for each in payments)
    return max((day for day in days if day), default=None)


def execution_date(scheme: Scheme, due: date | None, created_at: datetime) -> date:
    """When the bank is asked to pay: at the due date, or on the first banking day from now on."""
    today = created_at.astimezone(ZoneInfo(scheme.zone)).date()
    wanted = max(today, due) if due else today
    return banking_day_after(wanted, 0, parse_calendar(scheme.banking_calendar))


def due_date_of(connection: Any, window: SettlementWindow, partner_id: str) -> date | None:
    """When what a partner's statement asks for is due, where its scheme says so."""
    statement = store.statement_of(connection, window.window_id, partner_id)
    return statement.due_date if statement else None


def payment_requests(
    connection: Any, window: SettlementWindow, partner_id: str, audience: str
) -> tuple[PaymentRequest, ...]:
    """What a partner is asked to pay for a window, from the first version on."""
    scheme = scheme_of(connection, window.currency.code)
    due = due_date_of(connection, window, partner_id)
    return tuple(
        payment_request(_paper(connection, window, leg), scheme, due, audience)
        for leg in store.legs(connection, window)
        if leg.partner_id == partner_id and leg.direction is LegDirection.PAY_IN
    )


def remittance_advices(
    connection: Any, window: SettlementWindow, partner_id: str
) -> tuple[RemittanceAdvice, ...]:
    """What a partner is paid for a window, from the first version on."""
    filed = {
        payment.reference: (each.file, payment)
        for each in files_of(connection, of_window(window))
        for payment in each.standing
    }
    return tuple(
        remittance_advice(_paper(connection, window, leg), filed.get(leg.reference))
        for leg in store.legs(connection, window)
        if leg.partner_id == partner_id and leg.direction is LegDirection.PAY_OUT
    )


def _paper(connection: Any, window: SettlementWindow, leg: Leg) -> Paper:
    legal_name = QUERIES.legal_name(connection, partner_number=leg.partner_number)
    payload = store.statement_payload(connection, window.window_id, leg.partner_id, leg.version)
    assert payload is not None, "a leg is asked for by a statement"
    index = leg.confirmed_index
    return paper_of(
        leg,
        legal_name,
        hashlib.sha256(payload).digest(),
        window.currency,
        recorded_at(connection, index) if index is not None else None,
    )
