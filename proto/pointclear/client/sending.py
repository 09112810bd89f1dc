"""An order's way: written down, sent, sent again, verified, and its answer written down.

Effects: the journal and the network, in this order:

    sign → write the order down → send → verify the answer → write the answer down

A crash before the first writing leaves nothing; one after it leaves an order that may have been
sent, whose very bytes are sent again; one before the second writing leaves the same, and the same
bytes get the same answer. So nothing is carried out twice, and nothing is believed unverified.

A refusal that was recorded has a receipt and is an answer for ever. One without ends the matter
only where no earlier attempt may have been carried out; else the exchange is asked what became of
the order, and while that cannot be known it is Unanswered.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from partners.envelope import REVERSAL_ORDER, TRANSFER_ORDER, Envelope
from partners.errors import Reason
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.client.answers import (
    VOID,
    Outcome,
    caught,
    is_settled,
    may_have_been_sent,
    outcome,
    result_of,
    said_by,
)
from pointclear.client.errors import (
    JournalUnusable,
    ProofInvalid,
    RequestRefused,
    Unanswered,
    Unavailable,
)
from pointclear.client.exchange_keys import ExchangeKeys
from pointclear.client.journal import Draft, Journal, Kept
from pointclear.client.line import Identity, Line, NoAnswer
from pointclear.client.orders import (
    digest,
    order_payload,
    reversal_payload,
    sign_order,
    sign_reversal,
)
from pointclear.client.proofs import check_answers
from pointclear.client.reading import event_of, moment
from pointclear.client.refusals import Refusal
from pointclear.client.values import Event, Order, State, TakenBack
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    CreateTransferRequest,
    GetTransferRequest,
    ReverseTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder

log = logging.getLogger("pointclear.client")

BATCH_ORDERS_MAX = 200
"""Orders in one call: 500 are allowed, and 200 of the largest fit into it."""
CLOCKS = timedelta(minutes=1)
"""By how much the exchange's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What sending takes."""

    identity: Identity
    line: Line
    keys: ExchangeKeys
    journal: Journal
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    def write_down(self, orders: Mapping[str, Order]) -> list[Kept]:
        """Sign orders and write them down, unless their keys are there. Raises ValueError for a
        figure that 64 bits do not hold, and what `Journal.keep` does; then none is written.
        """
        now = self.now()
        return self.journal.keep([self._draft(*each, now) for each in orders.items()], now)

    def _draft(self, key: str, order: Order, now: datetime) -> Draft:
        order_id, me = self.new_id(), self.identity
        payload = order_payload(order, me.audience, me.partner_id, order_id, now)
        signed = envelope_from_proto(sign_order(me.signer, payload))
        return Draft(key, order_id, digest(order), signed)

    def write_down_reversal(self, key: str, taken: TakenBack) -> Kept:
        """The same for what was taken back."""
        order_id, me, now = self.new_id(), self.identity, self.now()
        payload = reversal_payload(taken, me.audience, me.partner_id, order_id, now)
        signed = envelope_from_proto(sign_reversal(me.signer, payload))
        draft = Draft(key, order_id, digest(taken), signed)
        return self.journal.keep([draft], now)[0]

    def send(self, kept: Kept) -> Event:
        """How an order ended, or stands. Raises RequestRefused, Unanswered and ProofInvalid."""
        if is_settled(kept):
            return outcome(kept)
        in_doubt, tries = may_have_been_sent(kept), self.line.tries()
        while True:
            answer = self._attempt(kept)
            if isinstance(answer, Envelope):
                return self._answered(kept, answer)
            if isinstance(answer, Refusal) and not answer.may_be_repeated:
                return self._refused(kept, answer, in_doubt)
            in_doubt = True
            if not tries.again(answer):
                raise Unanswered(kept.key, kept.order_id, answer.text)

    def _attempt(self, kept: Kept) -> Envelope | Refusal | NoAnswer:
        """One call: the proof that answers it, or none."""
        exchange, signed = self.line.exchange, envelope_to_proto(kept.envelope)
        if kept.envelope.payload_type == REVERSAL_ORDER:
            reversed_ = self.line.attempt(
                exchange.ReverseTransfer, ReverseTransferRequest(reversal=signed)
            )
            if isinstance(reversed_, Refusal | NoAnswer):
                return reversed_
            return envelope_from_proto(reversed_.notice)
        created = self.line.attempt(exchange.CreateTransfer, CreateTransferRequest(order=signed))
        if isinstance(created, Refusal | NoAnswer):
            return created
        return envelope_from_proto(created.receipt)

    def send_all(self, several: Sequence[Kept]) -> dict[str, Outcome]:
        """How each ended, by its key: what `send` would give or raise."""
        ended: dict[str, Outcome] = {}
        waiting: list[Kept] = []
        for each in several:
            if is_settled(each):
                ended[each.key] = caught(outcome, each)
            elif each.envelope.payload_type == REVERSAL_ORDER:
                ended[each.key] = caught(self.send, each)
            else:
                waiting.append(each)
        doubtful = {each.key for each in waiting if may_have_been_sent(each)}
        tries = self.line.tries()
        while waiting:
            left: list[tuple[Kept, Refusal | NoAnswer]] = []
            for chunk in chunks(waiting):
                left += self._send_chunk(chunk, doubtful, ended)
            doubtful.update(each.key for each, _ in left)
            if left and not tries.again(left[-1][1]):
                for each, answer in left:
                    ended[each.key] = Unanswered(each.key, each.order_id, answer.text)
                break
            waiting = [each for each, _ in left]
        return {each.key: ended[each.key] for each in several}

    def _send_chunk(
        self, chunk: Sequence[Kept], doubtful: Collection[str], ended: dict[str, Outcome]
    ) -> list[tuple[Kept, Refusal | NoAnswer]]:
        """Send some orders in one call; those that have no answer yet."""
        request = BatchCreateTransfersRequest(
            orders=[envelope_to_proto(each.envelope) for each in chunk]
        )
        answer = self.line.attempt(self.line.exchange.BatchCreateTransfers, request)
        if isinstance(answer, NoAnswer) or (isinstance(answer, Refusal) and answer.may_be_repeated):
            return [(each, answer) for each in chunk]
        if isinstance(answer, Refusal):
            results: list[Envelope | Refusal] = [answer for _ in chunk]
        else:
            results = [result_of(each) for each in answer.results]
        if len(results) != len(chunk):
            raise ProofInvalid(f"{len(chunk)} orders have {len(results)} results", "results")
        left: list[tuple[Kept, Refusal | NoAnswer]] = []
        for each, result in zip(chunk, results, strict=True):
            if isinstance(result, Envelope):
                ended[each.key] = caught(self._answered, each, result)
            elif result.may_be_repeated:
                left.append((each, result))
            else:
                ended[each.key] = caught(self._refused, each, result, each.key in doubtful)
        return left

    def _answered(self, kept: Kept, proving: Envelope, refusal: Refusal | None = None) -> Event:
        """What a receipt or notice proves; the refusal is what came with it."""
        try:
            proof = self.keys.read(proving)
        except Unavailable as gone:
            raise Unanswered(kept.key, kept.order_id, f"unverified: {gone}") from None
        check_answers(proof, kept.envelope.payload, kept.order_id.bytes)
        event = event_of(proof)
        if event.state is State.COMMITTED and refusal is not None:
            raise ProofInvalid(f"{refusal.reason} came with a proof that it was done", "state")
        said = (refusal or said_by(event)) if event.state in VOID else None
        self._note(kept, proving, event.stream_seq, said, final=event.state.is_final)
        if said is not None:
            raise said.error(event)
        return event

    def _refused(self, kept: Kept, refusal: Refusal, in_doubt: bool) -> Event:
        if refusal.receipt is not None:
            return self._answered(kept, refusal.receipt, refusal)
        if in_doubt:
            return self._looked_up(kept, refusal)
        # Nothing was written there. The same bytes may be sent again, so they stay here.
        self._note(kept, None, None, refusal, final=True)
        raise refusal.error()

    def _looked_up(self, kept: Kept, refusal: Refusal) -> Event:
        """What became of an order that an earlier attempt may have brought in, and that is not even
        let in now. A reversal cannot be looked up by its id: it stays open until it is let in.
        """
        found = None
        if kept.envelope.payload_type == TRANSFER_ORDER:
            request = GetTransferRequest(transfer_id=kept.order_id.bytes)
            try:
                found = self.line.ask(self.line.exchange.GetTransfer, request)
            except RequestRefused as unknown:
                # Unknown, and too late to become known: it never was carried out, nor will be.
                if unknown.reason == Reason.TRANSFER_UNKNOWN and self._is_past(kept):
                    self._note(kept, None, None, refusal, final=True)
                    raise refusal.error() from None
            except Unavailable:
                pass
        if found is not None:
            return self._answered(kept, envelope_from_proto(found.entry.envelope))
        text = f"refused now ({refusal.reason}), after an attempt that may have been carried out"
        raise Unanswered(kept.key, kept.order_id, text)

    def _note(
        self,
        kept: Kept,
        proving: Envelope | None,
        stream_seq: int | None,
        refusal: Refusal | None,
        *,
        final: bool,
    ) -> None:
        """Write an answer down. One that cannot be is good all the same: whoever asks with the key
        again has the same bytes sent, and gets it again.
        """
        try:
            self.journal.answer(kept.key, proving, stream_seq, refusal, final=final)
        except JournalUnusable as error:
            log.warning("an answer could not be written down: %s", error)

    def _is_past(self, kept: Kept) -> bool:
        order = TransferOrder.FromString(kept.envelope.payload)
        return self.now() > moment(order.expires_at) + CLOCKS


def chunks(several: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """As many as go into one call."""
    for start in range(0, len(several), BATCH_ORDERS_MAX):
        yield several[start : start + BATCH_ORDERS_MAX]
