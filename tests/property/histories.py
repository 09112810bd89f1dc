"""Commands that a coalition may meet, good and bad, for the laws to hold over."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from exchange.commands import (
    AskQuote,
    Book,
    CloseWindow,
    Command,
    Conclude,
    DecideHeld,
    OpenWindow,
    Order,
    Reverse,
    TakeBack,
    Verdict,
    WindowStep,
)
from exchange.fold import State, window_id
from exchange.ledger.accounts import (
    HubAccount,
    PointsAccount,
    collateral_account,
    hub_account,
    points_account,
    position_account,
)
from exchange.ledger.postings import Code, Phase, Posting
from exchange.promotions import PromotionKey, grants
from exchange.quotes.quote import Quote
from partners.conversion import target_points
from partners.keys import Purpose
from partners.life import LifeStep
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Funding,
    Headroom,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
    Switches,
)
from partners.links.commands import EraseMember, FreezeLink, RequireLinks, RevokeLink
from partners.operators.commands import ChangeRoles, MovePartner
from partners.operators.roles import ALL_ROLES, Role
from partners.routes.route import Route, RouteKind
from partners.wire import time_to_proto
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make

GOLD = agreement_pb2.Segment(segment_id="gold", multiplier_numerator=7, multiplier_denominator=6)
SOON = make.NOW + timedelta(days=3)


def promotion(name: str, bonus: int, budget: int, **shares: int) -> agreement_pb2.Promotion:
    """One that runs now and is soon used up."""
    return agreement_pb2.Promotion(
        promotion_id=name,
        bonus_basis_points=bonus,
        effective_from=time_to_proto(make.NOW - timedelta(days=1)),
        effective_until=time_to_proto(SOON),
        budget_points=budget,
        funders=[
            agreement_pb2.Funder(funder=funder, share_basis_points=share)
            for funder, share in shares.items()
        ],
    )


RICH: dict[tuple[str, str, int], bytes] = {
    ("fuel", "deli", 3): make.agreement_payload(
        "fuel",
        "deli",
        version=3,
        rate=(10, 12),
        fee_bearer=agreement_pb2.BEARER_TARGET,
        fee_fixed=70_000,
        fee_minimum=80_000,
        promotions=[promotion("spring", 500, 40_000, deli=10_000)],
        segments=[GOLD],
    ),
    ("deli", "fuel", 3): make.agreement_payload(
        "deli",
        "fuel",
        version=3,
        segments=[GOLD],
        promotions=[
            promotion("spring", 1_000, 900, grocery=3_334, deli=3_333, fuel=3_333),
            promotion("may", 3_333, 500, hub=1, grocery=9_999),
        ],
        value_tax_code="vat13",
        fee_per_target_point=3,
        fee_maximum=100_000,
    ),
    ("deli", "grocery", 3): make.agreement_payload(
        "deli",
        "grocery",
        version=3,
        price_per_target_point=0,
        price_per_thousand_target_points=12_250,
        rate=(5, 4),
        fee_refundable=True,
    ),
    ("grocery", "deli", 3): make.agreement_payload(
        "grocery",
        "deli",
        version=3,
        credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED,
        promotions=[promotion("summer", 2_000, 900, grocery=5_000, fuel=5_000)],
        fee_bearer=agreement_pb2.BEARER_TARGET,
    ),
}
"""Terms of every kind, in force where the histories begin. No loop gains."""
FIRST = make.a_state(
    *make.founding(),
    *(command for payload in RICH.values() for command in make.in_force(payload)),
)
"""Where the histories begin."""
TERMS = {name: make.terms_of(payload) for name, payload in (make.AGREEMENTS | RICH).items()}
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
    corridor = draw(st.sampled_from(make.CORRIDORS))
    usual = 3 if (*corridor, 3) in TERMS else 1
    under = TERMS[(*corridor, draw(st.sampled_from([usual, usual, usual, 2])))]
    blocks = draw(st.sampled_from([1, 10, 100, 1_000, 20_000]))
    changes: dict[str, Any] = {
        "source_points": blocks * under.increment_source_points,
        "segment": draw(st.sampled_from(["", "", "gold"])),
    }
    if draw(st.booleans()):
        # As one who knows that the promotions are used up, all of them or the first.
        few = under.promotions[1:] if draw(st.booleans()) else ()
        segment = changes["segment"] if under.segments else ""
        changes["target_points"] = target_points(under, changes["source_points"], segment, few)
    if draw(st.integers(0, 5)) == 5:
        changes |= draw(FAULTS)
    if draw(st.integers(0, 3)) == 3:
        return make.a_linked_order(draw(st.integers(1, 30)), draw(LINKS), under, **changes)
    return make.an_order(draw(st.integers(1, 30)), under, **changes)


@st.composite
def reversals(draw: st.DrawFn) -> Reverse:
    """Reversals of transfers that may exist, by brands that may be their targets, in parts that may
    be too large; their ids are few.
    """
    number = draw(st.integers(1, 12))
    of = draw(st.integers(1, 30))
    points = draw(st.sampled_from([1, 2, 10, 19, 40, 1_000]))
    changes: dict[str, Any] = {}
    if draw(st.integers(0, 7)) == 7:
        changes = draw(
            st.sampled_from(
                [
                    {"expires_at": time_to_proto(make.NOW)},
                    {"reversal_id": make.transfer_id(of).bytes},
                    {"transfer_id": make.reversal_id(number).bytes},
                    {"key_id": "0" * 32},
                ]
            )
        )
    return make.reverse(number, of, points, draw(st.sampled_from(make.BRANDS)), **changes)


@st.composite
def asked_quotes(draw: st.DrawFn) -> AskQuote:
    """Quotes whose ids are few, for amounts on either side."""
    under = TERMS[draw(st.sampled_from([*RICH, ("grocery", "fuel", 1)]))]
    points = draw(st.sampled_from([1, 10, 100])) * under.increment_source_points
    changes: dict[str, Any] = {"source_points": points}
    if draw(st.booleans()):
        few = under.promotions if draw(st.booleans()) else ()
        changes = {"source_points": 0, "target_points": target_points(under, points, "", few)}
    return make.ask_quote(draw(st.integers(1, 4)), under, **changes)


@st.composite
def quoted_orders(draw: st.DrawFn) -> Order:
    """Orders at quotes that may exist, with figures that may be theirs."""
    under = TERMS[draw(st.sampled_from([*RICH, ("grocery", "fuel", 1)]))]
    points = draw(st.sampled_from([1, 10, 100])) * under.increment_source_points
    applied = draw(st.sampled_from([under.promotions, ()]))
    return make.an_order(
        draw(st.integers(1, 30)),
        under,
        source_points=points,
        target_points=target_points(under, points, "", applied),
        agreement_id="",
        agreement_version=0,
        quote_id=make.quote_id(draw(st.integers(1, 4))).bytes,
    )


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


@st.composite
def collateral_entries(draw: st.DrawFn) -> Book:
    """Collateral that comes, goes back or is drawn."""
    partner = draw(st.sampled_from(PARTNERS))
    collateral, position = collateral_account(MONEY, partner), position_account(MONEY, partner)
    lies = hub_account(MONEY, HubAccount.BANK_COLLATERAL)
    bank = hub_account(MONEY, HubAccount.BANK_SETTLEMENT)
    amount = draw(st.integers(1, make.CAP))
    phase = draw(st.sampled_from([Phase.POSTED, Phase.POSTED, Phase.PENDING]))
    top_up = Posting(Code.TOP_UP, lies, collateral, amount, phase)
    withdrawal = Posting(Code.WITHDRAW, collateral, lies, amount, phase)
    draws = Posting(Code.DRAW, bank, position, amount, phase)
    kinds = [(top_up,), (top_up,), (withdrawal,), (withdrawal, draws)]
    postings = draw(st.sampled_from(kinds))
    key = f"collateral/{draw(st.integers(1, 30))}"
    body = repr(postings).encode()
    return Book(key, "application/json", body, postings, make.CURRENCY)


@st.composite
def window_moves(draw: st.DrawFn) -> Book:
    """Windows that are stated, settled or aborted, whether they can be or not."""
    name = draw(st.sampled_from(WINDOW_IDS))
    states = (
        ("CLOSED", "PENDING_SETTLEMENT", "SETTLED"),
        ("CLOSED", "PENDING_SETTLEMENT", "ABORTED"),
    )
    before, after = draw(st.sampled_from([pair for each in states for pair in pairwise(each)]))
    key = f"step/{name}/{draw(st.integers(1, 9))}"
    step = WindowStep(name, before, after)
    return Book(key, "application/json", after.encode(), step=step)


@st.composite
def pay_outs(draw: st.DrawFn) -> Book:
    """Pay-outs of a window."""
    position = position_account(MONEY, draw(st.sampled_from(PARTNERS)))
    bank = hub_account(MONEY, HubAccount.BANK_SETTLEMENT)
    posting = Posting(Code.PAY_OUT, position, bank, draw(st.integers(1, make.CAP)), Phase.PENDING)
    key = f"leg/{draw(st.integers(1, 9))}"
    body = repr(posting).encode()
    pays = draw(st.sampled_from(WINDOW_IDS))
    return Book(key, "application/json", body, (posting,), make.CURRENCY, pays=pays)


@st.composite
def confirmations(draw: st.DrawFn) -> Book:
    """Points that a brand confirms, of those that wait or more."""
    unit = FIRST.registry.points_unit(draw(st.sampled_from(make.BRANDS))).number
    issuer = points_account(unit, PointsAccount.ISSUER)
    redeemed = points_account(unit, PointsAccount.REDEEMED)
    granted = points_account(unit, PointsAccount.GRANTED)
    points = draw(st.sampled_from([1, 10, 40, 100, 1_000]))
    postings = draw(
        st.sampled_from(
            [
                (Posting(Code.RETIRE, redeemed, issuer, points),),
                (Posting(Code.ISSUE, issuer, granted, points),),
            ]
        )
    )
    key = f"confirmed/{draw(st.integers(1, 20))}"
    return Book(key, "application/json", repr(postings).encode(), postings, make.CURRENCY)


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
    PartnerLimits("fuel", Funding.PREPAID, headroom=Headroom.AT_COMMIT),
    PartnerLimits("grocery", Funding.POSTPAID, headroom=Headroom.WHEN_SETTLED),
    PartnerLimits("grocery", Funding.CAPPED, make.CAP, headroom=Headroom.WHEN_SETTLED),
    PartnerLimits("nobody", Funding.PREPAID, 0),
    PartnerLimits("deli", Funding.CAPPED, make.CAP, 3, 30_000_000),
    CorridorLimits("grocery", "fuel", source_points_per_day=3_000),
    CorridorLimits("grocery", "fuel", member_transfers_per_day=2),
    CorridorLimits("grocery", "fuel", member_points_per_day=2_200, return_ban_days=1),
    CorridorLimits("grocery", "fuel"),
    CorridorLimits("grocery", "fuel", source_points_per_day=9_000, review_above_points=30),
    CorridorLimits("deli", "grocery", review_member_transfers_per_day=1),
    CorridorLimits("fuel", "grocery", link_cooling=timedelta(hours=1), return_ban_days=3),
    ProgramLimits("fuel", 5_000),
]


def verdicts() -> st.SearchStrategy[Command]:
    """What operators and senders decide about orders, whether they are held or not."""
    number = st.integers(1, 30).map(make.transfer_id)
    return st.one_of(
        st.builds(DecideHeld, number, st.sampled_from([Verdict.RELEASED, Verdict.REFUSED])),
        st.builds(DecideHeld, number, st.just(Verdict.CANCELLED), st.sampled_from(make.BRANDS)),
    )


def conclusions() -> st.SearchStrategy[Command]:
    """What becomes known of credits, of orders that are reserved or not."""
    number = st.integers(1, 30).map(make.transfer_id)
    verdict = st.sampled_from([Verdict.CREDITED, Verdict.DECLINED, Verdict.LAPSED])
    proofs = st.sampled_from([make.proof("deli"), make.proof("deli"), make.proof("fuel"), None])
    reversal = st.integers(1, 8).map(make.reversal_id)
    return st.one_of(
        st.builds(Conclude, number, verdict, proofs),
        st.builds(TakeBack, reversal, st.sampled_from([0, 1, 10, 50]), proofs.filter(bool)),
        st.builds(make.undo, st.integers(1, 30), st.sampled_from([1, 50, 500])),
        st.builds(make.set_route, st.integers(1, 4), st.sampled_from(ROUTES)),
    )


ROUTES = [
    Route("deli", RouteKind.PULL),
    Route("deli"),
    Route("fuel", RouteKind.GRPC, "fuel.test:443"),
    Route("nobody", RouteKind.PULL),
]


def restraints() -> st.SearchStrategy[Command]:
    """Switches and limits, under few change ids."""
    number = st.integers(1, 12)
    return st.one_of(
        st.builds(make.set_switches, number, st.sampled_from(SWITCHES)),
        st.builds(make.set_limits, number, st.sampled_from(LIMITS)),
    )


def operators_commands() -> st.SearchStrategy[Command]:
    """Partners move through their lives, operators get and lose roles and sign actions."""
    causes = st.integers(1, 12).map(str)
    return st.one_of(
        st.builds(
            MovePartner,
            st.sampled_from(["fuel", "fuel", "deli", "nobody"]),
            st.sampled_from([*LifeStep]),
            causes,
        ),
        st.builds(
            ChangeRoles,
            st.sampled_from(["ada", "ben"]),
            causes,
            st.sampled_from([ALL_ROLES, frozenset((Role.RATES,))]),
            st.sampled_from([frozenset(), frozenset((Role.OPERATOR,))]),
            st.booleans(),
        ),
        st.builds(make.propose_action, st.integers(1, 4), st.sampled_from(["", "why"])),
        st.builds(make.approve_action, st.integers(1, 4)),
        st.sampled_from(
            [make.add_key(f"operator/{name}", Purpose.OPERATOR) for name in ("ada", "ben")]
        ),
    )


ROUNDS = [
    make.agreement_payload(*corridor, version=version, fee_basis_points=fee)
    for corridor in (("grocery", "fuel"), ("deli", "fuel"))
    for version in (1, 2, 3)
    for fee in (100, 75, 50)
]
"""Terms of which some are in force, some signed, and some nobody has seen."""
INSTANTS = [make.NOW + timedelta(hours=hours) for hours in (-1, 0, 1, 25, 49)]


@st.composite
def negotiating(draw: st.DrawFn) -> Command:
    """A step in the life of an agreement version, often one that is out of turn."""
    payload = draw(st.sampled_from(ROUNDS))
    terms = make.terms_of(payload)
    by = draw(st.sampled_from([terms.source_partner, terms.target_partner]))
    begins, ends = (draw(st.sampled_from([None, None, *INSTANTS])) for _ in range(2))
    step = draw(st.sampled_from(["propose", "counter", "sign", "withdraw", "end", "activate"]))
    match step:
        case "propose" | "counter":
            return make.propose(payload, by, is_counter=step == "counter")
        case "sign":
            return make.counter_sign(payload, by)
        case "withdraw":
            return make.withdraw(payload, by)
        case "end":
            return make.terminate(payload, draw(st.sampled_from(INSTANTS)), by)
        case _:
            return make.activate(payload, begins, ends)


def commands() -> st.SearchStrategy[Command]:
    """Anything that the sequencer may be asked."""
    return st.one_of(
        orders(),
        orders(),
        orders(),
        orders(),
        reversals(),
        reversals(),
        asked_quotes(),
        quoted_orders(),
        settlement_entries(),
        confirmations(),
        collateral_entries(),
        window_moves(),
        pay_outs(),
        link_commands(),
        link_commands(),
        restraints(),
        operators_commands(),
        verdicts(),
        conclusions(),
        conclusions(),
        st.sampled_from(WINDOW_IDS).map(lambda name: CloseWindow(name, None)),
        st.integers(0, 2).map(
            lambda day: OpenWindow(make.CURRENCY, make.DAY_ONE + timedelta(days=day))
        ),
        st.just(OpenWindow("USD", make.DAY_ONE)),
        negotiating(),
        negotiating(),
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


def held_by(quotes: Mapping[UUID, Quote]) -> Counter[PromotionKey]:
    """What live quotes hold of the promotions' budgets."""
    held: Counter[PromotionKey] = Counter()
    for each in quotes.values():
        if each.reserves:
            held.update(grants(each.terms, each.conversion))
    return held


def positions(state: State) -> dict[int, int]:
    """What is posted on each partner's position, by partner number."""
    return {
        partner.number: state.balances[
            position_account(state.registry.units[partner.currency].number, partner.number)
        ].posted
        for partner in state.registry.partners.values()
    }
