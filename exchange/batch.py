"""One batch against the database: read, decide, seal, write, commit.

The order of effects is

    BEGIN, lock the head → read → fold and seal (pure) → write, COMMIT

A crash before COMMIT leaves nothing of a batch; a crash after it leaves all of it, with the
payloads that anyone who has the key can sign. When the connection dies during COMMIT the outcome is
unknown: the batch is never run again, it is looked up by its first leaf. Whatever goes wrong, a
ledger forgets what it knew of the database.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, Engine

from exchange.cap_alerts import CapAlert
from exchange.commands import AskQuote, Command, Order, Reverse, Undo
from exchange.database import CONNECTION_ERRORS
from exchange.fold import NO_LIMITS, Folded, Limits, State, fold
from exchange.observer import UNOBSERVED, Observer
from exchange.outcomes import (
    REGISTRY_EFFECTS,
    Answer,
    Booked,
    Quoted,
    Recorded,
    Repeated,
    Result,
    Reversed,
    Window,
)
from exchange.seal import Letterhead, PayloadKind, Sealed, StreamHead, seal
from exchange.store.agreements import load_altered, load_proposals
from exchange.store.balances import (
    accounts_touched,
    corridor_accounts,
    funding_accounts,
    load_balances,
)
from exchange.store.effects import write_effects
from exchange.store.entries import load_entries, load_resolved
from exchange.store.held import load_held, load_reserved
from exchange.store.limits import load_day_tallies, load_member_secret, load_tallies
from exchange.store.links import load_links
from exchange.store.promotions import load_promotion_points, promotions_touched
from exchange.store.quotes import load_lapsed_quotes, load_quotes
from exchange.store.reversals import load_asked, load_originals
from exchange.store.session import Head, begin, commit, executions, load_leaf, prepare
from exchange.store.streams import StoredReceipt, load_receipts, load_stream_heads
from exchange.store.windows import load_credits, load_sums, load_windows
from exchange.wire.records import refused_record
from exchange.wire.reversals import refused_reversal
from partners.errors import PointclearError, Refused
from partners.registry import Registry
from partners.store import load_registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """A result before it is signed."""

    result: Result
    refusal: Refused | None = None
    """Why the command was refused, recorded or not; None when it was carried out."""
    receipt_payload: bytes | None = None
    """Of an order that was recorded, now or before: the payload of its receipt, or of its sender's
    notice where it reverses."""
    receipt_kind: PayloadKind = PayloadKind.RECEIPT
    quote_payload: bytes | None = None
    """Of an offer, made now or before."""


class CommitUnknown(PointclearError):
    """The connection died during COMMIT. Salts make leaves unique: the first one tells what
    happened.
    """

    def __init__(self, decided: "tuple[Decided, ...]", sealed: Sealed) -> None:
        """`decided` is what holds if the batch was committed."""
        super().__init__("the connection died during COMMIT")
        self.decided = decided
        first = sealed.records[0] if sealed.records else None
        self.log_index = first.log_index if first else 0
        self.leaf = first.leaf_hash if first else None
        """The batch's first leaf hash; None where no leaf was to be committed."""
        self.quotes_only = first is None and bool(sealed.quotes)


@dataclass(frozen=True, slots=True)
class _Known:
    """What this process knows to be in the database as long as the head has not moved on."""

    state: State
    stream_heads: dict[int, StreamHead]


