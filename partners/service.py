"""PartnersService: partners, keys and agreements. Changes go through the sequencer; what was signed
is kept verbatim.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from sqlalchemy import Engine

from partners import store
from partners.agreement import HUB, Bearer, Terms
from partners.agreement_checks import check_terms
from partners.caller import Caller
from partners.commands import (
    Activate,
    AddKey,
    AddPartner,
    AddTaxRate,
    RevokeKey,
    SetLimits,
    SetSwitches,
)
from partners.envelope import (
    KEY_EVENT,
    RATE_AGREEMENT,
    Envelope,
    check_shape,
    require_type,
    to_json,
)
from partners.errors import Reason, Refused
from partners.key_checks import check_public_key
from partners.key_events import EXCHANGE, PARTNER_PURPOSES, Registration, Revocation
from partners.keys import Purpose
from partners.limits.service import SettingLimits
from partners.points import POINTS_MAX, check_id, currency_scale
from partners.registry import Registry
from partners.signing import (
    verified_signer,
    verify_agreement,
    verify_registration,
    verify_revocation,
)
from partners.taxes.service import Taxes
from partners.wire import (
    envelope_from_proto,
    envelope_to_proto,
    key_event_from_payload,
    key_to_proto,
    partner_to_proto,
    terms_from_payload,
    time_to_proto,
)
from pointclear.partners.v1 import key_pb2
from pointclear.partners.v1 import partners_service_pb2 as pb

NAME_MAX = 200
"""Characters in a legal name."""
PROGRAMS_MAX = 16
"""Programs of one partner."""

CarryOut = Callable[
    [AddPartner | AddKey | RevokeKey | AddTaxRate | Activate | SetSwitches | SetLimits],
    Awaitable[object],
]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class PartnersService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self, engine: Engine, carry_out: CarryOut, registry: NewestRegistry, audience: str
    ) -> None:
        """`audience` is what every signed statement must be addressed to."""
        taxes = Taxes(carry_out, registry)
        self.add_tax_rate = taxes.add_tax_rate
        self.list_tax_rates = taxes.list_tax_rates
        limits = SettingLimits(carry_out, registry)
        self.set_switches = limits.set_switches
        self.list_switches = limits.list_switches
        self.set_limits = limits.set_limits
        self.list_limits = limits.list_limits
        self._engine = engine
        self._carry_out = carry_out
        self._registry = registry
        self._audience = audience

    async def register_partner(
        self, request: pb.RegisterPartnerRequest, caller: Caller
    ) -> pb.RegisterPartnerResponse:
        """Operators: add a brand."""
        caller.require_operator()
        await self._carry_out(partner_command(request.partner))
        registry = await self._registry.refresh()
        return pb.RegisterPartnerResponse(
            partner=show_partner(registry, request.partner.partner_id)
        )

    async def list_partners(
        self, request: pb.ListPartnersRequest, caller: Caller
    ) -> pb.ListPartnersResponse:
        """Operators see all; a partner sees itself and its counterparties, these without their
        caps.
        """
        registry = await self._registry.refresh()
        shown = []
        for partner_id in sorted(registry.partners):
            if caller.is_operator or partner_id == caller.name:
                shown.append(show_partner(registry, partner_id))
            elif any(
                {partner_id, caller.name}
                == {force.terms.source_partner, force.terms.target_partner}
                for force in registry.agreements.values()
            ):
                partner = show_partner(registry, partner_id)
                partner.settlement_account.net_debit_cap = 0
                shown.append(partner)
        return pb.ListPartnersResponse(partners=shown)

    async def register_key(
        self, request: pb.RegisterKeyRequest, caller: Caller
    ) -> pb.RegisterKeyResponse:
        """Register a key: an operator for anyone, a partner for itself."""
        envelope = envelope_from_proto(request.key_event)
        registry = await self._registry.refresh()
        command = key_command(envelope, registry, caller, self._audience, Registration)
        return pb.RegisterKeyResponse(key=await self._changed(command))

    async def revoke_key(
        self, request: pb.RevokeKeyRequest, caller: Caller
    ) -> pb.RevokeKeyResponse:
        """Revoke a key: an operator anyone's, a partner its own."""
        envelope = envelope_from_proto(request.key_event)
        registry = await self._registry.refresh()
        command = key_command(envelope, registry, caller, self._audience, Revocation)
        return pb.RevokeKeyResponse(key=await self._changed(command))

    async def list_keys(self, request: pb.ListKeysRequest, caller: Caller) -> pb.ListKeysResponse:
        """The caller's keys, the exchange's, or for an operator anyone's."""
        holder = request.holder or caller.holder
        registry = await self._registry.refresh()
        visible = caller.is_operator or holder in (caller.holder, "exchange")
        keys = [key for key in registry.keys.values() if visible and key.holder == holder]
        keys.sort(key=lambda key: key.registered_index)
        return pb.ListKeysResponse(
            keys=[key_to_proto(key) for key in keys], audience=self._audience
        )

    async def propose_agreement(
        self, request: pb.ProposeAgreementRequest, caller: Caller
    ) -> pb.ProposeAgreementResponse:
        """A brand proposes terms."""
        stored = await self._sign(envelope_from_proto(request.agreement), caller, proposed=True)
        return pb.ProposeAgreementResponse(agreement=stored)

    async def sign_agreement(
        self, request: pb.SignAgreementRequest, caller: Caller
    ) -> pb.SignAgreementResponse:
        """The other brand counter-signs the same bytes."""
        stored = await self._sign(envelope_from_proto(request.agreement), caller, proposed=False)
        return pb.SignAgreementResponse(agreement=stored)

    async def activate_agreement(
        self, request: pb.ActivateAgreementRequest, caller: Caller
    ) -> pb.ActivateAgreementResponse:
        """Operators: put a counter-signed version in force now."""
        caller.require_operator()
        registry = await self._registry.refresh()
        stored = await self._stored(request.agreement_id, request.version, None)
        if stored is None:
            raise unknown_agreement(request.agreement_id, request.version)
        terms = terms_from_payload(stored.envelope, self._audience)
        verify_agreement(stored.envelope, terms, registry.keys)
        key_ids = tuple(each.key_id for each in stored.envelope.signatures)
        await self._carry_out(Activate(terms, stored.envelope.payload, key_ids))
        stored = await self._stored(request.agreement_id, request.version, None)
        assert stored is not None, "an activated version is stored"
        return pb.ActivateAgreementResponse(agreement=show_agreement(stored))

    async def list_agreements(
        self, request: pb.ListAgreementsRequest, caller: Caller
    ) -> pb.ListAgreementsResponse:
        """All versions for an operator, its own for a partner."""
        partner_id = None if caller.is_operator else caller.name
        stored = await self._database(store.list_agreements, partner_id)
        return pb.ListAgreementsResponse(agreements=[show_agreement(each) for each in stored])

    async def _changed(self, command: AddKey | RevokeKey) -> key_pb2.Key:
        await self._carry_out(command)
        registry = await self._registry.refresh()
        return key_to_proto(registry.keys[command.key_id])

    async def _sign(self, envelope: Envelope, caller: Caller, *, proposed: bool) -> pb.Agreement:
        partner_id = caller.require_partner()
        registry = await self._registry.refresh()
        key = verified_signer(envelope, RATE_AGREEMENT, Purpose.AGREEMENTS, registry)
        if key.holder != f"partner/{partner_id}":
            raise Refused(Reason.SIGNER_NOT_CALLER, "signatures", "the key is another partner's")
        terms = terms_from_payload(envelope, self._audience)
        check_terms(terms)
        check_known(registry, terms, partner_id)
        if not proposed and await self._stored(terms.agreement_id, terms.version, None) is None:
            raise unknown_agreement(terms.agreement_id, terms.version)
        payload = await self._database(
            store.store_signature, terms, envelope, partner_id, envelope.signatures[0]
        )
        if payload != envelope.payload:
            raise Refused(
                Reason.ALREADY_EXISTS,
                "agreement_id",
                f"version {terms.version} of {terms.agreement_id} was proposed with other terms",
            )
        stored = await self._stored(terms.agreement_id, terms.version, partner_id)
        assert stored is not None, "a signed version is stored"
        return show_agreement(stored)

    async def _stored(
        self, agreement_id: str, version: int, partner_id: str | None
    ) -> store.StoredAgreement | None:
        rows: tuple[store.StoredAgreement, ...] = await self._database(
            store.list_agreements, partner_id
        )
        return next(
            (r for r in rows if (r.agreement_id, r.version) == (agreement_id, version)), None
        )

    async def _database(self, work: Callable[..., Any], *arguments: Any) -> Any:
        def run() -> Any:
            with self._engine.begin() as transaction:
                return work(transaction.connection.dbapi_connection, *arguments)

        return await asyncio.to_thread(run)


