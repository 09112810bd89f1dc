"""The one writer: takes what is queued, has it decided in order as one batch, and answers.

One thread per process; the head row's lock makes all processes on one database take turns. A batch
is whatever queued while the last one was in flight. Light load waits for nothing; a batch that
several shared is followed by a pause no longer than itself, in which their next orders come in.
Receipts are signed after the commit, in a small pool, while the next batch is already under way:
signing under the head's lock would cost as much as the whole database write.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from exchange.batch import CommitUnknown, Decided, Ledger
from exchange.commands import Command
from exchange.database import CONNECTION_ERRORS
from exchange.logs import named
from exchange.outcomes import Result
from exchange.signing import sign_entry, sign_quote
from partners.envelope import Envelope
from partners.errors import Reason, Refused
from partners.registry import Registry
from partners.signers import Signers

log = logging.getLogger(__name__)

BATCH_MAX = 1000
"""Commands in one transaction."""
QUEUE_MAX = 10_000
"""Commands that may wait; beyond it QUEUE_FULL."""
SIGNING_THREADS = 2
SIGN_INLINE_MAX = 2
"""Fewer answers than the way to another thread is worth are signed by the sequencer itself."""
GATHER_S_MAX = 0.008
"""The longest wait for others to share the next batch."""
LOOK_UPS_MAX = 40
"""How often a batch with an unknown COMMIT is looked up before its callers are sent away."""
LOOK_UP_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Reply:
    """What a caller gets."""

    result: Result
    refusal: Refused | None = None
    """Why the command was refused, recorded or not; None when it was carried out."""
    receipt: Envelope | None = None
    """Of an order that was recorded: the signed receipt, or its sender's notice of a reversal."""
    quote: Envelope | None = None
    """Of an offer that was asked for: the signed quote."""


def gathering_s(answered: int, waiting: int, took_s: float) -> float:
    """How long the sequencer leaves the processor to the edge after a batch, in seconds. Pure.

    Those who were just answered send next, and a batch costs much the same however few are in it.
    So after a batch that several shared, the edge gets as long as the batch took to take their next
    orders in. A lone caller never waits, nor do those who are there already in such number.
    """
    if answered == 1 or waiting >= answered:
        return 0
    return min(took_s, GATHER_S_MAX)


@dataclass(frozen=True, slots=True)
class _Waiting:
    command: Command
    answer: "asyncio.Future[Reply]"


