"""`delivery list` and `delivery resolve` for operators, `delivery pull` and `delivery confirm` for
brands: instructions on their way to programs.
"""

import mimetypes
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from exchange.cli.calling import App, ByActingOperator, ByOperator
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant
from exchange.cli.files import read_file
from exchange.cli.options import (
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    parse_uuid,
    partner_profile,
)
from exchange.cli.output import answer, table
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.verification import signed_confirmation
from partners.keys import Purpose
from partners.program_port import CreditOutcome, DeclineReason, InstructionKind
from partners.wire import envelope_to_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.exchange.v1.transfer_pb2 import TransferState
from pointclear.partners.v1 import program_service_pb2 as program_pb

FETCHED_MAX = 500
UNKNOWN_TYPE = "application/octet-stream"
ProgramOption = Annotated[str, typer.Option(metavar="ID", help="The program of yours.")]


def delivery_app() -> App:
    """The commands about instructions to programs."""
    app = App(no_args_is_help=True, help="Instructions on their way to programs.")
    app.command("list")(list_deliveries)
    app.command("resolve")(resolve)
    app.command("pull")(pull)
    app.command("confirm")(confirm)
    return app


def list_deliveries(
    by: ByOperator,
    program: Annotated[
        str, typer.Option(metavar="ID", help="Only of this program. [default: all]")
    ] = "",
    in_doubt: Annotated[
        bool,
        typer.Option(
            "--in-doubt",
            help="Only reserved transfers that the program may know of and has not answered.",
        ),
    ] = False,
) -> None:
    """List the instructions that are not concluded, oldest first."""
    request = pb.ListDeliveriesRequest(program=program, in_doubt=in_doubt)
    with by.connect() as connection:
        documents = [delivery_document(each) for each in _waiting(connection, request)]
    columns = ("transfer", "kind", "program", "points", "state", "fault", "tries", "sent at")
    answer(
        by.as_json,
        {"deliveries": documents},
        table(
            (*columns, "next at"),
            [
                (
                    each["transfer_id"],
                    each["kind"],
                    each["program"],
                    each["points"],
                    "IN DOUBT" if each["in_doubt"] else each["state"],
                    each["fault"] or "–",
                    each["attempts"],
                    each["sent_at"] or "–",
                    each["next_at"],
                )
                for each in documents
            ],
            right=("points", "tries"),
        ),
    )


def resolve(
    by: ByActingOperator,
    transfer_id: Annotated[str, typer.Argument(metavar="TRANSFER_ID", help="In doubt.")],
    evidence: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="What shows it: 1 to 4,096 bytes. Nothing about a person."
        ),
    ],
    credited: Annotated[
        bool,
        typer.Option("--credited/--not-credited", help="Whether the member has the points."),
    ],
    evidence_type: Annotated[
        str,
        typer.Option(metavar="TYPE", help="A media type. [default: by the file's name]"),
    ] = "",
) -> None:
    """End a transfer in doubt by evidence that two operators have seen.

    It cannot be taken back: find out from the brand first. The record holds the evidence's SHA-256.
    """
    request = pb.ResolveTransferRequest(
        transfer_id=parse_uuid(transfer_id).bytes,
        credited=credited,
        evidence=read_file(evidence),
        evidence_type=evidence_type or mimetypes.guess_type(evidence.name)[0] or UNKNOWN_TYPE,
    )
    with by.connect() as connection:
        response: pb.ResolveTransferResponse = connection.call(
            connection.exchange.ResolveTransfer, request
        )
    state = TransferState.Name(response.state).removeprefix("TRANSFER_STATE_")
    answer(by.as_json, {"transfer_id": transfer_id, "state": state}, f"{transfer_id}: {state}")


