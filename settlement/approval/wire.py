"""Between the wire's messages and what stands between a closed window and its payments."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from partners.actions.verification import check_free_text
from partners.agreement import HUB
from partners.errors import Reason, Refused
from partners.points import check_id
from partners.wire import parse_strictly, time_to_proto, uuid7
from pointclear.settlement.v1 import approval_pb2 as pb
from pointclear.settlement.v1 import statement_pb2
from settlement.approval.draft import Draft
from settlement.approval.withholding import DisputedLine, Withholding
from settlement.facts import Entry
from settlement.netting import pay
from settlement.own_funds.own_leg import OwnStood
from settlement.windows import SettlementWindow

LINES_MAX = 100
"""Of one dispute."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a partner counter-signed."""

    partner_id: str
    window_id: str
    statement_sha256: bytes


@dataclass(frozen=True, slots=True)
class Disputed:
    """What a partner signed of a dispute."""

    dispute_id: UUID
    partner_id: str
    line_ids: tuple[UUID, ...]
    reason: str
    comment: str
    is_withdrawn: bool

    @property
    def subject(self) -> str:
        """The key of its entry."""
        return f"dispute/{self.dispute_id}"


def acknowledged_from(payload: bytes, audience: str) -> Acknowledged:
    """What a `statement-acknowledgement` payload says; raises Refused for a malformed one, or one
    for another exchange.
    """
    message = parse_strictly(statement_pb2.StatementAcknowledgement(), payload)
    _check_audience(message.audience, audience)
    check_id(message.partner_id, "partner_id")
    check_id(message.window_id, "window_id")
    return Acknowledged(message.partner_id, message.window_id, message.statement_sha256)


def disputed_from(payload: bytes, audience: str) -> Disputed:
    """What a `dispute` payload says; raises Refused for a malformed one, or one for another
    exchange.
    """
    message = parse_strictly(statement_pb2.LineDispute(), payload)
    _check_audience(message.audience, audience)
    check_id(message.partner_id, "partner_id")
    if not message.is_withdrawn and not 1 <= len(message.line_ids) <= LINES_MAX:
        raise Refused(Reason.FIELD_INVALID, "line_ids", f"a dispute names 1 to {LINES_MAX} lines")
    if len(set(message.line_ids)) < len(message.line_ids):
        raise Refused(Reason.FIELD_INVALID, "line_ids", "a line is named twice")
    is_known = message.reason in statement_pb2.DisputeReason.values()
    if not is_known or (not message.is_withdrawn and not message.reason):
        raise Refused(Reason.FIELD_INVALID, "reason", "say why the lines are in dispute")
    check_free_text(message.comment, "comment")
    return Disputed(
        uuid7(message.dispute_id, "dispute_id"),
        message.partner_id,
        tuple(line_id_from(each) for each in message.line_ids),
        statement_pb2.DisputeReason.Name(message.reason).removeprefix("DISPUTE_REASON_"),
        message.comment,
        message.is_withdrawn,
    )


def line_id_from(raw: bytes) -> UUID:
    """The id of a transfer or reversal."""
    try:
        return UUID(bytes=raw)
    except ValueError:
        raise Refused(Reason.FIELD_INVALID, "line_ids", "an id has 16 bytes") from None


def _check_audience(stated: str, audience: str) -> None:
    if stated != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")


def draft_message(window: SettlementWindow, draft: Draft) -> pb.GetDraftResponse:
    """A draft with what each partner would pay or be paid."""
    lines = []
    for name, stood in draft.partners.items():
        before = stood.brought_forward + stood.restated + draft.nets[name]
        minor_unit = window.currency.minor_unit
        payment = pay(before, stood.withheld, minor_unit, draft.minimum_payout)
        lines.append(
            pb.DraftLine(
                partner_id=name,
                brought_forward=stood.brought_forward,
                restated=stood.restated,
                net=draft.nets[name],
                withheld=stood.withheld,
                due=payment.due,
                payment=payment.payment,
                carried_forward=payment.carried_forward,
            )
        )
    return pb.GetDraftResponse(
        lines=lines,
        own=_own_line(draft.own, window.currency.minor_unit) if draft.own else None,
        due_date=draft.due_date.isoformat(),
        draft_sha256=draft.sha256,
        pairs=[
            pb.DraftPair(
                partner_id=each.one,
                counterparty=each.other,
                carried=each.carried,
                net=each.net,
                unpaid=each.unpaid,
                disputed=each.disputed_before + each.disputed,
                payment=each.payment,
                carries_on=each.carries_on,
            )
            for each in draft.pairs or ()
        ],
    )


def _own_line(own: OwnStood, minor_unit: int) -> pb.DraftLine:
    payment = own.payment(minor_unit)
    return pb.DraftLine(
        partner_id=HUB,
        brought_forward=own.brought_forward,
        net=own.net,
        due=payment.due,
        payment=payment.payment,
        carried_forward=payment.carried_forward,
        shortfall=own.shortfall,
    )


def dispute_message(
    withholding: Withholding, entry: Entry, only: str = "", *, is_ended: bool
) -> pb.Dispute:
    """A withholding as all see it, or as one partner does: its own amounts only."""
    unspecified = statement_pb2.DISPUTE_REASON_UNSPECIFIED
    reasons = dict(statement_pb2.DisputeReason.items())
    return pb.Dispute(
        subject=withholding.subject,
        currency=withholding.currency,
        partner_id=withholding.partner_id,
        reason=reasons.get(f"DISPUTE_REASON_{withholding.reason}", unspecified),
        comment=withholding.comment,
        lines=[_line_message(each, only) for each in withholding.lines],
        log_index=entry.log_index,
        opened_at=time_to_proto(entry.recorded_at),
        is_ended=is_ended,
    )


def _line_message(line: DisputedLine, only: str) -> pb.DisputedLine:
    amounts: Iterable[tuple[str, int]] = line.amounts.items()
    return pb.DisputedLine(
        # What an unwind takes out is no line.
        line_id=UUID(line.line_id).bytes if "/" not in line.line_id else b"",
        window_id=line.window_id,
        log_index=line.log_index,
        amounts=[
            pb.WithheldAmount(partner_id=name, amount=amount)
            for name, amount in amounts
            if only in ("", name)
        ],
    )
