"""What is invoiced of any month is what its lines say, to the last unit, whoever invoices what."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from settlement.lines.line import REVERSED, Line, Role, Share
from settlement.month.ageing import aged
from settlement.month.invoices import Document, DocumentKind, Head, half_even
from settlement.month.invoicing import Invoicing, Mode
from settlement.month.planning import Planning
from settlement.month.supplies import (
    Background,
    Original,
    Pair,
    Supplies,
    SupplyType,
    add_supplies,
    balance,
)

BRANDS = ("aurora", "borealis", "cirrus")
PARTIES = ("hub", *BRANDS)
MONTHS = ("2017-01", "2017-02", "2017-03")
NAMES = {each: each.title() for each in PARTIES}
START = datetime(2017, 1, 1, tzinfo=UTC)
AMOUNTS = st.integers(0, 9_999_999)


@st.composite
def transfers(draw: st.DrawFn) -> tuple[int, dict[str, list[tuple[int, Line]]]]:
    """A transfer and perhaps a reversal of part of it: the lines of each brand by month."""
    source, target = draw(st.sampled_from(list(permutations(BRANDS, 2))))
    number = draw(st.integers(0, 2**32))
    month = draw(st.integers(0, 2))
    value, value_tax, fee, tax = (draw(AMOUNTS) for _ in range(4))
    funders = draw(st.lists(st.sampled_from(PARTIES), unique=True, max_size=3))
    shares = tuple(Share("spring", funder, draw(st.integers(1, 10**6))) for funder in funders)
    bearer = draw(st.sampled_from([Role.SOURCE, Role.TARGET]))
    lines: dict[str, list[tuple[int, Line]]] = {}
    turns = [(month, 1, 1)]
    if draw(st.booleans()):
        turns.append((draw(st.integers(month, 2)), draw(st.integers(1, 4)), 4))
    for place, (at, part, of) in enumerate(turns):
        sign = -1 if place else 1
        for role, brand in ((Role.SOURCE, source), (Role.TARGET, target)):
            way = 1 if role is Role.TARGET else -1
            own = [each for each in shares if role is Role.TARGET or each.funder == brand]
            bears = role is bearer
            lines.setdefault(brand, []).append(
                (
                    at,
                    Line(
                        transfer_id=UUID(int=number),
                        role=REVERSED[role] if place else role,
                        own_reference="",
                        source_program=f"{source}-points",
                        target_program=f"{target}-points",
                        source_points=100 * part // of,
                        target_points=50 * part // of,
                        bonus_points=0,
                        agreement_id=f"{source}-{target}",
                        segment="",
                        rate_source_units=2,
                        rate_target_units=1,
                        price_per_target_point=1,
                        price_per_thousand=0,
                        value=sign * way * (value * part // of),
                        value_tax=sign * way * (value_tax * part // of),
                        value_tax_code="vat6",
                        promotion=0,
                        promotions=tuple(
                            Share(each.promotion_id, each.funder, each.amount * part // of)
                            for each in own
                        ),
                        fee=-sign * (fee * part // of) if bears else 0,
                        tax=-sign * (tax * part // of) if bears else 0,
                        tax_code="vat6" if bears else "",
                        currency="USD",
                        state="REVERSED" if place else "COMMITTED",
                        recorded_at=START + timedelta(days=31 * at),
                        log_index=number,
                    ),
                )
            )
    return month, lines


MODES = st.dictionaries(
    st.tuples(st.sampled_from(PARTIES), st.sampled_from(PARTIES), st.sampled_from(SupplyType)),
    st.sampled_from(Mode),
)


@given(histories=st.lists(transfers(), max_size=12), modes=st.lists(MODES, min_size=3, max_size=3))
def test_documents_less_credit_notes_and_what_is_not_invoiced_are_the_lines(
    histories: list[tuple[int, dict[str, list[tuple[int, Line]]]]],
    modes: list[dict[tuple[str, str, SupplyType], Mode]],
) -> None:
    numbers = {next(iter(lines.values()))[0][1].transfer_id for _, lines in histories}
    if len(numbers) < len(histories):
        return
    originals = {
        next(iter(lines.values()))[0][1].transfer_id: Original(MONTHS[month], START)
        for month, lines in histories
    }
    issued: dict[str, Document] = {}
    for at, month in enumerate(MONTHS):
        background = Background(
            month, {f"{each}-points": each for each in BRANDS}, originals, {"vat6": ((START, 600),)}
        )
        supplies: Supplies = {}
        for _, lines in histories:
            for brand, own in lines.items():
                add_supplies(supplies, brand, [line for day, line in own if day == at], background)
        recorded = tuple(
            Invoicing(supplier, customer, kind, mode, "agreed")
            for (supplier, customer, kind), mode in modes[at].items()
        )
        head = Head(month, "USD", 6, 10_000, NAMES, ())
        documents, rests = Planning(head, supplies, recorded, issued.get).plan()
        sums: dict[Pair, int] = {}
        for document in documents:
            sign = -1 if document.kind is DocumentKind.CREDIT_NOTE else 1
            sums[document.pair] = sums.get(document.pair, 0) + sign * document.exact
            assert document.subject not in issued
            issued[document.subject] = document
            assert all(each.corrects for each in (document,)) == (sign < 0)
            assert abs(document.rounding) < 10_000 * (1 + len(document.taxes))
            assert document.pair.supplier == "hub" or not document.rounding
        for rest in rests:
            sums[rest.pair] = sums.get(rest.pair, 0) + rest.net + rest.tax
        for brand in BRANDS:
            for kind, stated in balance(supplies, brand).items():
                given_ = sum(
                    total * ((pair.supplier == brand) - (pair.customer == brand))
                    for pair, total in sums.items()
                    if pair.type is kind
                )
                assert given_ == stated
        # Issuing again finds every document as it was.
        again = Planning(head, supplies, recorded, issued.get).plan()
        assert again == (documents, rests)


@given(amount=st.integers(-(10**12), 10**12), unit=st.sampled_from([1, 10, 1_000, 10_000]))
def test_rounding_is_to_the_nearest_and_even_of_two(amount: int, unit: int) -> None:
    rounded = half_even(amount, unit)
    assert rounded % unit == 0
    assert 2 * abs(rounded - amount) <= unit
    if 2 * abs(rounded - amount) == unit:
        assert rounded // unit % 2 == 0


@given(
    position=st.integers(-(10**9), 10**9),
    nets=st.lists(st.tuples(st.integers(0, 200), st.integers(-(10**9), 10**9))),
)
def test_ages_sum_to_the_position_and_have_its_sign(
    position: int, nets: list[tuple[int, int]]
) -> None:
    day = START.date() + timedelta(days=200)
    newest_first = [(day - timedelta(days=age), net) for age, net in sorted(nets)]
    ages = aged(position, newest_first, day)
    assert sum(ages) == position
    assert all(each * position >= 0 for each in ages)
