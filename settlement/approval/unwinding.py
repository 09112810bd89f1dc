"""Takes a partner that does not pay out of a window: its bilateral nets are withheld from all.
Pure.

What others owe it or are owed by it in this window is neither asked for nor paid, so that nobody is
paid from another's money. It stays on the positions until the partner has paid and two operators
give it back. What the partner owes the operator is asked for all the same.
"""

from collections.abc import Iterable, Mapping

from exchange.ledger.accounts import HUB
from exchange.ledger.postings import OUTSIDE_NETS
from settlement.approval.withholding import UNWIND, DisputedLine, Withholding
from settlement.windows import SettlementWindow, WindowSum


def unwind_of(
    window: SettlementWindow,
    partner_number: int,
    names: Mapping[int, str],
    sums: Iterable[WindowSum],
    open_ones: Iterable[Withholding] = (),
) -> Withholding:
    """What is withheld when a partner is taken out of a window; `names` gives partner ids by
    number. What the `open_ones` withhold of the window already is left to them.
    """
    missing = names[partner_number]
    owed: dict[str, int] = {}
    """To the missing partner, by whom."""
    for each in sums:
        if (
            each.party == partner_number
            and each.counterparty != HUB
            and each.code not in OUTSIDE_NETS
        ):
            other = names[each.counterparty]
            owed[other] = owed.get(other, 0) + each.amount
    subject = f"unwind/{window.window_id}/{missing}"
    for held in open_ones:
        if held.subject != subject:
            for line in held.lines:
                if line.window_id == window.window_id:
                    for other, amount in withheld_from(missing, held, line).items():
                        owed[other] = owed.get(other, 0) - amount
    amounts = {missing: sum(owed.values()), **{name: -amount for name, amount in owed.items()}}
    line = DisputedLine(
        f"{window.window_id}/{missing}",
        window.opening_tree.size,
        window.window_id,
        window.number,
        {name: amount for name, amount in sorted(amounts.items()) if amount},
    )
    comment = f"{missing} has not paid for {window.window_id}"
    return Withholding(subject, window.currency.code, missing, UNWIND, comment, (line,))


def withheld_from(partner: str, held: Withholding, line: DisputedLine) -> dict[str, int]:
    """What a line withholds of a partner, by whom it would have it from; negative: whom it would
    have paid. A line has one partner in its middle, with whom all others have to do: the target of
    a transfer, or who was taken out.
    """
    own = line.amounts.get(partner, 0)
    if not own:
        return {}
    if held.reason == UNWIND:
        middle = held.partner_id
    else:
        signs = {name: amount > 0 for name, amount in line.amounts.items()}
        alone = [name for name in signs if list(signs.values()).count(signs[name]) == 1]
        # Of two, either may be taken for the middle.
        middle = next((name for name in alone if name != partner), partner)
        if len(signs) > 2 and partner in alone:
            middle = partner
    if middle != partner:
        return {middle: own}
    return {name: -amount for name, amount in line.amounts.items() if name != partner}
