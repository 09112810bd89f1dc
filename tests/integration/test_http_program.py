"""A brand's system over HTTPS: a real server process, real sockets, real TLS, real signatures."""

import asyncio
import base64
import hashlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils

from adapters.conformance import Subject, run_checks
from adapters.http_program import Endpoint, connect
from adapters.http_program.messages import (
    BALANCE,
    VALIDATE_MEMBER,
    credit_question,
    look_up_question,
    member_question,
    reversal_question,
)
from partners.confirmations.http_evidence import HTTP_SIGNATURE, said_over_http
from partners.key_files import write_public_key
from partners.keys import SeedSigner, VerifyKey
from partners.program_port import (
    Credit,
    CreditOutcome,
    Eligibility,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
    contradicts,
)
from tests.brands import AUDIENCE
from tests.faulty_http_brand import SEALED
from tests.http_brand import EXAMPLE, MEMBER, PROGRAM, HttpBrand, running_brand
from tests.openapi import DOCUMENT, check, check_fields, resolved

DIGEST = bytes(range(32))


def new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)


def a_credit(points: int = 100, member: str = MEMBER) -> Credit:
    return Credit(new_id(), PROGRAM, member, points, DIGEST, committed=False)


@pytest.fixture(scope="module")
def shared() -> Iterator[HttpBrand]:
    with running_brand() as brand:
        yield brand


@pytest.fixture
def brand(shared: HttpBrand) -> HttpBrand:
    shared.fault("")
    return shared


async def asked(brand: HttpBrand, credit: Credit, timeout_s: float = 20) -> ProgramAnswer:
    async with brand.program(timeout_s) as port:
        return await port.credit(credit)


async def fault_of(brand: HttpBrand, credit: Credit, timeout_s: float = 20) -> Fault:
    with pytest.raises(ProgramUnavailable) as caught:
        await asked(brand, credit, timeout_s)
    return caught.value.fault


def balance(brand: HttpBrand) -> int:
    async def has() -> int:
        async with brand.program() as port:
            return await port.balance(MEMBER)

    brand.fault("")
    return asyncio.run(has())


def test_the_example_brand_passes_every_check_of_conformance() -> None:
    async def verdicts() -> None:
        with running_brand(EXAMPLE) as own:
            async with own.program() as port:
                subject = Subject(port, PROGRAM, MEMBER, new_id, unknown_member="nobody")
                found = await run_checks(subject)
        assert found
        assert [each for each in found if not each.passed] == []

    asyncio.run(verdicts())


def test_what_goes_over_the_wire_is_what_the_document_says(brand: HttpBrand) -> None:
    credit, never = a_credit(), new_id()
    questions = (
        credit_question(AUDIENCE, credit),
        credit_question(AUDIENCE, a_credit(member="nobody")),
        reversal_question(AUDIENCE, Reversal(new_id(), credit.instruction_id, PROGRAM, MEMBER, 40)),
        look_up_question(AUDIENCE, PROGRAM, credit.instruction_id, InstructionKind.CREDIT),
        look_up_question(AUDIENCE, PROGRAM, never, InstructionKind.REVERSE),
        member_question(VALIDATE_MEMBER, AUDIENCE, PROGRAM, MEMBER),
        member_question(BALANCE, AUDIENCE, PROGRAM, MEMBER),
    )

    async def exchanged() -> None:
        async with brand.program() as port:
            for question in questions:
                documented = DOCUMENT["paths"][question.path]["post"]
                request = port._signed(question)
                response = await port.client.send(request)
                assert response.status_code == 200
                check(request.content, documented["requestBody"])
                check(response.content, documented["responses"]["200"])
                check_fields(request.headers, documented["parameters"])
                fields = resolved(documented["responses"]["200"])["headers"]
                check_fields(
                    response.headers, [{"name": each, **resolved(fields[each])} for each in fields]
                )

    asyncio.run(exchanged())


def test_what_a_brand_signed_verifies_again_without_the_library(brand: HttpBrand) -> None:
    credit = a_credit()
    answer = asyncio.run(asked(brand, credit))
    evidence = answer.evidence
    assert evidence is not None
    assert evidence.media_type == HTTP_SIGNATURE
    key = VerifyKey(evidence.key_id, brand.keys[evidence.key_id].public_key)
    said = said_over_http(evidence, key)
    assert (said.instruction_id, said.outcome, said.points) == (
        credit.instruction_id,
        CreditOutcome.DONE,
        100,
    )


