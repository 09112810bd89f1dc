"""What taking a partner out of a window would come to: the report that people look at before they
do it, and keep. Pure.

The missing partner's nets with the other partners are withheld on both sides
(`settlement.approval.unwinding`), so that what it does not pay is missed only by those who were to
have it from it. What is withheld sums to 0, and what the others pay in covers what they are paid.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.fold import InvariantBroken
from settlement.netting import pay
from settlement.statement import Statement


@dataclass(frozen=True, slots=True)
class UnwoundParty:
    """One partner before and after, in units of the currency's scale from its own view."""

    partner_id: str
    net: int
    """Of the window."""
    withheld_before: int
    withheld: int
    """What is withheld of it for the missing partner, besides."""
    due_before: int
    due_after: int
    payment_before: int
    payment_after: int


@dataclass(frozen=True, slots=True)
class UnwindReport:
    """A window without one of its partners."""

    window_id: str
    currency: str
    scale: int
    missing: str
    parties: tuple[UnwoundParty, ...]
    """By partner id."""

    @property
    def withheld_total(self) -> int:
        """Always 0."""
        return sum(each.withheld for each in self.parties)

    @property
    def pay_ins(self) -> int:
        """What the others pay in afterwards."""
        return -sum(min(0, each.payment_after) for each in self._others)

    @property
    def pay_outs(self) -> int:
        """What the others are paid afterwards."""
        return sum(max(0, each.payment_after) for each in self._others)

    @property
    def _others(self) -> tuple[UnwoundParty, ...]:
        return tuple(each for each in self.parties if each.partner_id != self.missing)


def unwound(nets: Mapping[tuple[str, str], int], missing: str) -> dict[str, int]:
    """What is withheld of each partner when one is taken out: its nets with the others, seen from
    each side.

    `nets` has what each partner (first) is owed by each other (second); they mirror each other.
    """
    withheld: dict[str, int] = {}
    for (party, counterparty), net in nets.items():
        if nets.get((counterparty, party), 0) != -net:
            raise InvariantBroken(f"{party} and {counterparty} do not see opposite nets")
        if missing in (party, counterparty):
            withheld[party] = withheld.get(party, 0) + net
    return {name: amount for name, amount in sorted(withheld.items()) if amount}


def unwind_report(
    window_id: str,
    missing: str,
    statements: Mapping[str, Statement],
    open_ones: Mapping[str, int],
    withheld: Mapping[str, int],
    minor_unit: int,
    minimum_payout: int = 0,
) -> UnwindReport:
    """What the window would come to for each partner; `statements` are the newest versions.

    `open_ones` is what is withheld at this moment, `withheld` what an unwind withholds besides. A
    statement may still withhold what was decided since: the next version gives it back.

    Raises InvariantBroken unless what is withheld sums to 0.
    """
    if sum(withheld.values()) or withheld.keys() - statements.keys():
        raise InvariantBroken(f"the unwind of {missing} from {window_id} does not sum to 0")
    parties = []
    for name, stated in sorted(statements.items()):
        taken = withheld.get(name, 0)
        after = pay(stated.standing, open_ones.get(name, 0) + taken, minor_unit, minimum_payout)
        parties.append(
            UnwoundParty(
                name,
                stated.net,
                stated.withheld,
                taken,
                stated.due,
                after.due,
                stated.payment,
                after.payment,
            )
        )
    first = next(iter(statements.values()))
    return UnwindReport(window_id, first.currency, first.scale, missing, tuple(parties))
