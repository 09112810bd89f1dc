"""The client: one partner's connection to one exchange. See `connect`."""

import threading
from collections.abc import Callable, Collection, Generator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import uuid_utils

from partners.wire import envelope_from_proto
from pointclear.client.answers import Outcome
from pointclear.client.errors import ProofInvalid
from pointclear.client.exchange_keys import ExchangeKeys
from pointclear.client.journal import Journal
from pointclear.client.line import PATIENCE, Identity, Line, Patience
from pointclear.client.profile import load_profile
from pointclear.client.program import Program
from pointclear.client.pulling import Pulled, Pulling
from pointclear.client.reading import entry_of
from pointclear.client.sending import Sending
from pointclear.client.values import (
    VALID_FOR,
    Bookmark,
    Entry,
    Event,
    Order,
    Position,
    Quote,
    Reversal,
    TakenBack,
    Transfer,
)
from pointclear.client.watching import Watching
from pointclear.exchange.v1 import exchange_service_pb2 as pb

JOURNAL_FILE = "journal.sqlite3"
HEARTBEAT_S = 15


def connect(
    profile: str | Path | Identity,
    *,
    server: str | None = None,
    journal: str | Path | None = None,
    patience: Patience = PATIENCE,
    trusted_keys: Collection[str] | None = None,
) -> "Client":
    """A partner's client, from a profile directory or an identity. Nothing is sent yet.

    `server` (`host:port`) overrides the profile's. `journal` is the client's own file, in the
    profile's directory unless named; an identity must name one. `trusted_keys` are the ids of the
    exchange's keys that you were given when you joined: no other counts then. Without them those
    count that the exchange names over the authenticated channel.

    Raises FileError or KeyFileError for a profile that cannot be used, JournalUnusable, and
    ValueError for an operator's profile or an identity without a journal.
    """
    if isinstance(profile, Identity):
        identity = profile
        if journal is None:
            raise ValueError("name the journal: the file in which orders are kept before they go")
    else:
        identity = Identity.of(load_profile(Path(profile), server))
        journal = journal or Path(profile) / JOURNAL_FILE
    return Client(identity, Path(journal), patience, trusted_keys)


