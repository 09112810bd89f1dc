"""The calls of PartnersService about agreements, from the first proposal to the end.

Here it is verified who signed what; what follows from it is decided in the sequencer. What was
signed is kept verbatim.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Engine

from partners.agreement import Terms
from partners.agreement_checks import check_terms
from partners.caller import Caller
from partners.commands import Activate, CounterSign, Propose, Terminate, Withdraw
from partners.envelope import (
    AGREEMENT_TERMINATION,
    AGREEMENT_WITHDRAWAL,
    ENVELOPE_BODY,
    RATE_AGREEMENT,
    Envelope,
    to_json,
)
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.negotiation import store
from partners.negotiation.parties import check_known
from partners.negotiation.store import Version
from partners.negotiation.wire import (
    activation_body,
    check_version,
    round_to_proto,
    termination_from_payload,
    version_to_proto,
    withdrawal_from_payload,
)
from partners.paging import page_end, page_size, page_token
from partners.registry import RegisteredKey, Registry
from partners.signing import verified_signer, verify_agreement
from partners.transaction import in_transaction
from partners.wire import envelope_from_proto, terms_from_payload, time_from_proto
from pointclear.partners.v1 import partners_service_pb2 as pb

END_BODY = "application/vnd.pointclear.agreement-end.v1+protobuf"
"""What an operator's end of a version is as the body of an entry."""

