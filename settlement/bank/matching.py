"""What the entries of a bank's file are: each part of each becomes one posting, or two where more
came than was asked for. Pure.

On the settlement account, in this order:

1. what operators named as the bank's own, and what the bank codes as charges or interest, is lost
   or won by the operator (`hub.losses`);
2. what the bank takes back is taken out of suspense, if it lies there;
3. what has the reference of expected payments, in their direction, and comes to them exactly,
   confirms them. More than that confirms them too, and the rest lies in suspense; less is suspense;
4. other money in lies in suspense; other money out refuses the file, since nobody may have sent it.

On the collateral account there is no suspense, so that what the bank holds there is always the sum
of the partners' collateral:

1. an expected withdrawal or draw is confirmed, as above, when it comes to it exactly;
2. money in with a partner's collateral reference, or named by operators, tops that partner up;
3. charges, and what the bank takes back, come off the partner so named;
4. anything else refuses the file until operators have named the partner.

A reference is found with spaces anywhere in it, in small letters, and in the middle of other text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from exchange.ledger.accounts import HubAccount, collateral_account, hub_account
from exchange.ledger.postings import Code, Posting
from settlement.bank.statement import NO_REFERENCE, BankEntry, BankFile, EntryKind, Part, refused

_TEXT_MIN = 5
"""Characters of a text that says something where it stands inside another."""


class AccountKind(StrEnum):
    """Which of the two accounts that a currency has at the bank."""

    SETTLEMENT = "SETTLEMENT"
    COLLATERAL = "COLLATERAL"

    @property
    def hub_account(self) -> HubAccount:
        """Its mirror in the books."""
        if self is AccountKind.SETTLEMENT:
            return HubAccount.BANK_SETTLEMENT
        return HubAccount.BANK_COLLATERAL


class Use(StrEnum):
    """What a part of an entry is. The values are kinds of facts: they are stored."""

    CONFIRMED = "bank_confirmed"
    """Does what was expected: a leg, a draw, a refund."""
    COLLATERAL_CONFIRMED = "bank_collateral_confirmed"
    """The same on the collateral account: a withdrawal, a draw."""
    SUSPENSE = "suspense"
    """Nobody knows yet what it pays."""
    LOSS = "bank_loss"
    """The bank's own charges and interest."""
    TAKEN_BACK = "bank_taken_back"
    """Out of suspense again, by the bank."""
    TOP_UP = "bank_top_up"
    """A partner's collateral."""
    WITHDRAWN = "bank_withdrawn"
    """Off a partner's collateral, by the bank."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A payment that was recorded and waits for the bank."""

    reference: str
    """ISO 11649."""
    amount: int
    """As the bank will show it: positive is money in."""
    confirms: Posting
    """What its entry books."""
    partner_number: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """What operators said of entries, by the name of the part."""

    charges: frozenset[str] = frozenset()
    partners: Mapping[str, int] = field(default_factory=dict)
    """Partner number."""


@dataclass(frozen=True, slots=True)
class InSuspense:
    """An item whose money is all still there."""

    item_id: str
    amount: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """One of the two accounts as the books know it."""

    kind: AccountKind
    unit: int
    """Number of the currency."""
    expected: tuple[Expected, ...] = ()
    suspense: tuple[InSuspense, ...] = ()
    collateral_references: Mapping[str, int] = field(default_factory=dict)
    """Reference to partner number."""

    @property
    def mirror(self) -> int:
        """Number of its mirror."""
        return hub_account(self.unit, self.kind.hub_account)


@dataclass(frozen=True, slots=True)
class Booking:
    """One posting of a file."""

    use: Use
    subject: str
    """The part's name."""
    posting: Posting
    partner_number: int | None = None
    item_id: str = ""
    """Of suspense that it takes."""


def match(file: BankFile, account: Account, named: Named | None = None) -> tuple[Booking, ...]:
    """The bookings of a file, in its order.

    Raises Refused(BANK_FILE_REFUSED) naming the entry where one has no place in the books.
    """
    named = named or Named()
    names = {name for entry in file.entries for name in entry.part_ids}
    for stray in sorted((named.charges | named.partners.keys()) - names):
        raise refused(f"entries[{stray}]", "the file has no such entry; see what was named")
    matching = _Matching(file, account, named)
    return tuple(
        booking
        for entry in file.entries
        for place, part in enumerate(entry.parts)
        for booking in matching.part(entry, entry.part_id(place), part)
    )


