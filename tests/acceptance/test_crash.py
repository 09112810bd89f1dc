"""`kill -9` of the server and of PostgreSQL under load: nothing acknowledged is lost, nothing
happens twice, and the books, the streams and the log agree.

The load comes from two client processes, which send the very same bytes again until there is an
answer that stands.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from exchange.cli.connection import connect
from exchange.cli.demo.brand_client import COMMITTED, Outcome, Wish
from exchange.cli.demo.clients import ClientProcess, client_processes, order_all
from exchange.cli.profile import load_profile
from exchange.cli.transfers.receipt_commands import read_stream
from pointclear.exchange.v1.exchange_service_pb2 import (
    GetTransferRequest,
)
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED
from tests.acceptance.coalition import (
    BLOCK_GIVES,
    BRANDS,
    MINIMUM,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.processes import Server, connection, folder, kill_postmaster, wait_until

ORDERS_A_ROUND = 400
CRASHES = 3
LEAVES_BEFORE_A_CRASH = 100


@dataclass
class Exchange:
    """One deployment, whose server is killed and started again on the same port."""

    server: Server
    members: Coalition
    clients: list[ClientProcess]
    acknowledged: list[Outcome]

    def restart(self) -> None:
        """A new server in the place of one that has ended."""
        self.server = Server(self.server.data_dir, listen=self.server.listen)

    def next_index(self) -> int:
        """The size of the log."""
        with (
            connection(self.server.data_dir) as database,
            database,
            database.cursor() as cursor,
        ):
            cursor.execute("SELECT next_index FROM head")
            return int(cursor.fetchone()[0])


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with folder() as home:
        first = Server(make_data_dir(home))
        running = Exchange(first, None, [], [])  # type: ignore[arg-type]
        try:
            with (
                coalition(first, home) as members,
                client_processes(members.profiles, 2) as clients,
            ):
                running.members, running.clients = members, clients
                yield running
        finally:
            running.server.stop()


def wishes(count: int) -> list[Wish]:
    """Orders of two blocks, along all corridors in turn."""
    corridors = [(source, target) for source in BRANDS for target in BRANDS if source != target]
    return [
        Wish(
            source=source,
            target=target,
            member=f"member-{number}",
            source_points=MINIMUM,
            target_points=MINIMUM // 50 * BLOCK_GIVES,
            agreement_id=f"{source}-{target}",
            reference=f"wish {number}",
        )
        for number in range(count)
        for source, target in [corridors[number % len(corridors)]]
    ]


@contextmanager
def under_load(running: Exchange) -> Iterator[Callable[[int], None]]:
    """Both client processes order, round after round, until the block ends; it is given a wait for
    so many leaves more.
    """
    sent, ended = wishes(ORDERS_A_ROUND), Event()

    def order_round_after_round() -> list[Outcome]:
        outcomes = order_all(running.clients, sent)
        while not ended.is_set():
            outcomes += order_all(running.clients, sent)
        return outcomes

    def wait_for(leaves: int) -> None:
        start = running.next_index()
        wait_until(lambda: running.next_index() >= start + leaves, f"{leaves} leaves came")

    with ThreadPoolExecutor(1) as pool:
        outcomes = pool.submit(order_round_after_round)
        try:
            yield wait_for
        finally:
            ended.set()
        running.acknowledged += outcomes.result()


def streams(members: Coalition) -> dict[str, list[Any]]:
    """Each brand's whole stream, verified entry by entry and as a chain without gap."""
    found = {}
    for directory in members.profiles:
        # A new channel: the old one may still wait before it tries a server that was killed.
        with connect(load_profile(directory)) as own:
            found[own.profile.caller.name] = read_stream(own, 0)
    return found


def check_everything(running: Exchange) -> None:
    """Fails unless every acknowledged transfer is there, once, and everything agrees."""
    ids = [UUID(each.transfer_id) for each in running.acknowledged]
    assert {each.outcome for each in running.acknowledged} == {COMMITTED}
    assert len(set(ids)) == len(ids)

    # By stream: on the source's side and on the target's, each exactly once.
    on_receipts, on_notices = Counter[UUID](), Counter[UUID]()
    for partner_id, stream in streams(running.members).items():
        for proof in stream:
            transfer_id = UUID(bytes=proof.record.transfer_id)
            assert proof.record.state == TRANSFER_STATE_COMMITTED
            is_source = proof.record.source_partner == partner_id
            (on_receipts if is_source else on_notices)[transfer_id] += 1
    assert on_receipts == on_notices == Counter(ids)

    # By look-up, a sample of them: every one would only repeat what the streams show.
    with connect(load_profile(running.members.profiles[0])) as own:
        name = own.profile.caller.name
        mine = [
            each
            for each, wish in zip(
                running.acknowledged,
                wishes(ORDERS_A_ROUND) * (len(ids) // ORDERS_A_ROUND),
                strict=True,
            )
            if wish.source == name
        ]
        for each in mine:
            request = GetTransferRequest(transfer_id=UUID(each.transfer_id).bytes)
            assert own.call(own.exchange.GetTransfer, request).state == TRANSFER_STATE_COMMITTED
    check_log_and_books(running.server.data_dir)


def test_t24_a_server_killed_under_load_loses_nothing_and_repeats_nothing(
    exchange: Exchange,
) -> None:
    with under_load(exchange) as wait_for:
        for _crash in range(CRASHES):
            wait_for(LEAVES_BEFORE_A_CRASH)
            exchange.server.kill()
            exchange.restart()
    check_everything(exchange)


def test_t24_a_postgres_killed_under_load_loses_nothing_and_repeats_nothing(
    exchange: Exchange,
) -> None:
    data_dir = exchange.server.data_dir
    with under_load(exchange) as wait_for:
        wait_for(LEAVES_BEFORE_A_CRASH)
        kill_postmaster(data_dir)
        # Nobody starts anything: the server brings its database back.
    check_everything(exchange)
    assert "database restarted" in exchange.server.said


def test_t24_server_and_postgres_killed_together_lose_nothing(exchange: Exchange) -> None:
    with under_load(exchange) as wait_for:
        wait_for(LEAVES_BEFORE_A_CRASH)
        kill_postmaster(exchange.server.data_dir)
        exchange.server.kill()
        exchange.restart()
    check_everything(exchange)
