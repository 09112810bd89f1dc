"""Valid objects with a few fields overridden, for tests.

A coalition of three brands that settle in CNY: grocery, fuel and deli, each with one program of the
same name. Every corridor has an agreement named after it, `grocery-fuel`, in versions 1 and 2. Keys
come from fixed seeds, and what is built is built from the wire's own messages, so that a test's
order is what a sender's bytes become.
"""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import chain, permutations
from typing import Any
from uuid import UUID

from exchange.commands import AskQuote, Command, OpenWindow, Order, Proof, Reverse, Undo
from exchange.delivery.booking import booking_of
from exchange.delivery.saga import Answered
from exchange.fold import Folded, State, fold
from exchange.quotes.quote import Quote
from exchange.seal import Letterhead
from exchange.wire.orders import order_from_proto, parse_order
from exchange.wire.reversals import parse_reversal, reversal_from_proto
from partners.actions.commands import Action, ActionSigner, ApproveAction, ProposeAction
from partners.actions.verification import SignedAction
from partners.agreement import Terms
from partners.commands import (
    Activate,
    AddKey,
    AddPartner,
    AddTaxRate,
    CounterSign,
    Propose,
    RevokeKey,
    SetLimits,
    SetRoute,
    SetSwitches,
    Terminate,
    Withdraw,
)
from partners.conversion import target_points
from partners.envelope import (
    ENVELOPE_BODY,
    OPERATOR_ACTION,
    RATE_AGREEMENT,
    REVERSAL_ORDER,
    TRANSFER_ORDER,
    Envelope,
    Signature,
    sign,
    to_json,
)
from partners.keys import Purpose, SeedSigner
from partners.limits.values import Limits, Switches
from partners.limits.wire import limits_body, switches_body
from partners.links.commands import ConfirmLink, StartLink
from partners.links.link import LinkMember, LinkMethod
from partners.negotiation.wire import activation_body
from partners.operators.roles import Role
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Evidence,
    InstructionKind,
    ProgramAnswer,
)
from partners.registry import Registry, Tax, TaxRate
from partners.routes.route import Route
from partners.routes.wire import route_body
from partners.wire import terms_from_payload, time_to_proto
from pointclear.exchange.v1.transfer_pb2 import ReversalOrder, TransferOrder
from pointclear.partners.v1 import agreement_pb2
from pointclear.partners.v1.partners_service_pb2 import TaxRate as TaxRateMessage

AUDIENCE = "pointclear.test/unit"
NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_ONE = date(2026, 7, 15)
WINDOW = "cny-2026-07-15"
NEXT_WINDOW = "cny-2026-07-16"
CURRENCY = "CNY"
BRANDS = ("grocery", "fuel", "deli")
CORRIDORS = tuple(permutations(BRANDS, 2))
CAP = 100_000_000
"""Net debit cap of each brand: 100 CNY."""
TAXES = {
    code: Tax(code, number, (TaxRate(EPOCH, basis_points),))
    for number, (code, basis_points) in enumerate(
        {"none": 0, "vat6": 600, "vat9": 900, "vat13": 1300, "vat20": 2000}.items()
    )
}
"""As the schema has them."""
RATES = {"grocery": (2, 1, 19_600), "fuel": (10, 19, 9_500), "deli": (5, 2, 12_345)}
"""By source brand: source units, target units, price of a target point. No loop gains."""


def signer(holder: str, purpose: Purpose) -> SeedSigner:
    """The key of a holder for a purpose, from a seed that both name."""
    return SeedSigner(hashlib.sha256(f"{holder} {purpose}".encode()).digest())


RECEIPTS = signer("exchange", Purpose.RECEIPTS)
LETTERHEAD = Letterhead(AUDIENCE, (RECEIPTS.key_id,))


def order_signer(brand: str) -> SeedSigner:
    """The key with which a brand signs its orders."""
    return signer(f"partner/{brand}", Purpose.ORDERS)


def salts(seed: str = "salt") -> Callable[[], bytes]:
    """A source of salts that is the same at every run."""
    count = iter(range(1 << 30))
    return lambda: hashlib.sha256(f"{seed} {next(count)}".encode()).digest()


# Terms


