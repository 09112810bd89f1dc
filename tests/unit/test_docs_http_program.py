"""The OpenAPI document is one, and what goes over the wire is what it says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from openapi_spec_validator import validate

from adapters.http_program.messages import (
    BALANCE,
    CREDITS,
    LOOK_UPS,
    REVERSALS,
    VALIDATE_MEMBER,
    Question,
    credit_question,
    look_up_question,
    member_question,
    reversal_question,
)
from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.json_form import confirmation_from_json, confirmation_json
from partners.program_port import (
    Credit,
    CreditOutcome,
    DeclineReason,
    ExpiryLot,
    InstructionKind,
    Reversal,
)
from tests.openapi import DOCUMENT, check, errors_of, schema_and_examples

ID = UUID("019a9c1e-7d70-7c3a-9f3e-2b1d6f1f0a11")
NOW = datetime(2026, 11, 22, 2, 48, 1, 250_000, UTC)
CREDIT = Credit(ID, "airline-miles", "A-1", 500, bytes(32), committed=True)
QUESTIONS = (
    credit_question("somewhere/production", CREDIT),
    credit_question(
        "somewhere/production",
        Credit(
            ID,
            "airline-miles",
            "A-1",
            500,
            bytes(32),
            committed=False,
            expiry_lots=(ExpiryLot(499, NOW), ExpiryLot(1, None)),
            source_key=bytes(32),
        ),
    ),
    reversal_question("somewhere/production", Reversal(ID, ID, "airline-miles", "A-1", 2**62)),
    look_up_question("somewhere/production", "airline-miles", ID, InstructionKind.REVERSE),
    member_question(VALIDATE_MEMBER, "somewhere/production", "airline-miles", "A-1"),
    member_question(BALANCE, "somewhere/production", "airline-miles", "A-1"),
)


def said(**other: Any) -> Confirmation:
    fields: dict[str, Any] = {
        "audience": "somewhere/production",
        "partner_id": "airline",
        "instruction_id": ID,
        "kind": InstructionKind.CREDIT,
        "program": "airline-miles",
        "outcome": CreditOutcome.DONE,
        "decided_at": NOW,
        "points": 500,
        "program_reference": "B-1",
        "fulfilment_sha256": bytes(32),
    }
    return Confirmation(**fields | other)


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_it_has_every_endpoint_that_is_called_and_no_other() -> None:
    assert set(DOCUMENT["paths"]) == {CREDITS, REVERSALS, LOOK_UPS, VALIDATE_MEMBER, BALANCE}


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.path)
def test_every_request_is_as_documented(question: Question) -> None:
    check(question.body, DOCUMENT["paths"][question.path]["post"]["requestBody"])


def test_every_example_is_as_documented() -> None:
    for path in DOCUMENT["paths"].values():
        for content in (path["post"]["requestBody"], path["post"]["responses"]["200"]):
            schema, examples = schema_and_examples(content)
            assert examples
            assert [errors_of(example, schema) for example in examples] == [[]] * len(examples)


@pytest.mark.parametrize(
    "other",
    [
        {"member": "A-1"},
        {"points": 500},
        {"points": None},
        {"outcome": "MAYBE"},
        {"outcome": "NEVER"},
        {"outcome": "DECLINED"},
        {"reason": "SPENT"},
        {"decided_at": "yesterday"},
        {"instruction_id": "1"},
    ],
    ids=str,
)
def test_the_document_refuses_what_is_no_answer(other: dict[str, Any]) -> None:
    schema, (done, _) = schema_and_examples(DOCUMENT["paths"][CREDITS]["post"]["responses"]["200"])
    assert errors_of(done | other, schema) != []


@pytest.mark.parametrize(
    "confirmation",
    [
        said(),
        said(program_reference="", fulfilment_sha256=b""),
        said(outcome=CreditOutcome.DECLINED, points=0, reason=DeclineReason.SPENT),
        said(outcome=CreditOutcome.NEVER, points=0, kind=InstructionKind.REVERSE),
    ],
    ids=lambda each: each.outcome,
)
def test_every_confirmation_is_as_documented_and_reads_back(confirmation: Confirmation) -> None:
    body = confirmation_json(confirmation)
    check(body, DOCUMENT["paths"][CREDITS]["post"]["responses"]["200"])
    assert confirmation_from_json(body) == confirmation


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("outcome", [each.value for each in CreditOutcome]),
        ("reason", [each.value for each in DeclineReason]),
        ("kind", [each.value for each in InstructionKind]),
    ],
)
def test_the_lists_of_values_are_whole(field: str, values: list[str]) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    documented = schemas["Confirmation"]["properties"][field]
    if "$ref" in documented:
        documented = schemas[documented["$ref"].rpartition("/")[2]]
    assert documented["enum"] == values


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"audience":"a","audience":"b"}',
        b"[" * 10_000,
        b"\xff{}",
        b"{}" + b" " * 20_000,
        confirmation_json(said()).replace(b'"500"', b"500"),
        confirmation_json(said()).replace(b'"500"', b'"0500"'),
        confirmation_json(said()).replace(b'"500"', b'"-5"'),
        confirmation_json(said()).replace(b'"500"', b'"9999999999999999999"'),
        confirmation_json(said()).replace(b'"500"', '"٥"'.encode()),
        confirmation_json(said()).replace(b"019a9c1e", b"019A9C1E"),
        confirmation_json(said()).replace(b"019a9c1e-", b"019a9c1e"),
        confirmation_json(said()).replace(b"2026-11-22T", b"2026-13-22T"),
        confirmation_json(said()).replace(b"2026-11-22T", b"0000-11-22T"),
        confirmation_json(said()).replace(b"01.250000Z", b"01.250000"),
        confirmation_json(said()).replace(b'"DONE"', b'"done"'),
        confirmation_json(said()).replace(b'"DONE"', b"null"),
        confirmation_json(said()).replace(b'"kind"', b'"sort"'),
        confirmation_json(said()).replace(b"{", b'{"member":"A-1",'),
        confirmation_json(said()).replace(b"00" * 32, b"00" * 31),
    ],
)
def test_what_is_no_confirmation_is_no_answer_and_its_text_repeats_nothing(body: bytes) -> None:
    with pytest.raises(NoAnswer) as caught:
        confirmation_from_json(body)
    assert "A-1" not in str(caught.value)


def test_the_page_and_the_document_name_the_same_endpoints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http-program.md").read_text()
    for path in DOCUMENT["paths"]:
        assert f"POST {{base}}{path} " in page