class _Matching:
    """One file on its way through the rules; each expected payment is used once."""

    def __init__(self, file: BankFile, account: Account, named: Named) -> None:
        self.account = account
        self.named = named
        on_collateral = account.kind is AccountKind.COLLATERAL
        self.confirmed = Use.COLLATERAL_CONFIRMED if on_collateral else Use.CONFIRMED
        self.pending = {each.reference: each for each in account.expected}
        self.suspense = {each.item_id: each for each in account.suspense}
        self.taken_back = set(_taken_back_within(file))

    def part(self, entry: BankEntry, name: str, part: Part) -> Iterator[Booking]:
        if self.account.kind is AccountKind.SETTLEMENT:
            return self._settlement(entry, name, part)
        return self._collateral(entry, name, part)

    def _settlement(self, entry: BankEntry, name: str, part: Part) -> Iterator[Booking]:
        if name in self.named.partners:
            raise refused(
                f"entries[{name}]", "only entries of the collateral account are topped up"
            )
        if name in self.named.charges or entry.kind is not EntryKind.PAYMENT:
            yield self._with(HubAccount.LOSSES, Use.LOSS, name, part.amount)
            return
        if entry.is_reversal and part.amount < 0:
            yield self._out_of_suspense(name, part)
            return
        # What is taken back in the same file pays nothing.
        paid = () if name in self.taken_back else self._paid_by(part, exactly=part.amount < 0)
        yield from self._confirm(paid, name)
        rest = part.amount - sum(each.amount for each in paid)
        if rest < 0:
            raise refused(
                f"entries[{name}]",
                "money went out that no recorded pay-out explains; ask the bank, or name the entry"
                " as its charge",
            )
        if rest:
            whose = {each.partner_number for each in paid or self._named_in(part)}
            booking = self._with(HubAccount.SUSPENSE, Use.SUSPENSE, name, rest)
            yield replace(booking, partner_number=whose.pop() if len(whose) == 1 else None)
            self.suspense[name] = InSuspense(name, rest, part.texts)

    def _collateral(self, entry: BankEntry, name: str, part: Part) -> Iterator[Booking]:
        if name in self.named.charges:
            raise refused(
                f"entries[{name}]",
                "a charge on the collateral account needs a partner whose collateral bears it",
            )
        paid = self._paid_by(part, exactly=True)
        if paid:
            yield from self._confirm(paid, name)
            return
        partner = self.named.partners.get(name)
        if partner is None:
            references = self.account.collateral_references
            found = {references[each] for each in _found_in(part, references)}
            partner = found.pop() if len(found) == 1 else None
        back = entry.is_reversal or entry.kind is not EntryKind.PAYMENT
        if partner is None or (part.amount < 0 and not back):
            raise refused(
                f"entries[{name}]",
                "money went out that no recorded withdrawal explains"
                if part.amount < 0 and not back
                else "it has no partner's collateral reference; name the partner whose it is",
            )
        owner = collateral_account(self.account.unit, partner)
        if part.amount > 0:
            posting = Posting(Code.TOP_UP, self.account.mirror, owner, part.amount)
            yield Booking(Use.TOP_UP, name, posting, partner)
        else:
            posting = Posting(Code.WITHDRAW, owner, self.account.mirror, -part.amount)
            yield Booking(Use.WITHDRAWN, name, posting, partner)

    def _paid_by(self, part: Part, *, exactly: bool) -> tuple[Expected, ...]:
        """The expected payments that this money makes: all that it names, or none."""
        found = self._named_in(part)
        total = sum(each.amount for each in found)
        if not found or (total != part.amount and (exactly or total > part.amount)):
            return ()
        return found

    def _named_in(self, part: Part) -> tuple[Expected, ...]:
        """The expected payments in this direction that a part names."""
        same_way = {
            reference: each
            for reference, each in self.pending.items()
            if (each.amount > 0) == (part.amount > 0)
        }
        return tuple(same_way[each] for each in _found_in(part, same_way))

    def _confirm(self, paid: Iterable[Expected], name: str) -> Iterator[Booking]:
        for each in paid:
            del self.pending[each.reference]
            yield Booking(self.confirmed, name, each.confirms, each.partner_number)

    def _with(self, other: HubAccount, use: Use, name: str, amount: int) -> Booking:
        """Money in from, or out to, one of the operator's own accounts."""
        bank, account = self.account.mirror, hub_account(self.account.unit, other)
        if amount > 0:
            return Booking(use, name, Posting(Code.PAY_IN, bank, account, amount))
        return Booking(use, name, Posting(Code.PAY_OUT, account, bank, -amount))

    def _out_of_suspense(self, name: str, part: Part) -> Booking:
        for item in self.suspense.values():
            if item.amount == -part.amount and _same_payment(item.item_id, item.texts, part):
                del self.suspense[item.item_id]
                booking = self._with(HubAccount.SUSPENSE, Use.TAKEN_BACK, name, part.amount)
                return replace(booking, item_id=item.item_id)
        raise refused(
            f"entries[{name}]",
            "the bank takes back what does not lie in suspense whole; name the entry as a charge,"
            " and book between the partner and hub.losses what it is",
        )


def _taken_back_within(file: BankFile) -> Iterator[str]:
    """Parts of a file that a later entry of the same file takes back."""
    before: dict[str, Part] = {}
    for entry in file.entries:
        for place, part in enumerate(entry.parts):
            if entry.is_reversal and part.amount < 0:
                for name, earlier in before.items():
                    if earlier.amount == -part.amount and _same_payment(name, earlier.texts, part):
                        del before[name]
                        yield name
                        break
            elif part.amount > 0:
                before[entry.part_id(place)] = part


def _same_payment(name: str, texts: tuple[str, ...], part: Part) -> bool:
    """Whether a part that the bank takes back is this one: it names it, or has its reference.

    Banks repeat a text with more or less around it, so that one within the other will do; the
    amounts are equal anyway.
    """
    said = {compact(each) for each in part.texts} - NO_REFERENCE
    known = {compact(each) for each in (name, *texts)} - NO_REFERENCE
    return any(
        one == other or (min(len(one), len(other)) >= _TEXT_MIN and (one in other or other in one))
        for one in said
        for other in known
    )


def _found_in(part: Part, references: Iterable[str]) -> tuple[str, ...]:
    """The references that stand in a part's texts; of one within another the longer."""
    texts = [compact(each) for each in part.texts]
    found = [each for each in references if any(each in text for text in texts)]
    return tuple(
        each for each in found if not any(each != other and each in other for other in found)
    )


def compact(text: str) -> str:
    """A text without the spaces that banks print in references."""
    return "".join(text.split()).upper()