def agreement_payload(source: str = "grocery", target: str = "fuel", **changes: Any) -> bytes:
    """The bytes of a rate agreement; `changes` are fields of the message, `rate` is a pair."""
    units = changes.pop("rate", RATES[source][:2] if source in RATES else (1, 1))
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "agreement_id": f"{source}-{target}",
        "version": 1,
        "source_partner": source,
        "target_partner": target,
        "source_program": source,
        "target_program": target,
        "block_rate": agreement_pb2.BlockRate(source_units=units[0], target_units=units[1]),
        "minimum_source_points": units[0],
        "maximum_source_points": 1_000_000,
        "increment_source_points": units[0],
        "settlement_currency": CURRENCY,
        "price_per_target_point": RATES[source][2] if source in RATES else 1,
        "fee_basis_points": 100,
        "fee_bearer": agreement_pb2.BEARER_SOURCE,
        "tax_code": "vat6",
        "credit_mode": agreement_pb2.CREDIT_MODE_GUARANTEED,
        "issued_at": time_to_proto(NOW - timedelta(days=1)),
    }
    return agreement_pb2.RateAgreement(**fields | changes).SerializeToString(deterministic=True)


def terms_of(payload: bytes) -> Terms:
    """The terms that an agreement's bytes state."""
    return terms_from_payload(Envelope(RATE_AGREEMENT, payload, ()), AUDIENCE)


def terms(source: str = "grocery", target: str = "fuel", **changes: Any) -> Terms:
    """The terms of a corridor, with fields of the message changed."""
    return terms_of(agreement_payload(source, target, **changes))


TERMS = terms()
"""Grocery to fuel, version 1: 2 points give 1 worth CNY 0.0196, fee 1 %, VAT 6 %."""


# Orders


def transfer_id(number: int, at: datetime = NOW) -> UUID:
    """The UUIDv7 of this number and time."""
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | number)


def expected_points(under: Terms, points: int, segment: str = "") -> int:
    """What these source points become at `NOW`, with every promotion that runs; also for points
    that are no whole increments.
    """
    whole = points - points % under.increment_source_points
    known = segment if any(each.segment_id == segment for each in under.segments) else ""
    return target_points(under, whole, known, under.promotions_at(NOW)) + (
        points % under.increment_source_points // under.rate.source_units * under.rate.target_units
    )


def order_payload(number: int = 1, under: Terms = TERMS, **changes: Any) -> bytes:
    """The bytes of a valid order under `under`; `changes` are fields of the message."""
    points = changes.get("source_points", 100)
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": under.source_partner,
        "transfer_id": transfer_id(number).bytes,
        "source_program": under.source_program,
        "target_program": under.target_program,
        "source_member": "canary-source-4711",
        "target_member": "canary-target-0815",
        "source_points": points,
        "target_points": max(1, expected_points(under, points, changes.get("segment", ""))),
        "agreement_id": under.agreement_id,
        "agreement_version": under.version,
        "issued_at": time_to_proto(NOW - timedelta(seconds=1)),
        "expires_at": time_to_proto(NOW + timedelta(hours=1)),
        "partner_reference": "till 7",
    }
    return TransferOrder(**fields | changes).SerializeToString(deterministic=True)


def a_signed_order(number: int = 1, under: Terms = TERMS, **changes: Any) -> Envelope:
    """A valid order in its envelope, really signed by the source brand."""
    payload = order_payload(number, under, **changes)
    return sign(order_signer(under.source_partner), TRANSFER_ORDER, payload)


def an_order(number: int = 1, under: Terms = TERMS, *, key_id: str = "", **changes: Any) -> Order:
    """A valid order as admission lets it through; its signature is not a real one."""
    named = key_id or order_signer(under.source_partner).key_id
    payload = order_payload(number, under, **changes)
    envelope = Envelope(TRANSFER_ORDER, payload, (Signature(named, bytes(64)),))
    return order_from_proto(parse_order(envelope), envelope)


# Reversals


def reversal_id(number: int) -> UUID:
    """The id of a reversal; no transfer has it."""
    return transfer_id(1 << 34 | number)


def reversal_payload(
    number: int = 1, of: int = 1, points: int = 50, by: str = "fuel", **changes: Any
) -> bytes:
    """The bytes of the order by which a brand reverses the transfer of a number; `changes` are
    fields of the message.
    """
    fields: dict[str, Any] = {
        "audience": AUDIENCE,
        "partner_id": by,
        "reversal_id": reversal_id(number).bytes,
        "transfer_id": transfer_id(of).bytes,
        "target_points": points,
        "issued_at": time_to_proto(NOW - timedelta(seconds=1)),
        "expires_at": time_to_proto(NOW + timedelta(hours=1)),
        "partner_reference": "desk 3",
    }
    return ReversalOrder(**fields | changes).SerializeToString(deterministic=True)


