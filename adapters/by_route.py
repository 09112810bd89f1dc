"""What calls each program, by its route: the one place that knows every adapter.

A connection is made when it is first needed and kept as long as the route stays; all are closed
together. All calls are made on one loop.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self

from adapters.file_program.instructions import ProgramName
from adapters.file_program.opening import open_program
from adapters.file_program.program import FileProgram, Rhythm
from adapters.file_program.telling import events_of
from adapters.grpc_program import GrpcEndpoint, GrpcProgram
from adapters.http_program.connection import Endpoint, connect
from adapters.http_program.program import HttpProgram
from adapters.memory import MemoryProgram, Seal
from partners.confirmations.verification import KeyOf
from partners.keys import Signer
from partners.program_port import ProgramPort
from partners.routes.route import Route, RouteKind
from partners.visits import VisitEvent


@dataclass(frozen=True, slots=True)
class CallingFiles:
    """What the exchange shows to brands' systems, and whom it believes there: files of PEM."""

    authority: Path
    certificate: Path
    private_key: Path

    @property
    def are_there(self) -> bool:
        """Whether brands' systems can be called at all."""
        return self.certificate.exists()


@dataclass(frozen=True, slots=True)
class FileBatches:
    """Where programs that take files have folders of their own on this host, and their rhythm."""

    folder: Path
    rhythm: Rhythm


@dataclass(frozen=True, slots=True)
class Simulating:
    """What programs are simulated with, in a deployment where nobody is real."""

    magic_amounts: bool
    signer_of: Callable[[str], Signer | None]
    """A program's key for orders, which its brand lends to the simulation; None where it lends
    none, and then nothing is signed."""


@dataclass(slots=True)
class ProgramsByRoute:
    """The programs that one process calls."""

    audience: str
    files: CallingFiles
    signer: Callable[[], Signer]
    """The exchange's in use, for receipts."""
    partner_of: Callable[[str], str]
    """The brand of a program."""
    key_of: KeyOf
    now: Callable[[], datetime]
    batches: FileBatches
    simulating: Simulating | None
    """None in production: there nothing is simulated."""
    _simulated: dict[str, MemoryProgram] = field(default_factory=dict)
    _made: dict[str, tuple[Route, ProgramPort | None]] = field(default_factory=dict)
    _connections: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_ended: object) -> None:
        await self._connections.aclose()

    def of(self, route: Route) -> ProgramPort | None:
        """What calls the program; None where nothing does."""
        known = self._made.get(route.program)
        if known is None or known[0] != route:
            known = self._made[route.program] = (route, self._make(route))
        return known[1]

    async def visit(self, route: Route) -> Sequence[VisitEvent]:
        """Look after a program that is not called; what happened there. Nothing happens at one that
        is. Raises PointclearError where there is something wrong with its own folder.
        """
        program = self.of(route)
        return (
            events_of(await program.visit(self.now())) if isinstance(program, FileProgram) else ()
        )

    def simulated(self, program: str) -> MemoryProgram:
        """A program with made-up members."""
        if program not in self._simulated:
            made = MemoryProgram()
            if self.simulating is not None:
                made.magic_amounts = self.simulating.magic_amounts
                made.seal = partial(self._seal, program, self.simulating)
            self._simulated[program] = made
        return self._simulated[program]

    def _seal(self, program: str, simulating: Simulating) -> Seal | None:
        signer = simulating.signer_of(program)
        if signer is None:
            return None
        return Seal(self.audience, self.partner_of(program), program, signer, self.now)

    def _make(self, route: Route) -> ProgramPort | None:
        match route.kind:
            case RouteKind.SIMULATED if self.simulating is not None:
                return self.simulated(route.program)
            case RouteKind.GRPC if self.files.are_there:
                return self._grpc(route)
            case RouteKind.HTTP if self.files.are_there:
                return self._http(route)
            case RouteKind.FILE:
                return self._file(route)
            case _:
                return None

    def _file(self, route: Route) -> ProgramPort:
        name = ProgramName(self.audience, self.partner_of(route.program), route.program)
        folder = self.batches.folder / route.program
        return open_program(folder, name, route.address, self.key_of, self.now, self.batches.rhythm)

    def _grpc(self, route: Route) -> ProgramPort:
        endpoint = GrpcEndpoint(
            route.address,
            self.partner_of(route.program),
            route.program,
            self.audience,
            self.files.authority.read_bytes(),
            self.files.certificate.read_bytes(),
            self.files.private_key.read_bytes(),
            route.timeout.total_seconds(),
        )
        program = GrpcProgram(endpoint, self.key_of, self.now)
        self._connections.push_async_callback(program.close)
        return program

    def _http(self, route: Route) -> ProgramPort:
        endpoint = Endpoint(
            route.address.rstrip("/"),
            self.files.authority,
            self.files.certificate,
            self.files.private_key,
        )
        client = connect(endpoint, route.calls_max)
        self._connections.push_async_callback(client.aclose)
        return HttpProgram(
            client,
            endpoint,
            self.audience,
            self.partner_of(route.program),
            route.program,
            self.signer(),
            self.key_of,
            route.timeout.total_seconds(),
            self.now,
        )
