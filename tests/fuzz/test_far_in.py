"""Hostile values where only what is otherwise right comes: bank files that add up, terms that both
brands signed, orders under such terms, the ends of the calendar.
"""

import csv
import io
from datetime import timedelta

from google.protobuf.message import Message
from hypothesis import assume, given
from hypothesis import strategies as st

from partners.envelope import RATE_AGREEMENT, TRANSFER_ORDER
from partners.errors import Reason
from partners.wire import time_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as exchange_pb
from pointclear.partners.v1 import partners_service_pb2 as partners_pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from tests import factories as make
from tests.fuzz.budget import fuzzed
from tests.fuzz.hostile import TEXTS
from tests.fuzz.house import AN_OPERATOR, OTHER, PARTNER, House
from tests.fuzz.oracle import judge
from tests.fuzz.requests import AGREEMENTS, STATEMENTS, bank_file, new_partner

MINOR = 10_000
"""Units in a fen."""
AMOUNTS = (
    1,
    2,
    100,
    12_345,
    10**9,
    10**12,
    2**62 // MINOR,
    2**62 // MINOR + 1,
    10**17,
    -1,
    -(10**9),
)
"""In fen."""
texts = st.sampled_from([text.decode("utf-8", "replace") for text in TEXTS]) | st.text(max_size=20)
names = st.sampled_from(("e-1", "e-2", "e-3", "A.b_c-9", "a" * 64)) | texts
days = st.sampled_from(("2026-07-15", "0001-01-01", "9999-12-31", "20260715", "2026-07-32"))
entries = st.lists(
    st.tuples(names, days, st.sampled_from(AMOUNTS), texts, texts),
    max_size=4,
)
sizes = st.sampled_from((1, 2, 3, 100, 2**31, 2**32, 2**61, 2**62 - 1, 2**62, 2**63 - 1))
small = st.sampled_from((1, 1, 1, 2, 3, 100, 10**6, 2**31))
IDS = 1 << 50
"""Orders here have ids above all others."""


def told(exchange: House, name: str, caller: str, request: Message) -> frozenset[Reason | None]:
    """What a call comes to."""
    return judge(exchange.call(name, caller, request.SerializeToString()))


def as_figure(fen: int) -> str:
    """An amount as a bank writes it."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02}"


@fuzzed(3)
@given(entries, texts | st.sampled_from(("day-2", "day-3", "day-4")), st.integers(0, 3))
def test_a_bank_file_that_adds_up_is_booked_whole_or_not_at_all(
    exchange: House, rows: list[tuple[str, str, int, str, str]], name: str, honest: int
) -> None:
    opening = exchange.bank_balance(make.CURRENCY) // MINOR
    closing = opening + sum(row[2] for row in rows)
    content = io.StringIO(newline="")
    written = csv.writer(content)
    for line in csv.reader(io.StringIO(bank_file(as_figure(opening), (), as_figure(closing)))):
        if line[0] == "STATEMENT" and honest:
            line = ["STATEMENT", f"day-{opening}-{len(rows)}"]
        elif line[0] == "STATEMENT":
            line = ["STATEMENT", name]
        elif line[0] == "CLOSING":
            written.writerows(
                ("ENTRY", entry_id, day, as_figure(amount), reference, payer)
                for entry_id, day, amount, reference, payer in rows
            )
        elif line[0] == "END":
            line = ["END", str(len(rows))]
        written.writerow(line)
    request = settlement_pb.ImportBankFileRequest(
        currency=make.CURRENCY, content=content.getvalue().encode()
    )
    told(exchange, "ImportBankFile", AN_OPERATOR, request)


@fuzzed(3)
@given(
    st.tuples(small, small),
    st.tuples(sizes, sizes, small),
    sizes | small,
    st.integers(0, 10_000),
    st.sampled_from(("none", "vat6", "vat20")),
    st.sampled_from((0, 1, 2**62)) | sizes,
)
def test_terms_at_their_ends_bind_nobody_to_what_the_books_cannot_hold(
    exchange: House,
    rate: tuple[int, int],
    bounds: tuple[int, int, int],
    price: int,
    fee: int,
    tax: str,
    cap: int,
) -> None:
    assume(max(*rate, price, *bounds) < 2**63)
    version = exchange.next_number()
    increment = rate[0] * bounds[2]
    assume(increment < 2**63)
    payload = make.agreement_payload(
        "deli",
        "grocery",
        version=version,
        rate=rate,
        minimum_source_points=min(bounds[:2]),
        maximum_source_points=max(bounds[:2]),
        increment_source_points=increment,
        price_per_target_point=price,
        fee_basis_points=fee,
        tax_code=tax,
    )
    by_deli, by_grocery = (
        STATEMENTS["ProposeAgreement"].request(payload, RATE_AGREEMENT, [AGREEMENTS[brand]])
        for brand in ("deli", "grocery")
    )
    if told(exchange, "ProposeAgreement", "partner/deli", by_deli) != {None}:
        return
    told(
        exchange,
        "SignAgreement",
        PARTNER,
        partners_pb.SignAgreementRequest(
            agreement=by_grocery.agreement  # type: ignore[attr-defined]
        ),
    )
    activation = partners_pb.ActivateAgreementRequest(agreement_id="deli-grocery", version=version)
    came = told(exchange, "ActivateAgreement", AN_OPERATOR, activation)
    if came == {Reason.FREE_LUNCH}:
        return
    assert came == {None}
    under = make.terms_of(payload)
    for points in {*bounds[:2], increment, increment * (max(bounds[:2]) // increment), cap}:
        if not 0 < points < 2**63:
            continue
        simulation = exchange_pb.SimulateTransferRequest(
            source_program="deli", target_program="grocery", source_points=points
        )
        told(exchange, "SimulateTransfer", "partner/deli", simulation)
        for target_points in {points // rate[0] * rate[1], points}:
            if 0 < target_points < 2**63:
                order = make.order_payload(
                    IDS + exchange.next_number(),
                    under,
                    source_points=points,
                    target_points=target_points,
                    # Versions come in force a microsecond after each other.
                    issued_at=time_to_proto(make.NOW - timedelta(seconds=1)),
                )
                request = STATEMENTS["CreateTransfer"].request(
                    order, TRANSFER_ORDER, [make.order_signer("deli")]
                )
                told(exchange, "CreateTransfer", "partner/deli", request)
    for name, request in (
        ("ListTransfers", exchange_pb.ListTransfersRequest()),
        ("ListReceipts", exchange_pb.ListReceiptsRequest()),
        ("GetPosition", exchange_pb.GetPositionRequest()),
        ("ListCorridors", exchange_pb.ListCorridorsRequest()),
    ):
        assert told(exchange, name, "partner/deli", request) == {None}
        assert told(exchange, name, OTHER, request) == {None}


def test_no_window_follows_the_last_day_of_the_calendar(exchange: House) -> None:
    joining = new_partner()
    joining.partner.partner_id = "ryokan"
    joining.partner.programs[:] = ["ryokan"]
    joining.partner.settlement_account.currency = "JPY"
    assert told(exchange, "RegisterPartner", AN_OPERATOR, joining) == {None}
    opening = settlement_pb.OpenWindowRequest(currency="JPY", business_date="9999-12-31")
    assert told(exchange, "OpenWindow", AN_OPERATOR, opening) == {None}
    for following in ("", "9999-12-31", "0001-01-01"):
        closing = settlement_pb.CloseWindowRequest(
            window_id="jpy-9999-12-31", next_business_date=following
        )
        assert told(exchange, "CloseWindow", AN_OPERATOR, closing) == {Reason.FIELD_INVALID}
