"""Partners, keys, terms, windows and entries, as the fold decides them."""

import itertools
from dataclasses import replace
from datetime import date, timedelta

import pytest

from exchange.commands import Book, CloseWindow, Command, OpenWindow, Order, WindowStep
from exchange.fold import InvariantBroken, Limits, State, fold
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, MoneyCell, Phase, Posting, PostingRef
from exchange.outcomes import Booked, PartnerAdded, Recorded, Repeated, WindowClosed
from partners.commands import AddKey
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.negotiation.proposal import Proposal
from tests import factories as make

STATE = make.a_state()
WIDE = {"minimum_source_points": 19 * 10**9, "maximum_source_points": 19 * 10**10}
"""Limits of terms whose block has 11 digits."""
MONEY = STATE.registry.units[make.CURRENCY].number
POSITION = position_account(MONEY, STATE.registry.partners["grocery"].number)
BANK = hub_account(MONEY, HubAccount.BANK_SETTLEMENT)


def refusal_of(command: Command, state: State = STATE) -> tuple[Reason, str]:
    """Why a command is refused; refusals of what is no order are never recorded."""
    folded = make.fold_one(state, command)
    (result,) = folded.results
    assert isinstance(result, Refused)
    assert folded.state == state
    return result.reason, result.field


def booked(command: Command, state: State = STATE) -> tuple[Booked, State]:
    """The entry that a command becomes, and the state after it."""
    folded = make.fold_one(state, command)
    (result,) = folded.results
    assert isinstance(result, Booked)
    return result, folded.state


# Partners and keys


def test_the_first_partner_of_a_currency_opens_the_hubs_accounts_and_the_second_does_not() -> None:
    first, state = booked(make.add_partner("bistro", currency="USD"))
    second, _ = booked(make.add_partner("bakery", currency="USD"), state)
    names = [
        [account.name for account in each.effect.accounts]
        for each in (first, second)
        if isinstance(each.effect, PartnerAdded)
    ]
    assert [name for name in names[0] if name.startswith("hub.")] == [
        "hub.bank.settlement",
        "hub.bank.collateral",
        "hub.fees",
        "hub.promotions",
        "hub.rounding",
        "hub.suspense",
        "hub.losses",
        *(f"hub.tax.{code}" for code in make.TAXES),
    ]
    assert names[1] == [
        "bakery.members",
        "bakery.issuer",
        "bakery.redeemed",
        "bakery.granted",
        "bakery.position",
        "bakery.collateral",
    ]


def test_partners_units_and_accounts_are_numbered_apart() -> None:
    registry = make.a_registry()
    assert [partner.number for partner in registry.partners.values()] == [1, 2, 3]
    assert [unit.number for unit in registry.units.values()] == [1, 2, 3, 4]
    assert len(STATE.balances) == 3 * 4 + 3 * 2 + 7 + 5


def test_a_partner_is_added_once_and_never_with_other_content() -> None:
    first, state = booked(make.add_partner("bakery"))
    again = make.fold_one(state, make.add_partner("bakery"))
    assert again.results == (Repeated(first.log_index),)
    assert again.state == state
    other = make.add_partner("bakery", 5)
    assert refusal_of(other, state) == (Reason.ALREADY_EXISTS, "partner.partner_id")


def test_a_program_has_one_brand() -> None:
    command = make.add_partner("bakery", programs=("bakery", "fuel"))
    assert refusal_of(command) == (Reason.ALREADY_EXISTS, "partner.programs")


def test_a_key_is_registered_once_for_one_holder() -> None:
    command = make.add_key("partner/fuel", Purpose.STATEMENTS)
    first, state = booked(command)
    assert make.fold_one(state, command).results == (Repeated(first.log_index),)
    stolen = replace(command, holder="partner/deli", body=b"deli's")
    assert refusal_of(stolen, state) == (Reason.KEY_IN_USE, "key_event.public_key")


def test_a_key_of_a_partner_that_is_not_there_is_refused() -> None:
    command = make.add_key("partner/nobody", Purpose.ORDERS)
    assert refusal_of(command) == (Reason.PARTNER_UNKNOWN, "key_event.partner_id")


