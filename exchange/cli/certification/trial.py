"""A partner on trial: its orders, what must come of them, and what was proved to it so far.

Effects: the network. A scenario is passed when nothing here raises: Failed is the exchange's word,
NotPassed ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uuid_utils

from exchange.cli.agreements.agreements import target_points_of
from exchange.cli.connection import Connection
from exchange.cli.failure import Failed, Failure
from exchange.cli.partners.link_commands import confirmation_request, new_id, parse_salt
from exchange.cli.proofs import Proof, check_answers, read_proof
from partners.agreement import Terms
from partners.errors import PointclearError, Reason
from partners.keys import Purpose, Signer
from partners.links.link import LinkMember
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.client.orders import build_order, sign_order
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from pointclear.partners.v1.link_service_pb2 import LINK_METHOD_SIGN_IN, StartLinkRequest

LIFETIME = timedelta(minutes=5)
CONSENT = "certification"
"""The version of the text to which nobody had to agree: the members of a sandbox are made up."""


class NotPassed(PointclearError):
    """What came is not what the scenario asks for. Its text is one line for people."""


@dataclass(slots=True)
class Trial:
    """One run of the scenarios."""

    partner: Connection
    counterparty: Connection
    """The target's: it confirms a link."""
    operator: Connection
    """The sandbox's: it closes the settlement window."""
    terms: Terms
    """Of the agreement that the orders are under; the partner is its source."""
    source_member: str
    target_member: str
    orders: Signer
    """The partner's key for orders."""
    confirmed: Terms | None = None
    """Of another agreement, with a simulated target whose answer commits."""
    proved: dict[bytes, bytes] = field(default_factory=dict)
    """Digests of the payloads that were proved to the partner, by transfer id."""
    committed: dict[UUID, str] = field(default_factory=dict)
    """The settlement window that counts it, by transfer id."""

    def payload(self, **changes: Any) -> bytes:
        """A good order of the least points; `changes` are arguments of `build_order`."""
        now, terms = datetime.now(UTC), self.terms
        points = terms.minimum_source_points
        fields: dict[str, Any] = {
            "audience": self.partner.profile.audience,
            "partner_id": self.partner.profile.caller.name,
            "transfer_id": uuid_utils.uuid7().bytes,
            "source_program": terms.source_program,
            "target_program": terms.target_program,
            "source_member": self.source_member,
            "target_member": self.target_member,
            "source_points": points,
            "target_points": target_points_of(terms, points, "", now),
            "agreement_id": terms.agreement_id,
            "agreement_version": terms.version,
            "issued_at": now,
            "expires_at": now + LIFETIME,
        }
        return build_order(**fields | changes)

    def order(self, **changes: Any) -> SignedEnvelope:
        """A good order, signed."""
        return sign_order(self.orders, self.payload(**changes))

    def send(self, order: SignedEnvelope, connection: Connection | None = None) -> SignedEnvelope:
        """The receipt that answers an order. Raises Failed."""
        used = connection or self.partner
        return used.call(used.exchange.CreateTransfer, CreateTransferRequest(order=order)).receipt

    def commit(self, order: SignedEnvelope) -> SignedEnvelope:
        """The verified receipt of an order that must be carried out. Raises Failed."""
        receipt = self.send(order)
        self.take(order, receipt)
        return receipt

    def take(self, order: SignedEnvelope, receipt: SignedEnvelope) -> Proof:
        """Verify a receipt of a transfer that took place, and remember it. Raises Failed."""
        proof = self.verify(order, receipt)
        self.committed[UUID(bytes=proof.record.transfer_id)] = proof.record.window_id
        return proof

    def verify(self, order: SignedEnvelope, receipt: SignedEnvelope) -> Proof:
        """Verify what answers an order, and remember it. Raises Failed(PROOF_INVALID)."""
        profile = self.partner.profile
        keys = self.partner.exchange_keys(Purpose.RECEIPTS)
        proof = read_proof(
            envelope_from_proto(receipt), keys, profile.audience, profile.caller.name
        )
        transfer_id = TransferOrder.FromString(order.payload).transfer_id
        check_answers(proof, order.payload, transfer_id)
        self.proved[transfer_id] = proof.sha256
        return proof

    def link(self) -> bytes:
        """The id of a new link of the trial's members: started by the partner, confirmed by the
        counterparty. Raises Failed.
        """
        terms, link_id = self.terms, new_id()
        self.partner.call(
            self.partner.links.StartLink,
            StartLinkRequest(
                link_id=link_id,
                source_program=terms.source_program,
                target_program=terms.target_program,
                member=self.source_member,
                member_salt=parse_salt(None),
            ),
        )
        own = LinkMember(terms.target_program, self.target_member, parse_salt(None))
        self.counterparty.call(
            self.counterparty.links.ConfirmLink,
            confirmation_request(
                self.counterparty.profile,
                link_id,
                own,
                LINK_METHOD_SIGN_IN,
                CONSENT,
                datetime.now(UTC),
            ),
        )
        return link_id

    def refused(self, order: SignedEnvelope, reason: Reason, *, recorded: bool) -> None:
        """That an order is refused for this reason, with a receipt if that is recorded.

        Raises NotPassed or Failed.
        """
        failure = refusal_of(lambda: self.send(order))
        if failure.reason != reason:
            raise NotPassed(f"refused for {failure.reason}, not for {reason}: {failure.text}")
        if recorded:
            if failure.receipt is None:
                raise NotPassed(f"{reason} came without its signed receipt")
            self.verify(order, envelope_to_proto(failure.receipt))


def refusal_of(call: Callable[[], object]) -> Failure:
    """How a call failed. Raises NotPassed where it was carried out."""
    try:
        call()
    except Failed as failed:
        return failed.failure
    raise NotPassed("the order was carried out and should have been refused")


def require(holds: bool, text: str) -> None:
    """Raise NotPassed unless something holds."""
    if not holds:
        raise NotPassed(text)
