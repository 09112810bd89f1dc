"""What the client makes of each answer, and of none: an order is believed neither carried out nor
refused before that is certain.

The exchange is a script here: a list of what it answers, one call after the other.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from partners.envelope import (
    REVERSAL_NOTICE,
    TRANSFER_RECEIPT,
    Envelope,
    payload_digest,
    sign,
)
from partners.errors import Retry
from partners.keys import SeedSigner
from partners.wire import envelope_from_proto, envelope_to_proto, time_to_proto
from pointclear.client.errors import (
    JournalUnusable,
    ProofInvalid,
    RefusedForGood,
    RefusedForNow,
    RequestRefused,
    Unanswered,
    Unavailable,
)
from pointclear.client.exchange_keys import ExchangeKeys
from pointclear.client.journal import Journal, Kept
from pointclear.client.line import Identity, NoAnswer, Patience, Tries
from pointclear.client.orders import digest
from pointclear.client.refusals import Refusal, refusal_of_item
from pointclear.client.sending import BATCH_ORDERS_MAX, CLOCKS, Sending
from pointclear.client.values import VALID_FOR, Order, Reversal, State, TakenBack, Transfer
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1 import transfer_pb2
from pointclear.partners.v1 import key_pb2
from pointclear.partners.v1.partners_service_pb2 import ListKeysResponse

AUDIENCE = "pointclear.test/unit"
NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
OWN, EXCHANGE, OTHER = (SeedSigner(bytes([number]) * 32) for number in (1, 2, 3))
ORDER = Order(
    source_program="aurora",
    target_program="borealis",
    source_points=100,
    target_points=50,
    agreement_id="a",
    agreement_version=1,
    source_member="A-1",
    target_member="B-1",
)
LOST = NoAnswer("UNAVAILABLE: the connection broke")
LATER = Refusal("TRY_LATER", "", "", Retry.SAME_ID, "Wait.")
BUSY = Refusal("RATE_LIMITED", "", "", Retry.SAME_ID, "Wait.")
SHUT_OUT = Refusal("CALLER_UNKNOWN", "", "", Retry.NEVER, "Connect.")
UNKNOWN = Refusal("TRANSFER_UNKNOWN", "", "transfer_id", Retry.NEVER, "Check.")
MISMATCH = Refusal("AMOUNT_MISMATCH", "50", "target_points", Retry.NEVER, "Order 50.")
CAPPED = Refusal("NET_DEBIT_CAP_EXCEEDED", "", "source_points", Retry.NEW_ID, "Pay.")
REVIEW = Refusal("HELD_FOR_REVIEW", "", "", Retry.NEVER, "Look it up.")


class Script:
    """An exchange that says what a test wrote; what was sent to it is kept."""

    def __init__(self) -> None:
        names = ("CreateTransfer", "BatchCreateTransfers", "GetTransfer", "ReverseTransfer")
        self.exchange = SimpleNamespace(**{name: name for name in names})
        self.partners = SimpleNamespace(ListKeys="ListKeys")
        self.answers: list[Any] = []
        self.sent: list[Any] = []
        self.patient = True
        self.keys = [EXCHANGE]
        self.revoked_index = 0

    def attempt(self, _method: str, request: Any) -> Any:
        self.sent.append(request)
        answer = self.answers.pop(0)
        return answer(request) if callable(answer) else answer

    def ask(self, method: str, request: Any) -> Any:
        if method == "ListKeys":
            return ListKeysResponse(
                keys=[
                    key_pb2.Key(
                        key_id=each.key_id,
                        holder="exchange",
                        purpose=key_pb2.KEY_PURPOSE_RECEIPTS,
                        public_key=each.public_key,
                        registered_index=1,
                        revoked_index=self.revoked_index,
                    )
                    for each in self.keys
                ]
            )
        answer = self.attempt(method, request)
        if isinstance(answer, Refusal):
            raise answer.error()
        if isinstance(answer, NoAnswer):
            raise Unavailable(answer.text)
        return answer

    def tries(self) -> Tries:
        return Tries(Patience(total_s=60 if self.patient else 0, pause_s=0))


def receipt_for(
    order: Envelope, state: str = "COMMITTED", reason: str = "", **changes: Any
) -> Envelope:
    """The receipt of an order; `changes` are fields of its record or of the receipt."""
    asked = transfer_pb2.TransferOrder.FromString(order.payload)
    record = transfer_pb2.TransferRecord(
        log_index=changes.get("log_index", 9),
        recorded_at=time_to_proto(NOW),
        transfer_id=changes.get("transfer_id", asked.transfer_id),
        order_sha256=changes.get("order_sha256", payload_digest(order)),
        state=transfer_pb2.TransferState.Value(f"TRANSFER_STATE_{state}"),
        reason=refusal_pb2.Reason.Value(f"REASON_{reason or 'UNSPECIFIED'}"),
        source_points=asked.source_points,
        target_points=asked.target_points,
        source_part_sha256=changes.get("source_part_sha256", b""),
    )
    body = transfer_pb2.TransferReceipt(
        audience=changes.get("audience", AUDIENCE),
        partner_id=changes.get("partner_id", "aurora"),
        stream_seq=4,
        previous_sha256=bytes(32),
        signing_key_id=EXCHANGE.key_id,
        record=record.SerializeToString(deterministic=True),
        salt=bytes(32),
    )
    signer = changes.get("signer", EXCHANGE)
    return sign(signer, TRANSFER_RECEIPT, body.SerializeToString(deterministic=True))


def committed(**changes: Any) -> Callable[[Any], Any]:
    """A response with a receipt."""

    def answer(request: Any) -> Any:
        receipt = receipt_for(envelope_from_proto(request.order), **changes)
        return pb.CreateTransferResponse(receipt=envelope_to_proto(receipt))

    return answer


def refused(refusal: Refusal, state: str = "REFUSED", **changes: Any) -> Callable[[Any], Any]:
    """A refusal that was recorded."""

    def answer(request: Any) -> Any:
        order = envelope_from_proto(request.order)
        return replace(refusal, receipt=receipt_for(order, state, refusal.reason, **changes))

    return answer


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def sending(script: Script, tmp_path: Path) -> Iterator[Sending]:
    identity = Identity("aurora", "localhost:1", AUDIENCE, b"", b"", b"", OWN)
    journal = Journal(tmp_path / "journal.sqlite3", "aurora", AUDIENCE)
    line: Any = script
    yield Sending(
        identity,
        line,
        ExchangeKeys(line, AUDIENCE, "aurora", None),
        journal,
        lambda: NOW,
        lambda: UUID(bytes=uuid_utils.uuid7().bytes),
    )
    journal.close()


def kept(sending: Sending, key: str = "k") -> Kept:
    (found,) = sending.write_down({key: ORDER})
    return found


def orders_in(script: Script) -> list[bytes]:
    """The payloads that were sent."""
    return [
        each.order.payload for each in script.sent if isinstance(each, pb.CreateTransferRequest)
    ]


@pytest.mark.parametrize("trouble", [LOST, LATER, BUSY])
def test_the_same_bytes_go_until_there_is_an_answer(
    sending: Sending, script: Script, trouble: Refusal | NoAnswer
) -> None:
    script.answers = [trouble, trouble, committed()]
    transfer = sending.send(kept(sending))
    assert transfer.is_committed
    first, second, third = orders_in(script)
    assert first == second == third
    # What was answered is not asked for again.
    assert sending.send(kept(sending)) == transfer
    assert len(script.sent) == 3


@pytest.mark.parametrize("trouble", [LOST, LATER, BUSY])
def test_without_an_answer_in_time_the_order_stays_open(
    sending: Sending, script: Script, trouble: Refusal | NoAnswer
) -> None:
    script.patient, script.answers = False, [trouble]
    order = kept(sending)
    with pytest.raises(Unanswered) as failed:
        sending.send(order)
    assert (failed.value.key, failed.value.order_id) == ("k", order.order_id)
    (still,) = sending.journal.unanswered()
    script.answers = [committed()]
    assert sending.send(still).transfer_id == order.order_id


def test_an_answer_that_cannot_be_written_down_is_good_all_the_same(
    sending: Sending, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise JournalUnusable("the disk is full")

    order = kept(sending)
    with monkeypatch.context() as patched:
        patched.setattr(sending.journal, "answer", full)
        script.answers = [committed()]
        transfer = sending.send(order)
    # Nobody noted it, so it is asked for again, and is the same.
    script.answers = [committed()]
    assert sending.send(kept(sending)) == transfer


def test_a_recorded_refusal_is_an_answer_with_its_receipt(sending: Sending, script: Script) -> None:
    script.answers = [LOST, refused(CAPPED)]
    with pytest.raises(RefusedForNow) as failed:
        sending.send(kept(sending))
    assert failed.value.recorded is not None
    assert failed.value.recorded.reason == CAPPED.reason
    with pytest.raises(RefusedForNow):
        sending.send(kept(sending))
    assert len(script.sent) == 2


def test_a_refusal_at_the_door_at_the_first_attempt_is_certain(
    sending: Sending, script: Script
) -> None:
    script.answers = [SHUT_OUT]
    with pytest.raises(RefusedForGood) as failed:
        sending.send(kept(sending))
    assert failed.value.recorded is None
    assert sending.journal.unanswered() == []
    # Let in later, the very same order is carried out.
    script.answers = [committed()]
    assert sending.send(kept(sending)).is_committed
    first, second = orders_in(script)
    assert first == second


@pytest.mark.parametrize("trouble", [LOST, LATER])
def test_a_refusal_at_the_door_after_a_lost_answer_says_nothing(
    sending: Sending, script: Script, trouble: Refusal | NoAnswer
) -> None:
    """What was lost may have been a receipt: only the exchange knows."""
    order = kept(sending)
    script.answers = [trouble, SHUT_OUT, UNKNOWN]
    with pytest.raises(Unanswered, match="CALLER_UNKNOWN"):
        sending.send(order)
    assert [each.key for each in sending.journal.unanswered()] == ["k"]

    def found(_request: Any) -> Any:
        entry = pb.StreamEntry(envelope=envelope_to_proto(receipt_for(order.envelope)))
        return pb.GetTransferResponse(entry=entry)

    script.answers = [SHUT_OUT, found]
    assert sending.send(kept(sending)).is_committed


def test_an_order_that_nobody_knows_when_it_has_expired_never_was_carried_out(
    sending: Sending, script: Script
) -> None:
    order = kept(sending)
    over = replace(sending, now=lambda: NOW + VALID_FOR + CLOCKS + timedelta(seconds=1))
    script.answers = [LOST, SHUT_OUT, UNKNOWN]
    with pytest.raises(RefusedForGood) as failed:
        over.send(order)
    assert failed.value.reason == "CALLER_UNKNOWN"
    assert sending.journal.unanswered() == []


@pytest.mark.parametrize("answer", [SHUT_OUT, LOST])
def test_a_look_up_that_fails_leaves_it_open(
    sending: Sending, script: Script, answer: Refusal | NoAnswer
) -> None:
    script.answers = [LOST, SHUT_OUT, answer]
    with pytest.raises(Unanswered):
        sending.send(kept(sending))
    assert len(sending.journal.unanswered()) == 1


def test_what_is_held_or_reserved_is_not_the_end(sending: Sending, script: Script) -> None:
    script.answers = [
        refused(REVIEW, "HELD"),
        committed(state="RESERVED"),
        refused(MISMATCH, "ABORTED"),
    ]
    assert sending.send(kept(sending)).state is State.HELD
    assert sending.send(kept(sending)).state is State.RESERVED
    with pytest.raises(RefusedForGood) as failed:
        sending.send(kept(sending))
    assert failed.value.recorded is not None
    assert failed.value.recorded.state is State.ABORTED
    assert len(set(orders_in(script))) == 1


@pytest.mark.parametrize("state", ["REFUSED", "ABORTED"])
def test_a_receipt_that_says_refused_is_a_refusal_however_it_came(
    sending: Sending, script: Script, state: str
) -> None:
    script.answers = [committed(state=state, reason="REVIEW_REFUSED")]
    with pytest.raises(RefusedForGood) as failed:
        sending.send(kept(sending))
    assert failed.value.reason == "REVIEW_REFUSED"
    assert failed.value.remedy.endswith(".")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"signer": OTHER}, "signatures[0].key_id"),
        ({"audience": "pointclear.test/sandbox"}, "audience"),
        ({"partner_id": "borealis"}, "partner_id"),
        ({"transfer_id": bytes(16)}, "transfer_id"),
        ({"order_sha256": bytes(32)}, "order_sha256"),
        ({"source_part_sha256": bytes(32)}, "source_part"),
        ({"state": "UNSPECIFIED"}, "state"),
        ({"log_index": 1}, "signing_key_id"),
    ],
)
def test_nothing_is_believed_that_does_not_prove_it(
    sending: Sending, script: Script, changes: dict[str, Any], field: str
) -> None:
    script.answers = [committed(**changes)]
    with pytest.raises(ProofInvalid) as failed:
        sending.send(kept(sending))
    assert failed.value.field == field
    assert len(sending.journal.unanswered()) == 1


def test_a_receipt_under_a_key_that_was_revoked_before_it_is_not_believed(
    sending: Sending, script: Script
) -> None:
    script.revoked_index = 9
    script.answers = [committed(log_index=9)]
    with pytest.raises(ProofInvalid, match="not in force"):
        sending.send(kept(sending))
    script.answers = [committed(log_index=8)]
    assert sending.send(kept(sending)).is_committed


def test_a_refusal_with_a_receipt_of_a_transfer_contradicts_itself(
    sending: Sending, script: Script
) -> None:
    script.answers = [refused(MISMATCH, "COMMITTED")]
    with pytest.raises(ProofInvalid, match="came with a proof that it was done"):
        sending.send(kept(sending))


def test_a_batch_sorts_its_answers_and_asks_again_for_those_without(
    sending: Sending, script: Script
) -> None:
    orders = sending.write_down(dict.fromkeys(("a", "b", "c", "d"), ORDER))

    def results(ends: dict[int, Refusal]) -> Callable[[Any], Any]:
        def answer(request: Any) -> Any:
            items = []
            for place, signed in enumerate(request.orders):
                if place in ends:
                    said = refusal_pb2.Refusal(
                        reason=refusal_pb2.Reason.Value(f"REASON_{ends[place].reason}"),
                        retry=refusal_pb2.RetryClass.Value(f"RETRY_CLASS_{ends[place].retry}"),
                    )
                    items.append(pb.TransferResult(refusal=said))
                else:
                    receipt = receipt_for(envelope_from_proto(signed))
                    items.append(pb.TransferResult(receipt=envelope_to_proto(receipt)))
            return pb.BatchCreateTransfersResponse(results=items)

        return answer

    script.answers = [results({1: BUSY, 2: SHUT_OUT}), LOST, results({})]
    ended = sending.send_all(orders)
    assert list(ended) == ["a", "b", "c", "d"]
    assert isinstance(ended["c"], RefusedForGood)
    assert all(isinstance(ended[key], Transfer) for key in ("a", "b", "d"))
    assert [len(each.orders) for each in script.sent] == [4, 1, 1]
    again = sending.write_down(dict.fromkeys(("a", "b"), ORDER))
    assert sending.send_all(again) == {key: ended[key] for key in ("a", "b")}


def test_a_batch_that_nobody_answers_is_unanswered_each_by_its_key(
    sending: Sending, script: Script
) -> None:
    script.patient = False
    orders = sending.write_down({f"{number}": ORDER for number in range(BATCH_ORDERS_MAX + 1)})
    script.answers = [LOST, LOST]
    ended = sending.send_all(orders)
    assert all(isinstance(each, Unanswered) for each in ended.values())
    assert [len(each.orders) for each in script.sent] == [BATCH_ORDERS_MAX, 1]
    assert len(sending.journal.unanswered()) == BATCH_ORDERS_MAX + 1


def test_a_batch_with_results_that_do_not_match_it_is_not_believed(
    sending: Sending, script: Script
) -> None:
    script.answers = [pb.BatchCreateTransfersResponse()]
    with pytest.raises(ProofInvalid, match="0 results"):
        sending.send_all([kept(sending)])


def reversed_by(request: Any) -> Any:
    """The notice of a reversal that was booked."""
    order = envelope_from_proto(request.reversal)
    asked = transfer_pb2.ReversalOrder.FromString(order.payload)
    record = transfer_pb2.ReversalRecord(
        log_index=9,
        recorded_at=time_to_proto(NOW),
        reversal_id=asked.reversal_id,
        transfer_id=asked.transfer_id,
        order_sha256=payload_digest(order),
        state=transfer_pb2.TRANSFER_STATE_COMMITTED,
        target_points=asked.target_points,
    )
    notice = transfer_pb2.ReversalNotice(
        audience=AUDIENCE,
        partner_id="aurora",
        stream_seq=4,
        previous_sha256=bytes(32),
        signing_key_id=EXCHANGE.key_id,
        record=record.SerializeToString(deterministic=True),
        salt=bytes(32),
    ).SerializeToString(deterministic=True)
    signed = envelope_to_proto(sign(EXCHANGE, REVERSAL_NOTICE, notice))
    return pb.ReverseTransferResponse(notice=signed)


def test_a_reversal_goes_the_same_way_and_cannot_be_looked_up(
    sending: Sending, script: Script
) -> None:
    taken = TakenBack(transfer_id=UUID(bytes=uuid_utils.uuid7().bytes), target_points=30)
    order = sending.write_down_reversal("back", taken)
    script.answers = [LOST, SHUT_OUT]
    with pytest.raises(Unanswered, match="CALLER_UNKNOWN"):
        sending.send(order)
    assert [each.key for each in sending.journal.unanswered()] == ["back"]
    script.answers = [BUSY, reversed_by]
    ended = sending.send_all(sending.journal.unanswered())["back"]
    assert isinstance(ended, Reversal)
    assert (ended.reversal_id, ended.target_points) == (order.order_id, 30)
    assert len({each.reversal.payload for each in script.sent}) == 1
    assert sending.send(sending.write_down_reversal("back", taken)) == ended


def test_a_receipt_of_a_transfer_answers_no_reversal(sending: Sending, script: Script) -> None:
    taken = TakenBack(transfer_id=UUID(bytes=uuid_utils.uuid7().bytes), target_points=30)
    order = sending.write_down_reversal("back", taken)

    def answer(request: Any) -> Any:
        other = kept(sending, "other").envelope
        return pb.ReverseTransferResponse(notice=envelope_to_proto(receipt_for(other)))

    script.answers = [answer]
    with pytest.raises(ProofInvalid) as failed:
        sending.send(order)
    assert failed.value.field == "transfer_id"


def test_a_digest_tells_orders_apart_by_what_they_ask_for() -> None:
    link = UUID(bytes=uuid_utils.uuid7().bytes)
    changed = [
        replace(ORDER, source_points=200),
        replace(ORDER, source_member="A-2"),
        replace(ORDER, link_id=link),
        replace(ORDER, reference="till"),
        replace(ORDER, segment="gold"),
    ]
    assert len({digest(each) for each in (ORDER, *changed)}) == 6
    assert digest(replace(ORDER, valid_for=timedelta(hours=1))) == digest(ORDER)


def test_each_class_of_retry_is_an_error_and_an_unknown_one_sends_nothing_again() -> None:
    assert type(SHUT_OUT.error()) is RefusedForGood
    assert type(CAPPED.error()) is RefusedForNow
    assert type(LATER.error()) is RequestRefused
    unknown: Any = 99
    item = refusal_pb2.Refusal(reason=unknown, retry=unknown, message="new")
    told = refusal_of_item(item)
    assert (told.reason, told.retry, told.may_be_repeated) == ("99", Retry.NEVER, False)
