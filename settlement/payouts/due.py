"""What the books have instructed and the bank has not shown: what the next file may pay.

What a payment on a mirror is follows from the account that it takes money from:

    <partner>.position, hub.promotions   a window's leg, a partner's or the operator's own
    <partner>.collateral                 a withdrawal or a draw, as the body of its entry says
    hub.suspense                         a refund
    hub.fees, hub.tax.<code>             what the operator takes out of its own

All functions that read take a psycopg2 connection.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from exchange.ledger.accounts import (
    HUB,
    HubAccount,
    hub_account,
    is_collateral,
    is_position,
    unit_of,
)
from settlement import store
from settlement.accounts.account import NO_ADDRESS, BankAccount, is_iban
from settlement.bank.matching import Expected
from settlement.bank.store import expected_payments, partner_ids
from settlement.bank.suspense import Payee, refund_key
from settlement.payouts.instruction import Due, PayOutKind
from settlement.payouts.series import Series
from settlement.schemes.scheme import Scheme, scheme_of
from settlement.windows import Leg, LegDirection, LegState


def due_payments(connection: Any, series: Series, audience: str) -> tuple[Due, ...]:
    """The payments of a series that wait for the bank, whether a file instructs them or not.

    `audience` names the exchange where the scheme names no operator.
    """
    if series.window is not None:
        return legs_due(store.legs(connection, series.window))
    names = partner_ids(connection, series.currency.code)
    own = own_account(scheme_of(connection, series.currency.code), audience)
    mirror = hub_account(series.unit, series.account.hub_account)
    return tuple(
        _due(connection, each, names.get(each.partner_number or 0, ""), own)
        for each in expected_payments(connection, mirror)
        # Money in is no payment of ours.
        if each.amount < 0 and not _is_leg(each.confirms.debit)
    )


def _is_leg(debit: int) -> bool:
    """Whether what is paid from an account is a window's, and stands in the window's files."""
    return is_position(debit) or debit == hub_account(unit_of(debit), HubAccount.PROMOTIONS)


def legs_due(legs: Iterable[Leg]) -> tuple[Due, ...]:
    """The pay-outs among a window's legs that wait for the bank."""
    return tuple(
        Due(
            PayOutKind.OWN_FUNDS if leg.partner_number == HUB else PayOutKind.LEG,
            leg.reference,
            leg.partner_id,
            leg.amount,
        )
        for leg in legs
        if leg.direction is LegDirection.PAY_OUT and leg.state is LegState.PENDING
    )


def _due(connection: Any, expected: Expected, partner_id: str, own: BankAccount) -> Due:
    reference, debit = expected.reference, expected.confirms.debit
    due = Due(PayOutKind.OWN_FUNDS, reference, partner_id, -expected.amount)
    if debit == hub_account(unit_of(debit), HubAccount.SUSPENSE):
        payee = Payee(**_body(connection, refund_key(reference))["payee"])
        return replace(due, kind=PayOutKind.REFUND, payee=payee.bank_account)
    if is_collateral(debit):
        if _body(connection, f"leg/{reference}")["direction"] == "DRAW":
            return replace(due, kind=PayOutKind.DRAW, payee=own)
        return replace(due, kind=PayOutKind.WITHDRAWAL)
    return due


def own_account(scheme: Scheme, audience: str) -> BankAccount:
    """The coalition's settlement account, as one that is paid to."""
    name, number = scheme.operator_name or audience, scheme.settlement_account_id
    iban, other = (number, "") if is_iban(number) else ("", number)
    return BankAccount(iban, other, scheme.bank_bic, "", "", name, NO_ADDRESS)


def _body(connection: Any, entry_key: str) -> dict[str, Any]:
    body = store.entry_body(connection, entry_key)
    assert body is not None, "the posting is of this entry"
    document: dict[str, Any] = json.loads(body)
    return document