class Ledger:
    """Runs batches against the database; one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        letterhead: Letterhead,
        now: Callable[[], datetime],
        new_salt: Callable[[], bytes],
        limits: Limits = NO_LIMITS,
        observer: Observer = UNOBSERVED,
        renewed: Callable[[Letterhead], Letterhead] = lambda letterhead: letterhead,
    ) -> None:
        """`now` is read once a batch; `new_salt` gives 32 random bytes; `renewed` is asked for the
        letterhead when its keys were revoked.
        """
        self.engine = engine
        self.letterhead = letterhead
        self.now = now
        self.new_salt = new_salt
        self.limits = limits
        self.observer = observer
        self.renewed = renewed
        self.registry = Registry()
        self._member_secret = b""
        self._known: _Known | None = None
        self._session: Connection | None = None

    def run(self, commands: Sequence[Command]) -> tuple[Decided, ...]:
        """Decide and commit one batch.

        Raises CommitUnknown when the connection died during COMMIT, and the database's own error
        when nothing of the batch can have been committed.
        """
        known, self._known = self._known, None
        session = self._session or self._open()
        try:
            return self._run(session, known, commands)
        except BaseException:
            # Whatever state the connection is in goes with it: the database rolls back what it has
            # not committed.
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up; the next batch opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()
            session.close()

    def _open(self) -> Connection:
        session = self.engine.connect()
        try:
            prepare(session.connection.dbapi_connection)
        except BaseException:
            session.invalidate()
            session.close()
            raise
        self._session = session
        return session

    def _run(
        self, session: Connection, known: "_Known | None", commands: Sequence[Command]
    ) -> tuple[Decided, ...]:
        step = self.observer.step
        connection: Any = session.connection.dbapi_connection
        ids = [each.transfer_id for each in commands if isinstance(each, Order)]
        ids += [each.reversal_id for each in commands if isinstance(each, Reverse)]
        ids += [each.order.reversal_id for each in commands if isinstance(each, Undo)]
        with step("wait"):
            head, answered = begin(connection, ids)
        # One reading of the clock for the batch, after its turn has come.
        now = self.now()
        with step("read"):
            state = self.load(connection, head, answered, known, commands, now)
        with step("fold"):
            folded = fold(state, commands, now, self.limits)
        with step("write"):
            sealed, heads = self.seal(connection, head, known, folded)
            decided = answers(connection, folded, sealed)
            revision = head.terms_revision + terms_changes(folded)
            write_effects(connection, folded.outcomes, folded.state.registry, sealed.roots)
            writes = executions(state, folded, sealed, revision)
        with step("commit"):
            try:
                commit(connection, writes)
            except (*CONNECTION_ERRORS, psycopg2.DatabaseError) as error:
                # The driver has also called a lost connection a plain DatabaseError; a refused
                # statement leaves the connection open, and nothing committed.
                if connection.closed or isinstance(error, CONNECTION_ERRORS):
                    raise CommitUnknown(decided, sealed) from error
                raise
        # Committed. What follows changes nothing that is stored.
        self.registry = replace(folded.state.registry, revision=revision)
        self._known = _Known(replace(folded.state, registry=self.registry), heads)
        self.observer.recorded(folded.outcomes)
        if folded.alerts:
            self.observer.alerted(folded.alerts)
            tell_alerts(folded.alerts, self.registry)
        return decided

    def was_committed(self, unknown: "CommitUnknown") -> bool:
        """Whether a batch whose COMMIT was not answered is in the log after all.

        It takes the head's lock first, so that a transaction which is still ending has ended.
        Raises the database's error while that cannot be reached.
        """
        if unknown.leaf is None:
            # Who asks for a quote again with the same id gets it, made then or now.
            return not unknown.quotes_only
        session = self._session or self._open()
        connection: Any = session.connection.dbapi_connection
        try:
            begin(connection, ())
            found = load_leaf(connection, unknown.log_index)
            commit(connection, ())
            return found == unknown.leaf
        except BaseException:
            self.close()
            raise

    def load(
        self,
        connection: Any,
        head: Head,
        answered: Mapping[UUID, Answer],
        known: _Known | None,
        commands: Sequence[Command],
        now: datetime,
    ) -> State:
        """The state to decide against: what is known already, if the head stands where this process
        left it.
        """
        fresh = is_fresh(known, head)
        registry = known.state.registry if known else self.registry
        if registry.revision != head.terms_revision or known is None:
            registry = load_registry(connection, head.terms_revision, self.letterhead.audience)
        held = load_held(connection, commands)
        reserved = load_reserved(connection, commands)
        waiting = [*held.values(), *reserved.values()]
        quotes = load_quotes(connection, registry, commands, waiting)
        asked = load_asked(connection, commands)
        originals = load_originals(connection, registry, commands, asked.values())
        reversed_ = [each.terms for each in originals.values() if each.terms]
        quoted = [*(each.terms for each in quotes.values()), *reversed_]
        altered = load_altered(connection, registry, commands, quoted) - registry.altered
        if altered:
            log.error("agreements are not stored as they were signed: %s", sorted(altered))
            registry = registry.with_altered(altered)
        promotion_points = dict(known.state.promotion_points) if known and fresh else {}
        promoted = promotions_touched(registry, commands, waiting)
        promoted |= {terms.name for terms in quoted if terms.promotions}
        quotes |= load_lapsed_quotes(connection, registry, promoted, now)
        promoted -= {(agreement_id, version) for agreement_id, version, _ in promotion_points}
        promotion_points |= load_promotion_points(connection, promoted)
        accounts = accounts_touched(registry, commands, waiting)
        balances = dict(known.state.balances) if known and fresh else {}
        if accounts is not None:
            accounts = accounts.union(
                *(funding_accounts(registry, each) for each in quoted),
                *(corridor_accounts(registry, *each.corridor) for each in reversed_),
            )
            accounts -= balances.keys()
        balances |= load_balances(connection, accounts)
        links = load_links(connection, commands)
        if not self._member_secret:
            self._member_secret = load_member_secret(connection)
        return State(
            head.next_index,
            head.recorded_at,
            registry,
            answered,
            load_entries(connection, commands),
            self.load_windows(connection, known if fresh else None, commands),
            balances,
            load_sums(connection, commands) | load_credits(connection, registry, commands),
            known.state.tallies if known and fresh else load_tallies(connection),
            load_resolved(connection, commands),
            links,
            load_day_tallies(connection, registry, self._member_secret, links, waiting, commands),
            held,
            self._member_secret,
            promotion_points,
            load_proposals(connection, commands),
            quotes,
            head.quote_changes,
            reserved,
            originals,
            asked,
        )

    def load_windows(
        self, connection: Any, known: _Known | None, commands: Sequence[Command]
    ) -> dict[str, Window]:
        """The open windows, from memory when a batch is nothing but orders."""
        if known is not None and all(
            isinstance(each, Order | Reverse | AskQuote) for each in commands
        ):
            return {
                name: each for name, each in known.state.windows.items() if each.state == "OPEN"
            }
        return load_windows(connection, commands)

    def seal(
        self, connection: Any, head: Head, known: _Known | None, folded: Folded
    ) -> tuple[Sealed, dict[int, StreamHead]]:
        """The batch as it is stored, and the ends of the streams afterwards."""
        fresh = is_fresh(known, head)
        heads = dict(known.stream_heads) if known and fresh else {}
        partners = folded.state.registry.partners
        numbers = {
            partners[name].number
            for each in folded.outcomes
            if isinstance(each, Recorded)
            for name in (each.source_partner, each.target_partner, *each.funders)
            if name
        }
        numbers |= {
            partners[name].number
            for each in folded.outcomes
            if isinstance(each, Reversed)
            for name in each.parties
        }
        heads |= load_stream_heads(connection, sorted(numbers - heads.keys()))
        if self.letterhead.is_spent(folded.state.registry):
            # The keys that this process started with were revoked: it takes up what lies there now.
            self.letterhead = self.renewed(self.letterhead)
        sealed = seal(
            folded.outcomes,
            folded.state.registry,
            head.frontier,
            heads,
            self.letterhead,
            self.new_salt,
            folded.state.quotes,
        )
        return sealed, heads | dict(sealed.stream_heads)


def tell_alerts(alerts: Sequence[CapAlert], registry: Registry) -> None:
    """Log the positions that came near their caps."""
    names = {each.number: name for name, each in registry.partners.items()}
    for each in alerts:
        log.warning(
            "%s has used %d %% or more of its net debit cap since log index %d",
            names[each.partner_number],
            each.level,
            each.log_index,
        )


def is_fresh(known: "_Known | None", head: Head) -> bool:
    """Whether the head stands where this process left it."""
    return known is not None and (known.state.next_index, known.state.quote_changes) == (
        head.next_index,
        head.quote_changes,
    )


def terms_changes(folded: Folded) -> int:
    """How many outcomes changed what the registry's snapshot shows."""
    return sum(
        isinstance(each, Booked) and isinstance(each.effect, REGISTRY_EFFECTS)
        for each in folded.outcomes
    )


