"""How a server is watched, stopped, and kept alive: real processes, real signals, real pages."""

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from exchange.cli.connection import Connection, connect, open_channel
from exchange.cli.profile import load_profile
from exchange.embedded_postgres import SERVICE_ROLE
from partners.errors import Reason
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest, GetTransferRequest
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    MAXIMUM,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refusal_of,
    transfer_id_of,
)
from tests.processes import (
    Server,
    database_url,
    folder,
    kill_postmaster,
    pids_in,
    pointclear,
    wait_until,
)

CANARY = "canary-member-7351"
HTTP = ("--http", "127.0.0.1:0")
SERVICES = (
    "pointclear.exchange.v1.ExchangeService",
    "pointclear.partners.v1.PartnersService",
    "pointclear.settlement.v1.SettlementService",
)
SENDERS = 6
RETRY_AFTER_S = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with folder() as home, Server(make_data_dir(home), *HTTP) as running:
        yield running


@pytest.fixture(scope="module")
def members(server: Server) -> Iterator[Coalition]:
    with coalition(server, server.data_dir.parent, ("aurora", "borealis")) as founded:
        yield founded


@pytest.fixture
def aurora(members: Coalition) -> Brand:
    return members["aurora"]


def events(server: Server) -> list[dict[str, Any]]:
    """What the server has logged."""
    return [json.loads(line) for line in server.said.splitlines()]


def page(server: Server, path: str) -> tuple[int, str]:
    """Status and text of a page of the server."""
    started = next(each for each in events(server) if each["event"] == "started")
    try:
        with urlopen(f"http://{started['http']}{path}", timeout=CALL_TIMEOUT_S) as response:
            return int(response.status), response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def measured(server: Server, sample: str) -> float:
    """The value of a sample on the metrics page, 0 where it is not there."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page(server, "/metrics")[1], re.MULTILINE)
    return float(found.group(1)) if found else 0.0


# Pages, health, reflection


def test_the_pages_tell_life_readiness_and_measures(server: Server, members: Coalition) -> None:
    assert page(server, "/healthz") == (200, "alive\n")
    status, text = page(server, "/readyz")
    assert (status, json.loads(text)) == (200, {"ready": True, "reasons": []})
    status, text = page(server, "/metrics")
    assert status == 200
    assert "# TYPE pointclear_calls_total counter" in text
    assert "process_resident_memory_bytes" in text
    assert measured(server, "pointclear_database_up") == 1
    assert measured(server, 'pointclear_window_age_seconds{currency="USD"}') > 0
    assert page(server, "/")[0] == 404


def test_health_answers_for_the_server_and_for_each_service(members: Coalition) -> None:
    with open_channel(members["aurora"].connection.profile) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = stub.Check(
                health_pb2.HealthCheckRequest(service=service), timeout=CALL_TIMEOUT_S
            )
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as failed:
            stub.Check(health_pb2.HealthCheckRequest(service="nonsense"), timeout=CALL_TIMEOUT_S)
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_names_every_service(members: Coalition) -> None:
    with open_channel(members["aurora"].connection.profile) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=CALL_TIMEOUT_S)
        names = {each.name for each in answer.list_services_response.service}
        assert names >= {*SERVICES, "grpc.health.v1.Health"}


def test_health_and_reflection_need_a_certificate(server: Server, members: Coalition) -> None:
    profile = members["aurora"].connection.profile
    credentials = grpc.ssl_channel_credentials(profile.authority)
    with grpc.secure_channel(server.address, credentials) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_TIMEOUT_S)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


# Metrics and logs


def test_calls_are_counted_by_method_code_and_reason(server: Server, aurora: Brand) -> None:
    def calls(code: str, reason: str) -> float:
        labels = f'code="{code}",method="ExchangeService/CreateTransfer",reason="{reason}"'
        return measured(server, f"pointclear_calls_total{{{labels}}}")

    corridor = '{source_program="aurora",target_program="borealis"}'
    recorded = 'pointclear_refusals_recorded_total{reason="AMOUNT_MISMATCH"}'
    before = (
        calls("OK", ""),
        calls("INVALID_ARGUMENT", "AMOUNT_MISMATCH"),
        measured(server, f"pointclear_transfers_total{corridor}"),
        measured(server, recorded),
    )
    aurora.send(aurora.order())
    aurora.refused(aurora.order(target_points=1))
    results = aurora.send_batch([aurora.order(), aurora.order(target_points=1)])
    assert [each.HasField("refusal") for each in results] == [False, True]
    after = (
        calls("OK", ""),
        calls("INVALID_ARGUMENT", "AMOUNT_MISMATCH"),
        measured(server, f"pointclear_transfers_total{corridor}"),
        measured(server, recorded),
    )
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 2, 2]
    refused = 'pointclear_batch_orders_refused_total{reason="AMOUNT_MISMATCH"}'
    assert measured(server, refused) == 1


def test_a_refused_call_is_logged_with_its_id_and_who_called(server: Server, aurora: Brand) -> None:
    order = aurora.order(source_points=MAXIMUM + 50)
    aurora.refused(order)
    wanted = str(transfer_id_of(order))
    wait_until(lambda: wanted in server.said, "the refusal was logged")
    (event,) = [each for each in events(server) if each.get("transfer_id") == wanted]
    assert event["event"] == "call refused"
    assert event["method"] == "ExchangeService/CreateTransfer"
    assert event["caller"] == "partner/aurora"
    assert event["reason"] == Reason.LIMIT_EXCEEDED
    assert event["duration_ms"] >= 0


def test_t21_no_member_reference_reaches_logs_pages_or_error_texts(
    server: Server, aurora: Brand
) -> None:
    canaries: Any = {"source_member": f"{CANARY}-source", "target_member": f"{CANARY}-target"}
    told = []
    aurora.send(aurora.order(**canaries))
    for wrong in ({"target_points": 1}, {"agreement_id": "nonsense"}, {"target": "nowhere"}):
        refusal = aurora.refused(aurora.order(**canaries, **wrong))
        # The receipt inside is signed and holds none either.
        told.append(refusal.status)
    spoilt = aurora.order(**canaries)
    spoilt.payload += b"\xff"
    told.append(aurora.refused(spoilt).status)
    long = aurora.order(source_member=CANARY * 20)
    told.append(aurora.refused(long).status)
    aurora.send_batch([aurora.order(**canaries), aurora.order(**canaries, target_points=1)])
    for text in (server.said, page(server, "/metrics")[1], *map(repr, told)):
        assert CANARY not in text


# Rates


def test_a_caller_above_its_rate_is_refused_before_any_signature_is_checked() -> None:
    options = ("--set", "orders_per_second=1", "--set", "orders_burst=500")
    with (
        folder() as home,
        Server(make_data_dir(home), *options) as slow,
        coalition(slow, home, ("aurora", "borealis")) as founded,
    ):
        aurora = founded["aurora"]
        batch = [aurora.order() for _ in range(490)]
        assert all(each.HasField("receipt") for each in aurora.send_batch(batch))
        order = aurora.order()
        order.signatures[0].signature = bytes(64)
        reasons = [aurora.refused(order).reason for _ in range(30)]
        assert Counter(reasons).keys() == {Reason.SIGNATURE_INVALID, Reason.RATE_LIMITED}
        assert reasons[-1] is Reason.RATE_LIMITED
        # It is one caller's own: the other brand and the operator are not held up.
        founded["borealis"].send(founded["borealis"].order("aurora"))
        founded.operator.keys("exchange")


# Stopping and losing the database


@dataclass
class Load:
    """Orders sent all the time, each with the same bytes until there is an answer that stands."""

    acknowledged: list[UUID] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    """By reason, or by status code where the server could give none."""
    retried: int = 0
    """Orders that were acknowledged after they had failed."""


def reason_of(error: grpc.RpcError) -> str:
    """The reason, or the code of an error that gRPC itself made."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    return str(refusal_of(error).reason if status else error.code().name)


