"""What a signed action must pass, without a sequencer and in it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exchange.fold import State, fold
from exchange.outcomes import Booked, Repeated
from partners.actions.verification import SignedAction, verified_action
from partners.caller import Caller
from partners.envelope import OPERATOR_ACTION, TRANSFER_ORDER, Envelope, Signature, pae
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner
from partners.operators.commands import ChangeRoles
from partners.operators.roles import ALL_ROLES, Role
from partners.wire import time_to_proto
from pointclear.partners.v1.operator_action_pb2 import OperatorAction
from tests import factories as make

ADA, BEN, EVE = (
    make.signer(f"operator/{name}", Purpose.OPERATOR) for name in ("ada", "ben", "eve")
)
PARTNERS = make.signer("partner/grocery", Purpose.AGREEMENTS)
REQUEST = b"whatever the call takes"
ONE_PERSON = "pointclear.settlement.v1.SettlementService/CloseWindow"
TWO_PERSON = "pointclear.partners.v1.OperatorService/GrantRole"
FOUNDING = (
    *make.founding(),
    *(make.add_key(f"operator/{name}", Purpose.OPERATOR) for name in ("ada", "ben", "eve")),
    ChangeRoles("ada", "host", grant=ALL_ROLES, new=True),
    ChangeRoles("ben", "host", grant=ALL_ROLES, new=True),
    ChangeRoles("eve", "host", grant=frozenset((Role.AUDITOR,)), new=True),
)


@pytest.fixture(scope="module")
def state() -> State:
    """A coalition with two operators who may do everything, and an auditor."""
    return make.a_state(*FOUNDING)


def payload(method: str = TWO_PERSON, **changes: Any) -> bytes:
    """The bytes of a good action of ada's; `changes` are fields of the message."""
    fields: dict[str, Any] = {
        "audience": make.AUDIENCE,
        "action_id": make.transfer_id(1).bytes,
        "operator": "ada",
        "method": method,
        "request_sha256": hashlib.sha256(REQUEST).digest(),
        "reason": "the new colleague needs it",
        "issued_at": time_to_proto(make.NOW - timedelta(minutes=5)),
        "expires_at": time_to_proto(make.NOW + timedelta(hours=1)),
    }
    return OperatorAction(**fields | changes).SerializeToString(deterministic=True)


def signed(content: bytes, *signers: SeedSigner, kind: str = OPERATOR_ACTION) -> Envelope:
    """Signed by all of these."""
    message = pae(kind, content)
    return Envelope(kind, content, tuple(Signature(s.key_id, s.sign(message)) for s in signers))


def verified(
    state: State, envelope: Envelope, caller: str = "ada", *, four_eyes: bool = True
) -> SignedAction:
    """The action as it comes out of the verification."""
    return verified_action(
        envelope,
        REQUEST,
        Caller("operator", caller),
        state.registry,
        make.AUDIENCE,
        four_eyes=four_eyes,
    )


def why(refusing: Callable[[], object]) -> tuple[Reason, str]:
    """Reason and field of a refusal."""
    with pytest.raises(Refused) as refused:
        refusing()
    return refused.value.reason, refused.value.field


def test_an_action_that_needs_one_person_needs_no_approval(state: State) -> None:
    action = verified(state, signed(payload(ONE_PERSON), ADA))
    assert (action.proposal.two_person, action.approval) == (False, None)
    assert (action.proposal.maker.operator, action.proposal.maker.role) == ("ada", Role.OPERATOR)
    assert action.proposal.request == REQUEST


def test_a_checker_signs_the_same_bytes_and_sends_both_signatures(state: State) -> None:
    alone = verified(state, signed(payload(), ADA))
    both = verified(state, signed(payload(), ADA, BEN), "ben")
    assert alone.proposal == both.proposal
    assert alone.proposal.two_person
    assert both.approval is not None
    assert (both.approval.maker.operator, both.approval.checker.operator) == ("ada", "ben")


def test_without_four_eyes_one_signature_is_enough_and_two_are_still_two(state: State) -> None:
    alone = verified(state, signed(payload(reason=""), ADA), four_eyes=False)
    assert not alone.proposal.two_person
    both = verified(state, signed(payload(), ADA, BEN), "ben", four_eyes=False)
    assert both.proposal.two_person