def pull(
    profile_dir: PartnerProfileOption,
    program: ProgramOption,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=FETCHED_MAX, help="At most so many.")
    ] = 100,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch what there is to do for a program of yours, oldest first.

    It is yours until the lease ends: carry it out once, then confirm. It names your members.
    """
    with connect(partner_profile(profile_dir, server)) as connection:
        response: pb.PullCreditsResponse = connection.call(
            connection.exchange.PullCredits,
            pb.PullCreditsRequest(program=program, page_size=limit),
        )
    documents = [pulled_document(each) for each in response.instructions]
    answer(
        as_json,
        {"instructions": documents},
        table(
            ("instruction", "do", "kind", "member", "points", "lease until"),
            [
                (
                    each["instruction_id"],
                    each["step"],
                    each["kind"],
                    each["member"] or "–",
                    "–" if each["points"] is None else each["points"],
                    each["lease_until"],
                )
                for each in documents
            ],
            right=("points",),
        ),
    )


def confirm(
    instruction_id: Annotated[
        str, typer.Argument(metavar="INSTRUCTION_ID", help="As it was fetched.")
    ],
    profile_dir: PartnerProfileOption,
    program: ProgramOption,
    kind: Annotated[
        InstructionKind, typer.Option(case_sensitive=False, help="What was asked for.")
    ] = InstructionKind.CREDIT,
    done: Annotated[
        int | None,
        typer.Option(metavar="POINTS", min=1, help="So many were given, or taken back."),
    ] = None,
    declined: Annotated[
        DeclineReason | None,
        typer.Option(case_sensitive=False, help="Nothing was moved, and never will be."),
    ] = None,
    never: Annotated[
        bool,
        typer.Option(
            "--never", help="To a look-up: it was never seen, and is declined if it comes."
        ),
    ] = False,
    reference: Annotated[
        str, typer.Option(metavar="TEXT", help="Your own id of the booking; no personal data.")
    ] = "",
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer an instruction, signed with your key for orders. Repeating it is harmless.

    Say exactly one of --done, --declined and --never. The first answer stands for ever.
    """
    outcome = outcome_said(done, declined, never=never)
    profile = partner_profile(profile_dir, server)
    said = Confirmation(
        profile.audience,
        profile.caller.name,
        parse_uuid(instruction_id),
        kind,
        program,
        outcome,
        datetime.now(UTC),
        done or 0,
        declined,
        reference,
    )
    envelope = signed_confirmation(profile.signer(Purpose.ORDERS), said)
    with connect(profile) as connection:
        response: pb.ConfirmCreditResponse = connection.call(
            connection.exchange.ConfirmCredit,
            pb.ConfirmCreditRequest(confirmation=envelope_to_proto(envelope)),
        )
    state = _state_name(response.state)
    answer(
        as_json,
        {"instruction_id": instruction_id, "outcome": outcome, "state": state},
        f"{instruction_id}: {outcome} is recorded, the instruction is {state}",
    )


def outcome_said(done: int | None, declined: DeclineReason | None, *, never: bool) -> CreditOutcome:
    """The one outcome that was said. Raises typer.BadParameter unless it was one."""
    said = [
        outcome
        for outcome, given in (
            (CreditOutcome.DONE, done is not None),
            (CreditOutcome.DECLINED, declined is not None),
            (CreditOutcome.NEVER, never),
        )
        if given
    ]
    if len(said) != 1:
        raise typer.BadParameter("say one of --done POINTS, --declined REASON and --never")
    return said[0]


def delivery_document(delivery: pb.Delivery) -> dict[str, Any]:
    """An instruction on its way, for people and machines."""
    state = _state_name(delivery.state)
    return {
        "instruction_id": str(UUID(bytes=delivery.instruction_id)),
        "kind": _kind_name(delivery.kind),
        "transfer_id": str(UUID(bytes=delivery.transfer_id)),
        "program": delivery.program,
        "points": delivery.points,
        "committed": delivery.committed,
        "in_doubt": state == "SENT" and not delivery.committed,
        "state": state,
        "attempts": delivery.attempts,
        "fault": delivery.fault,
        "sent_at": instant(delivery.sent_at),
        "next_at": instant(delivery.next_at),
        "answer_by": instant(delivery.answer_by),
        "log_index": delivery.log_index,
    }


def pulled_document(pulled: pb.PulledInstruction) -> dict[str, Any]:
    """An instruction that was fetched, for people and machines."""
    shared = {"lease_until": instant(pulled.lease_until), "attempts": pulled.attempts}
    match pulled.WhichOneof("instruction"):
        case "credit":
            credit = pulled.credit
            return {
                **_asked(credit.instruction_id, "GIVE", "CREDIT", credit.program),
                "member": credit.member,
                "points": credit.points,
                "committed": credit.committed,
                "expiry_lots": [
                    {"points": each.points, "expires_at": instant(each.expires_at)}
                    for each in credit.expiry_lots
                ],
                "order_sha256": credit.order_sha256.hex(),
                "source_key": credit.source_key.hex(),
                **shared,
            }
        case "reverse":
            reverse = pulled.reverse
            return {
                **_asked(reverse.instruction_id, "TAKE_BACK", "REVERSE", reverse.program),
                "transfer_id": str(UUID(bytes=reverse.transfer_id)),
                "member": reverse.member,
                "points": reverse.points,
                **shared,
            }
        case _:
            asked = pulled.look_up
            kind = _kind_name(asked.kind)
            found = _asked(asked.instruction_id, "LOOK_UP", kind, asked.program)
            return {**found, "member": "", "points": None, **shared}


def _asked(instruction_id: bytes, step: str, kind: str, program: str) -> dict[str, Any]:
    return {
        "instruction_id": str(UUID(bytes=instruction_id)),
        "step": step,
        "kind": kind,
        "program": program,
    }


def _waiting(connection: Connection, request: pb.ListDeliveriesRequest) -> Iterator[pb.Delivery]:
    pages = connection.pages(connection.exchange.ListDeliveries, request)
    return (each for page in pages for each in page.deliveries)


def _state_name(state: pb.DeliveryState.ValueType) -> str:
    return pb.DeliveryState.Name(state).removeprefix("DELIVERY_STATE_")


def _kind_name(kind: program_pb.InstructionKind.ValueType) -> str:
    return program_pb.InstructionKind.Name(kind).removeprefix("INSTRUCTION_KIND_")
