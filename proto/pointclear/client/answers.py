"""What is known of an order by what was written down, and what an answer means. Pure."""

from collections.abc import Callable

from partners.envelope import Envelope
from partners.errors import RULES, Reason, Retry
from partners.wire import envelope_from_proto
from pointclear.client.errors import ClientError
from pointclear.client.journal import Kept
from pointclear.client.proofs import parse_proof
from pointclear.client.reading import event_of
from pointclear.client.refusals import Refusal, refusal_of_item
from pointclear.client.values import Event, State
from pointclear.exchange.v1.exchange_service_pb2 import TransferResult

VOID = (State.REFUSED, State.ABORTED)

Outcome = Event | ClientError
"""How an order ended, or stands."""


def is_settled(kept: Kept) -> bool:
    """Whether the exchange has answered it for ever."""
    return kept.final and kept.receipt is not None


def may_have_been_sent(kept: Kept) -> bool:
    """Whether somebody may have sent it whose answer was lost."""
    return not kept.is_new and not kept.final


def outcome(kept: Kept) -> Event:
    """The answer that was written down. Raises RequestRefused where it is one."""
    assert kept.receipt is not None, "it is settled"
    event = event_of(parse_proof(kept.receipt))
    if kept.refusal is not None:
        raise kept.refusal.error(event)
    return event


def said_by(event: Event) -> Refusal:
    """The refusal that a record states: all of it that is kept for ever."""
    rule = RULES.get(Reason(event.reason)) if event.reason in Reason.__members__ else None
    retry = rule.retry if rule else Retry.NEVER
    return Refusal(event.reason, "", "", retry, rule.remedy if rule else "")


def result_of(item: TransferResult) -> Envelope | Refusal:
    """What an item of a batch's response is."""
    if item.HasField("receipt"):
        return envelope_from_proto(item.receipt)
    return refusal_of_item(item.refusal)


def caught(end: Callable[..., Event], *arguments: object) -> Outcome:
    """What it gives, or raises."""
    try:
        return end(*arguments)
    except ClientError as error:
        return error
