"""A partner's stream, entry by entry: each verified, and each the one that follows the last.

Effects: the network, and the journal where that holds the reader's place. A watch that breaks is
opened again after the last entry that came; its reader notices a pause at most.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from partners.wire import envelope_from_proto
from pointclear.client.errors import ProofInvalid, Unavailable
from pointclear.client.exchange_keys import ExchangeKeys
from pointclear.client.journal import Journal
from pointclear.client.line import Line, NoAnswer, answer_of
from pointclear.client.proofs import check_follows
from pointclear.client.reading import entry_of
from pointclear.client.refusals import Refusal
from pointclear.client.values import Bookmark, Entry
from pointclear.exchange.v1 import exchange_service_pb2 as pb

log = logging.getLogger("pointclear.client")

HEARTBEATS_MISSED = 3
"""After so many heartbeats without a word a watch counts as dead."""
DEADLINE_S = 3600.0
"""Of one watch; then it is opened again."""


@dataclass(frozen=True, slots=True)
class Watching:
    """What reading a stream takes."""

    line: Line
    keys: ExchangeKeys
    journal: Journal
    closed: threading.Event

    def entries(
        self, after: Bookmark, *, follow: bool, heartbeat_s: int, patience_s: float | None
    ) -> Iterator[Entry]:
        """The entries after a place: up to the end of the stream, or without end.

        Raises ProofInvalid, RequestRefused, and Unavailable when there was no word for longer than
        the patience; without patience it never gives up.
        """
        tries = self.line.tries_for(patience_s)
        while not self.closed.is_set():
            request = pb.WatchTransfersRequest(
                after_stream_seq=after.stream_seq, heartbeat_seconds=heartbeat_s
            )
            try:
                with self._opened(request) as responses:
                    while (response := self._next(responses, heartbeat_s)) is not None:
                        tries = self.line.tries_for(patience_s)
                        for each in response.entries:
                            entry = self._verified(each, after)
                            after = entry.bookmark
                            yield entry
                        if response.last_stream_seq < after.stream_seq:
                            raise ProofInvalid(
                                f"the stream ends at {response.last_stream_seq}, and"
                                f" {after.stream_seq} was read: what was signed is gone",
                                "last_stream_seq",
                            )
                        if not follow and after.stream_seq == response.last_stream_seq:
                            return
                answer: Refusal | NoAnswer = NoAnswer("the watch ended")
            except grpc.RpcError as error:
                answer = answer_of(error)
            except Unavailable as gone:
                # The exchange's keys could not be read, to verify what came.
                answer = NoAnswer(str(gone))
            except ValueError:
                # gRPC's word for a channel that is closed.
                if not self.closed.is_set():
                    raise
                return
            if self.closed.is_set():
                return
            if isinstance(answer, Refusal) and not answer.may_be_repeated:
                raise answer.error()
            log.info("a watch ended (%s): on after %d", answer.text, after.stream_seq)
            if not tries.again(answer):
                raise Unavailable(f"{self.line.server}: {answer.text}")

    @contextmanager
    def _opened(self, request: pb.WatchTransfersRequest) -> Iterator[Any]:
        """A watch, which is over at the end, also when its reader goes away in the middle."""
        call = self.line.exchange.WatchTransfers(request, timeout=DEADLINE_S)
        try:
            yield call
        finally:
            call.cancel()

    @staticmethod
    def _next(call: Any, heartbeat_s: int) -> pb.WatchTransfersResponse | None:
        """The next response, None at the end. A server that says nothing for too long is left."""
        alarm = threading.Timer(HEARTBEATS_MISSED * heartbeat_s, call.cancel)
        alarm.daemon = True
        alarm.start()
        try:
            response: pb.WatchTransfersResponse | None = next(call, None)
            return response
        finally:
            alarm.cancel()

    def _verified(self, entry: pb.StreamEntry, after: Bookmark) -> Entry:
        envelope = envelope_from_proto(entry.envelope)
        proof = self.keys.read(envelope)
        check_follows(proof, after.stream_seq + 1, after.sha256)
        given = self.journal.receipt_at(proof.body.stream_seq)
        if given is not None and given.payload != envelope.payload:
            raise ProofInvalid(
                "an order was answered with another receipt than stands here", "stream_seq"
            )
        return entry_of(proof, entry.member)
