"""A small brand whose program the exchange calls: `ProgramService` over mutual TLS. One that cannot
be called fetches what there is to do.

    python brand.py enrol --journal FILE [--ineligible] MEMBER ...
    python brand.py serve --profile DIR --journal FILE [--listen HOST:PORT]
    python brand.py fetch --profile DIR --journal FILE [--server HOST:PORT] [--every SECONDS]

Both take --program ID, --members FILE and --codes. Needs `pip install pointclear`. The profile is
what `pointclear partner add` made. `serve` prints one line of JSON with its address when it takes
calls, `fetch` one when it begins.
"""

import argparse
import json
import secrets
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from fetching import exchange_of, fetch_once
from journal import Journal
from partners.caller import exchange_uri
from partners.envelope import CREDIT_CONFIRMATION, sign
from partners.key_files import load_key_file, read_passphrase_file
from partners.keys import Signer
from partners.program_port import InstructionKind
from partners.wire import envelope_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.partners.v1 import program_service_pb2 as pb
from pointclear.partners.v1 import program_service_pb2_grpc as rpc
from program import Answer, Program

KINDS = {
    pb.INSTRUCTION_KIND_CREDIT: InstructionKind.CREDIT,
    pb.INSTRUCTION_KIND_REVERSE: InstructionKind.REVERSE,
}


class Service(rpc.ProgramServiceServicer):
    """Who calls, what for, and the signature under the answer."""

    def __init__(self, program: Program, journal: Journal, signer: Signer) -> None:
        self.program = program
        self._journal = journal
        self._signer = signer

    def ValidateMember(self, request: Any, context: Any) -> Any:
        self._let_in(context, request.program)
        found = self._journal.member(request.member)
        if found is None:
            eligibility = pb.ELIGIBILITY_UNKNOWN
        else:
            eligibility = pb.ELIGIBILITY_ELIGIBLE if found[0] else pb.ELIGIBILITY_INELIGIBLE
        return pb.ProgramServiceValidateMemberResponse(eligibility=eligibility)

    def GetBalance(self, request: Any, context: Any) -> Any:
        self._let_in(context, request.program)
        found = self._journal.member(request.member)
        return pb.GetBalanceResponse(points=found[1] if found else 0)

    def Credit(self, request: Any, context: Any) -> Any:
        self._let_in(context, request.program, request.audience)
        if len(request.instruction_id) != 16 or request.points <= 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no credit")
        answer = self.program.credit(request)
        return pb.CreditResponse(confirmation=self.signed(answer), fulfilment=answer[1])

    def Reverse(self, request: Any, context: Any) -> Any:
        self._let_in(context, request.program, request.audience)
        if len(request.instruction_id) != 16 or request.points <= 0:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no reversal")
        return pb.ReverseResponse(confirmation=self.signed(self.program.reverse(request)))

    def LookUp(self, request: Any, context: Any) -> Any:
        self._let_in(context, request.program, request.audience)
        if len(request.instruction_id) != 16 or request.kind not in KINDS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no look-up")
        answer = self.program.look_up(request.instruction_id, KINDS[request.kind])
        return pb.LookUpResponse(confirmation=self.signed(answer), fulfilment=answer[1])

    def _let_in(self, context: Any, program: str, audience: str | None = None) -> None:
        # The same authority signs partners' certificates: only the exchange may give points.
        callers = context.auth_context().get("peer_uri", [])
        if list(callers) != [exchange_uri(self.program.audience).encode()]:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "only the exchange may call")
        if program != self.program.name or audience not in (None, self.program.audience):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is meant for somebody else")

    def signed(self, answer: Answer) -> SignedEnvelope:
        """What the exchange can hold us to. Signed anew each time, by the key in use: the bytes
        are those of the first answer.
        """
        return envelope_to_proto(sign(self._signer, CREDIT_CONFIRMATION, answer[0]))


def service_of(profile: Path, journal: Journal, program_id: str | None, *, codes: bool) -> Service:
    """The service of the brand whose profile this is."""
    document = json.loads((profile / "profile.json").read_text())
    brand = document["identity"].rpartition("/")[2]
    program = Program(journal, document["audience"], brand, program_id or brand)
    if codes:
        program.make_code = lambda points: f"{secrets.token_hex(8)} {points}".encode()
    passphrase = read_passphrase_file(profile / "passphrase")
    return Service(program, journal, load_key_file(profile / "keys" / "orders.pem", passphrase))


def serve(service: rpc.ProgramServiceServicer, profile: Path, listen: str) -> None:
    """Take calls until SIGINT or SIGTERM, then finish those under way."""
    key, certificate, authority = (
        (profile / name).read_bytes()
        for name in ("serving-tls-key.pem", "serving-tls.pem", "ca.pem")
    )
    options = (("grpc.max_receive_message_length", 64 * 1024), ("grpc.so_reuseport", 0))
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=options)
    rpc.add_ProgramServiceServicer_to_server(service, server)
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], authority, require_client_auth=True
    )
    port = server.add_secure_port(listen, credentials)
    told = stop_request()
    server.start()
    address = f"{listen.rpartition(':')[0]}:{port}"
    print(json.dumps({"event": "ready", "address": address}), flush=True)
    told.wait()
    server.stop(grace=5).wait()


def fetch(service: Service, profile: Path, address: str | None, every_s: float) -> None:
    """Carry out what there is, look again after a pause, until SIGINT or SIGTERM."""
    told = stop_request()
    with exchange_of(profile, address) as exchange:
        print(json.dumps({"event": "ready"}), flush=True)
        while not told.wait(every_s):
            fetch_once(service.program, service.signed, exchange)


def stop_request() -> threading.Event:
    """Is set by SIGINT and SIGTERM."""
    told = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: told.set())
    return told


def arguments(text: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="A small brand whose program the exchange calls.")
    commands = parser.add_subparsers(dest="command", required=True)
    enrol = commands.add_parser("enrol", help="make people members")
    enrol.add_argument("--ineligible", action="store_true", help="they may not take part")
    enrol.add_argument("members", nargs="+", metavar="MEMBER")
    serving = commands.add_parser("serve", help="take the exchange's calls")
    serving.add_argument("--listen", default="127.0.0.1:7543", metavar="HOST:PORT")
    fetching = commands.add_parser("fetch", help="fetch what there is to do, and answer it")
    fetching.add_argument("--server", metavar="HOST:PORT", help="the exchange's; the profile's")
    fetching.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
    for each in (serving, fetching):
        each.add_argument("--profile", type=Path, required=True, metavar="DIR")
        each.add_argument("--program", metavar="ID", help="if not named like the brand")
        each.add_argument("--members", type=Path, metavar="FILE", help="enrol these first")
        each.add_argument("--codes", action="store_true", help="issue codes in place of points")
    for each in (enrol, serving, fetching):
        each.add_argument("--journal", type=Path, required=True, metavar="FILE")
    return parser.parse_args(text)


def main() -> None:
    """Run the command line."""
    given = arguments(sys.argv[1:])
    journal = Journal(given.journal)
    if given.command == "enrol":
        journal.enrol(given.members, eligible=not given.ineligible)
        return
    if given.members:
        journal.enrol(given.members.read_text().split(), eligible=True)
    service = service_of(given.profile, journal, given.program, codes=given.codes)
    if given.command == "serve":
        serve(service, given.profile, given.listen)
    else:
        fetch(service, given.profile, given.server, given.every)


if __name__ == "__main__":
    main()
