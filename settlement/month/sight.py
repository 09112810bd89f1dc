"""What a caller sees of a month.

A partner sees its own: documents in which it is supplier or customer, its balance, its lateness.
Others' are answered as if they did not exist.
"""

from collections.abc import Iterable
from typing import TypeVar

from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement.course import Course
from settlement.month import store
from settlement.month.ageing import AgedLeg, AgedPosition
from settlement.store import currency_of

_Owned = TypeVar("_Owned", AgedLeg, AgedPosition, store.Accrual)


async def currency_for(course: Course, named: str, caller: Caller) -> str:
    """The currency that is asked about; a partner has one. Raises Refused(FIELD_INVALID)."""
    if caller.is_operator:
        return currency_scale(named).code
    own_one = await course.read(currency_of, caller.name)
    if named not in ("", own_one):
        raise Refused(Reason.FIELD_INVALID, "currency", f"you settle in {own_one}")
    return own_one


async def issued_for(course: Course, invoice_id: str, caller: Caller) -> store.Issued:
    """A document; raises Refused(INVOICE_UNKNOWN)."""
    found = await course.read(store.issued_as, invoice_id)
    if found is not None:
        pair = found.document.pair
        if caller.is_operator or caller.name in (pair.supplier, pair.customer):
            return found
    raise Refused(Reason.INVOICE_UNKNOWN, "invoice_id", "there is no such document")


def own(found: Iterable[_Owned], caller: Caller) -> list[_Owned]:
    """What the caller may see of it."""
    return [each for each in found if caller.is_operator or each.partner_id == caller.name]
