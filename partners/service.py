"""PartnersService: partners, keys and agreements. Changes go through the sequencer; what was signed
is kept verbatim.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy import Engine

from partners.agreement import HUB
from partners.caller import Caller
from partners.commands import AddKey, AddPartner, PartnersCommand, RevokeKey
from partners.envelope import (
    KEY_EVENT,
    Envelope,
    check_shape,
    is_key_id,
    require_type,
    to_json,
)
from partners.errors import Reason, Refused
from partners.key_checks import check_public_key
from partners.key_events import EXCHANGE, PARTNER_PURPOSES, Registration, Revocation
from partners.keys import Purpose
from partners.limits.service import SettingLimits
from partners.negotiation.service import Negotiation
from partners.paging import Paged, page_of
from partners.points import POINTS_MAX, check_id, currency_scale
from partners.registry import RegisteredKey, Registry
from partners.routes.service import SettingRoutes
from partners.signing import (
    verify_registration,
    verify_revocation,
)
from partners.taxes.service import Taxes
from partners.wire import (
    envelope_from_proto,
    key_event_from_payload,
    key_to_proto,
    partner_to_proto,
)
from pointclear.partners.v1 import key_pb2
from pointclear.partners.v1 import partners_service_pb2 as pb

NAME_MAX = 200
"""Characters in a legal name."""
PROGRAMS_MAX = 16
"""Programs of one partner."""

CarryOut = Callable[[PartnersCommand], Awaitable[object]]
"""Has the sequencer carry a command out; raises the Refused that answers it."""


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class PartnersService:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self,
        engine: Engine,
        carry_out: CarryOut,
        registry: NewestRegistry,
        audience: str,
        now: Callable[[], datetime],
        *,
        simulates: bool = True,
    ) -> None:
        """`audience` is what every signed statement must be addressed to; `now` reads the clock;
        `simulates` is false in production.
        """
        negotiation = Negotiation(engine, carry_out, registry, audience, now)
        self.propose_agreement = negotiation.propose_agreement
        self.counter_agreement = negotiation.counter_agreement
        self.sign_agreement = negotiation.sign_agreement
        self.withdraw_agreement = negotiation.withdraw_agreement
        self.activate_agreement = negotiation.activate_agreement
        self.terminate_agreement = negotiation.terminate_agreement
        self.end_agreement = negotiation.end_agreement
        self.get_agreement = negotiation.get_agreement
        self.list_agreements = negotiation.list_agreements
        taxes = Taxes(carry_out, registry)
        self.add_tax_rate = taxes.add_tax_rate
        self.list_tax_rates = taxes.list_tax_rates
        limits = SettingLimits(carry_out, registry)
        self.set_switches = limits.set_switches
        self.list_switches = limits.list_switches
        self.set_limits = limits.set_limits
        self.list_limits = limits.list_limits
        routes = SettingRoutes(carry_out, registry, simulates=simulates)
        self.set_route = routes.set_route
        self.list_routes = routes.list_routes
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
                partner.ClearField("state")
                shown.append(partner)
        paged = Paged(caller.holder, b"partners", request.page_size, request.page_token)
        page = page_of(shown, lambda each: each.partner_id, paged)
        return pb.ListPartnersResponse(partners=page.items, next_page_token=page.next_token)

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
        keys.sort(key=key_name)
        listed = b"keys " + holder.encode()
        page = page_of(
            keys, key_name, Paged(caller.holder, listed, request.page_size, request.page_token)
        )
        return pb.ListKeysResponse(
            keys=map(key_to_proto, page.items),
            audience=self._audience,
            next_page_token=page.next_token,
        )

    async def _changed(self, command: AddKey | RevokeKey) -> key_pb2.Key:
        await self._carry_out(command)
        registry = await self._registry.refresh()
        return key_to_proto(registry.keys[command.key_id])


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
    if partner.state:
        raise Refused(Reason.FIELD_INVALID, "partner.state", "the state is the exchange's to say")
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
        if not is_key_id(event.key_id):
            raise Refused(Reason.FIELD_INVALID, "key_event.key_id", "this is no key id")
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


def key_name(key: RegisteredKey) -> str:
    """Where a key stands among its holder's: by registration."""
    return f"{key.registered_index:020d}"


def show_partner(registry: Registry, partner_id: str) -> pb.Partner:
    """A partner as the wire shows it."""
    partner = registry.partners[partner_id]
    return partner_to_proto(partner, registry.currencies[partner.currency].scale)