def test_a_key_is_registered_by_a_key_in_force_and_by_no_other() -> None:
    registrar = make.signer("partner/fuel", Purpose.AGREEMENTS).key_id
    command = make.add_key("partner/fuel", Purpose.STATEMENTS, registrar_key_ids=(registrar,))
    booked(command)
    expected = (Reason.KEY_NOT_IN_FORCE, "key_event.signatures")
    assert refusal_of(replace(command, registrar_key_ids=("0" * 32,))) == expected
    old = make.add_key("partner/fuel", Purpose.AGREEMENTS, valid_until=make.NOW)
    before = (*make.partners_and_keys()[:4], old)
    assert refusal_of(command, make.a_state(*before)) == expected


def test_an_order_in_the_batch_of_its_key_is_good_behind_it_and_not_before() -> None:
    keyless = [
        each for each in make.founding() if each != make.add_key("partner/grocery", Purpose.ORDERS)
    ]
    key = make.add_key("partner/grocery", Purpose.ORDERS)
    order = make.an_order()
    before, _, behind = fold(make.a_state(*keyless), [order, key, order], make.NOW).results
    assert isinstance(before, Refused)
    assert before.reason is Reason.KEY_NOT_IN_FORCE
    assert isinstance(behind, Recorded)
    assert behind.refusal is None


# Terms


def test_two_versions_within_one_clock_reading_each_have_their_time() -> None:
    payloads = [make.agreement_payload(version=version) for version in (1, 2, 3)]
    commands = [make.activate(payload) for payload in payloads]
    signed = [command for payload in payloads for command in make.agreed(payload)]
    state = make.a_state(*make.founding(agreements=[]), *signed)
    folded = fold(state, commands, make.NOW)
    forces = [folded.state.registry.agreements["grocery-fuel", version] for version in (1, 2, 3)]
    for force, following in itertools.pairwise(forces):
        assert force.effective_until == following.effective_from
        assert force.effective_from < following.effective_from
    assert forces[2].effective_until is None
    times = [outcome.recorded_at for outcome in folded.outcomes]
    assert times == sorted(times)


def test_an_order_under_the_version_before_is_refused_as_stale() -> None:
    _, state = booked(make.activate(make.AGREEMENTS["grocery", "fuel", 2]))
    stale, good = fold(
        state,
        [make.an_order(1), make.an_order(2, make.terms(version=2, fee_basis_points=75))],
        make.NOW,
    ).results
    assert isinstance(stale, Recorded)
    assert isinstance(good, Recorded)
    assert (stale.reason, good.reason) == (Reason.AGREEMENT_NOT_IN_FORCE, None)


def test_a_version_is_activated_once_and_never_with_other_terms() -> None:
    again = make.fold_one(STATE, make.activate(make.AGREEMENTS["grocery", "fuel", 1]))
    assert isinstance(again.results[0], Repeated)
    other = make.activate(make.agreement_payload(price_per_target_point=1))
    assert refusal_of(other) == (Reason.ALREADY_EXISTS, "agreement_id")


def test_terms_signed_by_a_key_that_is_no_longer_in_force_are_not_activated() -> None:
    payload = make.agreement_payload(version=9)
    _, state = booked(expired_key())
    for key_id in ("0" * 32, expired_key().key_id):
        signed = signed_by_all(payload, state, key_id)
        command = make.activate(payload)
        assert refusal_of(command, signed) == (Reason.KEY_NOT_IN_FORCE, "signatures")
    booked(make.activate(payload), signed_by_all(payload, state))


def signed_by_all(payload: bytes, state: State = STATE, key_id: str = "") -> State:
    """The state with an agreement that is ready to be activated, whatever it says; the target's
    key may be another.
    """
    terms = make.terms_of(payload)
    good = make.agreements_signer("grocery").key_id
    signatures = ((terms.source_partner, good), (terms.target_partner, key_id or good))
    proposal = Proposal(1, "grocery", terms.sha256, terms.signatories, signatures)
    return replace(state, proposals={**state.proposals, terms.name: proposal})


def expired_key() -> AddKey:
    """A key whose validity ends now."""
    return make.add_key("partner/fuel", Purpose.STATEMENTS, valid_until=make.NOW)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source_partner": "nobody"}, Reason.PARTNER_UNKNOWN),
        ({"target_partner": "nobody"}, Reason.PARTNER_UNKNOWN),
        ({"source_program": "deli"}, Reason.PROGRAM_UNKNOWN),
        ({"target_program": "nowhere"}, Reason.PROGRAM_UNKNOWN),
        ({"settlement_currency": "USD"}, Reason.TERMS_INVALID),
        ({"tax_code": "vat7"}, Reason.TERMS_INVALID),
    ],
)
def test_terms_that_do_not_fit_the_registry_are_not_activated(
    changes: dict[str, str], reason: Reason
) -> None:
    payload = make.agreement_payload(version=9, **changes)
    assert refusal_of(make.activate(payload), signed_by_all(payload))[0] is reason


