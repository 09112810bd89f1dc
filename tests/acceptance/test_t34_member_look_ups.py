"""Looking members up is no oracle: limited, and one answer for whoever is not eligible (T34)."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from partners.errors import Reason
from pointclear.partners.v1 import link_service_pb2 as pb
from tests.acceptance.coalition import CALL_TIMEOUT_S, Brand, Coalition, refusal_of, refused
from tests.acceptance.test_links import link, new_id, running

PER_DAY = 700
PROBES = 10_000


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    with running(
        "--set", "simulated_programs=borealis,cirrus",
        "--set", f"look_ups_per_day={PER_DAY}",
        "--set", "look_up_seconds=0.05",
    ) as started:  # fmt: skip
        yield started.members


def asking(member: str, program: str = "borealis", **changes: object) -> pb.ValidateMemberRequest:
    """The request about a member who consented."""
    fields = {"program": program, "member": member, "consent_version": "sharing-1"}
    return pb.ValidateMemberRequest(**fields | changes)  # type: ignore[arg-type]


def answer_of(brand: Brand, member: str) -> bytes:
    """The bytes of an answer."""
    stub = brand.connection.links.ValidateMember
    return stub(asking(member), timeout=CALL_TIMEOUT_S).SerializeToString()


def test_t34_unknown_ineligible_and_frozen_members_get_the_same_bytes(members: Coalition) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    named = link(aurora, borealis, "a-cold", "b-cold")
    assert (
        answer_of(aurora, "b-cold") == pb.ValidateMemberResponse(eligible=True).SerializeToString()
    )
    by_link = asking("", consent_version="", link_id=named)
    assert aurora.connection.call(aurora.connection.links.ValidateMember, by_link).eligible
    operator = members.operator
    freeze = pb.FreezeLinkRequest(change_id=new_id(), link_id=named)
    operator.call(operator.links.FreezeLink, freeze)
    answers = {answer_of(aurora, name) for name in ("unknown-1", "ineligible-1", "b-cold")}
    assert answers == {pb.ValidateMemberResponse(eligible=False).SerializeToString()}


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (asking("b-1", consent_version=""), Reason.FIELD_INVALID, "consent_version"),
        (asking(""), Reason.FIELD_INVALID, "member"),
        (asking("+14155550123"), Reason.FIELD_INVALID, "member"),
        (asking("b-1", "nowhere"), Reason.PROGRAM_UNKNOWN, "program"),
        (asking("a-1", "aurora"), Reason.PROGRAM_UNKNOWN, "program"),
        (asking("", link_id=new_id()), Reason.LINK_UNKNOWN, "link_id"),
        (asking("b-1", link_id=new_id()), Reason.FIELD_INVALID, "member"),
        (asking("away-1"), Reason.TRY_LATER, ""),
        (asking("slow-1"), Reason.TRY_LATER, ""),
    ],
)
def test_t34_nobody_is_looked_up_without_consent_or_link(
    members: Coalition, request_: pb.ValidateMemberRequest, reason: Reason, field: str
) -> None:
    stub = members["aurora"].connection.links.ValidateMember
    refusal = refused(stub, request_)
    assert (refusal.reason, refusal.field) == (reason, field)


def test_t34_ten_thousand_probes_are_answered_as_often_as_a_day_allows(members: Coalition) -> None:
    cirrus = members["cirrus"]

    def probe(number: int) -> object:
        name = f"{'unknown' if number % 2 else 'ineligible'}-{number}"
        try:
            return answer_of(cirrus, name)
        except grpc.RpcError as error:
            return refusal_of(error).status

    with ThreadPoolExecutor(64) as pool:
        answers = Counter(pool.map(probe, range(PROBES)))
    # Two kinds of answers in all, byte for byte, and neither says which kind of member it was.
    assert sorted(answers.values()) == sorted([PER_DAY, PROBES - PER_DAY])
    assert answers[pb.ValidateMemberResponse(eligible=False).SerializeToString()] == PER_DAY
    beyond = refused(cirrus.connection.links.ValidateMember, asking("anybody"))
    assert beyond.reason is Reason.VELOCITY_EXCEEDED
