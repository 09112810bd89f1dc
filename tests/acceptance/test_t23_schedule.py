"""Windows close by themselves: under a trickle of orders, with two servers on one database, after
days without any, and once only when a clock steps back. Threat 23.
"""

import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from pathlib import Path
from zoneinfo import ZoneInfo

import uuid_utils

from exchange.cli.connection import Connection, connect
from exchange.cli.profile import load_profile
from partners.errors import Reason
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import CreateTransferRequest
from pointclear.settlement.v1 import scheme_pb2
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.calendar.cut_off import CutOff
from tests.acceptance.coalition import (
    CALL_TIMEOUT_S,
    CURRENCY,
    FIRST_DAY,
    Brand,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
)
from tests.hurried_server import AHEAD
from tests.processes import Server, connection, folder, pointclear, wait_until

PAGES = ("--http", "127.0.0.1:0")
DAY = timedelta(days=1)
PAUSE_S = 0.02
DAYS_DOWN = 5
LEFT_S = 18
"""From before the servers' start to the next minute by their clock."""
SPARE_S = 3
"""For setting a cut-off before it passes; if it does, the window closes a little late."""


def windows(operator: Connection) -> list[tuple[date, str]]:
    """Every window's business date and state, oldest first."""
    response = operator.call(operator.settlement.ListWindows, pb.ListWindowsRequest())
    return [
        (
            date.fromisoformat(each.business_date),
            pb.WindowState.Name(each.state).removeprefix("WINDOW_STATE_"),
        )
        for each in reversed(response.windows)
    ]


def metrics(server: Server) -> str:
    """The metrics page."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as page:
        return str(page.read().decode())


def closed_by(server: Server) -> int:
    """How many windows a server says that it closed."""
    name = f'pointclear_windows_closed_by_schedule_total{{currency="{CURRENCY}"}}'
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics(server), re.MULTILINE)
    return int(float(found.group(1))) if found else 0


def has_looked(server: Server) -> bool:
    """Whether a server's scheduler has looked once."""
    return "pointclear_window_overdue_seconds{" in metrics(server)


def hurried(data_dir: Path, ahead: timedelta, listen: str = "127.0.0.1:0") -> Server:
    """A server whose clocks are ahead."""
    clock = {AHEAD: str(ahead.total_seconds())}
    return Server(data_dir, *PAGES, listen=listen, program="tests.hurried_server", **clock)


@contextmanager
def trickle(brand: Brand, *servers: Server) -> Iterator[list[SignedEnvelope]]:
    """Orders of a brand to each server in turn, one at a time; gives the receipts, as they come."""
    done = threading.Event()
    sent: list[SignedEnvelope] = []
    failed: list[BaseException] = []

    def send() -> None:
        directory = brand.connection.profile.directory
        with (
            connect(load_profile(directory, servers[0].address)) as first,
            connect(load_profile(directory, servers[-1].address)) as second,
        ):
            for own in cycle((first, second)):
                if done.wait(PAUSE_S):
                    return
                order = brand.order()
                request = CreateTransferRequest(order=order)
                sent.append(own.exchange.CreateTransfer(request, timeout=CALL_TIMEOUT_S).receipt)

    def run() -> None:
        try:
            send()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()
    assert not failed, failed


def where_it_is_noon() -> ZoneInfo:
    """A zone in which midnight is far, so that a test's minutes are of one day."""
    ahead = 12 - datetime.now(UTC).hour
    # The names count westwards.
    return ZoneInfo(f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT")


def set_cut_off(operator: Connection, cut_off: str, zone: str = "") -> None:
    """Set a cut-off by a zone's clock."""
    request = scheme_pb2.SetSchemeRequest(
        change_id=uuid_utils.uuid7().bytes,
        scheme=scheme_pb2.Scheme(currency=CURRENCY, cut_off=cut_off, zone=zone, due_days=1),
    )
    operator.call(operator.settlement.SetScheme, request)


def transfers_by_window(data_dir: Path) -> dict[date, int]:
    """How many transfers each window holds that holds any."""
    with connection(data_dir) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT w.business_date, count(DISTINCT p.log_index) FROM posting AS p"
            " JOIN settlement_window AS w USING (window_number)"
            " WHERE p.code = 1 GROUP BY w.business_date"
        )
        return dict(cursor.fetchall())


