"""The programs of the demo's brands: the examples of docs/examples as processes, each with its own
journal. A wheel brings the examples with it.
"""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uuid_utils

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import BRANDS, Brand
from exchange.cli.demo.households import Purchase
from exchange.cli.demo.linked import reference
from exchange.cli.failure import unavailable
from exchange.cli.files import make_directory
from partners.key_files import public_key_pem
from partners.keys import Purpose
from partners.routes.route import Route, RouteKind
from partners.routes.wire import route_to_proto
from pointclear.partners.v1.route_pb2 import SetRouteRequest

MEMBERS = "members"
"""Names the file of a brand's members, in its folder."""
EXCHANGE_KEY = "exchange.pem"
SHARED = "shared"
"""The folder that a brand that takes files shares with the exchange, which makes it."""
WORK_EVERY_S = 0.2
"""How often a brand that is not called looks for what there is to do."""
OF_WHICH_ONE_LEFT = 20
"""Of so many households one has left the program of a brand that confirms."""
ANY_PORT = "127.0.0.1:0"


def examples() -> Path:
    """The folder of the example brands: a wheel's own, or the one of the source tree."""
    own = Path(__file__).with_name("examples")
    return own if own.is_dir() else Path(__file__).parents[3] / "docs" / "examples"


def members_of(brand: Brand, purchases: Iterable[Purchase]) -> tuple[str, ...]:
    """Whom a brand's program knows: whoever buys there, by household and by card."""
    households = {each.household_id for each in purchases if each.brand == brand.partner_id}
    cards = {reference(brand.partner_id, each) for each in households}
    here = {each for each in households if not (brand.confirms and has_left(each))}
    return tuple(sorted(here | cards))


def has_left(household_id: str) -> bool:
    """Whether a household has left the program: some credits have to be declined."""
    return not zlib.crc32(f"left {household_id}".encode()) % OF_WHICH_ONE_LEFT


class ProgramProcess:
    """A brand's program that is at work."""

    def __init__(self, brand: Brand, audience: str, profile: Path, folder: Path) -> None:
        """`folder` is its own and has the file of its members."""
        self.brand = brand
        self._audience = audience
        self._profile = profile
        self._folder = folder
        self._listen = ANY_PORT
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin; `ready` waits until it is at work."""
        with (self._folder / "stderr").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> str:
        """Wait until it is at work; its address for the exchange, empty where it is not called. It
        has the same one when it is started again. Raises Failed.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise unavailable(
                f"the program of {self.brand.legal_name} did not start",
                f"What it said is in {self._folder / 'stderr'}.",
            )
        match self.brand.reached_by:
            case RouteKind.FILE:
                return (self._folder / SHARED).absolute().as_uri()
            case RouteKind.PULL:
                return ""
            case kind:
                self._listen = json.loads(line)["address"]
                return f"https://{self._listen}" if kind is RouteKind.HTTP else self._listen

    def hang(self) -> None:
        """Have it stop in the middle of whatever it does: it takes calls and answers none."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, as when the power fails: its journal is made for that."""
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def _command(self) -> list[str]:
        profile = ["--profile", str(self._profile)]
        match self.brand.reached_by:
            case RouteKind.HTTP:
                key = str(self._folder / EXCHANGE_KEY)
                how = ["http-brand", "serve", *profile, "--exchange-key", key]
                how += ["--listen", self._listen]
            case RouteKind.PULL:
                how = ["python-brand", "fetch", *profile, "--every", str(WORK_EVERY_S)]
            case RouteKind.FILE:
                how = ["file-brand", "--folder", str(self._folder / SHARED)]
                how += ["--every", str(WORK_EVERY_S), "--audience", self._audience]
                how += ["--partner", self.brand.partner_id, "--program", self.brand.partner_id]
                how += ["--key", str(self._profile / "keys" / "orders.pem")]
                how += ["--passphrase", str(self._profile / "passphrase")]
            case _:
                how = ["python-brand", "serve", *profile, "--listen", self._listen]
        example, *arguments = how
        journal = ["--journal", str(self._folder / "brand.db")]
        members = ["--members", str(self._folder / MEMBERS)]
        script = str(examples() / example / "brand.py")
        return [sys.executable, script, *arguments, *journal, *members]


@contextmanager
def running_programs(
    brands: Mapping[str, Connection], profiles: Path, folder: Path, purchases: Iterable[Purchase]
) -> Iterator[Mapping[str, ProgramProcess]]:
    """The programs of all brands that have a process, by brand, as soon as they are started; all
    are ended on leaving. Raises Failed.
    """
    bought = tuple(purchases)
    programs = {}
    for brand in BRANDS:
        if brand.reached_by not in (RouteKind.STREAM, RouteKind.SIMULATED):
            profile, own = profiles / brand.partner_id, folder / brand.partner_id
            make_directory(own, 0o700)
            (own / MEMBERS).write_text("\n".join(members_of(brand, bought)))
            connection = brands[brand.partner_id]
            if brand.reached_by is RouteKind.HTTP:
                write_exchange_key(connection, own / EXCHANGE_KEY)
            audience = connection.profile.audience
            programs[brand.partner_id] = ProgramProcess(brand, audience, profile, own)
    with ExitStack() as stack:
        for program in programs.values():
            stack.callback(program.kill)
            program.start()
        yield programs


def set_routes(operator: Connection, programs: Mapping[str, ProgramProcess]) -> None:
    """Wait until the brands' programs are at work, and let the exchange know how to reach them.
    Raises Failed.
    """
    for brand in BRANDS:
        if brand.reached_by is not RouteKind.STREAM:
            program = programs.get(brand.partner_id)
            address = program.ready() if program else ""
            route = Route(brand.partner_id, brand.reached_by, address)
            request = SetRouteRequest(
                change_id=uuid_utils.uuid7().bytes, route=route_to_proto(route)
            )
            operator.call(operator.partners.SetRoute, request)


def write_exchange_key(own: Connection, path: Path) -> None:
    """The exchange's key for receipts, by which it signs what it asks over HTTPS. Raises Failed."""
    (key,) = own.exchange_keys(Purpose.RECEIPTS).values()
    path.write_bytes(public_key_pem(key.public_key))