class Sequencer:
    """The queue, its thread, and the pool that signs."""

    def __init__(
        self,
        ledger: Ledger,
        signers: Signers,
        loop: asyncio.AbstractEventLoop,
        queue_max: int = QUEUE_MAX,
        batch_max: int = BATCH_MAX,
    ) -> None:
        """`signers` holds the keys of the ledger's letterhead; answers are given on `loop`."""
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._ledger = ledger
        self._observer = ledger.observer
        self._signers = signers
        self._loop = loop
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._signing = ThreadPoolExecutor(SIGNING_THREADS, "signing")
        self._thread = threading.Thread(target=self._work, name="sequencer")

    @property
    def registry(self) -> Registry:
        """The snapshot that the last batch left."""
        return self._ledger.registry

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Carry out what is queued, then stop; blocks until done."""
        self._queue.put(None)
        self._thread.join()
        self._signing.shutdown()

    def submit(self, commands: Sequence[Command]) -> "list[asyncio.Future[Reply]]":
        """Queue commands in their order; call on the loop's thread. Raises Refused(QUEUE_FULL) with
        none queued.
        """
        if self._queue.qsize() + len(commands) > self._queue_max:
            raise Refused(Reason.QUEUE_FULL, "", f"{self._queue_max} commands are waiting")
        waiting = [_Waiting(command, self._loop.create_future()) for command in commands]
        for each in waiting:
            self._queue.put(each)
        return [each.answer for each in waiting]

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            stopping = False
            while len(batch) < self._batch_max:
                try:
                    following = self._queue.get_nowait()
                except Empty:
                    break
                if following is None:
                    stopping = True
                    break
                batch.append(following)
            began = time.monotonic()
            self._carry_out(batch)
            if stopping:
                break
            time.sleep(gathering_s(len(batch), self._queue.qsize(), time.monotonic() - began))
        self._ledger.close()

    def _carry_out(self, batch: list[_Waiting]) -> None:
        self._observer.batch(len(batch), self._queue.qsize())
        try:
            decided = self._ledger.run([each.command for each in batch])
        except CommitUnknown as unknown:
            self._observer.database_lost()
            log.warning("a batch of %d lost the database during COMMIT", len(batch))
            self._look_up(batch, unknown)
        except CONNECTION_ERRORS as error:
            # Nothing was committed. The same request, sent again, is carried out then.
            self._observer.database_lost()
            log.warning("a batch of %d lost the database: %s", len(batch), named(error))
            self._try_later(batch)
        except Exception as error:
            # Nothing was committed. One command's fault must not fail its neighbours.
            if len(batch) > 1:
                for each in batch:
                    self._carry_out([each])
            else:
                self._fail(batch[0], error)
        else:
            # A crash from here on loses answers only: they are made again from what is stored.
            if len(batch) <= SIGN_INLINE_MAX:
                self._sign_and_answer(batch, decided)
            else:
                self._signing.submit(self._sign_and_answer, batch, decided)

    def _look_up(self, batch: list[_Waiting], unknown: CommitUnknown) -> None:
        """Answer a batch whose COMMIT was not answered, by what the log says; never run it again.

        A crash here leaves what the database has: each caller learns it by the same request.
        """
        for _attempt in range(LOOK_UPS_MAX):
            try:
                if self._ledger.was_committed(unknown):
                    self._signing.submit(self._sign_and_answer, batch, unknown.decided)
                else:
                    self._try_later(batch)
                return
            except CONNECTION_ERRORS:
                time.sleep(LOOK_UP_PAUSE_S)
            except Exception as error:
                # Nobody else would catch it, and without this thread no call is ever answered.
                log.error("a batch of %d could not be looked up: %s", len(batch), named(error))
                break
        self._try_later(batch)

    def _try_later(self, batch: list[_Waiting]) -> None:
        later = Refused(Reason.TRY_LATER, "", "the database could not be reached")
        self._answer(batch, [Reply(later, later) for _ in batch])

    def _sign_and_answer(self, batch: list[_Waiting], decided: Sequence[Decided]) -> None:
        try:
            with self._observer.step("sign"):
                replies = [self._reply(each) for each in decided]
            with self._observer.step("answer"):
                self._answer(batch, replies)
        except Exception as error:
            for each in batch:
                self._fail(each, error)

    def _reply(self, decided: Decided) -> Reply:
        payload = decided.receipt_payload
        try:
            receipt = sign_entry(self._signers, decided.receipt_kind, payload) if payload else None
            offer = decided.quote_payload
            quote = sign_quote(self._signers, offer) if offer else None
        except Refused as unsigned:
            # Recorded under a key that is not held here: the same request is answered elsewhere.
            return Reply(unsigned, unsigned)
        return Reply(decided.result, decided.refusal, receipt, quote)

    def _answer(self, batch: list[_Waiting], replies: list[Reply]) -> None:
        def give() -> None:
            for each, reply in zip(batch, replies, strict=True):
                if not each.answer.done():
                    each.answer.set_result(reply)

        self._on_loop(give)

    def _fail(self, one: _Waiting, error: Exception) -> None:
        def give() -> None:
            if not one.answer.done():
                one.answer.set_exception(error)

        self._on_loop(give)

    def _on_loop(self, give: Callable[[], None]) -> None:
        # The loop is closed only when the server is gone; then nobody is waiting.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(give)