def test_openssl_and_sha256_alone_verify_what_is_kept(brand: HttpBrand, tmp_path: Path) -> None:
    evidence = asyncio.run(asked(brand, a_credit())).evidence
    assert evidence is not None
    base, _, body = evidence.content.partition(b"\n\n")
    (tmp_path / "base").write_bytes(base)
    (tmp_path / "signature").write_bytes(evidence.signature)
    write_public_key(tmp_path / "key.pem", brand.keys[evidence.key_id].public_key)
    verified = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "key.pem"),
            *("-in", "base", "-sigfile", "signature"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified
    digest = base64.b64encode(hashlib.sha256(body).digest())
    assert b'"content-digest": sha-256=:' + digest + b":" in base.split(b"\n")


def test_nothing_that_is_kept_names_the_member_or_lets_him_be_guessed(brand: HttpBrand) -> None:
    credit = a_credit(member=f"{MEMBER}-2")
    evidence = asyncio.run(asked(brand, credit)).evidence
    assert evidence is not None
    assert credit.member.encode() not in evidence.content
    asked_for = credit_question(AUDIENCE, credit).body
    for digest in (hashlib.sha256(asked_for), hashlib.sha512(asked_for)):
        assert base64.b64encode(digest.digest()) not in evidence.content
        assert digest.hexdigest().encode() not in evidence.content


def test_a_code_comes_beside_what_is_kept(brand: HttpBrand) -> None:
    brand.fault("fulfilled")
    answer = asyncio.run(asked(brand, a_credit()))
    assert answer.fulfilment == SEALED
    assert answer.evidence is not None
    assert base64.b64encode(SEALED)[:40] not in answer.evidence.content
    assert SEALED[:40] not in answer.evidence.content


FAULTS = {
    "unsigned": Fault.SIGNATURE_INVALID,
    "forged": Fault.SIGNATURE_INVALID,
    "by_an_unknown_key": Fault.KEY_UNKNOWN,
    "by_another_brands_key": Fault.KEY_WRONG,
    "by_the_agreements_key": Fault.KEY_WRONG,
    "digest_mismatch": Fault.SIGNATURE_INVALID,
    "covers_no_digest": Fault.SIGNATURE_INVALID,
    "covers_no_request": Fault.SIGNATURE_INVALID,
    "covers_more": Fault.SIGNATURE_INVALID,
    "redirect": Fault.FAILED,
    "failed": Fault.FAILED,
    "working": Fault.AT_WORK,
    "html": Fault.MALFORMED,
    "not_json": Fault.MALFORMED,
    "huge": Fault.MALFORMED,
    "with_member": Fault.MALFORMED,
    "cut": Fault.UNREACHABLE,
    "other_id": Fault.INSTRUCTION_WRONG,
    "other_kind": Fault.INSTRUCTION_WRONG,
    "other_program": Fault.PROGRAM_WRONG,
    "other_audience": Fault.AUDIENCE_WRONG,
    "other_partner": Fault.PARTNER_WRONG,
    "other_points": Fault.POINTS_WRONG,
    "points_as_number": Fault.POINTS_WRONG,
    "no_points": Fault.POINTS_WRONG,
    "no_outcome": Fault.OUTCOME_UNKNOWN,
    "never": Fault.OUTCOME_UNKNOWN,
    "no_reason": Fault.REASON_WRONG,
    "long_reference": Fault.FIELD_INVALID,
    "fulfilment_other": Fault.FULFILMENT_WRONG,
    "fulfilment_huge": Fault.FULFILMENT_WRONG,
    "fulfilment_garbled": Fault.FULFILMENT_WRONG,
    "fulfilment_missing": Fault.FULFILMENT_WRONG,
}


@pytest.mark.parametrize(("fault", "named"), FAULTS.items(), ids=FAULTS)
def test_a_wrong_answer_is_none_and_the_same_again_gives_once(
    brand: HttpBrand, fault: str, named: Fault
) -> None:
    before, credit = balance(brand), a_credit()
    brand.fault(fault)
    assert asyncio.run(fault_of(brand, credit)) is named
    brand.fault("")
    assert asyncio.run(asked(brand, credit)).outcome is CreditOutcome.DONE
    assert balance(brand) == before + 100


def test_a_redirect_is_not_followed(brand: HttpBrand) -> None:
    brand.fault("redirect")
    assert asyncio.run(fault_of(brand, a_credit())) is Fault.FAILED
    assert not (brand.folder / "followed").exists()


@pytest.mark.parametrize("fault", ["late", "drip"])
def test_an_answer_that_takes_too_long_is_none_and_the_same_again_gives_once(
    brand: HttpBrand, fault: str
) -> None:
    before, credit = balance(brand), a_credit()
    brand.fault(fault)
    assert asyncio.run(fault_of(brand, credit, timeout_s=2)) is Fault.LATE
    brand.fault("")
    assert asyncio.run(asked(brand, credit)).outcome is CreditOutcome.DONE
    assert balance(brand) == before + 100


def test_an_answer_to_another_request_does_not_fit_this_one(brand: HttpBrand) -> None:
    first, second = a_credit(), a_credit()
    brand.fault("replayed")
    assert asyncio.run(asked(brand, first)).outcome is CreditOutcome.DONE
    assert asyncio.run(fault_of(brand, second)) is Fault.SIGNATURE_INVALID
    assert asyncio.run(fault_of(brand, first)) is Fault.SIGNATURE_INVALID


def test_a_changed_answer_comes_with_evidence_that_contradicts_the_first(brand: HttpBrand) -> None:
    credit = a_credit()
    first = asyncio.run(asked(brand, credit))
    brand.fault("changed")
    later = asyncio.run(asked(brand, credit))
    assert contradicts(first, later)
    assert first.evidence is not None
    assert later.evidence is not None


def test_a_look_up_is_none_while_the_brand_is_at_work(brand: HttpBrand) -> None:
    async def found() -> ProgramAnswer | None:
        async with brand.program() as port:
            return await port.look_up(new_id(), InstructionKind.CREDIT)

    brand.fault("working")
    assert asyncio.run(found()) is None
    brand.fault("")
    answer = asyncio.run(found())
    assert answer is not None
    assert answer.outcome is CreditOutcome.NEVER


@pytest.mark.parametrize("fault", ["unsigned", "replayed", "html", "working", "failed"])
def test_what_is_said_of_a_member_counts_only_when_it_is_signed_for_this_question(
    brand: HttpBrand, fault: str
) -> None:
    async def about() -> None:
        async with brand.program() as port:
            if fault == "replayed":
                assert await port.validate_member(MEMBER) is Eligibility.ELIGIBLE
            for call in (port.validate_member("nobody"), port.balance(MEMBER)):
                with pytest.raises(ProgramUnavailable):
                    await call

    brand.fault(fault)
    asyncio.run(about())


def test_a_brand_that_is_killed_keeps_what_it_answered() -> None:
    with running_brand() as brand:
        credit = a_credit()
        first = asyncio.run(asked(brand, credit))
        brand.kill()
        assert asyncio.run(fault_of(brand, credit)) is Fault.UNREACHABLE
        brand.start()
        assert not contradicts(first, asyncio.run(asked(brand, credit)))
        assert balance(brand) == 100


def test_a_brand_with_an_expired_certificate_is_not_called() -> None:
    with running_brand() as brand:
        credit = a_credit()
        brand.kill()
        brand.certify(datetime.now(UTC) - timedelta(days=900))
        brand.start()
        assert asyncio.run(fault_of(brand, credit)) is Fault.NOT_TRUSTED
        brand.kill()
        brand.certify(datetime.now(UTC))
        brand.start()
        assert balance(brand) == 0


def test_a_brand_vouched_for_by_another_authority_is_not_called(brand: HttpBrand) -> None:
    with running_brand() as other:
        endpoint = Endpoint(brand.base_url, other.endpoint.authority)

        async def called() -> Fault:
            async with brand.program(endpoint=endpoint) as port:
                with pytest.raises(ProgramUnavailable) as caught:
                    await port.credit(a_credit())
            return caught.value.fault

        assert asyncio.run(called()) is Fault.NOT_TRUSTED


def test_t02_the_brand_refuses_what_the_exchange_did_not_sign_for_it(brand: HttpBrand) -> None:
    async def refused(body: bytes) -> int:
        async with connect(brand.endpoint) as client, brand.program() as port:
            request = port._signed(credit_question(AUDIENCE, a_credit()))
            del request.headers["Content-Length"]
            altered = client.build_request(
                "POST", request.url, content=body or request.content, headers=request.headers
            )
            return (await client.send(altered)).status_code

    assert asyncio.run(refused(b"")) == 200
    assert asyncio.run(refused(b"{}")) == 401
    brand.exchange, own = SeedSigner(bytes(range(32))), brand.exchange
    try:
        assert asyncio.run(refused(b"")) == 401
    finally:
        brand.exchange = own


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1",
        "https://",
        "https://localhost/?q=1",
        "https://user@localhost",
        "https://localhost/",
    ],
)
def test_a_base_url_is_https_and_nothing_else(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Endpoint(url, tmp_path / "ca.pem")
