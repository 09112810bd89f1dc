"""What the entries of a bank's file are, by their references, directions and amounts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from exchange.ledger.accounts import (
    HubAccount,
    collateral_account,
    hub_account,
    position_account,
)
from exchange.ledger.postings import Code, Phase, Posting, PostingRef
from partners.errors import Reason, Refused
from partners.points import currency_scale
from settlement.bank.booking import bank_file_entry
from settlement.bank.matching import (
    Account,
    AccountKind,
    Booking,
    Expected,
    InSuspense,
    Named,
    Use,
    match,
)
from settlement.bank.statement import (
    BankEntry,
    BankFile,
    BankStatement,
    EntryKind,
    FileFormat,
    Part,
)
from settlement.references import collateral_reference, leg_reference
from settlement.settling import expected_of
from settlement.windows import Leg

UNIT = 2
DAY = date(2017, 1, 1)
BANK = hub_account(UNIT, HubAccount.BANK_SETTLEMENT)
VAULT = hub_account(UNIT, HubAccount.BANK_COLLATERAL)
SUSPENSE = hub_account(UNIT, HubAccount.SUSPENSE)
LOSSES = hub_account(UNIT, HubAccount.LOSSES)
IN_1 = Leg("cny-2017-01-01", 1, "aurora", leg_reference(1, 1), -6_300_000, 7)
IN_2 = Leg("cny-2017-01-02", 1, "aurora", leg_reference(2, 1), -1_000_000, 8)
OUT = Leg("cny-2017-01-01", 2, "borealis", leg_reference(1, 2), 6_150_000, 9)
LEGS = (IN_1, IN_2, OUT)
SETTLEMENT = Account(AccountKind.SETTLEMENT, UNIT, tuple(expected_of(leg, UNIT) for leg in LEGS))
WITHDRAWAL = Expected(
    "RF00X1",
    -2_000_000,
    Posting(
        Code.WITHDRAW,
        collateral_account(UNIT, 1),
        VAULT,
        2_000_000,
        Phase.CONFIRMS,
        PostingRef(5, 0),
    ),
    1,
)
COLLATERAL = Account(
    AccountKind.COLLATERAL,
    UNIT,
    (WITHDRAWAL,),
    (),
    {collateral_reference(n): n for n in (1, 2)},
)


def entry(amount: int, *texts: str, name: str = "e1") -> BankEntry:
    return BankEntry(name, DAY, amount, (Part(amount, texts, "somebody"),))


def booked(
    entries: Sequence[BankEntry], account: Account = SETTLEMENT, named: Named | None = None
) -> tuple[Booking, ...]:
    amount = sum(each.amount for each in entries)
    statement = BankStatement("S1", "a", currency_scale("CNY"), 0, tuple(entries), amount)
    return match(BankFile(FileFormat.CSV, (statement,)), account, named)


def refused_at(
    entries: Sequence[BankEntry], account: Account = SETTLEMENT, named: Named | None = None
) -> str:
    with pytest.raises(Refused) as refused:
        booked(entries, account, named)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED
    return refused.value.field


def test_money_with_the_reference_direction_and_amount_of_a_leg_confirms_it() -> None:
    paid, sent = booked([entry(6_300_000, IN_1.reference), entry(-6_150_000, OUT.reference)])
    assert (paid.use, paid.partner_number) == (Use.CONFIRMED, 1)
    assert paid.posting == Posting(
        Code.PAY_IN, BANK, position_account(UNIT, 1), 6_300_000, Phase.CONFIRMS, PostingRef(7, 0)
    )
    assert sent.posting.credit == BANK


@pytest.mark.parametrize(
    "texts",
    [
        (f"{IN_1.reference[:4]} {IN_1.reference[4:8]} {IN_1.reference[8:]}".lower(),),
        (f"for {IN_1.reference}, thanks",),
        ("NOTPROVIDED", f"/EREF/X/REMI/{IN_1.reference}/NAME/A"),
        (" ".join(IN_1.reference),),
    ],
)
def test_a_reference_is_found_with_spaces_in_small_letters_and_in_other_text(
    texts: tuple[str, ...],
) -> None:
    (booking,) = booked([entry(6_300_000, *texts)])
    assert booking.use is Use.CONFIRMED


@pytest.mark.parametrize(
    ("stray", "partner"),
    [
        (entry(6_290_000, IN_1.reference), 1),
        (entry(6_300_000, "unknown"), None),
        (entry(6_300_000), None),
        (entry(6_150_000, OUT.reference), None),
        (entry(7_290_000, IN_1.reference, IN_2.reference), 1),
    ],
)
def test_money_that_is_less_or_unknown_lies_in_suspense(
    stray: BankEntry, partner: int | None
) -> None:
    (booking,) = booked([stray])
    assert (booking.use, booking.partner_number) == (Use.SUSPENSE, partner)
    assert booking.posting == Posting(Code.PAY_IN, BANK, SUSPENSE, stray.amount)


def test_more_than_a_leg_confirms_it_and_the_rest_lies_in_suspense() -> None:
    confirmed, rest = booked([entry(7_000_000, IN_1.reference)])
    assert (confirmed.use, confirmed.posting.amount) == (Use.CONFIRMED, 6_300_000)
    assert (rest.use, rest.posting.amount, rest.partner_number) == (Use.SUSPENSE, 700_000, 1)


def test_one_payment_may_pay_all_the_legs_that_it_names() -> None:
    both = booked([entry(7_300_000, f"{IN_1.reference} and {IN_2.reference}")])
    assert [(each.use, each.posting.amount) for each in both] == [
        (Use.CONFIRMED, 6_300_000),
        (Use.CONFIRMED, 1_000_000),
    ]


def test_a_leg_paid_twice_is_confirmed_once() -> None:
    paid, again = booked(
        [entry(6_300_000, IN_1.reference), entry(6_300_000, IN_1.reference, name="e2")]
    )
    assert (paid.use, again.use, again.subject) == (Use.CONFIRMED, Use.SUSPENSE, "e2")


def test_of_a_reference_within_another_the_longer_is_meant() -> None:
    longer = replace(IN_2, reference=f"{IN_1.reference}V2", payment=-6_300_000)
    account = replace(SETTLEMENT, expected=tuple(expected_of(leg, UNIT) for leg in (IN_1, longer)))
    (booking,) = booked([entry(6_300_000, longer.reference)], account)
    assert booking.posting.resolves == PostingRef(8, 0)


def test_a_batch_confirms_each_of_its_payments() -> None:
    parts = (
        Part(6_300_000, (IN_1.reference,), ""),
        Part(1_000_000, (IN_2.reference,), ""),
        Part(5, ("?",), ""),
    )
    bookings = booked([BankEntry("b", DAY, 7_300_005, parts)])
    assert [(each.use, each.subject) for each in bookings] == [
        (Use.CONFIRMED, "b#1"),
        (Use.CONFIRMED, "b#2"),
        (Use.SUSPENSE, "b#3"),
    ]


@pytest.mark.parametrize(
    "stray",
    [
        entry(-6_140_000, OUT.reference),
        entry(-6_160_000, OUT.reference),
        entry(-6_150_000, "unknown"),
        entry(-6_300_000, IN_1.reference),
    ],
)
def test_money_out_that_no_pay_out_explains_refuses_the_file(stray: BankEntry) -> None:
    assert refused_at([stray]) == "entries[e1]"


@pytest.mark.parametrize("kind", [EntryKind.CHARGE, EntryKind.INTEREST])
@pytest.mark.parametrize("amount", [-5_000_000, 5_000_000])
def test_the_banks_own_charges_and_interest_are_the_operators(amount: int, kind: EntryKind) -> None:
    (coded,) = booked([replace(entry(amount, IN_1.reference), kind=kind)])
    assert coded.use is Use.LOSS
    (named,) = booked([entry(amount, "x")], named=Named(frozenset({"e1"})))
    assert named.posting == coded.posting
    sides = (coded.posting.debit, coded.posting.credit)
    assert sides == ((LOSSES, BANK) if amount < 0 else (BANK, LOSSES))


@pytest.mark.parametrize("named", [Named(frozenset({"e2"})), Named(partners={"e2": 1})])
def test_naming_an_entry_that_is_not_there_refuses_the_file(named: Named) -> None:
    assert refused_at([entry(5, "x")], named=named) == "entries[e2]"


def reversal(amount: int, *texts: str, name: str = "r1") -> BankEntry:
    return replace(entry(amount, *texts, name=name), is_reversal=True)


@pytest.mark.parametrize("text", ["old", "GIFT 7"])
def test_the_bank_takes_back_what_lies_in_suspense(text: str) -> None:
    account = replace(SETTLEMENT, suspense=(InSuspense("old", 5_000_000, ("gift 7",)),))
    (booking,) = booked([reversal(-5_000_000, text)], account)
    assert (booking.use, booking.item_id) == (Use.TAKEN_BACK, "old")
    assert (booking.posting.debit, booking.posting.credit) == (SUSPENSE, BANK)


@pytest.mark.parametrize(
    "back",
    [
        reversal(-4_000_000, "old"),
        reversal(-5_000_000, "another"),
        reversal(-5_000_000, "NOTPROVIDED"),
        reversal(-6_300_000, IN_1.reference),
    ],
)
def test_the_bank_takes_nothing_else_back_without_two_people(back: BankEntry) -> None:
    account = replace(
        SETTLEMENT, suspense=(InSuspense("old", 5_000_000, ("gift 7", "NOTPROVIDED")),)
    )
    assert refused_at([back], account) == "entries[r1]"
    (named,) = booked([back], account, Named(frozenset({"r1"})))
    assert named.use is Use.LOSS


def test_what_is_taken_back_in_the_same_file_pays_nothing() -> None:
    came, went = booked([entry(6_300_000, IN_1.reference), reversal(-6_300_000, IN_1.reference)])
    assert (came.use, went.use, went.item_id) == (Use.SUSPENSE, Use.TAKEN_BACK, "e1")


def test_a_pay_out_that_comes_back_lies_in_suspense() -> None:
    (booking,) = booked([reversal(6_150_000, OUT.reference)])
    assert booking.use is Use.SUSPENSE


def test_a_top_up_is_its_partners_collateral_at_once() -> None:
    (booking,) = booked([entry(9_000_000, collateral_reference(2).lower())], COLLATERAL)
    assert booking == Booking(
        Use.TOP_UP,
        "e1",
        Posting(Code.TOP_UP, VAULT, collateral_account(UNIT, 2), 9_000_000),
        2,
    )


def test_a_withdrawal_is_confirmed_by_its_reference_and_exact_amount() -> None:
    (booking,) = booked([entry(-2_000_000, WITHDRAWAL.reference)], COLLATERAL)
    assert (booking.use, booking.posting) == (Use.COLLATERAL_CONFIRMED, WITHDRAWAL.confirms)
    assert refused_at([entry(-1_990_000, WITHDRAWAL.reference)], COLLATERAL) == "entries[e1]"


@pytest.mark.parametrize(
    "stray",
    [
        entry(9_000_000, "unknown"),
        entry(9_000_000, f"{collateral_reference(1)} {collateral_reference(2)}"),
        entry(9_000_000, IN_1.reference),
        replace(entry(-1, "fee"), kind=EntryKind.CHARGE),
        reversal(-9_000_000, "x", name="e1"),
    ],
)
def test_nothing_lies_in_the_collateral_account_that_is_nobodys(stray: BankEntry) -> None:
    assert refused_at([stray], COLLATERAL) == "entries[e1]"
    (booking,) = booked([stray], COLLATERAL, Named(partners={"e1": 1}))
    assert booking.partner_number == 1
    is_in = stray.amount > 0
    assert booking.use is (Use.TOP_UP if is_in else Use.WITHDRAWN)
    assert collateral_account(UNIT, 1) == (
        booking.posting.credit if is_in else booking.posting.debit
    )


def test_collateral_goes_out_unasked_only_where_the_bank_says_why() -> None:
    out = [entry(-5_000_000, collateral_reference(1))]
    assert refused_at(out, COLLATERAL) == "entries[e1]"
    assert refused_at(out, COLLATERAL, Named(partners={"e1": 1})) == "entries[e1]"
    assert refused_at(out, COLLATERAL, Named(frozenset({"e1"}))) == "entries[e1]"


def test_suspense_is_not_topped_up() -> None:
    assert refused_at([entry(5, "x")], SETTLEMENT, Named(partners={"e1": 1})) == "entries[e1]"


def test_each_posting_has_its_fact_and_what_is_taken_back_names_both() -> None:
    entries = [entry(6_300_000, IN_1.reference), reversal(-6_300_000, IN_1.reference)]
    bookings = booked(entries)
    statement = BankStatement("S1", "a", currency_scale("CNY"), 0, tuple(entries), 0)
    file = BankFile(FileFormat.CSV, (statement,))
    book = bank_file_entry(file, b"the file", AccountKind.SETTLEMENT, bookings)
    assert book.body == b"the file"
    assert [(each.kind, each.subject) for each in book.facts] == [
        ("suspense", "e1"),
        ("suspense_use", "e1"),
        ("bank_taken_back", "r1"),
        ("bank_file", "SETTLEMENT/S1"),
    ]
    assert len(book.postings) == 2