def partner_command(partner: pb.Partner) -> AddPartner:
    """The command that adds a partner; raises Refused(FIELD_INVALID) naming the field."""
    check_id(partner.partner_id, "partner.partner_id")
    if partner.partner_id == HUB:
        raise Refused(Reason.FIELD_INVALID, "partner.partner_id", f"{HUB} names the operator")
    if not 1 <= len(partner.legal_name) <= NAME_MAX or not partner.legal_name.isprintable():
        raise Refused(
            Reason.FIELD_INVALID, "partner.legal_name", f"a name has 1 to {NAME_MAX} characters"
        )
    if not 1 <= len(partner.programs) <= PROGRAMS_MAX or len(set(partner.programs)) != len(
        partner.programs
    ):
        raise Refused(
            Reason.FIELD_INVALID,
            "partner.programs",
            f"a partner has 1 to {PROGRAMS_MAX} different programs",
        )
    for program in partner.programs:
        check_id(program, "partner.programs")
    account = partner.settlement_account
    currency_scale(account.currency, "partner.settlement_account.currency")
    if not 0 <= account.net_debit_cap <= POINTS_MAX:
        raise Refused(
            Reason.FIELD_INVALID,
            "partner.settlement_account.net_debit_cap",
            "a cap is 0 to 2^62 units",
        )
    return AddPartner(
        partner.partner_id,
        partner.legal_name,
        tuple(partner.programs),
        account.currency,
        account.net_debit_cap,
        partner.SerializeToString(deterministic=True),
    )


