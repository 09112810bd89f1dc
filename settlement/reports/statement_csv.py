"""A statement as CSV, for whoever books it by machine. Pure.

    FACT     a fact in words: `item` names it, `text` says it
    BALANCE  an amount that is no part of the net, from `brought-forward` to `carried-forward`
    NET      a figure of the net, `reversed` where reversals gave it back
    POINTS   points of one program
    TOTAL    control totals: of NET rows the amount, of POINTS rows the points, and how many of both
    END      the end marker; `item` is the window, `text` the partner

Amounts are decimals with all digits of the currency's scale; positive is owed to the partner.
"""

from collections.abc import Iterator

from settlement.reports.items import net_rows
from settlement.reports.tables import Cell, Money, write_csv
from settlement.statement import Statement

COLUMNS = (
    *("row", "item", "code", "agreement_id", "promotion_id", "funder"),
    *("program", "points", "amount", "text"),
)


def statement_csv(statement: Statement) -> bytes:
    """The CSV file of a statement."""
    rows = [_aligned(each) for each in _rows(statement)]
    return write_csv(COLUMNS, rows)


def _aligned(cells: dict[str, Cell]) -> list[Cell]:
    return [cells.get(column) for column in COLUMNS]


def _rows(statement: Statement) -> Iterator[dict[str, Cell]]:
    for item, text in _facts(statement):
        yield {"row": "FACT", "item": item, "text": text}
    for item, units in _balances(statement):
        yield {"row": "BALANCE", "item": item, "amount": Money(units, statement.scale)}
    net = net_rows(statement)
    for row in net:
        yield {
            "row": "NET",
            "item": row.item,
            "text": "reversed" if row.is_reversed else "",
            "code": row.code,
            "agreement_id": row.agreement_id,
            "promotion_id": row.promotion_id,
            "funder": row.funder,
            "amount": Money(row.amount, statement.scale),
        }
    points = list(_points(statement))
    for program, item, number in points:
        yield {"row": "POINTS", "item": item, "program": program, "points": number}
    yield {
        "row": "TOTAL",
        "item": "net",
        "points": sum(number for _, _, number in points),
        "amount": Money(sum(row.amount for row in net), statement.scale),
        "text": f"{len(net)} NET, {len(points)} POINTS",
    }
    yield {"row": "END", "item": statement.window_id, "text": statement.partner_id}


def _facts(statement: Statement) -> tuple[tuple[str, str], ...]:
    return (
        ("audience", statement.audience),
        ("partner_id", statement.partner_id),
        ("window_id", statement.window_id),
        ("business_date", statement.business_date.isoformat()),
        ("currency", statement.currency),
        ("payment_reference", statement.payment_reference),
        ("line_count", str(statement.line_count)),
        ("line_file_sha256", statement.line_file_sha256.hex()),
        ("first_stream_seq", str(statement.first_stream_seq)),
        ("last_stream_seq", str(statement.last_stream_seq)),
        ("opening_tree_size", str(statement.opening_tree.size)),
        ("opening_tree_root", statement.opening_tree.root.hex()),
        ("closing_tree_size", str(statement.closing_tree.size)),
        ("closing_tree_root", statement.closing_tree.root.hex()),
        ("signing_key_id", statement.signing_key_id),
        ("version", str(statement.version)),
        ("supersedes_sha256", statement.supersedes_sha256.hex()),
        ("reason", statement.reason),
        ("due_date", statement.due_date.isoformat() if statement.due_date else ""),
        ("funding", statement.funding),
        ("aborted", "yes" if statement.aborted else "no"),
    )


def _balances(statement: Statement) -> tuple[tuple[str, int], ...]:
    return (
        ("brought-forward", statement.brought_forward),
        ("restated", statement.restated),
        ("net", statement.net),
        ("withheld", statement.withheld),
        ("due", statement.due),
        ("payment", statement.payment),
        ("carried-forward", statement.carried_forward),
        ("payments-since", statement.payments_since),
        ("top-ups", statement.top_ups),
        ("withdrawals", statement.withdrawals),
        ("draws", statement.draws),
        ("collateral", statement.collateral),
        ("reserved-at-cut-off", statement.reserved_at_cut_off),
        ("net-debit-cap", statement.net_debit_cap),
    )


def _points(statement: Statement) -> Iterator[tuple[str, str, int]]:
    for each in statement.points:
        for item, number in (
            ("out", each.points_out),
            ("in", each.points_in),
            ("bonus", each.bonus_points),
            ("reversed-out", each.reversed_out),
            ("reversed-in", each.reversed_in),
            ("reversed-bonus", each.reversed_bonus),
        ):
            if number:
                yield each.program_id, item, number
