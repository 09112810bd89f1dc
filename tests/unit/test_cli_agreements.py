"""Agreements as a brand makes and finds them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.cli.agreements.agreement_documents import terms_document
from exchange.cli.agreements.agreements import ListedAgreement, find_version, target_points_of
from exchange.cli.agreements.terms_file import read_terms, terms_payload
from partners.agreement import (
    Bearer,
    Expiry,
    ExpiryRule,
    Fee,
    Funder,
    MemberLimits,
    Price,
    Segment,
    Terms,
)
from partners.agreement_checks import check_terms
from partners.envelope import RATE_AGREEMENT, Envelope
from partners.errors import Reason, Refused
from partners.wire import terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import (
    AGREEMENT_STATE_ENDED,
    AGREEMENT_STATE_IN_FORCE,
    AGREEMENT_STATE_PROPOSED,
    Agreement,
    AgreementState,
)
from tests import factories as make
from tests.property.histories import RICH

PROPOSED: dict[str, Any] = {
    "agreement_id": "grocery-fuel",
    "version": 1,
    "source_partner": "grocery",
    "target_partner": "fuel",
    "source_program": "grocery",
    "target_program": "fuel",
    "rate": "50:25",
    "minimum_source_points": 50,
    "maximum_source_points": 100_000,
    "increment_source_points": 50,
    "currency": "CNY",
    "price_per_target_point": "0.0196",
    "fee_basis_points": 100,
    "tax_code": "vat6",
}
AUDIENCE = "pointclear.test/unit"


def read(values: Mapping[str, Any]) -> Terms:
    """The terms that a file's members become."""
    payload = terms_payload(values, AUDIENCE, make.NOW)
    return terms_from_payload(Envelope(RATE_AGREEMENT, payload, ()), AUDIENCE)


def terms(version: int = 1) -> Terms:
    return read(PROPOSED | {"version": version})


def listed(version: int, state: AgreementState.ValueType) -> ListedAgreement:
    return ListedAgreement(Agreement(state=state), terms(version))


VERSIONS = (
    listed(1, AGREEMENT_STATE_ENDED),
    listed(2, AGREEMENT_STATE_IN_FORCE),
    listed(3, AGREEMENT_STATE_PROPOSED),
)


def test_a_proposal_states_terms_that_the_exchange_can_honour() -> None:
    check_terms(terms())
    assert (terms().rate.source_units, terms().rate.target_units) == (50, 25)
    assert terms().price.units == 19_600


FULL = PROPOSED | {
    "fee_bearer": "TARGET",
    "fee_per_target_point": "0.0001",
    "fee_fixed": "0.10",
    "fee_minimum": "0.20",
    "fee_maximum": "5",
    "fee_refundable": True,
    "value_tax_code": "vat13",
    "segments": [{"segment_id": "gold", "multiplier": "6:5"}],
    "promotions": [
        {
            "promotion_id": "spring",
            "bonus_basis_points": 1_000,
            "effective_from": "2026-07-15T00:00:00+08:00",
            "effective_until": "2026-08-01T00:00:00+08:00",
            "budget_points": 5_000,
            "funders": {"grocery": 4_000, "hub": 2_000, "deli": 4_000},
        }
    ],
    "member_limits": {"transfers_per_day": 3, "source_points_per_day": 5_000},
    "expiry_rule": "FIXED_DAYS",
    "expiry_days": 365,
    "notice_days": 30,
}


def unsigned(read: Terms) -> Terms:
    """Terms but for the digest of what was signed."""
    return replace(read, sha256=b"")


def test_a_file_states_every_term() -> None:
    stated = read(FULL)
    check_terms(stated)
    assert stated.fee == Fee(
        100, "vat6", Bearer.TARGET, 100, 100_000, 200_000, 5_000_000, refundable=True
    )
    assert stated.segments == (Segment("gold", 6, 5),)
    assert stated.member_limits == MemberLimits(3, 5_000)
    assert stated.expiry == Expiry(ExpiryRule.FIXED_DAYS, 365)
    (spring,) = stated.promotions
    assert spring.funders == (Funder("grocery", 4_000), Funder("hub", 2_000), Funder("deli", 4_000))
    assert spring.effective_from == datetime(2026, 7, 14, 16, tzinfo=UTC)


@pytest.mark.parametrize("values", [PROPOSED, FULL])
def test_what_is_shown_of_a_version_is_the_file_of_its_terms(values: dict[str, Any]) -> None:
    stated = read(values)
    shown = json.loads(json.dumps(terms_document(stated)))
    assert unsigned(read(shown)) == unsigned(stated)


