"""Commands that a coalition may meet, good and bad, for the laws to hold over."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from exchange.commands import Book, CloseWindow, Command, OpenWindow, Order
from exchange.fold import State, window_id
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, Phase, Posting
from partners.keys import Purpose
from partners.limits.values import (
    CorridorSwitches,
    Funding,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    ProgramSwitches,
    Switches,
)
from partners.links.commands import EraseMember, FreezeLink, RequireLinks, RevokeLink
from partners.wire import time_to_proto
from tests import factories as make

FIRST = make.a_state()
"""Where the histories begin."""
TERMS = {name: make.terms_of(payload) for name, payload in make.AGREEMENTS.items()}
MONEY = FIRST.registry.units[make.CURRENCY].number
PARTNERS = [FIRST.registry.partners[brand].number for brand in make.BRANDS]

FAULTS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"target_points": 1},
        {"source_points": 101},
        {"source_points": 10_000_000},
        {"agreement_id": "nobody"},
        {"agreement_version": 3},
        {"target_program": "nowhere"},
        {"source_program": "fuel"},
        {"expires_at": time_to_proto(make.NOW)},
        {
            "issued_at": time_to_proto(make.NOW + timedelta(minutes=5)),
            "expires_at": time_to_proto(make.NOW + timedelta(minutes=6)),
        },
        {"key_id": "0" * 32},
    ]
)


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Mostly good ones, whose ids are few, so that some are replayed or used for something else."""
    version = draw(st.sampled_from([1, 1, 1, 2]))
    under = TERMS[(*draw(st.sampled_from(make.CORRIDORS)), version)]
    blocks = draw(st.sampled_from([1, 10, 100, 1_000, 20_000]))
    changes: dict[str, Any] = {"source_points": blocks * under.increment_source_points}
    if draw(st.integers(0, 5)) == 5:
        changes |= draw(FAULTS)
    if draw(st.integers(0, 3)) == 3:
        return make.a_linked_order(draw(st.integers(1, 30)), draw(LINKS), under, **changes)
    return make.an_order(draw(st.integers(1, 30)), under, **changes)


@st.composite
def settlement_entries(draw: st.DrawFn) -> Book:
    """Money that comes, goes, is promised or is adjusted."""
    number = draw(st.integers(1, 6))
    position = position_account(MONEY, draw(st.sampled_from(PARTNERS)))
    bank = hub_account(MONEY, HubAccount.BANK_SETTLEMENT)
    rounding = hub_account(MONEY, HubAccount.ROUNDING)
    code, debit, credit = draw(
        st.sampled_from(
            [
                (Code.PAY_IN, bank, position),
                (Code.PAY_OUT, position, bank),
                (Code.ADJUSTMENT, position, rounding),
                (Code.ADJUSTMENT, rounding, position),
            ]
        )
    )
    phase = draw(st.sampled_from([Phase.POSTED, Phase.PENDING]))
    posting = Posting(code, debit, credit, draw(st.integers(1, 3 * make.CAP)), phase)
    body = repr(posting).encode()
    return Book(f"entry/{number}", "application/json", body, (posting,), make.CURRENCY)


LINKS = st.integers(1, 3)
CHANGES = st.integers(1, 4).map(make.transfer_id)


def link_commands() -> st.SearchStrategy[Command]:
    """Links come, go, are frozen and demanded, and members are forgotten."""
    pairs = st.sampled_from([("grocery", "fuel"), ("grocery", "fuel"), ("fuel", "deli")])
    names = st.sampled_from(["", "", "another"])
    programs = st.sampled_from(make.BRANDS)
    link_ids = LINKS.map(make.link_id)
    return st.one_of(
        st.builds(
            lambda number, pair, name: make.start_link(number, pair[0], pair[1], name),
            LINKS,
            pairs,
            names,
        ),
        st.builds(make.confirm_link, LINKS, st.sampled_from(["fuel", "fuel", "deli"]), names),
        st.builds(RevokeLink, link_ids, programs),
        st.builds(FreezeLink, CHANGES, link_ids, st.booleans()),
        st.builds(RequireLinks, CHANGES, programs, st.booleans()),
        st.builds(
            EraseMember,
            CHANGES,
            programs,
            st.sampled_from(["grocery-member", "fuel-member", "another"]),
        ),
    )