def test_t23_windows_close_at_their_cut_off_once_and_late_rather_than_never() -> None:
    with (
        folder() as home,
        Server(make_data_dir(home)) as founding,
        coalition(founding, home, ("aurora", "borealis")) as members,
    ):
        data_dir, operator, listen = founding.data_dir, members.operator, founding.listen
        founding.stop()
        zone = where_it_is_noon()

        hurry = timedelta(seconds=(60 - LEFT_S - datetime.now(UTC).second) % 60)
        with (
            hurried(data_dir, hurry, listen) as first,
            hurried(data_dir, hurry) as second,
            trickle(members["aurora"], first, second) as sent,
        ):
            # What was never closed closes at once, and the running day's window opens.
            told = pointclear(
                *("scheme", "set", CURRENCY, "--cut-off", "00:00", "--zone", zone.key, "--json"),
                *("--data-dir", data_dir, "--server", second.address),
            )
            assert told.returncode == 0, told.stderr
            assert json.loads(told.stdout)["schemes"][0]["cut_off"] == "00:00"
            wait_until(lambda: len(windows(operator)) == 2, "the first window closes")
            (founded, state), (today, _) = windows(operator)
            assert (founded, state) == (FIRST_DAY, "CLOSED")
            # It closes while orders come in.
            wait_until(lambda: today in transfers_by_window(data_dir), "a transfer is in it")
            soon = datetime.now(zone) + hurry + timedelta(seconds=SPARE_S)
            cut_off = soon.replace(second=0, microsecond=0) + timedelta(minutes=1)
            set_cut_off(operator, f"{cut_off:%H:%M}", zone.key)
            wait_until(lambda: len(windows(operator)) == 3, "the cut-off passes")
            following = today + DAY
            assert windows(operator)[1:] == [(today, "CLOSED"), (following, "OPEN")]
            wait_until(lambda: following in transfers_by_window(data_dir), "the next has orders")
            # Each of both was closed by one of the servers, and both are as ready as ever.
            assert closed_by(first) + closed_by(second) == 2
            assert f"{first.said}{second.said}".count("closed by schedule") == 2
            for server in (first, second):
                with urllib.request.urlopen(f"http://{server.http}/readyz") as page:
                    assert page.status == 200
            # What people close brings nothing forward.
            window_id = f"usd-{following}"
            operator.call(
                operator.settlement.CloseWindow, pb.CloseWindowRequest(window_id=window_id)
            )

        ahead = timedelta(days=DAYS_DOWN)
        with hurried(data_dir, ahead, listen) as late:
            wait_until(lambda: len(windows(operator)) == 5, "what was missed is closed")
            at = CutOff(cut_off.time().replace(tzinfo=None), zone)
            running = at.business_date(datetime.now(UTC) + ahead)
            assert windows(operator)[2:4] == [(following, "CLOSED"), (following + DAY, "CLOSED")]
            last, state = windows(operator)[4]
            assert (running - last, state) in [(timedelta(), "OPEN"), (DAY, "OPEN")]
            assert closed_by(late) == 1
            # Every order that was answered is in a window.
            assert sum(transfers_by_window(data_dir).values()) == len(sent)
            stood = windows(operator)

        # Its clock steps back by five days.
        with Server(data_dir, *PAGES, listen=listen) as back:
            wait_until(lambda: has_looked(back), "it has looked")
            assert windows(operator) == stood
            assert closed_by(back) == 0
            check_log_and_books(data_dir)


def test_partners_see_the_scheme_of_their_currency_and_set_none() -> None:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home, ("aurora",)) as members,
    ):
        operator, aurora = members.operator, members["aurora"].connection
        set_cut_off(operator, "")
        calls = aurora.settlement

        own = aurora.call(calls.GetScheme, scheme_pb2.GetSchemeRequest())
        assert own.scheme.currency == CURRENCY
        assert not own.HasField("next_cut_off")
        listed = aurora.call(calls.ListSchemes, scheme_pb2.ListSchemesRequest())
        assert list(listed.schemes) == [own.scheme]
        other = refused(calls.GetScheme, scheme_pb2.GetSchemeRequest(currency="EUR"))
        assert (other.reason, other.field) == (Reason.FIELD_INVALID, "currency")
        request = scheme_pb2.SetSchemeRequest(scheme=own.scheme)
        assert refused(calls.SetScheme, request).reason is Reason.ROLE_MISSING
        shown = pointclear(
            *("scheme", "show", "--json", "--as", aurora.profile.directory),
            *("--server", server.address),
        )
        assert [each["currency"] for each in json.loads(shown.stdout)["schemes"]] == [CURRENCY]
        # An operator is told what is wrong, and with which field.
        told = pointclear(
            *("scheme", "set", CURRENCY, "--zone", "Europe/Bonn", "--json"),
            *("--data-dir", server.data_dir, "--server", server.address),
        )
        assert told.returncode == 1
        assert json.loads(told.stderr)["error"]["field"] == "scheme.zone"
        nobody = pointclear(
            *("scheme", "set", "EUR", "--cut-off", "17:30", "--json"),
            *("--data-dir", server.data_dir, "--server", server.address),
        )
        assert nobody.returncode == 1
        assert json.loads(nobody.stderr)["error"]["field"] == "currency"
        assert windows(operator) == [(FIRST_DAY, "OPEN")]
