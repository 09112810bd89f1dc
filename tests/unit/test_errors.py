"""The table of reasons: complete, fixed, and readable."""

import pickle

import pytest

from partners.errors import RULES, PointclearError, Reason, Refused, Retry

GRPC_CODES = {
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
}


def test_every_reason_has_its_rule() -> None:
    assert set(RULES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_rule_has_a_known_code_and_a_remedy_of_one_sentence(reason: Reason) -> None:
    rule = RULES[reason]
    assert rule.code in GRPC_CODES
    assert rule.remedy[0].isupper()
    assert rule.remedy.endswith(".")
    assert ". " not in rule.remedy
    assert "\n" not in rule.remedy


def test_only_refusals_that_record_nothing_may_be_sent_again_with_the_same_id() -> None:
    same_id = {reason for reason, rule in RULES.items() if rule.retry is Retry.SAME_ID}
    assert same_id == {
        *(Reason.QUEUE_FULL, Reason.RATE_LIMITED, Reason.TRY_LATER),
        Reason.WATCHES_EXCEEDED,
    }


def test_not_found_is_exactly_what_is_unknown_and_may_be_named_to_anyone() -> None:
    not_found = {reason for reason, rule in RULES.items() if rule.code == "NOT_FOUND"}
    unknown = {reason for reason in Reason if reason.endswith("_UNKNOWN")}
    # These three speak of the caller, its key and a person: none of them is a thing that one reads.
    assert not_found == unknown - {
        Reason.CALLER_UNKNOWN,
        Reason.KEY_UNKNOWN,
        Reason.MEMBER_UNKNOWN,
    }


def test_t34_unknown_and_ineligible_members_get_the_same_rule() -> None:
    assert RULES[Reason.MEMBER_UNKNOWN] == RULES[Reason.MEMBER_INELIGIBLE]


def test_the_remedy_for_a_full_position_says_that_the_id_stays_refused() -> None:
    assert "stays refused" in RULES[Reason.NET_DEBIT_CAP_EXCEEDED].remedy


def test_a_refusal_carries_what_machines_and_people_need() -> None:
    refused = Refused(Reason.FIELD_INVALID, "source_points", "must be positive", {"minPoints": "1"})
    assert isinstance(refused, PointclearError)
    assert (refused.code, refused.retry) == ("INVALID_ARGUMENT", Retry.NEVER)
    assert refused.remedy == RULES[Reason.FIELD_INVALID].remedy
    assert refused.metadata == {"minPoints": "1"}
    assert str(refused) == "FIELD_INVALID (source_points): must be positive"
    assert str(Refused(Reason.QUEUE_FULL)) == "QUEUE_FULL"


def test_a_refusal_does_not_change_with_the_mapping_it_was_made_from() -> None:
    facts = {"capMinorUnits": "100"}
    refused = Refused(Reason.NET_DEBIT_CAP_EXCEEDED, metadata=facts)
    facts["capMinorUnits"] = "999"
    assert refused.metadata == {"capMinorUnits": "100"}


def test_a_refusal_survives_the_way_to_another_process() -> None:
    refused = Refused(Reason.LIMIT_EXCEEDED, "source_points", "over the limit", {"maxPoints": "5"})
    copy: Refused = pickle.loads(pickle.dumps(refused))
    assert (copy.reason, copy.field, copy.text, copy.metadata) == (
        refused.reason,
        refused.field,
        refused.text,
        refused.metadata,
    )