def answers(connection: Any, folded: Folded, sealed: Sealed) -> tuple[Decided, ...]:
    """Each result with the receipt payload that goes with it, those of repeats read from the
    database.
    """
    senders = {
        each.log_index: folded.state.registry.partners[each.order.partner_id].number
        for each in folded.outcomes
        if isinstance(each, Reversed)
    }
    made = {
        entry.log_index: entry
        for entry in sealed.stream_entries
        if entry.kind is PayloadKind.RECEIPT or senders.get(entry.log_index) == entry.partner_number
    }
    wanted = {
        each.log_index: each.partner_id
        for each in folded.results
        if isinstance(each, Repeated) and each.partner_id and each.log_index not in made
    }
    stored = load_receipts(connection, wanted)
    by_index = {
        each.log_index: each for each in folded.outcomes if isinstance(each, Recorded | Reversed)
    }

    def answer(result: Result) -> Decided:
        if isinstance(result, Refused):
            return Decided(result, result)
        if isinstance(result, Quoted):
            offer = sealed.quotes.get(result.quote.quote_id, result.quote.payload)
            return Decided(result, quote_payload=offer)
        recorded = by_index.get(result.log_index)
        if recorded is not None:
            entry = made[result.log_index]
            return Decided(result, recorded.refusal, entry.payload, entry.kind)
        if isinstance(result, Repeated) and result.log_index in stored:
            receipt = stored[result.log_index]
            return Decided(result, refusal_in(receipt), receipt.payload, receipt.kind)
        return Decided(result)

    return tuple(answer(result) for result in folded.results)


def refusal_in(receipt: StoredReceipt) -> Refused | None:
    """Why what a stored receipt proves was refused, None where it was carried out."""
    read = refused_reversal if receipt.kind is PayloadKind.REVERSAL else refused_record
    return read(receipt.record, receipt.refused_field, receipt.refused_text)
