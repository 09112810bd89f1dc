"""A brand's system over HTTPS, as a program.

Only a 200 whose body the brand's key signed, together with the request's signature, is an answer. A
202 says that the brand is still at work, which nobody needs to sign. Everything else is no answer:
the brand may have acted all the same, and whoever asked looks up or sends the same again.

A call is one request: nothing is sent again here, and nothing is remembered. When a process dies
in the middle of a call, the brand knows the instruction by its id.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx2

from adapters.http_program.connection import Endpoint, is_distrust
from adapters.http_program.messages import (
    BALANCE,
    FULFILMENT,
    VALIDATE_MEMBER,
    Question,
    credit_question,
    fulfilment_of,
    look_up_question,
    member_question,
    reversal_question,
)
from adapters.http_program.signatures import sign_request, verify_answer
from partners.confirmations.confirmation import (
    Asked,
    NoAnswer,
    answer_of,
    check_answers,
    check_fulfilment,
)
from partners.confirmations.json_form import (
    JSON_BYTES_MAX,
    confirmation_from_json,
    members_of,
    name_of,
    points_of,
)
from partners.confirmations.verification import KeyOf, key_in_force
from partners.keys import Signer
from partners.program_port import (
    Credit,
    Eligibility,
    Evidence,
    Fault,
    InstructionKind,
    ProgramAnswer,
    ProgramUnavailable,
    Reversal,
)
from partners.registry import RegisteredKey

NONCE_BYTES = 16
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Response:
    """A verified response."""

    body: bytes
    fulfilment: bytes
    evidence: Evidence


def wall_clock() -> datetime:
    """Now, by the machine's clock."""
    return datetime.now(UTC)


def random_nonce() -> str:
    """128 random bits."""
    return secrets.token_urlsafe(NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class HttpProgram:
    """A program behind an HTTP endpoint; implements `ProgramPort`."""

    client: httpx2.AsyncClient
    """Of `connect`; whoever made it closes it."""
    endpoint: Endpoint
    audience: str
    partner_id: str
    program: str
    signer: Signer
    """The exchange's, for receipts."""
    key_of: KeyOf
    timeout_s: float
    """For a whole call, from connecting to the last byte."""
    now: Callable[[], datetime] = wall_clock
    nonce: Callable[[], str] = random_nonce
    """Never the same twice, and kept by nobody: see `partners/confirmations/http_evidence.py`."""

    async def validate_member(self, member: str) -> Eligibility:
        """What the brand says of a member; raises ProgramUnavailable."""
        body = await self._ask_about(VALIDATE_MEMBER, member)
        members = members_of(body, frozenset({"eligibility"}))
        return name_of(members, "eligibility", Eligibility, Fault.MALFORMED)

    async def balance(self, member: str) -> int:
        """Points that the brand says a member may spend; raises ProgramUnavailable."""
        body = await self._ask_about(BALANCE, member)
        return points_of(members_of(body, frozenset({"points"})))

    async def credit(self, credit: Credit) -> ProgramAnswer:
        """Ask to give points; raises ProgramUnavailable."""
        asked = self._asked(credit.instruction_id, InstructionKind.CREDIT, credit.points)
        return self._instructed(await self._call(credit_question(self.audience, credit)), asked)

    async def reverse(self, reversal: Reversal) -> ProgramAnswer:
        """Ask to take points back; raises ProgramUnavailable."""
        asked = self._asked(reversal.instruction_id, InstructionKind.REVERSE, reversal.points)
        return self._instructed(await self._call(reversal_question(self.audience, reversal)), asked)

    async def look_up(self, instruction_id: UUID, kind: InstructionKind) -> ProgramAnswer | None:
        """Ask what became of an instruction; raises ProgramUnavailable. How many points were asked
        for is not known here: whoever does compares.
        """
        question = look_up_question(self.audience, self.program, instruction_id, kind)
        response = await self._call(question)
        if response is None:
            return None
        return judged(response, self._asked(instruction_id, kind, None, looked_up=True))

    def _asked(
        self,
        instruction_id: UUID,
        kind: InstructionKind,
        points: int | None,
        *,
        looked_up: bool = False,
    ) -> Asked:
        return Asked(
            self.audience, self.partner_id, self.program, instruction_id, kind, points, looked_up
        )

    def _instructed(self, response: Response | None, asked: Asked) -> ProgramAnswer:
        if response is None:
            raise ProgramUnavailable("the brand is still at work on it", Fault.AT_WORK)
        return judged(response, asked)

    async def _ask_about(self, path: str, member: str) -> bytes:
        response = await self._call(member_question(path, self.audience, self.program, member))
        if response is None:
            raise ProgramUnavailable("the brand is still at work on it", Fault.AT_WORK)
        return response.body

    async def _call(self, question: Question) -> Response | None:
        request = self._signed(question)
        try:
            async with asyncio.timeout(self.timeout_s):
                response, body = await self._exchanged(request)
        except TimeoutError:
            raise ProgramUnavailable(f"no answer in {self.timeout_s} s", Fault.LATE) from None
        except httpx2.HTTPError as error:
            fault = Fault.NOT_TRUSTED if is_distrust(error) else Fault.UNREACHABLE
            raise ProgramUnavailable(f"{type(error).__name__} from the program", fault) from error
        if response.status_code == httpx2.codes.ACCEPTED:
            return None
        check_status(response)
        evidence = verify_answer(response, body, self._key_for)
        return Response(body, fulfilment_of(response.headers.get(FULFILMENT)), evidence)

    def _signed(self, question: Question) -> httpx2.Request:
        headers = {"Content-Type": JSON}
        if question.idempotency_key is not None:
            # A Structured Field string, as draft-ietf-httpapi-idempotency-key-header has it.
            headers["Idempotency-Key"] = f'"{question.idempotency_key}"'
        request = self.client.build_request(
            "POST", self.endpoint.base_url + question.path, content=question.body, headers=headers
        )
        sign_request(request, question.body, self.signer, self.now(), self.nonce())
        return request

    async def _exchanged(self, request: httpx2.Request) -> tuple[httpx2.Response, bytes]:
        response = await self.client.send(request, stream=True)
        try:
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > JSON_BYTES_MAX:
                    raise NoAnswer(Fault.MALFORMED, "", f"more than {JSON_BYTES_MAX} bytes")
            return response, bytes(body)
        finally:
            # Of a connection on which something is left to read, nothing can be reused.
            await response.aclose()

    def _key_for(self, key_id: str) -> RegisteredKey:
        return key_in_force(key_id, self.partner_id, self.key_of, self.now())


def judged(response: Response, asked: Asked) -> ProgramAnswer:
    """The answer that a verified response gives; raises NoAnswer."""
    said = confirmation_from_json(response.body)
    check_answers(said, asked)
    check_fulfilment(said, response.fulfilment)
    return answer_of(said, response.evidence, response.fulfilment)


def check_status(response: httpx2.Response) -> None:
    """Raise ProgramUnavailable for a status or a content type that no answer has."""
    if response.status_code != httpx2.codes.OK:
        raise ProgramUnavailable(f"the program answered {response.status_code}", Fault.FAILED)
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if content_type != JSON or encoding != "identity":
        raise NoAnswer(Fault.MALFORMED, "Content-Type", f"an answer is {JSON}, not compressed")