GARBLED = Envelope(OPERATOR_ACTION, payload(), (Signature(ADA.key_id, bytes(64)),))
WRONG: dict[str, tuple[Envelope, str, Reason, str]] = {
    "no signature": (signed(payload()), "ada", Reason.ENVELOPE_MALFORMED, "signatures"),
    "three signatures": (
        signed(payload(), ADA, BEN, EVE),
        "eve",
        Reason.ENVELOPE_MALFORMED,
        "signatures",
    ),
    "two where one is enough": (
        signed(payload(ONE_PERSON), ADA, BEN),
        "ben",
        Reason.ENVELOPE_MALFORMED,
        "signatures",
    ),
    "an order": (
        signed(payload(), ADA, kind=TRANSFER_ORDER),
        "ada",
        Reason.PAYLOAD_TYPE_WRONG,
        "payload_type",
    ),
    "a partner's key": (signed(payload(), PARTNERS), "ada", Reason.KEY_UNKNOWN, "signatures"),
    "nobody's key": (
        signed(payload(), SeedSigner(bytes(32))),
        "ada",
        Reason.KEY_UNKNOWN,
        "signatures[0].key_id",
    ),
    "a signature that does not fit": (GARBLED, "ada", Reason.SIGNATURE_INVALID, "signatures"),
    "another encoding": (
        signed(payload() + b"\x78\x01", ADA),
        "ada",
        Reason.ENVELOPE_MALFORMED,
        "payload",
    ),
    "another's channel": (signed(payload(), ADA), "ben", Reason.SIGNER_NOT_CALLER, "signatures"),
    "in another's name": (signed(payload(), BEN), "ben", Reason.SIGNER_NOT_CALLER, "signatures"),
    "a checker's name first": (
        signed(payload(), BEN, ADA),
        "ada",
        Reason.SIGNER_NOT_CALLER,
        "signatures",
    ),
    "for a sandbox": (
        signed(payload(audience="elsewhere"), ADA),
        "ada",
        Reason.AUDIENCE_WRONG,
        "audience",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_envelope_that_proves_nothing_is_refused_by_name(state: State, name: str) -> None:
    envelope, caller, reason, field = WRONG[name]
    assert why(lambda: verified(state, envelope, caller)) == (reason, field)


FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "an id of version 4": ({"action_id": bytes.fromhex("0" * 12 + "4" + "0" * 19)}, "action_id"),
    "a short id": ({"action_id": b"x"}, "action_id"),
    "a name that is none": ({"operator": "Ada!"}, "operator"),
    "a reading": ({"method": "pointclear.partners.v1.PartnersService/ListKeys"}, "method"),
    "a call that there is not": ({"method": "pointclear.Nothing/Nowhere"}, "method"),
    "an action in an action": ({"method": "pointclear.partners.v1.ActionService/Act"}, "method"),
    "another request": ({"request_sha256": bytes(32)}, "request_sha256"),
    "no reason": ({"reason": ""}, "reason"),
    "a long reason": ({"reason": "x" * 201}, "reason"),
    "a reason of two lines": ({"reason": "one\ntwo"}, "reason"),
    "an address in the reason": ({"reason": "asked by li.na@example.org"}, "reason"),
    "a telephone number in the reason": ({"reason": "call +86 139 1234 5678"}, "reason"),
    "an expiry before the issue": (
        {"expires_at": time_to_proto(make.NOW - timedelta(hours=1))},
        "expires_at",
    ),
    "an expiry after a week": (
        {"expires_at": time_to_proto(make.NOW + timedelta(days=7))},
        "expires_at",
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_breaks_its_rule_is_named(state: State, name: str) -> None:
    changes, field = FIELDS[name]
    envelope = signed(payload(**changes), ADA)
    assert why(lambda: verified(state, envelope)) == (Reason.FIELD_INVALID, field)


def test_a_reason_may_name_windows_and_transfers(state: State) -> None:
    text = "settles usd-2026-07-15, see 019b8d99-69fa-7000-8000-00000000002a"
    assert verified(state, signed(payload(reason=text), ADA)).proposal.action.reason == text


def test_nobody_checks_what_they_made(state: State) -> None:
    again = SeedSigner(b"ada's other key, for this test!!")
    second = make.add_key(
        "operator/ada", Purpose.OPERATOR, key_id=again.key_id, public_key=again.public_key
    )
    registry = fold(state, [second], make.NOW).state
    envelope = signed(payload(), ADA, again)
    assert why(lambda: verified(registry, envelope)) == (Reason.CHECKER_IS_MAKER, "signatures")


# In the sequencer


def run(state: State, *commands: Any, at: timedelta = timedelta()) -> tuple[State, Sequence[Any]]:
    """The state after some commands, and their results."""
    folded = fold(state, commands, make.NOW + at)
    return folded.state, folded.results


def test_an_action_is_recorded_once_and_its_approval_once(state: State) -> None:
    both = verified(state, signed(payload(), ADA, BEN), "ben")
    assert both.approval is not None
    after, (proposed, approved) = run(state, both.proposal, both.approval)
    assert isinstance(proposed, Booked)
    assert isinstance(approved, Booked)
    assert (proposed.entry_key, approved.entry_key) == (
        f"action/{make.transfer_id(1)}",
        f"action/{make.transfer_id(1)}/approval",
    )
    _, again = run(after, both.proposal, both.approval)
    assert again == (Repeated(proposed.log_index), Repeated(approved.log_index))


def test_an_id_stands_for_its_bytes(state: State) -> None:
    first = verified(state, signed(payload(), ADA)).proposal
    other = verified(state, signed(payload(reason="something else"), ADA)).proposal
    after, _ = run(state, first)
    _, (refused,) = run(after, other)
    assert (refused.reason, refused.field) == (Reason.MODIFIED_REQUEST, "action_id")


def test_a_role_that_is_missing_is_named(state: State) -> None:
    by_eve = verified(state, signed(payload(operator="eve"), EVE), "eve").proposal
    _, (refused,) = run(state, by_eve)
    assert (refused.reason, dict(refused.metadata)) == (Reason.ROLE_MISSING, {"role": "operator"})
    checked = verified(state, signed(payload(), ADA, EVE), "eve")
    _, (proposed, refused) = run(state, checked.proposal, checked.approval)
    assert isinstance(proposed, Booked)
    assert refused.reason is Reason.ROLE_MISSING


def test_what_a_maker_may_no_longer_do_nobody_approves(state: State) -> None:
    both = verified(state, signed(payload(), ADA, BEN), "ben")
    withdrawn = ChangeRoles("ada", "later", withdraw=frozenset((Role.OPERATOR,)))
    _, (_, _, refused) = run(state, both.proposal, withdrawn, both.approval)
    assert refused.reason is Reason.ROLE_MISSING


def test_an_action_has_its_time(state: State) -> None:
    both = verified(state, signed(payload(), ADA, BEN), "ben")
    _, (early,) = run(
        state,
        verified(
            state, signed(payload(issued_at=time_to_proto(make.NOW + timedelta(minutes=1))), ADA)
        ).proposal,
    )
    assert (early.reason, early.field) == (Reason.FIELD_INVALID, "issued_at")
    after, _ = run(state, both.proposal)
    _, (late,) = run(after, both.approval, at=timedelta(hours=1))
    assert (late.reason, late.field) == (Reason.ACTION_EXPIRED, "expires_at")
    _, (unseen,) = run(state, both.proposal, at=timedelta(hours=1))
    assert unseen.reason is Reason.ACTION_EXPIRED


def test_a_key_that_is_not_in_force_signs_nothing(state: State) -> None:
    action = verified(state, signed(payload(), ADA)).proposal
    key = replace(state.registry.keys[ADA.key_id], valid_until=make.NOW)
    _, (refused,) = run(replace(state, registry=state.registry.with_key(key)), action)
    assert refused.reason is Reason.KEY_NOT_IN_FORCE


def test_roles_are_given_and_taken_once(state: State) -> None:
    granted = ChangeRoles("eve", "one", grant=frozenset((Role.RATES,)))
    after, (booked,) = run(state, granted)
    assert after.registry.operators["eve"] == {Role.AUDITOR, Role.RATES}
    assert booked.body == b'{"cause":"one","operator":"eve","roles":["auditor","rates"]}'
    withdrawn = ChangeRoles("eve", "two", withdraw=frozenset((Role.RATES, Role.AUDITOR)))
    last, results = run(after, withdrawn, granted)
    assert last.registry.operators["eve"] == frozenset()
    assert results[1] == Repeated(booked.log_index)


def test_an_operator_is_added_once_and_is_known_before_it_gets_a_role(state: State) -> None:
    _, (twice, unknown) = run(
        state,
        ChangeRoles("ada", "one", grant=ALL_ROLES, new=True),
        ChangeRoles("nobody", "two", grant=ALL_ROLES),
    )
    assert (twice.reason, unknown.reason) == (Reason.ALREADY_EXISTS, Reason.OPERATOR_UNKNOWN)


def test_the_last_operator_keeps_the_role_that_gives_roles(state: State) -> None:
    taken = frozenset((Role.OPERATOR,))
    _, (first, second) = run(
        state, ChangeRoles("ada", "one", withdraw=taken), ChangeRoles("ben", "two", withdraw=taken)
    )
    assert isinstance(first, Booked)
    assert (second.reason, second.field) == (Reason.FIELD_INVALID, "role")