def key_command(
    envelope: Envelope,
    registry: Registry,
    caller: Caller,
    audience: str,
    action: type[Registration] | type[Revocation],
) -> AddKey | RevokeKey:
    """The command that a key event asks for; raises Refused unless it proves what it must."""
    check_shape(envelope)
    require_type(envelope, KEY_EVENT)
    event = key_event_from_payload(envelope.payload, audience)
    if not isinstance(event, action):
        raise Refused(Reason.FIELD_INVALID, "key_event.action", "this call is for the other action")
    if isinstance(event, Registration):
        check_public_key(event.public_key, "key_event.public_key")
        signers = verify_registration(envelope, event, registry)
    else:
        signers = verify_revocation(envelope, event, registry)
    if not caller.is_operator and event.holder != caller.holder:
        raise Refused(Reason.SIGNER_NOT_CALLER, "key_event.partner_id", "the key is another's")
    key_ids = tuple(each.key_id for each in signers)
    body = to_json(envelope).encode()
    if isinstance(event, Revocation):
        return RevokeKey(event.holder, event.key_id, event.reason.value, key_ids, body)
    check_purpose(event)
    return AddKey(
        event.holder,
        event.purpose.value,
        event.key_id,
        event.public_key,
        event.valid_from,
        event.valid_until,
        key_ids,
        body,
    )


