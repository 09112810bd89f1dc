"""The postings of a reversal: those of the transfer, the other way round. Pure.

The source's members get points back and the target's lose them; the target pays the value back, and
the funders' shares and the operator's fee go back to whoever paid them. What comes to nothing makes
no posting.
"""

from exchange.ledger.postings import Code, Posting
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
