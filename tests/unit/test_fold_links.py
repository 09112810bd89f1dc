"""What becomes of links and members, and of the orders that name them."""

from datetime import timedelta
from typing import Any

import pytest

from exchange.commands import Command, Order
from exchange.fold import State, fold
from exchange.outcomes import Booked, MemberErased, Recorded, Repeated
from partners.errors import Reason, Refused
from partners.links.commands import EraseMember, FreezeLink, RequireLinks, RevokeLink
from partners.links.link import PENDING_TIME, LinkState
from tests import factories as make

LINK = make.link_id(1)
START, CONFIRM = make.start_link(), make.confirm_link()
LINKED = (START, CONFIRM)
FREEZE = FreezeLink(make.transfer_id(91), LINK, frozen=True)
UNFREEZE = FreezeLink(make.transfer_id(92), LINK, frozen=False)
DEMAND = RequireLinks(make.transfer_id(93), "fuel", required=True)
ERASE = EraseMember(make.transfer_id(94), "fuel", "fuel-member")
BACK = make.terms("fuel", "grocery")


def after(*commands: Command) -> State:
    """The coalition after commands that all were carried out."""
    folded = fold(make.a_state(), commands, make.NOW)
    assert not [each for each in folded.results if isinstance(each, Refused)]
    return folded.state


def reason_of(state: State, command: Command, later: timedelta = timedelta()) -> Reason | None:
    """Why a command is refused, recorded or not; None where it is carried out."""
    (result,) = make.fold_one(state, command, make.NOW + later).results
    if isinstance(result, Recorded):
        return result.reason
    return result.reason if isinstance(result, Refused) else None


@pytest.mark.parametrize("order", [make.a_linked_order(), make.a_linked_order(1, 1, BACK)])
def test_an_order_of_either_direction_may_name_an_active_link(order: Order) -> None:
    assert reason_of(after(*LINKED), order) is None


@pytest.mark.parametrize(
    ("history", "order", "reason"),
    [
        ((), make.a_linked_order(), Reason.LINK_UNKNOWN),
        ((START,), make.a_linked_order(), Reason.LINK_STATE),
        ((*LINKED, RevokeLink(LINK, "grocery")), make.a_linked_order(), Reason.LINK_STATE),
        ((*LINKED, RevokeLink(LINK, "fuel")), make.a_linked_order(), Reason.LINK_STATE),
        ((*LINKED, ERASE), make.a_linked_order(), Reason.LINK_STATE),
        (
            LINKED,
            make.a_linked_order(1, 1, make.terms("grocery", "deli")),
            Reason.LINK_UNKNOWN,
        ),
        ((*LINKED, FREEZE), make.a_linked_order(), Reason.MEMBER_FROZEN),
        ((*LINKED, FREEZE, UNFREEZE), make.a_linked_order(), None),
        ((DEMAND,), make.an_order(), Reason.LINK_REQUIRED),
        ((DEMAND,), make.an_order(1, BACK), Reason.LINK_REQUIRED),
        ((DEMAND, *LINKED), make.a_linked_order(), None),
        (
            (DEMAND, RequireLinks(make.transfer_id(95), "fuel", required=False)),
            make.an_order(),
            None,
        ),
    ],
)
def test_an_order_is_held_against_the_link_that_it_names_or_should(
    history: tuple[Command, ...], order: Order, reason: Reason | None
) -> None:
    assert reason_of(after(*history), order) is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"target_member": "fuel-member"}, Reason.MEMBER_FROZEN),
        ({"source_member": "grocery-member"}, Reason.MEMBER_FROZEN),
        ({"target_member": "grocery-member"}, None),
    ],
)
def test_a_frozen_member_cannot_be_named_around_the_link(
    changes: Any, reason: Reason | None
) -> None:
    state = after(*LINKED, FREEZE, RevokeLink(LINK, "grocery"))
    assert reason_of(state, make.an_order(**changes)) is reason