@contextmanager
def under_load(members: Coalition) -> Iterator[tuple[Load, Callable[[int], None]]]:
    """Send from several threads until the block ends; it is given a wait for so many more."""
    load, told_to_end = Load(), Event()
    aurora = members["aurora"]

    def send(own: Connection, order: SignedEnvelope) -> None:
        failed = False
        while True:
            try:
                own.exchange.CreateTransfer(
                    CreateTransferRequest(order=order), timeout=CALL_TIMEOUT_S
                )
            except grpc.RpcError as error:
                load.failures[reason_of(error)] += 1
                failed = True
                if told_to_end.wait(RETRY_AFTER_S):
                    return
            else:
                load.acknowledged.append(transfer_id_of(order))
                load.retried += failed
                return

    def sender() -> None:
        with connect(aurora.connection.profile) as own:
            while not told_to_end.is_set():
                send(own, aurora.order())

    def more(count: int) -> None:
        wanted = len(load.acknowledged) + count
        wait_until(lambda: len(load.acknowledged) >= wanted, f"{count} more were acknowledged")

    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(sender) for _ in range(SENDERS)]
        try:
            yield load, more
        finally:
            told_to_end.set()
    for each in sending:
        each.result()


def check_acknowledged(brand: Brand, load: Load) -> None:
    """Fails unless every acknowledged transfer is in the books."""
    with connect(load_profile(brand.connection.profile.directory)) as own:
        for transfer_id in load.acknowledged:
            request = GetTransferRequest(transfer_id=transfer_id.bytes)
            assert own.call(own.exchange.GetTransfer, request).state == TRANSFER_STATE_COMMITTED
    assert len(set(load.acknowledged)) == len(load.acknowledged)


