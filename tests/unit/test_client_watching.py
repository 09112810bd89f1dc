"""A watch whose server says nothing is left, and one that breaks is opened again after the last
entry that was verified.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from partners.envelope import CREDIT_NOTICE, Envelope, sign
from partners.keys import SeedSigner, VerifyKey
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.client.errors import ProofInvalid, RefusedForGood
from pointclear.client.journal import Journal
from pointclear.client.line import Patience, Tries
from pointclear.client.proofs import read_proof
from pointclear.client.values import START, Entry
from pointclear.client.watching import Watching
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from tests.unit.test_client_sending import AUDIENCE, NOW

EXCHANGE = SeedSigner(b"2" * 32)
KEYS = {EXCHANGE.key_id: VerifyKey.of(EXCHANGE.public_key)}


class Broken(grpc.RpcError):
    """The connection broke."""


class Call:
    """A watch: what it gives, one after the other; then it breaks, or says nothing for ever."""

    def __init__(self, responses: list[pb.WatchTransfersResponse], *, silent: bool = False) -> None:
        self._given: SimpleQueue[pb.WatchTransfersResponse | None] = SimpleQueue()
        for each in responses:
            self._given.put(each)
        if not silent:
            self._given.put(None)

    def __iter__(self) -> Iterator[pb.WatchTransfersResponse]:
        return self

    def __next__(self) -> pb.WatchTransfersResponse:
        response = self._given.get()
        if response is None:
            raise Broken
        return response

    def cancel(self) -> None:
        self._given.put(None)


class Script:
    """An exchange whose watches a test wrote."""

    def __init__(self, *calls: Call) -> None:
        self.calls = list(calls)
        self.asked: list[int] = []
        self.exchange = SimpleNamespace(WatchTransfers=self.watch)
        self.server = "localhost:1"

    def watch(self, request: pb.WatchTransfersRequest, timeout: float) -> Call:
        self.asked.append(request.after_stream_seq)
        return self.calls.pop(0)

    def tries_for(self, _total_s: float | None) -> Tries:
        return Tries(Patience(total_s=60, pause_s=0))


class Keys:
    """The exchange's keys."""

    def read(self, envelope: Envelope) -> Any:
        return read_proof(envelope, KEYS, AUDIENCE, "aurora")


def notices(count: int) -> list[pb.StreamEntry]:
    """A stream of credit notices."""
    entries, previous = [], START.sha256
    for seq in range(1, count + 1):
        record = transfer_pb2.TransferRecord(
            log_index=seq,
            recorded_at=time_to_proto(NOW),
            transfer_id=bytes(15) + bytes([seq]),
            state=transfer_pb2.TRANSFER_STATE_COMMITTED,
        )
        payload = transfer_pb2.CreditNotice(
            audience=AUDIENCE,
            partner_id="aurora",
            stream_seq=seq,
            previous_sha256=previous,
            signing_key_id=EXCHANGE.key_id,
            record=record.SerializeToString(deterministic=True),
        ).SerializeToString(deterministic=True)
        envelope = sign(EXCHANGE, CREDIT_NOTICE, payload)
        entries.append(pb.StreamEntry(stream_seq=seq, envelope=envelope_to_proto(envelope)))
        previous = Keys().read(envelope).sha256
    return entries


STREAM = notices(4)


def response(*places: int) -> pb.WatchTransfersResponse:
    entries = [STREAM[place - 1] for place in places]
    return pb.WatchTransfersResponse(entries=entries, last_stream_seq=len(STREAM))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite3", "aurora", AUDIENCE)
    yield opened
    opened.close()


def read(script: Any, journal: Journal) -> list[Entry]:
    keys: Any = Keys()
    watching = Watching(script, keys, journal, threading.Event())
    return list(watching.entries(START, follow=False, heartbeat_s=1, patience_s=None))


def test_a_watch_that_breaks_goes_on_after_the_last_entry(journal: Journal) -> None:
    script = Script(Call([response(1, 2)]), Call([]), Call([response(3)]), Call([response(4)]))
    assert [each.bookmark.stream_seq for each in read(script, journal)] == [1, 2, 3, 4]
    assert script.asked == [0, 2, 2, 3]


def test_a_server_that_says_nothing_is_left(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointclear.client.watching.HEARTBEATS_MISSED", 0.01)
    script = Script(Call([response(1)], silent=True), Call([response(2, 3, 4)]))
    assert len(read(script, journal)) == 4
    assert script.asked == [0, 1]


@pytest.mark.parametrize("places", [(2,), (1, 3), (1, 1), (2, 1)], ids=str)
def test_an_entry_that_is_missing_doubled_or_swapped_is_found(
    journal: Journal, places: tuple[int, ...]
) -> None:
    with pytest.raises(ProofInvalid) as failed:
        read(Script(Call([response(*places)])), journal)
    assert failed.value.field == "stream_seq"


def test_a_stream_that_is_shorter_than_what_was_read_is_not_believed(journal: Journal) -> None:
    shrunk = pb.WatchTransfersResponse(last_stream_seq=1)
    with pytest.raises(ProofInvalid, match="what was signed is gone"):
        read(Script(Call([response(1, 2)]), Call([shrunk])), journal)


def test_a_receipt_that_answered_an_order_must_be_the_one_that_stands_in_the_stream(
    journal: Journal,
) -> None:
    from tests.unit.test_client_journal import RECEIPT, draft

    journal.keep([draft()], NOW)
    journal.answer("k", RECEIPT, 2, None, final=True)
    with pytest.raises(ProofInvalid, match="another receipt"):
        read(Script(Call([response(1, 2)])), journal)


def test_a_refusal_that_waiting_does_not_mend_ends_the_watch(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.test_client_sending import SHUT_OUT

    monkeypatch.setattr("pointclear.client.watching.answer_of", lambda _error: SHUT_OUT)
    with pytest.raises(RefusedForGood):
        read(Script(Call([])), journal)