@pytest.mark.parametrize("name", RICH)
def test_terms_of_every_kind_survive_being_shown(name: tuple[str, str, int]) -> None:
    stated = make.terms_of(RICH[name])
    assert unsigned(read(terms_document(stated))) == unsigned(stated)


def test_toml_says_the_same() -> None:
    text = """
        agreement_id = "grocery-fuel"
        source_partner = "grocery"
        target_partner = "fuel"
        source_program = "grocery"
        target_program = "fuel"
        rate = "50:25"
        maximum_source_points = 100000
        currency = "CNY"
        price_per_thousand_target_points = "19.60"
        fee_basis_points = 0
        tax_code = "vat6"
        [[promotions]]
        promotion_id = "spring"
        bonus_basis_points = 2000
        effective_from = 2026-07-15T00:00:00+08:00
        effective_until = 2026-08-01T00:00:00+08:00
        budget_points = 5000
        funders = {grocery = 10000}
    """
    stated = read(read_terms(text, is_toml=True))
    check_terms(stated)
    assert stated.price == Price(19_600_000, 1_000)
    assert stated.promotions[0].effective_from == datetime(2026, 7, 14, 16, tzinfo=UTC)
    assert (stated.version, stated.minimum_source_points) == (1, 50)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"maximum_source_points": 2**63}, "maximum_source_points"),
        ({"maximum_source_points": "many"}, "maximum_source_points"),
        ({"rate": "50"}, "rate"),
        ({"rate": 2}, "rate"),
        ({"price_per_target_point": "0.0000001"}, "price_per_target_point"),
        ({"fee_fixed": "0.0000001"}, "fee_fixed"),
        ({"currency": "XXX"}, "currency"),
        ({"fee_bearer": "NOBODY"}, "fee_bearer"),
        ({"expiry_rule": "SOON"}, "expiry_rule"),
        ({"segments": [{"segment_id": "gold"}]}, "segments"),
        ({"segments": [{"segment_id": "gold", "multiplier": "1.2"}]}, "segments"),
        ({"promotions": [{"promotion_id": "spring"}]}, "promotions"),
        ({"member_limits": {"a_day": 1}}, "member_limits"),
        ({"bonus": 7}, "bonus"),
    ],
)
def test_a_term_of_another_form_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(PROPOSED | changes)
    assert (refusal.value.reason, refusal.value.field) == (Reason.FIELD_INVALID, field)


def test_a_term_that_is_missing_is_named() -> None:
    with pytest.raises(Refused) as refusal:
        read({name: value for name, value in PROPOSED.items() if name != "rate"})
    assert (refusal.value.reason, refusal.value.field) == (Reason.FIELD_INVALID, "rate")


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_a_file_that_holds_no_terms_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        read_terms(text, is_toml=False)
    assert refusal.value.reason is Reason.FIELD_INVALID


def test_a_time_without_an_offset_is_refused() -> None:
    (spring,) = FULL["promotions"]
    with pytest.raises(Refused) as refusal:
        read(FULL | {"promotions": [spring | {"effective_from": "2026-07-15T00:00:00"}]})
    assert refusal.value.field == "promotions"


def test_terms_larger_than_what_a_signature_covers_are_refused_by_name() -> None:
    (spring,) = FULL["promotions"]
    many = [spring | {"promotion_id": f"{n:064}"} for n in range(40)]
    with pytest.raises(Refused, match="signed bytes") as refusal:
        read(FULL | {"promotions": many})
    assert (refusal.value.reason, refusal.value.field) == (Reason.TERMS_INVALID, "agreement")


def test_without_a_number_the_version_in_force_is_meant() -> None:
    assert find_version(VERSIONS, "grocery-fuel", None).terms.version == 2
    assert find_version(VERSIONS, "grocery-fuel", 3).terms.version == 3


@pytest.mark.parametrize(("name", "version"), [("grocery-fuel", 4), ("fuel-grocery", None)])
def test_an_agreement_that_is_not_there_is_unknown(name: str, version: int | None) -> None:
    with pytest.raises(Refused) as refusal:
        find_version(VERSIONS, name, version)
    assert refusal.value.reason is Reason.AGREEMENT_UNKNOWN


def test_target_points_come_from_whole_blocks() -> None:
    assert [target_points_of(terms(), n, "", make.NOW) for n in (0, 49, 50, 120, 150)] == [
        0,
        0,
        25,
        50,
        75,
    ]