class Client:
    """Orders transfers, and reads what became of them. Its methods may be called from any thread;
    it is a context manager that closes itself.

    Whatever it gives was verified: the exchange's signature, that it is about what was asked, and
    in a stream that nothing is missing or was changed.
    """

    def __init__(
        self,
        identity: Identity,
        journal: Path,
        patience: Patience = PATIENCE,
        trusted_keys: Collection[str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], UUID] = lambda: UUID(bytes=uuid_utils.uuid7().bytes),
    ) -> None:
        """See `connect`; `new_id` makes UUIDs of version 7."""
        self.partner_id = identity.partner_id
        self._closed = threading.Event()
        self._new_id = new_id
        self._journal = Journal(journal, identity.partner_id, identity.audience)
        self._line = Line(identity, patience)
        self._keys = ExchangeKeys(self._line, identity.audience, identity.partner_id, trusted_keys)
        self._sending = Sending(identity, self._line, self._keys, self._journal, now, new_id)
        self._pulling = Pulling(identity, self._line, now)
        self._watching = Watching(self._line, self._keys, self._journal, self._closed)

    def close(self) -> None:
        """End the watches and close channel and journal."""
        self._closed.set()
        self._line.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Quotes

    def quote(
        self,
        source_program: str,
        target_program: str,
        *,
        source_points: int | None = None,
        target_points: int | None = None,
        segment: str = "",
        valid_for: timedelta = timedelta(seconds=60),
    ) -> Quote:
        """What an amount comes to, at figures that hold until the quote expires or is used: name
        the points to surrender or the points to be granted.

        Raises RequestRefused (AGREEMENT_UNKNOWN, AMOUNT_MISMATCH with the nearest amounts in its
        metadata, and others), Unavailable, ProofInvalid; ValueError for both or neither amount, and
        for less than a second.
        """
        if valid_for < timedelta(seconds=1):
            raise ValueError("a quote is good for at least a second")
        if (source_points is None) == (target_points is None):
            raise ValueError("name either source_points or target_points")
        request = pb.CreateQuoteRequest(
            quote_id=self._new_id().bytes,
            source_program=source_program,
            target_program=target_program,
            segment=segment,
            valid_seconds=valid_for // timedelta(seconds=1),
        )
        if source_points is not None:
            request.source_points = source_points
        else:
            request.target_points = target_points or 0
        # The same id again gets the same offer, so that an attempt more costs nothing.
        response = self._line.ask(self._line.exchange.CreateQuote, request)
        quote = self._keys.read_quote(envelope_from_proto(response.quote))
        if quote.quote_id.bytes != request.quote_id:
            raise ProofInvalid("the quote answers another request", "quote_id")
        return quote

    # Transfers

    def transfer(self, order: Order, *, key: str) -> Transfer:
        """Order a transfer: exactly once for a key, whatever crashes and however often it is asked.

        `key` is your own name for this transfer, unique in your journal: a redemption's id. The
        first call writes the signed order down, then sends it, and sends the same bytes again while
        no answer comes. A later call with the same key, also of another process after a crash,
        gives the same answer, and sends the same bytes where there was none.

        Look at the `state` of what it gives: COMMITTED means that points and money have moved. HELD
        and RESERVED mean that they wait; ask again with the same key, or watch.

        Raises RefusedForNow (a new order, under a new key, may succeed later), RefusedForGood,
        Unanswered (it may have been carried out: ask again with this very key), ProofInvalid (act
        on nothing, ask the operator), KeyUsedOtherwise, JournalUnusable (nothing was sent), and
        ValueError for an empty key or a figure that 64 bits do not hold.
        """
        (kept,) = self._sending.write_down({key: order})
        transfer = self._sending.send(kept)
        assert isinstance(transfer, Transfer), "a key stands for one order"
        return transfer

    def reverse(
        self,
        transfer_id: UUID,
        target_points: int,
        *,
        key: str,
        reference: str = "",
        valid_for: timedelta = VALID_FOR,
    ) -> Reversal:
        """Book what you have taken back of a transfer that came to you, in part or in whole: take
        the points back in your own program first. Exactly once for a key, like `transfer`, and it
        raises the same.
        """
        taken = TakenBack(
            transfer_id=transfer_id,
            target_points=target_points,
            reference=reference,
            valid_for=valid_for,
        )
        reversal = self._sending.send(self._sending.write_down_reversal(key, taken))
        assert isinstance(reversal, Reversal), "a key stands for one order"
        return reversal

    def transfer_batch(self, orders: Mapping[str, Order]) -> dict[str, Outcome]:
        """Order many transfers at once, by their keys; how each ended: a Transfer, or the error
        that `transfer` would have raised.

        They are carried out in their order, each by itself. Raises what concerns all of them:
        KeyUsedOtherwise, JournalUnusable, ValueError; then nothing was sent.
        """
        return self._sending.send_all(self._sending.write_down(orders))

    def outcome(self, key: str) -> Event | None:
        """How the order of a key ended or stands, None where the journal has no such key. One that
        has no final answer is sent again. Raises what `transfer` raises.
        """
        kept = self._journal.find(key)
        return None if kept is None else self._sending.send(kept)

    def resume(self) -> dict[str, Outcome]:
        """Send every order again that has no final answer, the very same bytes: call it when your
        program starts. How each ended, by its key.
        """
        return self._sending.send_all(self._journal.unanswered())

    def get(self, transfer_id: UUID) -> Entry:
        """One transfer from your side: your receipt, or your credit notice.

        Raises RefusedForGood(TRANSFER_UNKNOWN), also for one that is not yours to see, Unavailable
        and ProofInvalid.
        """
        request = pb.GetTransferRequest(transfer_id=transfer_id.bytes)
        found = self._line.ask(self._line.exchange.GetTransfer, request)
        proof = self._keys.read(envelope_from_proto(found.entry.envelope))
        if proof.record.transfer_id != transfer_id.bytes:
            raise ProofInvalid("the proof is about another transfer", "transfer_id")
        return entry_of(proof, found.entry.member)

    # The stream

    def watch(
        self,
        after: Bookmark | None = None,
        *,
        follow: bool = True,
        heartbeat_s: int = HEARTBEAT_S,
        patience_s: float | None = None,
    ) -> Generator[Entry, None, None]:
        """Your stream after a place, and then each entry as it is committed: receipts of what you
        sent, notices of what came to your members, of what you fund.

        Without `after` the journal holds the place: it moves when you ask for the entry after one,
        so that one whose handling a crash cut short comes again. With `after` the place is yours:
        store an entry's `bookmark` together with what you make of the entry. `START` is before the
        first. Where `follow` is off it ends at the end of the stream.

        A connection that breaks is made anew. Raises ProofInvalid where an entry is missing, was
        changed, or is not the exchange's; RequestRefused; and Unavailable where `patience_s` is
        given and nothing came for so long.
        """
        own = after is None
        start = self._journal.bookmark() if after is None else after
        for entry in self._watching.entries(
            start, follow=follow, heartbeat_s=heartbeat_s, patience_s=patience_s
        ):
            yield entry
            if own and not self._closed.is_set():
                self._journal.move_bookmark(entry.bookmark)

    # Your own program

    def pull(self, program_id: str, program: Program, *, most: int = 100) -> list[Pulled]:
        """Fetch what your program has to do, have it done, and answer it signed: for a program
        whose route is PULL. Call it again and again; an empty list means that nothing waits.

        The program's methods are called in the order of the instructions, once for each. What one
        raises stands in the list, and its instruction comes again when its lease is over, as does
        one whose answer was not taken for want of a connection.

        Raises RequestRefused (PROGRAM_UNKNOWN, FIELD_INVALID for another route), Unavailable, and
        ProofInvalid for an instruction that is another program's.
        """
        return self._pulling.pull(program_id, program, most)

    # Other readings

    def position(self) -> Position:
        """Where you stand in your settlement currency. Raises RequestRefused and Unavailable."""
        return self._line.ask(self._line.exchange.GetPosition, pb.GetPositionRequest()).position

    def forget(self, before: datetime) -> int:
        """Remove orders with a final answer that were made before a moment from the journal, with
        their members' references; how many. Their keys are free then: keep them as long as the
        same transfer may be asked for again.
        """
        return self._journal.forget(before)
