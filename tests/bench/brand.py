"""A brand's own program that credits whoever it is told of: `python -m tests.bench.brand PROFILE`.

It keeps nothing and checks nothing: what is measured is the exchange. It reads requests as lines of
JSON: `{"delay_s": 2}` sets how long it takes to answer, and is answered with when each credit came
in since the last request, by its id, in seconds of the wall clock.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import grpc

from exchange.cli.profile import load_profile
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import signed_confirmation
from partners.keys import Purpose
from partners.program_port import CreditOutcome, InstructionKind
from partners.wire import envelope_to_proto
from pointclear.partners.v1 import program_service_pb2 as pb

CALLS_MAX = 1000


class Program:
    """Credits at once, and answers when it is told to."""

    def __init__(self, profile_dir: Path) -> None:
        profile = load_profile(profile_dir)
        self._name = profile.caller.name
        self._signer = profile.signer(Purpose.ORDERS)
        self.delay_s = 0.0
        self.came_in: dict[str, float] = {}

    async def credit(self, request: pb.CreditRequest, _context: object) -> pb.CreditResponse:
        """Every credit is given."""
        self.came_in.setdefault(request.instruction_id.hex(), time.time())
        await asyncio.sleep(self.delay_s)
        said = Confirmation(
            request.audience,
            self._name,
            UUID(bytes=request.instruction_id),
            InstructionKind.CREDIT,
            request.program,
            CreditOutcome.DONE,
            datetime.now(UTC),
            request.points,
        )
        return pb.CreditResponse(
            confirmation=envelope_to_proto(signed_confirmation(self._signer, said))
        )


async def serve(directory: Path) -> None:
    """Serve until standard input ends."""
    program = Program(directory)
    server = grpc.aio.server(maximum_concurrent_rpcs=CALLS_MAX)
    credit = grpc.unary_unary_rpc_method_handler(
        program.credit, pb.CreditRequest.FromString, pb.CreditResponse.SerializeToString
    )
    name = pb.DESCRIPTOR.services_by_name["ProgramService"].full_name
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"Credit": credit}),)
    )
    key, certificate, authority = (
        (directory / name).read_bytes()
        for name in ("serving-tls-key.pem", "serving-tls.pem", "ca.pem")
    )
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], authority, require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    print(json.dumps({"address": f"localhost:{port}"}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        program.delay_s = json.loads(line)["delay_s"]
        came_in, program.came_in = program.came_in, {}
        print(json.dumps(came_in), flush=True)
    await server.stop(grace=None)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