def a_signed_reversal(*arguments: Any, **changes: Any) -> Envelope:
    """A valid reversal order in its envelope, really signed by the brand that it names."""
    payload = reversal_payload(*arguments, **changes)
    brand = ReversalOrder.FromString(payload).partner_id
    return sign(order_signer(brand), REVERSAL_ORDER, payload)


def reverse(*arguments: Any, key_id: str = "", **changes: Any) -> Reverse:
    """A valid reversal order as admission lets it through; its signature is not a real one."""
    payload = reversal_payload(*arguments, **changes)
    named = key_id or order_signer(ReversalOrder.FromString(payload).partner_id).key_id
    envelope = Envelope(REVERSAL_ORDER, payload, (Signature(named, bytes(64)),))
    return reversal_from_proto(parse_reversal(envelope), envelope)


def undo(of: int = 1, points: int = 50, by: str = "fuel") -> Undo:
    """That a committed credit was declined."""
    answered = Answered(
        (transfer_id(of), InstructionKind.CREDIT),
        transfer_id(of),
        by,
        points,
        True,
        ProgramAnswer(
            CreditOutcome.DECLINED,
            reason=DeclineReason.OTHER,
            evidence=Evidence("text/plain", b"no", order_signer(by).key_id, bytes(64)),
        ),
    )
    booked = booking_of(answered, lambda _: bytes(32), lambda program: program, NOW)
    assert isinstance(booked, Undo)
    return booked


# Quotes


def quote_id(number: int) -> UUID:
    """The id of a quote; no transfer has it."""
    return transfer_id(1 << 33 | number)


def ask_quote(number: int = 1, under: Terms = TERMS, **changes: Any) -> AskQuote:
    """A quote for 100 points, good for a minute; `changes` are fields of the command."""
    fields: dict[str, Any] = {
        "quote_id": quote_id(number),
        "partner_id": under.source_partner,
        "source_program": under.source_program,
        "target_program": under.target_program,
        "source_points": 100,
        "target_points": 0,
        "segment": "",
        "valid_for": timedelta(minutes=1),
    }
    asked = fields | changes
    return AskQuote(**asked, request_sha256=hashlib.sha256(repr(asked).encode()).digest())


def order_at(quote: Quote, number: int = 1, **changes: Any) -> Order:
    """The order that a quote invites."""
    fields: dict[str, Any] = {
        "source_points": quote.source_points,
        "target_points": quote.conversion.target_points,
        "segment": quote.segment_id,
        "agreement_id": "",
        "agreement_version": 0,
        "quote_id": quote.quote_id.bytes,
    }
    return an_order(number, quote.terms, **fields | changes)


# Links


def link_id(number: int) -> UUID:
    """The id of a link; no transfer has it."""
    return transfer_id(1 << 32 | number)


def link_member(program: str, name: str = "") -> LinkMember:
    """A member of a program, `grocery-member` unless named, with its salt."""
    member = name or f"{program}-member"
    return LinkMember(program, member, hashlib.sha256(f"{program} {member}".encode()).digest())


def start_link(
    number: int = 1, source: str = "grocery", target: str = "fuel", member: str = ""
) -> StartLink:
    """A brand starts a link."""
    return StartLink(link_id(number), source, target, link_member(source, member))


def confirm_link(
    number: int = 1, target: str = "fuel", member: str = "", **changes: Any
) -> ConfirmLink:
    """The other brand confirms it."""
    fields: dict[str, Any] = {
        "link_id": link_id(number),
        "partner_id": target,
        "member": link_member(target, member),
        "method": LinkMethod.SIGN_IN,
        "consent_version": "sharing-1",
        "key_id": order_signer(target).key_id,
        "body": link_member(target, member).sha256(),
    }
    return ConfirmLink(**fields | changes)


def a_linked_order(number: int = 1, link: int = 1, under: Terms = TERMS, **changes: Any) -> Order:
    """A valid order that names a link in place of its members."""
    named = {"source_member": "", "target_member": "", "link_id": link_id(link).bytes}
    return an_order(number, under, **named | changes)


# The coalition


def add_partner(brand: str, cap: int = CAP, **changes: Any) -> AddPartner:
    """Adds a brand with one program of its name."""
    fields: dict[str, Any] = {
        "partner_id": brand,
        "legal_name": f"{brand.capitalize()} Ltd",
        "programs": (brand,),
        "currency": CURRENCY,
        "net_debit_cap": cap,
        "body": f"{brand} {cap}".encode(),
    }
    return AddPartner(**fields | changes)


