"""A balance confirmation as a paper. Pure but for the typesetter."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partners.points import currency_scale
from settlement.month.balances import SHOWN_MAX, Balance
from settlement.month.period import Period
from settlement.reports.typesetting import count, figure, typeset

TEMPLATE = Path(__file__).with_name("balance.typ")


@dataclass(frozen=True, slots=True)
class Signed:
    """The payload that is shown, and whose signatures it has."""

    payload: bytes
    key_ids: tuple[str, ...]
    """The exchange's, then the partner's once it has confirmed."""
    confirmed_on: str
    """ISO 8601; empty while it has not."""


def balance_pdf(balance: Balance, signed: Signed, operator: str, partner: str) -> bytes:
    """The confirmation as PDF; `operator` and `partner` are their names."""
    currency = currency_scale(balance.currency)

    def row(text: str, units: int) -> dict[str, Any]:
        return {"text": text, "amount": figure(units, currency)}

    more = len(balance.open_payments) - SHOWN_MAX
    data = {
        "issuer": operator,
        "name": partner,
        "partner_id": balance.partner_id,
        "mark": balance.month,
        "last_window": balance.last_window_id,
        "currency": balance.currency,
        "position_text": _text(balance.position),
        "position": figure(abs(balance.position), currency),
        "signed_position": figure(balance.position, currency),
        "state": f"Confirmed on {signed.confirmed_on}"
        if signed.confirmed_on
        else "To be confirmed",
        "account": [
            row("Position at the beginning of the month", balance.opening),
            row("Net of the month's windows", balance.net),
            row("Payments confirmed by the bank", balance.payments),
        ],
        "open": [
            {
                "window": each.window_id,
                "reference": each.reference,
                "amount": figure(each.amount, currency),
            }
            for each in balance.open_payments[:SHOWN_MAX]
        ],
        "more_open": f"and {more} more" if more > 0 else "",
        "collateral": figure(balance.collateral, currency),
        "points": [[name, count(out), count(in_)] for name, out, in_ in balance.points],
        "proof": [
            ["Entries of the log", f"all before {balance.log_size}"],
            ["Signed payload, SHA-256", hashlib.sha256(signed.payload).hexdigest()],
            ["Signed by keys", ", ".join(signed.key_ids)],
        ],
    }
    return typeset(TEMPLATE, data, Period.of_month(balance.month).last)


def _text(position: int) -> str:
    if not position:
        return "Nothing is owed"
    return "Owed to you" if position > 0 else "Owed by you"
