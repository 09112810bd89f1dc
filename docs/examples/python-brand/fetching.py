"""A brand that is not called: it fetches instructions, carries them out and confirms them.

An instruction that was fetched is leased: nobody else gets it until the lease is over. A crash at
any moment leaves it to be fetched again, and the program answers it as it did first.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from partners.program_port import InstructionKind
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from pointclear.partners.v1 import program_service_pb2 as program_pb
from program import Answer, Program

CALL_TIMEOUT_S = 30.0
AT_ONCE = 100


@contextmanager
def exchange_of(profile: Path, address: str | None) -> Iterator[ExchangeServiceStub]:
    """The exchange of a profile, over a channel that closes at the end."""
    names = ("ca.pem", "tls-key.pem", "tls.pem")
    credentials = grpc.ssl_channel_credentials(*((profile / name).read_bytes() for name in names))
    server = address or json.loads((profile / "profile.json").read_text())["server"]
    with grpc.secure_channel(server, credentials, [("grpc.enable_http_proxy", 0)]) as channel:
        yield ExchangeServiceStub(channel)


def fetch_once(
    program: Program, signed: Callable[[Answer], SignedEnvelope], exchange: ExchangeServiceStub
) -> None:
    """Carry out what there is, and confirm it. What does not reach the exchange is told."""
    request = pb.PullCreditsRequest(program=program.name, page_size=AT_ONCE)
    try:
        fetched = exchange.PullCredits(request, timeout=CALL_TIMEOUT_S).instructions
    except grpc.RpcError as error:
        print(f"nothing was fetched: {error}", file=sys.stderr)
        return
    for each in fetched:
        answer = carry_out(program, each)
        confirmed = pb.ConfirmCreditRequest(confirmation=signed(answer), fulfilment=answer[1])
        try:
            exchange.ConfirmCredit(confirmed, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            # It is handed out again when its lease is over; the others do not wait for it.
            print(f"an answer was not taken: {error}", file=sys.stderr)


def carry_out(program: Program, fetched: Any) -> Answer:
    """The program's answer to an instruction; the exchange's channel says whose it is."""
    match fetched.WhichOneof("instruction"):
        case "credit":
            return program.credit(fetched.credit)
        case "reverse":
            return program.reverse(fetched.reverse)
        case "look_up":
            asked = fetched.look_up
            reverse = asked.kind == program_pb.INSTRUCTION_KIND_REVERSE
            kind = InstructionKind.REVERSE if reverse else InstructionKind.CREDIT
            return program.look_up(asked.instruction_id, kind)
    raise ValueError("an instruction of a kind that this version does not know")