CarryOut = Callable[[Propose | CounterSign | Withdraw | Activate | Terminate], Awaitable[object]]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class Negotiation:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        carry_out: CarryOut,
        registry: NewestRegistry,
        audience: str,
        now: Callable[[], datetime],
    ) -> None:
        """`audience` is what every signed statement must be addressed to; `now` reads the clock."""
        self._engine = engine
        self._carry_out = carry_out
        self._registry = registry
        self._audience = audience
        self._now = now

    async def propose_agreement(
        self, request: pb.ProposeAgreementRequest, caller: Caller
    ) -> pb.ProposeAgreementResponse:
        """A brand proposes terms for a version that has no open proposal."""
        envelope = envelope_from_proto(request.agreement)
        version = await self._propose(envelope, caller, is_counter=False)
        return pb.ProposeAgreementResponse(agreement=version)

    async def counter_agreement(
        self, request: pb.CounterAgreementRequest, caller: Caller
    ) -> pb.CounterAgreementResponse:
        """Another brand proposes other terms in place of the open proposal."""
        envelope = envelope_from_proto(request.agreement)
        version = await self._propose(envelope, caller, is_counter=True)
        return pb.CounterAgreementResponse(agreement=version)

    async def sign_agreement(
        self, request: pb.SignAgreementRequest, caller: Caller
    ) -> pb.SignAgreementResponse:
        """Another brand counter-signs the same bytes."""
        envelope = envelope_from_proto(request.agreement)
        terms, key = await self._signed_terms(envelope, caller)
        signature = envelope.signatures[0].signature
        body = to_json(envelope).encode()
        await self._carry_out(CounterSign(terms, caller.name, key.key_id, signature, body))
        version = await self._version(terms.agreement_id, terms.version, caller)
        return pb.SignAgreementResponse(agreement=version_to_proto(version))

    async def withdraw_agreement(
        self, request: pb.WithdrawAgreementRequest, caller: Caller
    ) -> pb.WithdrawAgreementResponse:
        """A proposer takes its proposal back."""
        envelope = envelope_from_proto(request.withdrawal)
        key = await self._signer(envelope, AGREEMENT_WITHDRAWAL, caller)
        said = withdrawal_from_payload(envelope.payload, self._audience)
        await self._version(said.agreement_id, said.version, caller)
        command = Withdraw(
            said.agreement_id,
            said.version,
            said.sha256,
            caller.name,
            key.key_id,
            to_json(envelope).encode(),
        )
        await self._carry_out(command)
        version = await self._version(said.agreement_id, said.version, caller)
        return pb.WithdrawAgreementResponse(agreement=version_to_proto(version))

    async def activate_agreement(
        self, request: pb.ActivateAgreementRequest, caller: Caller
    ) -> pb.ActivateAgreementResponse:
        """Operators: put a version that all have signed in force, now or at a future instant."""
        caller.require_operator()
        begins = instant_or_none(request, "effective_from")
        ends = instant_or_none(request, "effective_until")
        version = await self._version(request.agreement_id, request.version, caller)
        agreement = version.newest.envelope
        terms = terms_from_payload(agreement, self._audience)
        registry = await self._registry.refresh()
        verify_agreement(agreement, terms, registry.keys)
        body = activation_body(agreement, begins, ends)
        await self._carry_out(Activate(terms, body, begins, ends))
        version = await self._version(request.agreement_id, request.version, caller)
        return pb.ActivateAgreementResponse(agreement=version_to_proto(version))

    async def terminate_agreement(
        self, request: pb.TerminateAgreementRequest, caller: Caller
    ) -> pb.TerminateAgreementResponse:
        """A brand gives notice of a version that binds it."""
        envelope = envelope_from_proto(request.termination)
        key = await self._signer(envelope, AGREEMENT_TERMINATION, caller)
        said = termination_from_payload(envelope.payload, self._audience)
        await self._version(said.agreement_id, said.version, caller)
        command = Terminate(
            said.agreement_id,
            said.version,
            said.sha256,
            said.effective_until,
            key.key_id,
            ENVELOPE_BODY,
            to_json(envelope).encode(),
        )
        await self._carry_out(command)
        version = await self._version(said.agreement_id, said.version, caller)
        return pb.TerminateAgreementResponse(agreement=version_to_proto(version))

    async def end_agreement(
        self, request: pb.EndAgreementRequest, caller: Caller
    ) -> pb.EndAgreementResponse:
        """Operators: end a version at a future instant, with the same notice."""
        caller.require_operator()
        check_version(request.agreement_id, request.version)
        until = time_from_proto(request.effective_until, "effective_until")
        body = request.SerializeToString(deterministic=True)
        command = Terminate(request.agreement_id, request.version, b"", until, "", END_BODY, body)
        await self._carry_out(command)
        version = await self._version(request.agreement_id, request.version, caller)
        return pb.EndAgreementResponse(agreement=version_to_proto(version))

    async def get_agreement(
        self, request: pb.GetAgreementRequest, caller: Caller
    ) -> pb.GetAgreementResponse:
        """One version with all its proposals."""
        name = (request.agreement_id, request.version)
        version = await self._version(*name, caller)
        rounds = await self._read(store.list_rounds, scope(caller), *name)
        return pb.GetAgreementResponse(
            agreement=version_to_proto(version), proposals=map(round_to_proto, rounds)
        )

    async def list_agreements(
        self, request: pb.ListAgreementsRequest, caller: Caller
    ) -> pb.ListAgreementsResponse:
        """All versions for an operator, its own for a partner."""
        size = page_size(request.page_size)
        end = page_end(caller.holder, b"agreements", request.page_token)
        agreement_id, _, version = (end or " 0").partition(" ")
        after = (agreement_id, int(version))
        found: tuple[Version, ...] = await self._read(
            store.list_versions, scope(caller), self._now(), size + 1, after
        )
        following = ""
        if len(found) > size:
            last = found[size - 1]
            following = page_token(
                caller.holder, b"agreements", f"{last.agreement_id} {last.version}"
            )
        return pb.ListAgreementsResponse(
            agreements=map(version_to_proto, found[:size]), next_page_token=following
        )

    async def _propose(
        self, envelope: Envelope, caller: Caller, *, is_counter: bool
    ) -> pb.Agreement:
        terms, key = await self._signed_terms(envelope, caller)
        command = Propose(
            terms,
            caller.name,
            key.key_id,
            envelope.signatures[0].signature,
            envelope.payload,
            is_counter,
            to_json(envelope).encode(),
        )
        await self._carry_out(command)
        return version_to_proto(await self._version(terms.agreement_id, terms.version, caller))

    async def _signed_terms(
        self, envelope: Envelope, caller: Caller
    ) -> tuple[Terms, RegisteredKey]:
        key = await self._signer(envelope, RATE_AGREEMENT, caller)
        terms = terms_from_payload(envelope, self._audience)
        check_terms(terms)
        check_known(await self._registry.refresh(), terms, caller.name)
        return terms, key

    async def _signer(self, envelope: Envelope, payload_type: str, caller: Caller) -> RegisteredKey:
        """The calling partner's key behind an envelope."""
        partner_id = caller.require_partner()
        registry = await self._registry.refresh()
        key = verified_signer(envelope, payload_type, Purpose.AGREEMENTS, registry)
        if key.holder != f"partner/{partner_id}":
            raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the key is another partner's")
        return key

    async def _version(self, agreement_id: str, version: int, caller: Caller) -> Version:
        """The version as the caller sees it; raises Refused(AGREEMENT_UNKNOWN), whether it is not
        there or others'.
        """
        check_version(agreement_id, version)
        found: Version | None = await self._read(
            store.find_version, scope(caller), self._now(), agreement_id, version
        )
        if found is None:
            raise Refused(
                Reason.AGREEMENT_UNKNOWN,
                "agreement_id",
                f"there is no version {version} of {agreement_id}",
            )
        return found

    async def _read(self, query: Callable[..., Any], *arguments: Any) -> Any:
        return await in_transaction(self._engine, query, *arguments)


def scope(caller: Caller) -> str | None:
    """Whose agreements a caller reads: an operator everybody's, a partner its own."""
    return None if caller.is_operator else caller.name


def instant_or_none(request: pb.ActivateAgreementRequest, field: str) -> datetime | None:
    """A time of the request, or None where it is not set; raises Refused(FIELD_INVALID)."""
    stamp: Timestamp = getattr(request, field)
    return time_from_proto(stamp, field) if request.HasField(field) else None  # type: ignore[arg-type]
