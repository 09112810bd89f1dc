"""The postings of a reversal: those of the transfer, the other way round. Pure.

The source's members get points back and the target's lose them; the target pays the value back, and
the funders' shares and the operator's fee go back to whoever paid them. What comes to nothing makes
no posting.

Points whose window was acknowledged have gone on to the issuer, under RETIRE and ISSUE. What a
reversal needs of them and finds no more is taken back from there first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from exchange.ledger.accounts import PointsAccount, points_account, unit_of
from exchange.ledger.postings import Balance, Code, Posting
from exchange.reversal import Portion
from exchange.transfer_postings import transfer_postings
from partners.agreement import Terms
from partners.registry import Registry

REVERSED = {
    Code.OUT: Code.REV_OUT,
    Code.IN: Code.REV_IN,
    Code.BONUS_IN: Code.REV_BONUS_IN,
    Code.VALUE: Code.REV_VALUE,
    Code.VALUE_TAX: Code.REV_VALUE_TAX,
    Code.PROMO: Code.REV_PROMO,
    Code.FEE: Code.REV_FEE,
    Code.TAX: Code.REV_TAX,
}
"""The code under which each posting of a transfer is booked back."""


def reversal_postings(registry: Registry, terms: Terms, portion: Portion) -> tuple[Posting, ...]:
    """What books a portion of a transfer back."""
    booked = transfer_postings(registry, terms, portion.source_points, portion.conversion)
    return tuple(
        Posting(REVERSED[each.code], each.credit, each.debit, each.amount) for each in booked
    )


def unconfirmed(
    postings: Iterable[Posting], balances: Mapping[int, Balance]
) -> tuple[Posting, ...]:
    """What a reversal takes back from the issuers: the points that it is short of where they wait
    for a window to confirm them. `redeemed` stays above its floor, `granted` below its ceiling.
    """
    needed = Counter[tuple[Code, int]]()
    for each in postings:
        match each.code:
            case Code.REV_OUT:
                needed[Code.RETIRE, each.debit] += each.amount
            case Code.REV_IN | Code.REV_BONUS_IN:
                needed[Code.ISSUE, each.credit] += each.amount
            case _:
                pass
    return tuple(_taken_back(needed, balances))


def _taken_back(
    needed: Mapping[tuple[Code, int], int], balances: Mapping[int, Balance]
) -> Iterator[Posting]:
    for (code, account), points in needed.items():
        issuer = points_account(unit_of(account), PointsAccount.ISSUER)
        balance = balances[account]
        if code is Code.RETIRE and points > balance.available:
            yield Posting(code, issuer, account, points - balance.available)
        elif code is Code.ISSUE and points > -balance.at_most:
            yield Posting(code, account, issuer, points + balance.at_most)
