"""A statement as a paper that people read, pay by and file. Pure but for the typesetter.

The paper shows what the signed statement says and nothing else; the amounts in its column add up
from what was brought forward to what is carried forward.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from partners.points import CurrencyScale, currency_scale
from settlement.reports.items import Item, Row, net_rows
from settlement.reports.typesetting import TEMPLATES, count, figure, typeset
from settlement.statement import PromotionLine, Statement

TEMPLATE = TEMPLATES / "statement.typ"

TEXTS = {
    Item.OUTGOING_VALUE: "Value of points that left your programs",
    Item.OUTGOING_VALUE_TAX: "Tax on that value",
    Item.INCOMING_VALUE: "Value of points that came to your programs",
    Item.INCOMING_VALUE_TAX: "Tax on that value",
    Item.FEES: "Fees of the clearing house",
    Item.FEE_TAX: "Tax on fees",
    Item.PROMOTIONS_PAID: "Promotions that you fund",
    Item.PROMOTIONS_RECEIVED: "Promotions that others fund",
    Item.ADJUSTMENTS: "Adjustments",
}

Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parties:
    """Whom a paper is from and for, by the names that people know."""

    operator: str
    partner: str
    """Legal name."""


def statement_pdf(statement: Statement, parties: Parties, payload_sha256: bytes) -> bytes:
    """The statement as PDF; `payload_sha256` is the digest of the payload that was signed."""
    currency = currency_scale(statement.currency)
    data = {
        "issuer": parties.operator,
        "name": parties.partner,
        "partner_id": statement.partner_id,
        "mark": statement.window_id,
        "currency": statement.currency,
        "business_date": statement.business_date.isoformat(),
        "particulars": _particulars(statement),
        "payment": _payment(statement, currency),
        "account": list(_account(statement, currency)),
        "points": [_points(each) for each in statement.points],
        "standing": _standing(statement, currency),
        "memo": [_memo(each, currency) for each in _own_shares(statement)],
        "proof": _proof(statement, payload_sha256),
    }
    return typeset(TEMPLATE, data, statement.business_date)


def _particulars(statement: Statement) -> list[list[str]]:
    facts = []
    if statement.funding:
        facts.append(["Funding", statement.funding.lower()])
    if statement.version > 1:
        facts.append(["Version", f"{statement.version}, instead of the one before"])
        facts.append(["Why", statement.reason])
    return facts


def _payment(statement: Statement, currency: CurrencyScale) -> Cells:
    if statement.payment < 0:
        text = "You pay"
    elif statement.payment > 0:
        text = "You receive"
    else:
        text = "Nothing is paid"
    due_date = statement.due_date if statement.payment else None
    return {
        "text": text,
        "amount": figure(abs(statement.payment), currency),
        "reference": statement.payment_reference,
        "due_date": due_date.isoformat() if due_date else "",
        "why_none": _why_none(statement),
    }


def _why_none(statement: Statement) -> str:
    if statement.aborted:
        return "This settlement was aborted: what is due is carried forward and settled later."
    if statement.due:
        return "All of what is due is carried forward."
    return "Nothing is due."


def _account(statement: Statement, currency: CurrencyScale) -> Iterator[Cells]:
    """The rows of the column of money, from what was brought forward to what is carried."""

    def row(kind: str, text: str, amount: int, detail: str = "") -> Cells:
        return {"kind": kind, "text": text, "detail": detail, "amount": figure(amount, currency)}

    yield row("sum", "Brought forward", statement.brought_forward)
    if statement.restated:
        yield row("row", "Stated again for earlier windows", statement.restated)
    rows = net_rows(statement)
    for title, of_group in (
        ("Transfers", [each for each in rows if not each.is_reversed and _is_traded(each)]),
        ("Reversals", [each for each in rows if each.is_reversed]),
        ("Corrections", [each for each in rows if not _is_traded(each)]),
    ):
        if of_group:
            yield {"kind": "group", "text": title}
        for each in of_group:
            yield row("row", TEXTS[each.item], each.amount, _detail(each))
    yield row("sum", "Net of the window", statement.net)
    if statement.withheld:
        yield row("row", "Withheld: in dispute, or between partners", -statement.withheld)
    yield row("sum", "Due", statement.due)
    if statement.payment:
        text = "Payment to you" if statement.payment > 0 else "Payment by you"
        yield row("row", text, -statement.payment, statement.payment_reference)
    if statement.withheld:
        yield row("row", "Withheld, carried until it is decided or paid", statement.withheld)
    yield row("total", "Carried forward", statement.carried_forward)


def _is_traded(row: Row) -> bool:
    return row.item is not Item.ADJUSTMENTS


def _detail(row: Row) -> str:
    if row.promotion_id:
        return f"{row.promotion_id}, {row.agreement_id}, funded by {row.funder}"
    return row.code


def _points(points: Any) -> list[str]:
    figures = (
        points.points_out,
        points.points_in,
        points.bonus_points,
        points.reversed_out,
        points.reversed_in,
        points.reversed_bonus,
    )
    return [points.program_id, *map(count, figures)]


def _standing(statement: Statement, currency: CurrencyScale) -> Cells:
    """The cap and how much of it was used at the cut-off; what was paid since the last time."""

    def rows(*pairs: tuple[str, int]) -> list[Cells]:
        return [{"text": text, "amount": figure(units, currency)} for text, units in pairs]

    cap, reserved = statement.net_debit_cap, statement.reserved_at_cut_off
    owed = max(0, -statement.standing)
    used = owed + reserved
    since = [("Payments confirmed by the bank", statement.payments_since)]
    if statement.top_ups or statement.withdrawals or statement.collateral:
        since += [
            ("Collateral paid in", statement.top_ups),
            ("Collateral paid out or drawn", statement.withdrawals),
            ("of it drawn for payments", statement.draws),
            ("Collateral at cut-off", statement.collateral),
        ]
    return {
        "rows": rows(
            ("Net debit cap", cap),
            ("Owed at cut-off", owed),
            ("In flight at cut-off", reserved),
            ("Left of the cap", cap - used),
        ),
        "used": f"{used * 1000 // cap / 10:.1f} %" if cap else "–",
        "since": rows(*since),
    }


def _own_shares(statement: Statement) -> Iterator[PromotionLine]:
    """Bonuses of its own program that a partner bears itself: nothing moved for them."""
    for line in statement.promotion_lines:
        if line.own_share:
            yield line


def _memo(line: PromotionLine, currency: CurrencyScale) -> Cells:
    return {
        "text": line.promotion_id,
        "detail": line.agreement_id,
        "amount": figure(line.own_share, currency),
    }


def _proof(statement: Statement, payload_sha256: bytes) -> list[list[str]]:
    opening, closing = statement.opening_tree, statement.closing_tree
    stream = (
        f"{statement.first_stream_seq:,} to {statement.last_stream_seq:,}"
        if statement.first_stream_seq
        else "none in this window"
    )
    return [
        ["Entries of the log", f"[{opening.size}, {closing.size})"],
        ["Checkpoint at the opening", f"{opening.size} leaves, {opening.root.hex()}"],
        ["Checkpoint at the close", f"{closing.size} leaves, {closing.root.hex()}"],
        ["Positions of your stream", stream],
        ["Lines", count(statement.line_count)],
        ["Line file, SHA-256", statement.line_file_sha256.hex()],
        ["Signed statement, SHA-256", payload_sha256.hex()],
        ["Version", str(statement.version)],
        *([["Supersedes", statement.supersedes_sha256.hex()]] if statement.version > 1 else []),
        ["Signed by key", statement.signing_key_id],
        ["Issued for", statement.audience],
    ]
