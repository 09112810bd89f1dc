"""Agreements as a brand makes and finds them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exchange.cli.agreements import (
    ListedAgreement,
    ProposedTerms,
    agreement_payload,
    find_version,
    target_points_of,
)
from partners.agreement import Terms
from partners.agreement_checks import check_terms
from partners.envelope import RATE_AGREEMENT, sign
from partners.errors import Reason, Refused
from partners.keys import SeedSigner
from partners.wire import terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import (
    AGREEMENT_STATE_ENDED,
    AGREEMENT_STATE_IN_FORCE,
    AGREEMENT_STATE_PROPOSED,
    Agreement,
    AgreementState,
)

PROPOSED = ProposedTerms(
    audience="pointclear.test/unit",
    agreement_id="grocery-fuel",
    version=1,
    source_partner="grocery",
    target_partner="fuel",
    source_program="grocery",
    target_program="fuel",
    rate=(50, 25),
    minimum=50,
    maximum=5000,
    increment=50,
    currency="USD",
    price=19_600,
    fee_basis_points=100,
    tax_code="vat6",
    issued_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)


def terms(version: int = 1) -> Terms:
    payload = agreement_payload(replace(PROPOSED, version=version))
    envelope = sign(SeedSigner(bytes(32)), RATE_AGREEMENT, payload)
    return terms_from_payload(envelope, "pointclear.test/unit")


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


def test_a_figure_that_its_field_does_not_hold_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        agreement_payload(replace(PROPOSED, maximum=2**63))
    assert refusal.value.reason is Reason.FIELD_INVALID


def test_without_a_number_the_version_in_force_is_meant() -> None:
    assert find_version(VERSIONS, "grocery-fuel", None).terms.version == 2
    assert find_version(VERSIONS, "grocery-fuel", 3).terms.version == 3


@pytest.mark.parametrize(("name", "version"), [("grocery-fuel", 4), ("fuel-grocery", None)])
def test_an_agreement_that_is_not_there_is_unknown(name: str, version: int | None) -> None:
    with pytest.raises(Refused) as refusal:
        find_version(VERSIONS, name, version)
    assert refusal.value.reason is Reason.AGREEMENT_UNKNOWN


def test_target_points_come_from_whole_blocks() -> None:
    assert [target_points_of(terms(), points) for points in (0, 49, 50, 120, 150)] == [
        0,
        0,
        25,
        50,
        75,
    ]
