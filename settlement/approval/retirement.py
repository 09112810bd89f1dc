"""RETIRE and ISSUE: what becomes of a window's points when their brand has acknowledged it.

Pure but for `holdings_of`.

Points that members surrendered lie in `redeemed`, and points that they were granted in `granted`,
until their brand has acknowledged a window that states them. Then what is surrendered goes on to
`issuer` (the brand retires it), and what was granted comes from there (the brand has issued it).

Rules kept here:

- What stays behind is exactly what windows count that are not acknowledged yet. So a window whose
  reversals took back more than it moved confirms nothing, and what a reversal has taken back from
  the issuer (see `exchange.reversal_postings`) is confirmed again where later points make up for
  it.
- Never more than there is: `redeemed` and `granted` never change side.
- What is on hold is not counted by any window yet, and stays.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.ledger.accounts import PointsAccount, points_account
from exchange.ledger.postings import Code, Posting
from partners.queries import load_queries

QUERIES = load_queries(Path(__file__).with_name("retirement.sql"))


@dataclass(frozen=True, slots=True)
class Holdings:
    """A program's points that wait for a window to be acknowledged."""

    unit: int
    redeemed: int
    """Points on `redeemed`."""
    granted: int
    """Points on `granted`, as a figure that is not negative."""
    waiting_out: int
    """What windows that are not acknowledged count as surrendered, less what was reversed."""
    waiting_in: int
    """The same of what was granted, bonuses among it."""


def retire_and_issue(holdings: Iterable[Holdings]) -> tuple[Posting, ...]:
    """The postings by which acknowledged points go on; none for a program that has none."""
    return tuple(posting for each in holdings for posting in _confirmed(each))


def _confirmed(of: Holdings) -> Iterator[Posting]:
    issuer = points_account(of.unit, PointsAccount.ISSUER)
    retired = min(of.redeemed, of.redeemed - of.waiting_out)
    if retired > 0:
        redeemed = points_account(of.unit, PointsAccount.REDEEMED)
        yield Posting(Code.RETIRE, redeemed, issuer, retired)
    issued = min(of.granted, of.granted - of.waiting_in)
    if issued > 0:
        granted = points_account(of.unit, PointsAccount.GRANTED)
        yield Posting(Code.ISSUE, issuer, granted, issued)


def holdings_of(
    connection: Any, partner_number: int, window_number: int, kind: str
) -> tuple[Holdings, ...]:
    """What waits of a partner's programs once it acknowledges a window.

    Windows count as acknowledged of which the partner has an entry with a fact of this kind, and
    the window itself. A psycopg2 connection in a transaction that sees one snapshot: what orders
    book meanwhile waits for a later window.
    """
    rows = QUERIES.holdings(
        connection, partner_number=partner_number, window_number=window_number, kind=kind
    )
    return tuple(Holdings(*row) for row in rows)