def test_a_server_told_to_stop_under_load_answers_or_says_unavailable_and_loses_nothing() -> None:
    with folder() as home:
        first = Server(make_data_dir(home), *HTTP)
        with coalition(first, home, ("aurora", "borealis")) as founded:
            # An idle stream must not hold up the stop: it never sends its request.
            idle = Event()
            aurora = founded["aurora"]
            with open_channel(aurora.connection.profile) as channel:
                method: Any = channel.stream_unary(
                    "/pointclear.exchange.v1.ExchangeService/GetTransfer"
                )
                held = method.future(iter(lambda: idle.wait() and b"", b""))
                with under_load(founded) as (load, more):
                    more(100)
                    asked = time.monotonic()
                    os.kill(first.process.pid, signal.SIGTERM)
                    first.process.wait()
                    took_s = time.monotonic() - asked
                idle.set()
                assert held.code() is grpc.StatusCode.UNAVAILABLE
            said = [each["event"] for each in events(first)]
            assert said.index("started") < said.index("stopping") < said.index("stopped")
            assert first.stop() == 0
            # No call was dropped on its way, which its caller would see as CANCELLED.
            assert set(load.failures) <= {Reason.TRY_LATER, "UNAVAILABLE"}
            assert load.failures
            # The grace is 10 s: it was not waited for.
            assert took_s < 10
            assert pids_in(first.data_dir) == ()
            with Server(first.data_dir, listen=first.listen):
                check_acknowledged(aurora, load)
                check_log_and_books(first.data_dir)


def test_t24_a_database_killed_under_load_is_brought_back_and_callers_only_see_try_later(
    server: Server, members: Coalition, aurora: Brand
) -> None:
    before = measured(server, "pointclear_database_restarts_total")
    with under_load(members) as (load, more):
        for _crash in range(2):
            more(50)
            kill_postmaster(server.data_dir)
            wait_until(lambda: bool(load.failures), "callers noticed")
            more(50)
    assert set(load.failures) == {Reason.TRY_LATER}
    assert load.retried > 0
    assert measured(server, "pointclear_database_restarts_total") == before + 2
    assert measured(server, "pointclear_database_lost_total") > 0
    assert page(server, "/readyz")[0] == 200
    said = [each["event"] for each in events(server)]
    assert {"database lost", "database restarted", "database back"} <= set(said)
    check_acknowledged(aurora, load)
    check_log_and_books(server.data_dir)


def test_an_external_database_is_waited_for_and_never_started(
    server: Server, members: Coalition, aurora: Brand
) -> None:
    with folder() as home:
        # Another data directory with the same keys: its database is the first server's, by URL.
        keys = home / "data"
        shutil.copytree(server.data_dir, keys, ignore=shutil.ignore_patterns("pg", "pg.log", "run"))
        url = database_url(server.data_dir, SERVICE_ROLE)
        with Server(keys, "--database-url", url, *HTTP) as second:
            profile = load_profile(aurora.connection.profile.directory, second.address)
            with connect(profile) as own:
                assert own.keys()
                os.kill(server.process.pid, signal.SIGSTOP)
                try:
                    kill_postmaster(server.data_dir)
                    request = CreateTransferRequest(order=aurora.order())
                    with pytest.raises(grpc.RpcError) as failed:
                        own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S)
                    assert refusal_of(failed.value).reason is Reason.TRY_LATER
                    wait_until(lambda: page(second, "/readyz")[0] == 503, "it is not ready")
                    assert page(second, "/healthz")[0] == 200
                    up = "pointclear_database_up"
                    wait_until(lambda: measured(second, up) == 0, "it knows that")
                    assert not (keys / "pg").exists()
                finally:
                    os.kill(server.process.pid, signal.SIGCONT)
                wait_until(lambda: page(second, "/readyz")[0] == 200, "it is ready again")
                own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S)
            # It noticed that another has been started, by the first server.
            assert measured(second, "pointclear_database_restarts_total") == 1


# Settings


def test_config_shows_every_setting_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "pointclear.toml").write_text("pool_size = 11\nhttp = '127.0.0.1:9443'\n")
    secret = "postgresql://u:secret-word@h/d"
    shown = pointclear(
        *("config", "--json", "--data-dir", tmp_path, "--set", "queue_max=777"),
        POINTCLEAR_DATABASE_URL=secret,
        POINTCLEAR_POOL_SIZE="12",
    )
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["pool_size"] == {"value": 12, "from": "POINTCLEAR_POOL_SIZE"}
    assert found["queue_max"] == {"value": 777, "from": "flag"}
    assert found["http"] == {"value": "127.0.0.1:9443", "from": str(tmp_path / "pointclear.toml")}
    assert found["batch_max"] == {"value": 1000, "from": "default"}
    assert found["database_url"]["value"] == "postgresql://u:***@h/d"
    assert "secret-word" not in shown.stdout


def test_an_unknown_setting_in_the_file_keeps_a_server_from_starting(tmp_path: Path) -> None:
    (tmp_path / "pointclear.toml").write_text("pool_sise = 11\n")
    done = pointclear("serve", "--data-dir", tmp_path)
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "pointclear.toml: there is no setting pool_sise" in line


def test_a_port_for_the_pages_that_is_taken_is_said(server: Server) -> None:
    started = next(each for each in events(server) if each["event"] == "started")
    done = pointclear(
        "serve", "--data-dir", server.data_dir, "--listen", "127.0.0.1:0", "--http", started["http"]
    )
    assert done.returncode == 3
    assert "choose another --http" in done.stderr.splitlines()[-1]