def test_two_brands_of_different_currencies_have_no_agreement() -> None:
    _, state = booked(make.add_partner("bistro", currency="USD"))
    payload = make.agreement_payload("grocery", "bistro")
    assert refusal_of(make.activate(payload), signed_by_all(payload, state)) == (
        Reason.TERMS_INVALID,
        "settlement_currency",
    )


def test_t13_terms_that_close_a_loop_are_refused_and_the_loop_is_named() -> None:
    # Fuel gives 1.9 of deli: 19/10 × 10/19 is exactly 1, a hair more is too much.
    even = make.agreement_payload("deli", "fuel", version=2, rate=(19, 10))
    more = make.agreement_payload("deli", "fuel", version=2, rate=(19 * 10**9, 10**10 + 1), **WIDE)
    _, state = booked(make.activate(even), signed_by_all(even))
    (refusal,) = make.fold_one(signed_by_all(more), make.activate(more)).results
    assert isinstance(refusal, Refused)
    assert (refusal.reason, refusal.field) == (Reason.FREE_LUNCH, "agreement")
    assert refusal.metadata == {
        "loop": "deli > fuel > deli",
        "product": "10000000001/10000000000",
        "begins": make.NOW.isoformat(),
        "ends": "open",
        "agreements": "deli-fuel version 2, fuel-deli version 1",
    }
    # What was known of the terms before does not matter.
    known = replace(signed_by_all(more), registry=replace(STATE.registry, worths=None))
    (again,) = make.fold_one(known, make.activate(more)).results
    assert isinstance(again, Refused)
    assert str(again) == str(refusal)
    # Nor does a product of exactly 1 before it leave room for more.
    after = make.agreement_payload("deli", "fuel", version=3, rate=(19 * 10**9, 10**10 + 1), **WIDE)
    state = signed_by_all(after, state)
    assert refusal_of(make.activate(after), state) == (Reason.FREE_LUNCH, "agreement")


def test_t13_two_activations_in_one_batch_see_each_other() -> None:
    three_ways = [("grocery", "deli"), ("deli", "fuel"), ("fuel", "grocery")]
    payloads = [make.agreement_payload(*pair, version=2, rate=(10, 10)) for pair in three_ways]
    payloads[-1] = make.agreement_payload("fuel", "grocery", version=2, rate=(10, 11))
    start = make.a_state(*make.partners_and_keys())
    for payload in payloads:
        start = signed_by_all(payload, start)
    folded = fold(start, [make.activate(each) for each in payloads], make.NOW)
    assert [type(each) for each in folded.results] == [Booked, Booked, Refused]
    (*_, refusal) = folded.results
    assert isinstance(refusal, Refused)
    assert refusal.metadata["loop"] == "deli > fuel > grocery > deli"
    assert refusal.metadata["product"] == "11/10"


def test_a_new_version_that_mends_its_corridor_is_let_through() -> None:
    tight = make.agreement_payload("deli", "fuel", version=2, rate=(19, 10))
    _, state = booked(make.activate(tight), signed_by_all(tight))
    lower = make.agreement_payload("fuel", "deli", version=2, rate=(10, 18))
    entry, state = booked(make.activate(lower), signed_by_all(lower, state))
    higher = make.agreement_payload("deli", "fuel", version=3, rate=(18, 10))
    last, _ = booked(make.activate(higher), signed_by_all(higher, state))
    assert last.log_index == entry.log_index + 1


# Windows


def test_the_first_window_opens_and_the_same_again_is_a_repeat() -> None:
    state = make.a_state(*make.founding(opened=False))
    first, opened = booked(make.OPENING, state)
    assert make.fold_one(opened, make.OPENING).results == (Repeated(first.log_index),)
    other = OpenWindow(make.CURRENCY, make.DAY_ONE + timedelta(days=1))
    assert refusal_of(other, opened) == (Reason.WINDOW_STATE, "business_date")


@pytest.mark.parametrize("currency", ["USD", "cny", ""])
def test_a_window_is_of_a_currency_in_which_somebody_settles(currency: str) -> None:
    assert refusal_of(OpenWindow(currency, make.DAY_ONE)) == (Reason.FIELD_INVALID, "currency")


