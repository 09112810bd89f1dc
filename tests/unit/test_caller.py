"""Who is calling is what the certificate says, exactly."""

import pytest

from partners.caller import Caller
from partners.errors import Reason, Refused


def reason_of(uris: list[str]) -> Reason:
    with pytest.raises(Refused) as refused:
        Caller.from_uris(uris)
    return refused.value.reason


def test_a_certificate_names_a_partner_or_an_operator() -> None:
    partner = Caller.from_uris(["pointclear://partner/grocery"])
    operator = Caller.from_uris(["pointclear://operator/li-na"])
    assert (partner.kind, partner.name, partner.holder) == ("partner", "grocery", "partner/grocery")
    assert (operator.kind, operator.name, operator.is_operator) == ("operator", "li-na", True)


@pytest.mark.parametrize(
    "uris",
    [
        [],
        ["pointclear://partner/a", "pointclear://partner/b"],
        ["pointclear://partner/a", "https://example.com"],
    ],
)
def test_t19_a_certificate_with_no_name_or_several_is_nobodys(uris: list[str]) -> None:
    assert reason_of(uris) is Reason.CALLER_UNKNOWN


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "grocery",
        "https://partner/grocery",
        "POINTCLEAR://partner/grocery",
        "pointclear:partner/grocery",
        "pointclear://partner",
        "pointclear://partner/",
        "pointclear://partner/grocery/",
        "pointclear://partner//grocery",
        "pointclear://partner/grocery?x=1",
        "pointclear://partner/grocery#x",
        "pointclear://Partner/grocery",
        "pointclear://admin/grocery",
        "pointclear:///grocery",
        "pointclear://me@partner/grocery",
        "pointclear://partner:443/grocery",
        "pointclear://partner/Grocery",
        "pointclear://partner/gro\ncery",
        "pointclear://par\ttner/grocery",
        "pointclear://partner/%67rocery",
        "pointclear://[partner/grocery",
        "pointclear://partner/\ufffd",
    ],
)
def test_t19_a_name_that_is_written_any_other_way_is_nobodys(uri: str) -> None:
    assert reason_of([uri]) is Reason.CALLER_UNKNOWN


def test_a_call_for_operators_refuses_partners_and_the_other_way_round() -> None:
    partner, operator = Caller("partner", "grocery"), Caller("operator", "li-na")
    assert partner.require_partner() == "grocery"
    operator.require_operator()
    with pytest.raises(Refused) as refused:
        partner.require_operator()
    assert refused.value.reason is Reason.ROLE_MISSING
    with pytest.raises(Refused) as refused:
        operator.require_partner()
    assert refused.value.reason is Reason.ROLE_MISSING