def add_key(holder: str, purpose: Purpose, **changes: Any) -> AddKey:
    """Registers the key of a holder for a purpose, good for two years around `NOW`."""
    key = signer(holder, purpose)
    fields: dict[str, Any] = {
        "holder": holder,
        "purpose": purpose.value,
        "key_id": key.key_id,
        "public_key": key.public_key,
        "valid_from": NOW - timedelta(days=365),
        "valid_until": NOW + timedelta(days=365),
        "registrar_key_ids": (),
        "body": f"{holder} {purpose}".encode(),
    }
    return AddKey(**fields | changes)


def add_tax_rate(
    tax_code: str = "vat6", basis_points: int = 700, effective_from: datetime = NOW
) -> AddTaxRate:
    """Adds a rate to a tax code from an instant on."""
    rate = TaxRateMessage(
        tax_code=tax_code,
        basis_points=basis_points,
        effective_from=time_to_proto(effective_from),
    )
    body = rate.SerializeToString(deterministic=True)
    return AddTaxRate(tax_code, effective_from, basis_points, body)


def revoke_key(holder: str, purpose: Purpose, *by: SeedSigner, **changes: Any) -> RevokeKey:
    """Revokes the key of a holder for a purpose, asked for by those who may: its own key for
    agreements unless told.
    """
    asking = by or (signer(holder, Purpose.AGREEMENTS),)
    fields: dict[str, Any] = {
        "holder": holder,
        "key_id": signer(holder, purpose).key_id,
        "reason": "COMPROMISED",
        "signer_key_ids": tuple(each.key_id for each in asking),
        "body": f"revoke {holder} {purpose}".encode(),
    }
    return RevokeKey(**fields | changes)


def agreements_signer(brand: str) -> SeedSigner:
    """The key with which a brand signs agreements."""
    return signer(f"partner/{brand}", Purpose.AGREEMENTS)


def propose(payload: bytes, by: str = "", *, is_counter: bool = False) -> Propose:
    """A brand, the source unless told, proposes an agreement."""
    under = terms_of(payload)
    brand = by or under.source_partner
    key = agreements_signer(brand)
    envelope = sign(key, RATE_AGREEMENT, payload)
    signature, body = envelope.signatures[0].signature, to_json(envelope).encode()
    return Propose(under, brand, key.key_id, signature, payload, is_counter, body)


def counter_sign(payload: bytes, by: str = "") -> CounterSign:
    """A brand, the target unless told, counter-signs an agreement."""
    under = terms_of(payload)
    brand = by or under.target_partner
    key = agreements_signer(brand)
    envelope = sign(key, RATE_AGREEMENT, payload)
    signature, body = envelope.signatures[0].signature, to_json(envelope).encode()
    return CounterSign(under, brand, key.key_id, signature, body)


def withdraw(payload: bytes, by: str = "") -> Withdraw:
    """A brand, the source unless told, takes its proposal back."""
    under = terms_of(payload)
    brand = by or under.source_partner
    key_id = agreements_signer(brand).key_id
    return Withdraw(*under.name, under.sha256, brand, key_id, b"withdrawn by " + brand.encode())


def activate(
    payload: bytes, begins: datetime | None = None, ends: datetime | None = None
) -> Activate:
    """Puts an agreement that all have signed in force, now unless told."""
    under = terms_of(payload)
    signatures = [
        sign(agreements_signer(brand), RATE_AGREEMENT, payload).signatures[0]
        for brand in under.signatories
    ]
    envelope = Envelope(RATE_AGREEMENT, payload, tuple(signatures))
    return Activate(under, activation_body(envelope, begins, ends), begins, ends)


def terminate(payload: bytes, until: datetime, by: str = "") -> Terminate:
    """A brand, the source unless told, gives notice of an agreement."""
    under = terms_of(payload)
    brand = by or under.source_partner
    key_id = agreements_signer(brand).key_id
    body = f"{brand} until {until.isoformat()}".encode()
    return Terminate(*under.name, under.sha256, until, key_id, ENVELOPE_BODY, body)


def agreed(payload: bytes) -> tuple[Command, ...]:
    """The source proposes an agreement, and whoever else it binds signs."""
    _, *others = terms_of(payload).signatories
    return (propose(payload), *(counter_sign(payload, brand) for brand in others))


