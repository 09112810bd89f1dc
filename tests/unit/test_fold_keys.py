"""Registrations and revocations, as the fold decides them: the log's index is the clock."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exchange.commands import Command
from exchange.fold import InvariantBroken, State, fold
from exchange.outcomes import Booked, KeyRevoked, Recorded, Repeated
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner
from partners.operators.commands import ChangeRoles
from partners.operators.roles import Role
from tests import factories as make

OPERATORS = tuple(make.signer(f"operator/{name}", Purpose.OPERATOR) for name in ("li-na", "jun"))
LI_NA, JUN = OPERATORS
OWN = make.signer("partner/grocery", Purpose.AGREEMENTS)
AUDITOR = make.signer("operator/mei", Purpose.OPERATOR)
ROLES = {"li-na": Role.OPERATOR, "jun": Role.OPERATOR, "mei": Role.AUDITOR}
STATE = make.a_state(
    *make.founding(),
    *(make.add_key(f"operator/{name}", Purpose.OPERATOR) for name in ROLES),
    *(
        ChangeRoles(name, "host", grant=frozenset((role,)), new=True)
        for name, role in ROLES.items()
    ),
)
SIGNED = "key_event.signatures"


def answer(command: Command, state: State = STATE) -> Reason | None:
    """Why a command is refused, None when it is booked."""
    (result,) = make.fold_one(state, command).results
    if isinstance(result, Refused):
        return result.reason
    assert isinstance(result, Booked)
    return None


def registration(holder: str, purpose: Purpose, *by: SeedSigner, seed: bytes = b"2") -> Command:
    """Registers another key than the one that the factories know."""
    signer = SeedSigner(seed * 32)
    return make.add_key(
        holder,
        purpose,
        key_id=signer.key_id,
        public_key=signer.public_key,
        registrar_key_ids=tuple(each.key_id for each in by),
        body=f"{holder} {purpose} {seed!r}".encode(),
    )


# Revocation


def test_t05_of_two_orders_in_one_batch_the_one_behind_the_revocation_is_refused() -> None:
    revocation = make.revoke_key("partner/grocery", Purpose.ORDERS)
    first, behind = make.an_order(1), make.an_order(2)
    folded = fold(STATE, [first, revocation, behind, first], make.NOW)
    recorded, revoked, refused, repeated = folded.results
    assert isinstance(recorded, Recorded)
    assert recorded.refusal is None
    assert isinstance(revoked, Booked)
    assert revoked.effect == KeyRevoked(first.key_id, revoked.log_index)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.field) == (Reason.KEY_NOT_IN_FORCE, "signatures")
    assert repeated == Repeated(recorded.log_index, "grocery")
    assert len(folded.outcomes) == 2


def test_t05_no_time_that_an_order_states_brings_it_before_the_revocation() -> None:
    revoked = make.fold_one(STATE, make.revoke_key("partner/grocery", Purpose.ORDERS)).state
    dated_back = replace(make.an_order(), issued_at=make.NOW - timedelta(days=1))
    (result,) = fold(revoked, [dated_back], make.NOW - timedelta(days=1)).results
    assert isinstance(result, Refused)
    assert result.reason is Reason.KEY_NOT_IN_FORCE


def test_a_revocation_again_changes_nothing_and_another_is_refused() -> None:
    revocation = make.revoke_key("partner/grocery", Purpose.ORDERS)
    folded = make.fold_one(STATE, revocation)
    (first,) = folded.outcomes
    assert make.fold_one(folded.state, revocation).results == (Repeated(first.log_index),)
    other = replace(revocation, reason="LOST", body=b"other")
    assert answer(other, folded.state) is Reason.ALREADY_EXISTS
    again = make.add_key("partner/grocery", Purpose.ORDERS, body=b"once more")
    assert answer(again, folded.state) is Reason.KEY_IN_USE


def test_a_key_that_is_not_there_or_is_anothers_is_not_revoked() -> None:
    unknown = make.revoke_key("partner/grocery", Purpose.ORDERS, key_id="0" * 32)
    assert answer(unknown) is Reason.KEY_UNKNOWN
    theirs = replace(make.revoke_key("partner/fuel", Purpose.ORDERS), holder="partner/grocery")
    assert answer(theirs) is Reason.KEY_UNKNOWN


def test_a_stolen_key_for_agreements_revokes_itself_and_then_nothing() -> None:
    folded = make.fold_one(STATE, make.revoke_key("partner/grocery", Purpose.AGREEMENTS))
    assert isinstance(folded.results[0], Booked)
    orders = make.revoke_key("partner/grocery", Purpose.ORDERS)
    assert answer(orders, folded.state) is Reason.KEY_NOT_IN_FORCE
    by_operator = make.revoke_key("partner/grocery", Purpose.ORDERS, LI_NA)
    assert answer(by_operator, folded.state) is None


@pytest.mark.parametrize(
    ("holder", "purpose", "by", "reason"),
    [
        ("partner/grocery", Purpose.ORDERS, (LI_NA,), None),
        ("partner/grocery", Purpose.ORDERS, (AUDITOR,), Reason.ROLE_MISSING),
        ("operator/mei", Purpose.OPERATOR, (AUDITOR,), None),
        ("operator/jun", Purpose.OPERATOR, (JUN,), None),
        ("operator/jun", Purpose.OPERATOR, (LI_NA,), Reason.COUNTER_SIGNATURE_MISSING),
        ("operator/jun", Purpose.OPERATOR, OPERATORS, None),
        ("exchange", Purpose.RECEIPTS, (LI_NA,), Reason.COUNTER_SIGNATURE_MISSING),
        ("exchange", Purpose.RECEIPTS, OPERATORS, Reason.KEY_NEEDED),
    ],
)
def test_who_may_revoke_whose_key(
    holder: str, purpose: Purpose, by: tuple[SeedSigner, ...], reason: Reason | None
) -> None:
    assert answer(make.revoke_key(holder, purpose, *by)) is reason


def test_a_key_of_the_exchange_is_revoked_once_another_has_taken_its_place() -> None:
    rotated = make.fold_one(STATE, registration("exchange", Purpose.RECEIPTS)).state
    folded = make.fold_one(rotated, make.revoke_key("exchange", Purpose.RECEIPTS, *OPERATORS))
    (revoked,) = folded.outcomes
    new = SeedSigner(b"2" * 32).key_id
    letterhead = replace(make.LETTERHEAD, receipts_key_ids=(make.RECEIPTS.key_id, new))
    registry = folded.state.registry
    assert letterhead.key_id_at(revoked.log_index - 1, registry) == make.RECEIPTS.key_id
    assert letterhead.key_id_at(revoked.log_index, registry) == new
    assert not letterhead.is_spent(registry)
    assert make.LETTERHEAD.is_spent(registry)
    with pytest.raises(InvariantBroken):
        make.LETTERHEAD.key_id_at(revoked.log_index, registry)


# Registration


@pytest.mark.parametrize(
    ("holder", "purpose", "by", "reason"),
    [
        # The first of a purpose, and another.
        ("partner/grocery", Purpose.STATEMENTS, (LI_NA,), None),
        ("partner/grocery", Purpose.ORDERS, (OWN,), None),
        ("partner/grocery", Purpose.ORDERS, (LI_NA,), Reason.COUNTER_SIGNATURE_MISSING),
        ("partner/grocery", Purpose.ORDERS, OPERATORS, None),
        ("partner/grocery", Purpose.ORDERS, (LI_NA, AUDITOR), Reason.ROLE_MISSING),
        ("partner/grocery", Purpose.ORDERS, (OWN, LI_NA), None),
        ("operator/li-na", Purpose.OPERATOR, (LI_NA,), None),
        ("operator/li-na", Purpose.OPERATOR, (JUN,), Reason.COUNTER_SIGNATURE_MISSING),
        ("operator/new", Purpose.OPERATOR, (LI_NA,), Reason.COUNTER_SIGNATURE_MISSING),
        ("operator/new", Purpose.OPERATOR, OPERATORS, None),
    ],
)
def test_who_may_vouch_for_whose_key(
    holder: str, purpose: Purpose, by: tuple[SeedSigner, ...], reason: Reason | None
) -> None:
    assert answer(registration(holder, purpose, *by)) is reason


def test_two_keys_of_one_operator_are_one_operator() -> None:
    second = registration("operator/li-na", Purpose.OPERATOR, LI_NA)
    state = make.fold_one(STATE, second).state
    both = (LI_NA, SeedSigner(b"2" * 32))
    command = registration("partner/grocery", Purpose.ORDERS, *both, seed=b"3")
    assert answer(command, state) is Reason.COUNTER_SIGNATURE_MISSING


def test_a_partner_that_has_lost_its_last_key_is_recovered_by_two_operators() -> None:
    lost = make.fold_one(STATE, make.revoke_key("partner/grocery", Purpose.AGREEMENTS)).state
    alone = registration("partner/grocery", Purpose.AGREEMENTS, LI_NA)
    assert answer(alone, lost) is Reason.COUNTER_SIGNATURE_MISSING
    by_itself = registration("partner/grocery", Purpose.AGREEMENTS, OWN)
    assert answer(by_itself, lost) is Reason.KEY_NOT_IN_FORCE
    recovered = make.fold_one(
        lost, registration("partner/grocery", Purpose.AGREEMENTS, *OPERATORS)
    ).state
    new = SeedSigner(b"2" * 32)
    following = registration("partner/grocery", Purpose.ORDERS, new, seed=b"3")
    assert answer(following, recovered) is None


def test_an_operator_whose_key_is_revoked_vouches_for_nothing() -> None:
    state = make.fold_one(STATE, make.revoke_key("operator/jun", Purpose.OPERATOR, JUN)).state
    command = registration("partner/grocery", Purpose.ORDERS, *OPERATORS)
    assert answer(command, state) is Reason.KEY_NOT_IN_FORCE