def check_purpose(event: Registration) -> None:
    """Raise Refused(FIELD_INVALID) for a purpose that the holder's keys cannot have."""
    if event.holder == EXCHANGE:
        raise Refused(
            Reason.FIELD_INVALID, "key_event.holder", "the exchange's host registers its keys"
        )
    is_partner = event.holder.startswith("partner/")
    if is_partner and event.purpose not in PARTNER_PURPOSES:
        raise Refused(
            Reason.FIELD_INVALID,
            "key_event.purpose",
            "a partner's key is for orders, agreements or statements",
        )
    if not is_partner and event.purpose is not Purpose.OPERATOR:
        raise Refused(
            Reason.FIELD_INVALID, "key_event.purpose", "an operator's key is for its actions"
        )


def check_known(registry: Registry, terms: Terms, signer: str) -> None:
    """Raise Refused unless both brands have these programs and the signer is one of them."""
    if signer not in terms.signatories:
        raise Refused(Reason.NOT_A_PARTY, "agreement", "the agreement is between other brands")
    for partner_id, program, field in (
        (terms.source_partner, terms.source_program, "source"),
        (terms.target_partner, terms.target_program, "target"),
    ):
        if partner_id not in registry.partners:
            raise Refused(Reason.PARTNER_UNKNOWN, f"{field}_partner", f"no partner {partner_id}")
        if registry.programs.get(program) != partner_id:
            raise Refused(
                Reason.PROGRAM_UNKNOWN, f"{field}_program", f"{partner_id} has no {program}"
            )
    check_taxes(registry, terms)
    check_built(terms)
    for partner_id in terms.other_funders:
        if partner_id not in registry.partners:
            raise Refused(Reason.PARTNER_UNKNOWN, "promotions", f"no partner {partner_id}")


def check_built(terms: Terms) -> None:
    """Raise Refused(TERMS_INVALID) for terms that transfers do not honour yet."""
    plain = terms.fee.bearer is Bearer.SOURCE and terms.price.points == 1
    if terms.segments or terms.promotions or terms.value_tax_code or not plain:
        raise Refused(Reason.TERMS_INVALID, "agreement", "transfers do not honour all of this yet")


def check_taxes(registry: Registry, terms: Terms) -> None:
    """Raise Refused(TERMS_INVALID) unless the taxes of the terms are in the table."""
    for code, field in (
        (terms.fee.tax_code, "tax_code"),
        (terms.value_tax_code, "value_tax_code"),
    ):
        if code and code not in registry.taxes:
            raise Refused(Reason.TERMS_INVALID, field, f"there is no tax {code}")


def unknown_agreement(agreement_id: str, version: int) -> Refused:
    """The refusal for a version that is not there."""
    return Refused(
        Reason.AGREEMENT_UNKNOWN, "agreement_id", f"there is no version {version} of {agreement_id}"
    )


def show_partner(registry: Registry, partner_id: str) -> pb.Partner:
    """A partner as the wire shows it."""
    partner = registry.partners[partner_id]
    return partner_to_proto(partner, registry.currencies[partner.currency].scale)


def show_agreement(stored: store.StoredAgreement) -> pb.Agreement:
    """A version as the wire shows it."""
    state = pb.AGREEMENT_STATE_PROPOSED
    if len(stored.envelope.signatures) > 1:
        state = pb.AGREEMENT_STATE_SIGNED
    if stored.effective_from is not None:
        state = pb.AGREEMENT_STATE_IN_FORCE
    if stored.effective_until is not None:
        state = pb.AGREEMENT_STATE_ENDED
    shown = pb.Agreement(
        agreement_id=stored.agreement_id,
        version=stored.version,
        state=state,
        envelope=envelope_to_proto(stored.envelope),
    )
    if stored.effective_from is not None:
        shown.effective_from.CopyFrom(time_to_proto(stored.effective_from))
    if stored.effective_until is not None:
        shown.effective_until.CopyFrom(time_to_proto(stored.effective_until))
    return shown