def in_force(payload: bytes) -> tuple[Command, ...]:
    """All sign an agreement, and it is put in force."""
    return (*agreed(payload), activate(payload))


def set_switches(number: int, switches: Switches) -> SetSwitches:
    """Sets switches under the change id of this number."""
    return SetSwitches(transfer_id(number), switches, switches_body(switches))


def set_limits(number: int, limits: Limits) -> SetLimits:
    """Sets limits under the change id of this number."""
    return SetLimits(transfer_id(number), limits, limits_body(limits))


def set_route(number: int, route: Route) -> SetRoute:
    """The command that sets a route, under the change id of this number."""
    return SetRoute(transfer_id(number), route, route_body(route))


def proof(brand: str, text: bytes = b"confirmation") -> Proof:
    """A brand's signed answer, as the sequencer knows it."""
    return Proof(hashlib.sha256(text).digest(), order_signer(brand).key_id)


AGREEMENTS = {
    (*corridor, version): agreement_payload(*corridor, version=version, fee_basis_points=fee)
    for corridor in CORRIDORS
    for version, fee in ((1, 100), (2, 75))
}
"""The bytes of both versions of every corridor's agreement."""

OPENING = OpenWindow(CURRENCY, DAY_ONE)


def partners_and_keys(cap: int = CAP) -> tuple[Command, ...]:
    """The commands that bring in the brands and their keys."""
    brands = [add_partner(brand, cap) for brand in BRANDS]
    keys = [
        add_key(f"partner/{brand}", purpose)
        for brand in BRANDS
        for purpose in (Purpose.ORDERS, Purpose.AGREEMENTS)
    ]
    return (add_key("exchange", Purpose.RECEIPTS), *brands, *keys)


def founding(
    cap: int = CAP, agreements: Iterable[bytes] | None = None, *, opened: bool = True
) -> tuple[Command, ...]:
    """The commands that make a coalition ready to transfer: of the agreements given, all are in
    force; of all there are, the versions 1 are, and the others are signed.
    """
    signed = list(AGREEMENTS.values() if agreements is None else agreements)
    chosen = [
        payload for payload in signed if agreements is not None or terms_of(payload).version == 1
    ]
    window = (OPENING,) if opened else ()
    return (
        *partners_and_keys(cap),
        *chain.from_iterable(map(agreed, signed)),
        *map(activate, chosen),
        *window,
    )


NOTHING = State(0, EPOCH, Registry(taxes=TAXES))
"""The state of an empty database."""


def a_state(*commands: Command) -> State:
    """The state after `commands`, or after the founding where none are given."""
    return fold(NOTHING, commands or founding(), NOW - timedelta(minutes=1)).state


def a_registry(*commands: Command) -> Registry:
    """The registry after `commands`, or after the founding where none are given."""
    return a_state(*commands).registry


def fold_one(state: State, command: Command, now: datetime = NOW) -> Folded:
    """One batch of one."""
    return fold(state, [command], now)


# Operators


def an_action(number: int, reason: str = "", **changes: Any) -> SignedAction:
    """Ada's action of this number, that ben has approved; its signatures are not real ones."""
    fields: dict[str, Any] = {
        "action_id": transfer_id(number),
        "maker": "ada",
        "method": "pointclear.partners.v1.OperatorService/GrantRole",
        "reason": reason,
        "issued_at": NOW - timedelta(minutes=5),
        "expires_at": NOW + timedelta(hours=1),
        "payload": f"{number} {reason}".encode(),
    }
    action = Action(**fields | changes)
    maker, checker = (
        ActionSigner(
            name, signer(f"operator/{name}", Purpose.OPERATOR).key_id, Role.OPERATOR, bytes(64)
        )
        for name in ("ada", "ben")
    )
    signatures = tuple(Signature(each.key_id, each.signature) for each in (maker, checker))
    alone = Envelope(OPERATOR_ACTION, action.payload, signatures[:1])
    both = Envelope(OPERATOR_ACTION, action.payload, signatures)
    return SignedAction(
        ProposeAction(action, maker, True, to_json(alone).encode(), b"request"),
        ApproveAction(action, maker, checker, to_json(both).encode()),
    )


def propose_action(number: int, reason: str = "") -> ProposeAction:
    """Ada's action of this number."""
    return an_action(number, reason).proposal


def approve_action(number: int) -> ApproveAction:
    """Ben's approval of it."""
    approval = an_action(number).approval
    assert approval is not None
    return approval
