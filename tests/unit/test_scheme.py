"""What a scheme may say, and that the wire says the same."""

from dataclasses import fields, replace
from typing import Any

import pytest

from partners.errors import Reason, Refused
from pointclear.settlement.v1 import scheme_pb2 as pb
from settlement.schemes.checks import check_scheme, check_switch
from settlement.schemes.scheme import CashLegs, Scheme, scheme_body, scheme_from
from settlement.schemes.wire import scheme_from_proto, scheme_to_proto

EURO = Scheme(
    currency="EUR",
    cut_off="17:30",
    zone="Europe/Berlin",
    banking_calendar="XECB",
    due_days=2,
    minimum_payout=5_000_000,
    acknowledge_minutes=60,
    remind_after_hours=4,
    draw_after_days=1,
    hold_after_days=2,
    unwind_after_days=5,
    account_cooling_hours=48,
    settlement_account="DE89370400440532013000",
    collateral_account="DE02120300000000202051",
    bank_bic="COBADEFFXXX",
    operator_name="Pointclear Clearing GmbH",
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cut_off": "", "zone": "UTC", "banking_calendar": ""},
        {"cut_off": "00:00"},
        {"due_days": 0, "unwind_after_days": 2},
        {"currency": "JPY", "zone": "Asia/Tokyo", "banking_calendar": "JP"},
        {"settlement_account": "0010-12345/678", "collateral_account": ""},
        {"settlement_account": "", "collateral_account": ""},
        {"bank_bic": "", "operator_name": ""},
        {"operator_name": "清算所"},
        {"cash_legs": CashLegs.BILATERAL},
    ],
    ids=str,
)
def test_a_scheme_that_can_be_kept_to_is_taken(changes: dict[str, Any]) -> None:
    check_scheme(replace(EURO, **changes))


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"currency": "EURO"}, "currency", "ISO 4217"),
        ({"cut_off": "25:00"}, "cut_off", "17:30"),
        ({"zone": "Europe/Bonn"}, "zone", "IANA"),
        ({"zone": ""}, "zone", "IANA"),
        ({"banking_calendar": "TARGET2"}, "banking_calendar", "XECB"),
        ({"due_days": 31}, "due_days", "0 to 30"),
        ({"due_days": -1}, "due_days", "0 to 30"),
        ({"minimum_payout": -1}, "minimum_payout", "from 0"),
        ({"acknowledge_minutes": 20161}, "acknowledge_minutes", "0 to 20160"),
        ({"remind_after_hours": 721}, "remind_after_hours", "0 to 720"),
        ({"account_cooling_hours": -1}, "account_cooling_hours", "0 to 720"),
        ({"draw_after_days": 3}, "hold_after_days", "comes before draw_after_days"),
        ({"unwind_after_days": 1}, "unwind_after_days", "comes before hold_after_days"),
        ({"unwind_after_days": 367}, "unwind_after_days", "0 to 366"),
        ({"settlement_account": "DE88370400440532013000"}, "settlement_account", "check digits"),
        ({"settlement_account": "DE89 3704 0044"}, "settlement_account", "without spaces"),
        ({"collateral_account": "1" * 35}, "collateral_account", "34"),
        ({"collateral_account": EURO.settlement_account}, "collateral_account", "apart"),
        ({"bank_bic": "COBADEF"}, "bank_bic", "8 or 11"),
        ({"bank_bic": "cobadeff"}, "bank_bic", "8 or 11"),
        ({"bank_bic": "COBAZZFFXXX"}, "bank_bic", "8 or 11"),
        ({"operator_name": "n" * 71}, "operator_name", "70"),
        ({"operator_name": "Point\nclear"}, "operator_name", "printable"),
    ],
    ids=str,
)
def test_what_cannot_be_kept_to_is_refused_by_its_field(
    changes: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_scheme(replace(EURO, **changes))

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.field == f"scheme.{field}"
    assert says in refused.value.text


def test_the_bank_settles_again_when_partners_have_ended_what_they_pay_each_other() -> None:
    bilateral = replace(EURO, cash_legs=CashLegs.BILATERAL)
    check_switch(EURO, None)
    check_switch(bilateral, "eur-2017-01-01")

    with pytest.raises(Refused) as refused:
        check_switch(EURO, "eur-2017-01-01")

    assert refused.value.reason is Reason.WINDOW_STATE
    assert "eur-2017-01-01" in refused.value.text


@pytest.mark.parametrize(
    "scheme",
    [EURO, replace(EURO, cash_legs=CashLegs.BILATERAL), Scheme("USD")],
    ids=["all", "bilateral", "none"],
)
def test_the_wire_says_all_of_a_scheme(scheme: Scheme) -> None:
    assert scheme_from_proto(scheme_to_proto(scheme)) == scheme
    assert scheme_from(scheme_body(scheme)) == scheme


def test_the_wire_has_a_field_for_every_term() -> None:
    assert {each.name for each in pb.Scheme.DESCRIPTOR.fields} == {
        each.name for each in fields(Scheme)
    }


@pytest.mark.parametrize("field", ["cash_legs", "default_outcome"])
def test_a_choice_that_there_is_not_is_refused(field: str) -> None:
    message = scheme_to_proto(EURO)
    setattr(message, field, 7)

    with pytest.raises(Refused) as refused:
        scheme_from_proto(message)

    assert refused.value.field == f"scheme.{field}"
