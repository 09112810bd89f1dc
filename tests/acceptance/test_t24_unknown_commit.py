"""A COMMIT that nobody answered, seen from the front door: the batch is looked up, never run again.

The server reaches its database through a wire of ours, which is cut at the very COMMIT of the
sequencer: before the database hears of it, after it has carried it out, or while it still does.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from exchange.embedded_postgres import SERVICE_ROLE
from exchange.embedded_postgres.socket_folder import PORT
from partners.errors import Reason
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
    transfer_id_of,
)
from tests.processes import Server, connection, contents, folder, socket_dir, written

SOCKET = f".s.PGSQL.{PORT}"
CHUNK = 65_536
COMMIT = b"COMMIT\0"
OF_SEQUENCER = b"PREPARE lock_head"
LATE_S = 1.0


class Cut(Enum):
    """When the wire is cut."""

    NEVER = "never"
    BEFORE = "before the database hears of the COMMIT"
    AFTER = "after the database has carried the COMMIT out"
    DURING = "while the COMMIT is on its way"


class Wire:
    """A Unix socket in front of PostgreSQL's own, to be cut at the sequencer's next COMMIT."""

    def __init__(self, path: Path, target: Path) -> None:
        """Listen at `path` for sessions with the database at `target`."""
        self.cut = Cut.NEVER
        self.commits_cut = 0
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more sessions."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                database = socket.socket(socket.AF_UNIX)
                database.connect(str(self._target))
                session = Session(self, client, database)
                threading.Thread(target=session.up, daemon=True).start()
                threading.Thread(target=session.down, daemon=True).start()


class Session:
    """One session with the database through the wire."""

    def __init__(self, wire: Wire, client: socket.socket, database: socket.socket) -> None:
        """Pass on what either side says."""
        self.wire = wire
        self.client = client
        self.database = database
        self.of_sequencer = False
        self.muted = False

    def up(self) -> None:
        """From the server to the database, until the wire is cut."""
        with suppress(OSError):
            while said := self.client.recv(CHUNK):
                self.of_sequencer |= OF_SEQUENCER in said
                if self.of_sequencer and said.endswith(COMMIT) and self.wire.cut is not Cut.NEVER:
                    self.commit(said)
                    return
                self.database.sendall(said)
        self.end()

    def commit(self, said: bytes) -> None:
        """Cut the wire at a COMMIT."""
        cut, self.wire.cut = self.wire.cut, Cut.NEVER
        self.wire.commits_cut += 1
        if cut is Cut.AFTER:
            # Its answer is heard below, where it ends.
            self.muted = True
            self.database.sendall(said)
            return
        if cut is Cut.DURING:
            self.muted = True
            hang_up(self.client)
            time.sleep(LATE_S)
            self.database.sendall(said)
            return
        self.end()

    def down(self) -> None:
        """From the database to the server, until the wire is cut."""
        with suppress(OSError):
            while said := self.database.recv(CHUNK):
                if self.muted:
                    break
                self.client.sendall(said)
        self.end()

    def end(self) -> None:
        """Cut both ends."""
        hang_up(self.client)
        hang_up(self.database)


def hang_up(end: socket.socket) -> None:
    """Close an end, also for a thread that listens to it."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@dataclass(frozen=True, slots=True)
class Wired:
    """A server at the end of a wire, and the coalition behind it."""

    wire: Wire
    server: Server
    members: Coalition


@pytest.fixture(scope="module")
def wired() -> Iterator[Wired]:
    # The first server holds the database up and is asked nothing else.
    with folder() as home, Server(make_data_dir(home)) as first:
        end = home / "wire"
        end.mkdir()
        wire = Wire(end / SOCKET, socket_dir(first.data_dir) / SOCKET)
        url = f"postgresql://{SERVICE_ROLE}@/pointclear?host={end}&port={PORT}"
        with (
            Server(first.data_dir, "--database-url", url) as server,
            coalition(server, home, ("aurora", "borealis")) as members,
        ):
            yield Wired(wire, server, members)
        wire.close()


def send(wired: Wired, order: SignedEnvelope) -> SignedEnvelope | Reason:
    """What an order is answered, by its receipt or its reason."""
    profile = load_profile(wired.members["aurora"].connection.profile.directory)
    with connect(profile) as own:
        call = own.exchange.CreateTransfer.future(
            CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
        )
        if call.exception() is not None:
            return refusal_of(call.exception()).reason
        receipt: SignedEnvelope = call.result().receipt
        return receipt


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.DURING])
def test_t24_an_unanswered_commit_is_looked_up_and_its_batch_never_run_again(
    wired: Wired, cut: Cut
) -> None:
    aurora = wired.members["aurora"]
    order = aurora.order()
    cut_before = wired.wire.commits_cut
    with connection(wired.members.data_dir) as database:
        before = contents(database)
        wired.wire.cut = cut
        first = send(wired, order)
        after = written(before, contents(database))
        assert wired.wire.commits_cut == cut_before + 1
        if cut is Cut.BEFORE:
            # It was never committed, so the caller is told to send the same again.
            assert first is Reason.TRY_LATER
            assert after == {}
        else:
            assert isinstance(first, SignedEnvelope)
            assert (after["record"], after["request"], after["stream_entry"]) == (1, 1, 2)
        again = send(wired, order)
        assert isinstance(again, SignedEnvelope)
        assert cut is Cut.BEFORE or again == first
        changed = written(before, contents(database))
    assert (changed["record"], changed["request"], changed["stream_entry"]) == (1, 1, 2)
    assert aurora.proof(again).record.transfer_id == transfer_id_of(order).bytes
    assert wired.server.said.count("lost the database during COMMIT") == wired.wire.commits_cut
    check_log_and_books(wired.members.data_dir)
