"""The life of terms through the front door: taxes by date, and agreements from proposal to end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from partners.errors import Reason
from partners.wire import time_to_proto
from pointclear.partners.v1 import partners_service_pb2 as pb
from tests.acceptance.coalition import Coalition, coalition, make_data_dir, refused
from tests.processes import Server, folder


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Three brands that trade with each other."""
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
    ):
        yield founded


# Taxes


def a_rate(tax_code: str, basis_points: int, effective_from: datetime) -> pb.AddTaxRateRequest:
    return pb.AddTaxRateRequest(
        rate=pb.TaxRate(
            tax_code=tax_code,
            basis_points=basis_points,
            effective_from=time_to_proto(effective_from),
        )
    )


def test_an_operator_adds_the_rate_of_a_tax_from_a_future_instant_on(members: Coalition) -> None:
    operator, partner = members.operator, members["aurora"].connection
    request = a_rate("vat9", 850, datetime.now(UTC) + timedelta(days=30))
    for _ in range(2):
        operator.call(operator.partners.AddTaxRate, request)
    listed = partner.call(partner.partners.ListTaxRates, pb.ListTaxRatesRequest())
    assert [each.basis_points for each in listed.rates if each.tax_code == "vat9"] == [900, 850]


def test_no_rate_begins_in_the_past_and_a_partner_adds_none(members: Coalition) -> None:
    operator, partner = members.operator, members["aurora"].connection
    past = a_rate("vat6", 0, datetime.now(UTC) - timedelta(seconds=1))
    refusal = refused(operator.partners.AddTaxRate, past)
    assert (refusal.reason, refusal.field) == (Reason.EFFECTIVE_IN_PAST, "rate.effective_from")
    assert refused(partner.partners.AddTaxRate, past).reason is Reason.ROLE_MISSING


def test_t18_the_list_of_rates_comes_in_pages_of_its_own_tokens(members: Coalition) -> None:
    partner, other = members["aurora"].connection, members["borealis"].connection
    whole = partner.call(partner.partners.ListTaxRates, pb.ListTaxRatesRequest()).rates
    seen: list[pb.TaxRate] = []
    token = ""
    while True:
        page = partner.call(
            partner.partners.ListTaxRates, pb.ListTaxRatesRequest(page_size=2, page_token=token)
        )
        seen += page.rates
        token = page.next_page_token or token
        if not page.next_page_token:
            break
    assert seen == list(whole)
    forged = pb.ListTaxRatesRequest(page_size=2, page_token=token)
    for refusal in (
        refused(other.partners.ListTaxRates, forged),
        refused(partner.partners.ListTaxRates, pb.ListTaxRatesRequest(page_token="x")),
    ):
        assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "page_token")
