"""A partner's bank account: what is let in, and which version counts when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.errors import Reason, Refused
from settlement.accounts.account import AccountEvent, Address, BankAccount, check_account
from settlement.accounts.versions import (
    AccountState,
    AccountVersion,
    Approval,
    check_approvable,
    check_next,
    check_refusable,
    effective,
    state_of,
)
from settlement.accounts.wire import event_from_payload, event_payload

NOON = datetime(2017, 1, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ADDRESS = Address("Hauptstrasse", "1", "60311", "Frankfurt", "DE")
GERMAN = BankAccount("DE89370400440532013000", "", "COBADEFFXXX", "", "", "Aurora GmbH", ADDRESS)
AMERICAN = BankAccount(
    "", "0012345678", "", "USABA", "021000021", "Aurora Inc", replace(ADDRESS, country="US")
)
JAPANESE = BankAccount(
    "", "1234567", "BOTKJPJT", "", "", "オーロラ株式会社", replace(ADDRESS, country="JP")
)


@pytest.mark.parametrize("account", [GERMAN, AMERICAN, JAPANESE, replace(GERMAN, bic="")])
def test_accounts_that_a_bank_takes_are_let_in(account: BankAccount) -> None:
    assert check_account(account) is account


@pytest.mark.parametrize(
    ("account", "changes", "field"),
    [
        (GERMAN, {"iban": "DE88370400440532013000"}, "account.iban"),
        (GERMAN, {"iban": "DE89 3704 0044 0532 0130 00"}, "account.iban"),
        (GERMAN, {"iban": "de89370400440532013000"}, "account.iban"),
        (GERMAN, {"iban": ""}, "account.iban"),
        (GERMAN, {"other": "1"}, "account.iban"),
        (GERMAN, {"bic": "COBADEF"}, "account.bic"),
        (GERMAN, {"bic": "cobadeff"}, "account.bic"),
        (GERMAN, {"name": ""}, "account.name"),
        (GERMAN, {"name": "x" * 141}, "account.name"),
        (GERMAN, {"name": "Aurora\u202e GmbH"}, "account.name"),
        (GERMAN, {"name": "Aurora\nGmbH"}, "account.name"),
        (GERMAN, {"name": " Aurora"}, "account.name"),
        (GERMAN, {"address": replace(ADDRESS, town="")}, "account.address.town"),
        (GERMAN, {"address": replace(ADDRESS, country="Germany")}, "account.address.country"),
        (GERMAN, {"address": replace(ADDRESS, street="x" * 71)}, "account.address.street"),
        (AMERICAN, {"clearing_member": "021000022"}, "account.clearing_member"),
        (AMERICAN, {"clearing_member": ""}, "account.clearing_member"),
        (AMERICAN, {"clearing_system": "usaba"}, "account.clearing_system"),
        (AMERICAN, {"clearing_system": "", "clearing_member": ""}, "account.bic"),
        (AMERICAN, {"other": "12<34"}, "account.other"),
        (AMERICAN, {"other": "1" * 35}, "account.other"),
    ],
)
def test_accounts_that_no_bank_could_pay_to_are_refused_by_field(
    account: BankAccount, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_account(replace(account, **changes))
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)
    assert account.identification not in refused.value.text


def test_an_event_is_read_as_it_was_signed_and_only_by_its_exchange() -> None:
    event = AccountEvent("aurora", "EUR", 3, GERMAN)
    payload = event_payload("here", event, NOON)
    assert event_from_payload(payload, "here") == event
    with pytest.raises(Refused) as refused:
        event_from_payload(payload, "elsewhere")
    assert refused.value.reason is Reason.AUDIENCE_WRONG


def version(number: int, **changes: Any) -> AccountVersion:
    """A version that was submitted and nothing else."""
    event = AccountEvent("aurora", "EUR", number, GERMAN)
    made = AccountVersion(event, bytes([number]) * 32, NOON, 10 + number)
    return replace(made, **changes)


APPROVED = Approval(NOON, DAY)


def test_a_first_account_waits_as_long_as_any_other() -> None:
    submitted, approved = version(1), version(1, approval=APPROVED)
    assert effective([submitted], NOON + 100 * DAY) is None
    assert effective([approved], NOON + DAY - timedelta(microseconds=1)) is None
    assert effective([approved], NOON + DAY) is approved
    states = [state_of(approved, [approved], NOON + days * DAY) for days in (0, 1)]
    assert states == [AccountState.COOLING, AccountState.EFFECTIVE]
    assert state_of(submitted, [submitted], NOON) is AccountState.SUBMITTED


def test_the_account_before_counts_until_a_change_has_cooled() -> None:
    first = version(1, approval=APPROVED)
    second = version(2, approval=Approval(NOON + 2 * DAY, DAY))
    both = [first, second]
    assert effective(both, NOON + 3 * DAY - timedelta(seconds=1)) is first
    assert effective(both, NOON + 3 * DAY) is second
    assert state_of(first, both, NOON + 3 * DAY) is AccountState.SUPERSEDED


def test_what_is_refused_or_whose_key_is_revoked_while_it_cools_never_takes_effect() -> None:
    refused = version(1, approval=APPROVED, refused_at=NOON)
    revoked = version(1, approval=APPROVED, key_revoked_at=NOON + DAY)
    later = version(1, approval=APPROVED, key_revoked_at=NOON + DAY + timedelta(microseconds=1))
    always = NOON + 100 * DAY
    assert effective([refused], always) is None
    assert effective([revoked], always) is None
    assert effective([later], always) is later, "what was paid there stays right"
    assert state_of(refused, [refused], always) is AccountState.REFUSED
    assert state_of(revoked, [revoked], always) is AccountState.KEY_REVOKED


def test_only_the_newest_version_is_approved_and_only_once() -> None:
    known = [version(1), version(2)]
    check_approvable(known[1], known, NOON)
    for each, among in (
        (known[0], known),
        (version(1, approval=APPROVED), [version(1, approval=APPROVED)]),
        (version(1, key_revoked_at=NOON), [version(1, key_revoked_at=NOON)]),
    ):
        with pytest.raises(Refused) as refused:
            check_approvable(each, among, NOON)
        assert refused.value.reason is Reason.ACCOUNT_STATE


def test_a_version_can_be_refused_until_it_takes_effect() -> None:
    cooling = version(1, approval=APPROVED)
    check_refusable(cooling, [cooling], NOON)
    with pytest.raises(Refused) as refused:
        check_refusable(cooling, [cooling], NOON + DAY)
    assert refused.value.reason is Reason.ACCOUNT_STATE


@pytest.mark.parametrize("number", [1, 2, 4])
def test_an_old_event_cannot_come_back(number: int) -> None:
    known = [version(1), version(2)]
    check_next(AccountEvent("aurora", "EUR", 3, GERMAN), known)
    with pytest.raises(Refused) as refused:
        check_next(AccountEvent("aurora", "EUR", number, GERMAN), known)
    assert refused.value.metadata == {"nextVersion": "3"}


HOURS = st.integers(0, 96)


@given(st.lists(st.tuples(HOURS, HOURS, st.none() | HOURS, st.none() | HOURS), max_size=5), HOURS)
def test_nothing_is_paid_to_an_account_before_its_cooling_time_is_over(
    made: list[tuple[int, int, int | None, int | None]], at: int
) -> None:
    def hours(count: int | None) -> datetime | None:
        return None if count is None else NOON + timedelta(hours=count)

    known = [
        version(
            number,
            approval=Approval(NOON + timedelta(hours=approved), timedelta(hours=cooling)),
            refused_at=hours(refused),
            key_revoked_at=hours(revoked),
        )
        for number, (approved, cooling, refused, revoked) in enumerate(made, start=1)
    ]
    now = NOON + timedelta(hours=at)
    found = effective(known, now)
    if found is not None:
        assert found.approval is not None
        assert found.approval.approved_at + found.approval.cooling <= now
        assert found.refused_at is None
        assert found.key_revoked_at is None or found.approval.effective_from < found.key_revoked_at
