"""A partner's balance at the end of a month: what the exchange signs, and the partner confirms.

Everything follows from the books before the close of the month's last window, so whoever asks gets
the same bytes, however much later: nothing is kept until the partner confirms. Then the payload
with both signatures is an entry, `balance/<currency>/<month>/<partner>`.
"""

from dataclasses import dataclass
from typing import Any

from exchange.commands import Book, Fact
from partners.envelope import ENVELOPE_BODY, Envelope, to_json
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement import store as windows_store
from settlement.facts import Entry, entries_of
from settlement.month.issuing import check_over
from settlement.month.period import Period
from settlement.month.store import QUERIES

KIND = "balance"
SHOWN_MAX = 24
"""Open payments that are listed one by one: a signed payload has 4 KiB."""


@dataclass(frozen=True, slots=True)
class OpenPayment:
    """A payment that was asked for and not confirmed."""

    window_id: str
    reference: str
    amount: int
    """Units of the currency's scale; positive is owed to the partner."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What the books say of a partner at the end of a month. Units of the currency's scale;
    positive is owed to the partner.
    """

    partner_id: str
    currency: str
    scale: int
    month: str
    last_window_id: str
    log_size: int
    """At the close of that window."""
    opening: int
    """The position with which the month began."""
    net: int
    payments: int
    """Positive where the partner paid."""
    position: int
    collateral: int
    points: tuple[tuple[str, int, int], ...]
    """Program, points out and points in, reversals deducted."""
    open_payments: tuple[OpenPayment, ...]
    """Of the position, oldest first."""


def balance_of(connection: Any, partner_id: str, period: Period) -> Balance:
    """A partner's balance. Raises Refused(WINDOW_STATE) while the month may still change, and where
    it had no window.
    """
    currency = windows_store.currency_of(connection, partner_id)
    windows = check_over(connection, currency, period)
    if not windows:
        raise Refused(
            Reason.WINDOW_STATE, "month", f"no window of {currency} lies in {period.name}"
        )
    last = windows_store.window_named(connection, windows[-1])
    assert last.closing_tree is not None, "a stated window has closed"
    end = last.closing_tree.size
    asked = {"partner_id": partner_id, "first": period.first, "last": period.last}
    row = QUERIES.balance_figures(connection, currency=currency, **asked)
    opening, net, payments, collateral = row
    return Balance(
        partner_id,
        currency,
        currency_scale(currency).scale,
        period.name,
        last.window_id,
        end,
        opening,
        net,
        payments,
        opening + net + payments,
        collateral,
        tuple(tuple(each) for each in QUERIES.balance_points(connection, **asked)),
        tuple(
            OpenPayment(*each)
            for each in QUERIES.open_payments(connection, partner_id=partner_id, end_index=end)
        ),
    )


def confirmation_entry(balance: Balance, partner_number: int, envelope: Envelope) -> Book:
    """Books a confirmed balance, with the exchange's signature and the partner's."""
    return Book(
        f"{KIND}/{balance.currency}/{balance.month}/{balance.partner_id}",
        ENVELOPE_BODY,
        to_json(envelope).encode(),
        facts=(Fact(KIND, balance.currency, partner_number, subject=balance.month),),
    )


def confirmed_by(connection: Any, currency: str, period: Period) -> dict[int, Entry]:
    """The confirmations of a month, by partner number."""
    found = entries_of(connection, KIND, currency=currency, subject=period.name)
    return {each.fact.partner_number: each for each in found if each.fact.partner_number}
