"""Takes a partner that does not pay out of a window: its bilateral nets are withheld from all.
Pure.

What others owe it or are owed by it in this window is neither asked for nor paid, so that nobody is
paid from another's money. It stays on the positions until the partner has paid and two operators
give it back. What the partner owes the operator is asked for all the same.
"""

from collections.abc import Iterable, Mapping

from exchange.ledger.accounts import HUB
from exchange.ledger.postings import OUTSIDE_NETS
from settlement.approval.withholding import DisputedLine, Withholding
from settlement.windows import SettlementWindow, WindowSum


def unwind_of(
    window: SettlementWindow,
    partner_number: int,
    names: Mapping[int, str],
    sums: Iterable[WindowSum],
) -> Withholding:
    """What is withheld when a partner is taken out of a window; `names` gives partner ids by
    number.
    """
    amounts: dict[str, int] = {}
    missing = names[partner_number]
    for each in sums:
        if (
            each.party == partner_number
            and each.counterparty != HUB
            and each.code not in OUTSIDE_NETS
        ):
            other = names[each.counterparty]
            amounts[missing] = amounts.get(missing, 0) + each.amount
            amounts[other] = amounts.get(other, 0) - each.amount
    subject = f"unwind/{window.window_id}/{missing}"
    moved = {name: amount for name, amount in sorted(amounts.items()) if amount}
    line = DisputedLine(
        f"{window.window_id}/{missing}",
        window.opening_tree.size,
        window.window_id,
        window.number,
        moved,
    )
    comment = f"{missing} has not paid for {window.window_id}"
    return Withholding(subject, window.currency.code, missing, "UNWIND", comment, (line,))