def test_closing_opens_the_next_at_the_same_index() -> None:
    entry, state = booked(CloseWindow(make.WINDOW, None))
    assert isinstance(entry.effect, WindowClosed)
    assert entry.effect.closed.end_index == entry.effect.opened.first_index == entry.log_index
    assert entry.effect.opened.window_id == make.NEXT_WINDOW
    assert state.windows[make.WINDOW].state == "CLOSED"
    assert state.windows[make.NEXT_WINDOW].state == "OPEN"


def test_the_next_business_date_is_given_or_the_next_day_and_never_an_earlier_one() -> None:
    after_holidays = CloseWindow(make.WINDOW, date(2026, 7, 20))
    entry, _ = booked(after_holidays)
    assert isinstance(entry.effect, WindowClosed)
    assert entry.effect.opened.business_date == date(2026, 7, 20)
    for day in (make.DAY_ONE, make.DAY_ONE - timedelta(days=1)):
        assert refusal_of(CloseWindow(make.WINDOW, day)) == (
            Reason.FIELD_INVALID,
            "next_business_date",
        )


def test_a_window_that_is_not_there_does_not_close() -> None:
    assert refusal_of(CloseWindow("cny-1999-01-01", None)) == (Reason.WINDOW_UNKNOWN, "window_id")


def test_no_window_follows_the_last_day_of_the_calendar() -> None:
    _, state = booked(CloseWindow(make.WINDOW, date.max))
    last = CloseWindow("cny-9999-12-31", None)
    assert refusal_of(last, state) == (Reason.FIELD_INVALID, "next_business_date")


def test_an_order_before_the_close_and_one_after_it_in_one_batch_are_in_two_windows() -> None:
    commands: list[Command] = [make.an_order(1), CloseWindow(make.WINDOW, None), make.an_order(2)]
    results = fold(STATE, commands, make.NOW).results
    windows = [r.window.window_id for r in results if isinstance(r, Recorded) and r.window]
    assert windows == [make.WINDOW, make.NEXT_WINDOW]


def test_a_window_whose_nets_do_not_sum_to_zero_does_not_close() -> None:
    number = STATE.windows[make.WINDOW].number
    broken = replace(STATE, window_sums={(number, MoneyCell(1, 2, Code.VALUE)): 1})
    with pytest.raises(InvariantBroken, match=make.WINDOW):
        make.fold_one(broken, CloseWindow(make.WINDOW, None))


def test_payments_are_no_part_of_a_windows_net() -> None:
    paid = make.fold_one(STATE, an_entry("pay/1", amount=500)).state
    entry, _ = booked(CloseWindow(make.WINDOW, None), paid)
    assert isinstance(entry.effect, WindowClosed)
    assert entry.effect.nets == ((0, 0),)


# Entries


def an_entry(
    key: str = "entry/1",
    amount: int = 10,
    phase: Phase = Phase.POSTED,
    step: WindowStep | None = None,
    code: Code = Code.PAY_IN,
) -> Book:
    """Money from the bank to the grocery brand's position, or back for a pay-out."""
    debit, credit = (BANK, POSITION) if code is Code.PAY_IN else (POSITION, BANK)
    posting = Posting(code, debit, credit, amount, phase)
    return Book(key, "application/json", b"%d" % amount, (posting,), make.CURRENCY, step)


def test_an_entry_is_booked_once_and_never_with_another_body() -> None:
    first, state = booked(an_entry())
    assert make.fold_one(state, an_entry()).results == (Repeated(first.log_index),)
    assert refusal_of(an_entry(amount=11), state) == (Reason.ALREADY_EXISTS, "entry_key")
    assert state.balances[POSITION].posted == 10


def test_t32_nobody_is_paid_with_money_that_has_not_come() -> None:
    assert refusal_of(an_entry(code=Code.PAY_OUT))[0] is Reason.LIMIT_EXCEEDED
    _, promised = booked(an_entry("in/1", phase=Phase.PENDING))
    pay_out = an_entry("out/1", code=Code.PAY_OUT, phase=Phase.PENDING)
    assert refusal_of(pay_out, promised)[0] is Reason.LIMIT_EXCEEDED
    _, came = booked(an_entry("in/2"))
    booked(pay_out, came)


def test_postings_need_an_open_window_and_a_leaf_alone_needs_none() -> None:
    state = make.a_state(*make.founding(opened=False))
    assert refusal_of(an_entry(), state)[0] is Reason.WINDOW_STATE
    booked(Book("note/1", "application/json", b"{}"), state)