WINDOW_IDS = [
    window_id(make.CURRENCY, make.DAY_ONE + timedelta(days=day)) for day in (0, 0, 1, 1, 2, 9)
]
MEMBERS = ("bakery", "grocery")


SWITCHES: list[Switches] = [
    PartnerSwitches("fuel"),
    PartnerSwitches("fuel", sending_stopped=True),
    PartnerSwitches("fuel", receiving_stopped=True),
    PartnerSwitches("fuel", settlement_on_hold=True),
    PartnerSwitches("nobody", sending_stopped=True),
    CorridorSwitches("grocery", "deli", closed=True),
    CorridorSwitches("grocery", "deli"),
    ProgramSwitches("deli", in_maintenance=True),
    ProgramSwitches("deli"),
]
LIMITS: list[Limits] = [
    PartnerLimits("grocery", Funding.CAPPED, 0),
    PartnerLimits("grocery", Funding.POSTPAID, make.CAP // 100),
    PartnerLimits("grocery", Funding.CAPPED, 2 * make.CAP),
    PartnerLimits("fuel", Funding.PREPAID, 0),
    PartnerLimits("nobody", Funding.PREPAID, 0),
]


def restraints() -> st.SearchStrategy[Command]:
    """Switches and limits, under few change ids."""
    number = st.integers(1, 12)
    return st.one_of(
        st.builds(make.set_switches, number, st.sampled_from(SWITCHES)),
        st.builds(make.set_limits, number, st.sampled_from(LIMITS)),
    )


def commands() -> st.SearchStrategy[Command]:
    """Anything that the sequencer may be asked."""
    return st.one_of(
        orders(),
        orders(),
        orders(),
        orders(),
        settlement_entries(),
        link_commands(),
        link_commands(),
        restraints(),
        st.sampled_from(WINDOW_IDS).map(lambda name: CloseWindow(name, None)),
        st.integers(0, 2).map(
            lambda day: OpenWindow(make.CURRENCY, make.DAY_ONE + timedelta(days=day))
        ),
        st.just(OpenWindow("USD", make.DAY_ONE)),
        st.sampled_from([make.activate(payload) for payload in make.AGREEMENTS.values()]),
        st.builds(make.add_partner, st.sampled_from(MEMBERS), st.sampled_from([5, make.CAP])),
        st.just(make.add_partner("bistro", currency="USD")),
        st.builds(
            make.add_tax_rate,
            st.sampled_from(["vat6", "vat6", "levy"]),
            st.sampled_from([0, 700]),
            st.sampled_from([-1, 1, 2]).map(lambda days: make.NOW + timedelta(days=days)),
        ),
        st.builds(
            make.add_key,
            st.sampled_from(["partner/bakery", "partner/grocery"]),
            st.just(Purpose.STATEMENTS),
        ),
        st.builds(
            make.revoke_key,
            st.sampled_from(["partner/grocery", "partner/grocery", "partner/fuel", "exchange"]),
            st.sampled_from([Purpose.ORDERS, Purpose.AGREEMENTS, Purpose.RECEIPTS]),
        ),
    )


def histories() -> st.SearchStrategy[list[Command]]:
    """Commands in their order, to be carried out from `FIRST` on."""
    return st.one_of(
        st.lists(commands(), max_size=6), st.lists(commands(), min_size=12, max_size=40)
    )


def positions(state: State) -> dict[int, int]:
    """What is posted on each partner's position, by partner number."""
    return {
        partner.number: state.balances[
            position_account(state.registry.units[partner.currency].number, partner.number)
        ].posted
        for partner in state.registry.partners.values()
    }