def test_a_frozen_member_gets_no_second_link_and_a_member_frozen_twice_stays_frozen() -> None:
    second = make.start_link(2, "fuel", "deli", "fuel-member"), make.confirm_link(2, "deli")
    frozen_too = FreezeLink(make.transfer_id(96), make.link_id(2), frozen=True)
    state = after(*LINKED, *second, FREEZE, frozen_too, UNFREEZE)
    assert reason_of(state, make.start_link(3, "fuel", "deli")) is Reason.MEMBER_FROZEN
    started = fold(state, [make.start_link(3)], make.NOW).state
    assert reason_of(started, make.confirm_link(3)) is Reason.MEMBER_FROZEN


def test_a_pending_link_lapses_by_the_logs_time_and_not_before() -> None:
    state, moment = after(START), timedelta(microseconds=1)
    assert reason_of(state, CONFIRM, PENDING_TIME - moment) is None
    assert reason_of(state, CONFIRM, PENDING_TIME) is Reason.LINK_STATE


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ((), CONFIRM, Reason.LINK_UNKNOWN),
        ((START,), make.confirm_link(1, "deli"), Reason.LINK_UNKNOWN),
        ((START,), make.confirm_link(key_id="0" * 32), Reason.KEY_NOT_IN_FORCE),
        (
            (START,),
            make.confirm_link(member="x", partner_id="fuel"),
            None,
        ),
        (LINKED, make.confirm_link(member="another"), Reason.MODIFIED_REQUEST),
        ((START,), make.start_link(member="another"), Reason.MODIFIED_REQUEST),
        ((START,), make.start_link(1, "grocery", "deli"), Reason.MODIFIED_REQUEST),
        ((), make.start_link(1, "grocery", "nowhere"), Reason.PROGRAM_UNKNOWN),
        ((), make.start_link(1, "grocery", "grocery"), Reason.FIELD_INVALID),
        ((), RevokeLink(LINK, "grocery"), Reason.LINK_UNKNOWN),
        (LINKED, RevokeLink(LINK, "deli"), Reason.LINK_UNKNOWN),
        ((START, RevokeLink(LINK, "grocery")), CONFIRM, Reason.LINK_STATE),
        ((START, FREEZE), CONFIRM, Reason.MEMBER_FROZEN),
        ((), FREEZE, Reason.LINK_UNKNOWN),
        ((), RequireLinks(make.transfer_id(93), "nowhere", True), Reason.PROGRAM_UNKNOWN),
        ((DEMAND,), RequireLinks(DEMAND.change_id, "fuel", False), Reason.MODIFIED_REQUEST),
        ((*LINKED, FREEZE), FreezeLink(FREEZE.change_id, LINK, False), Reason.MODIFIED_REQUEST),
    ],
)
def test_a_step_that_does_not_fit_the_link_is_refused_by_name(
    history: tuple[Command, ...], command: Command, reason: Reason | None
) -> None:
    assert reason_of(after(*history), command) is reason


def test_whoever_revokes_second_learns_when_it_was_revoked() -> None:
    state = after(*LINKED, RevokeLink(LINK, "grocery"))
    index = state.links[LINK].log_index
    assert make.fold_one(state, RevokeLink(LINK, "fuel")).results == (Repeated(index),)


def test_erasing_forgets_one_reference_and_ends_the_link_and_names_no_member_in_the_log() -> None:
    (erased,) = make.fold_one(after(*LINKED, FREEZE), ERASE).outcomes
    assert isinstance(erased, Booked)
    assert isinstance(erased.effect, MemberErased)
    (link,) = erased.effect.links
    assert (link.state, link.members) == (LinkState.REVOKED, (("grocery", "grocery-member"),))
    assert b"member" not in erased.body
    assert str(LINK).encode() in erased.body


def test_no_body_of_a_link_holds_a_reference_or_a_salt() -> None:
    folded = fold(make.a_state(), [START, CONFIRM, FREEZE, DEMAND, ERASE], make.NOW)
    bodies = [each.body for each in folded.outcomes if isinstance(each, Booked)]
    assert len(bodies) == 5
    for command in (START, CONFIRM):
        for secret in (command.member.member.encode(), command.member.salt):
            assert not [body for body in bodies if secret in body or secret.hex().encode() in body]