def test_a_window_steps_from_the_state_in_which_it_is() -> None:
    step = WindowStep(make.WINDOW, "CLOSED", "PENDING_SETTLEMENT")
    assert refusal_of(Book("step/1", "x", b"", (), None, step)) == (
        Reason.WINDOW_STATE,
        "window_id",
    )
    _, closed = booked(CloseWindow(make.WINDOW, None))
    _, stepped = booked(Book("step/1", "x", b"", (), None, step), closed)
    assert stepped.windows[make.WINDOW].state == "PENDING_SETTLEMENT"
    unknown = replace(step, window_id="cny-1999-01-01")
    assert refusal_of(Book("step/2", "x", b"", (), None, unknown))[0] is Reason.WINDOW_UNKNOWN


def test_an_entry_that_the_books_refuse_leaves_its_window_where_it_was() -> None:
    _, closed = booked(CloseWindow(make.WINDOW, None))
    step = WindowStep(make.WINDOW, "CLOSED", "PENDING_SETTLEMENT")
    entry = an_entry(code=Code.PAY_OUT, step=step)
    assert refusal_of(entry, closed)[0] is Reason.LIMIT_EXCEEDED


HOLD = PostingRef(STATE.next_index, 0)
"""The pending posting of the first entry behind `STATE`."""


@pytest.mark.parametrize("first", [Phase.CONFIRMS, Phase.VOIDS])
@pytest.mark.parametrize("second", [Phase.CONFIRMS, Phase.VOIDS])
def test_t30_a_hold_is_resolved_once_under_whatever_key(first: Phase, second: Phase) -> None:
    def resolve(key: str, phase: Phase) -> Book:
        return Book(
            key,
            "application/json",
            key.encode(),
            (Posting(Code.PAY_IN, BANK, POSITION, 10, phase, HOLD),),
            make.CURRENCY,
        )

    _, held = booked(an_entry(phase=Phase.PENDING))
    _, done = booked(resolve("resolve/1", first), held)
    assert refusal_of(resolve("resolve/2", second), done)[0] is Reason.ALREADY_EXISTS
    assert done.balances[POSITION].credits_pending == 0
    assert done.balances[POSITION].posted == (10 if first is Phase.CONFIRMS else 0)


def refused_order(number: int, source: str = "grocery") -> Order:
    """An order that will be refused for its increment."""
    target = "deli" if source == "fuel" else "fuel"
    return make.an_order(number, make.terms(source, target), source_points=11)


def test_t37_refusals_beyond_the_cap_of_a_minute_are_answered_and_not_recorded() -> None:
    limits = Limits(refusals_per_minute=2)
    orders = [refused_order(number) for number in range(1, 5)]
    folded = fold(STATE, [*orders, make.an_order(9), refused_order(10, "fuel")], make.NOW, limits)
    kinds = [
        (type(result), result.reason)
        for result in folded.results
        if isinstance(result, Recorded | Refused)
    ]
    assert kinds == [
        (Recorded, Reason.INCREMENT),
        (Recorded, Reason.INCREMENT),
        (Refused, Reason.RATE_LIMITED),
        (Refused, Reason.RATE_LIMITED),
        (Recorded, None),
        (Recorded, Reason.INCREMENT),
    ]
    assert len(folded.outcomes) == 4


def test_t37_the_next_minute_records_again_also_the_id_that_was_limited() -> None:
    limits = Limits(refusals_per_minute=1)
    state = fold(STATE, [refused_order(1), refused_order(2)], make.NOW, limits).state
    again = fold(state, [refused_order(2), refused_order(3)], make.NOW, limits)
    assert again.outcomes == ()
    later = make.NOW + timedelta(minutes=1)
    first, second = fold(state, [refused_order(2), refused_order(3)], later, limits).results
    assert isinstance(first, Recorded)
    assert isinstance(second, Refused)
    replayed = fold(state, [refused_order(1)], make.NOW, limits).results
    assert isinstance(replayed[0], Repeated)


def test_an_order_that_no_counter_can_hold_is_refused_and_recorded() -> None:
    vast = make.agreement_payload(
        rate=(2**61, 1), maximum_source_points=2**62, price_per_target_point=1
    )
    state = make.a_state(*make.founding(agreements=[vast]))
    orders = [make.an_order(number, make.terms_of(vast), source_points=2**61) for number in (1, 2)]
    results = fold(state, orders, make.NOW).results
    reasons = [result.reason for result in results if isinstance(result, Recorded)]
    assert reasons == [None, Reason.LIMIT_EXCEEDED]
