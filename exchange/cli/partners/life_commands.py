"""`partner live`, `partner suspend`, `partner resume` and `partner exit`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator
from exchange.cli.documents import partner_document
from exchange.cli.files import FileError, read_file
from exchange.cli.output import answer
from partners.envelope import Envelope, from_json
from partners.errors import Refused
from partners.wire import envelope_to_proto
from pointclear.partners.v1 import operator_service_pb2 as pb
from pointclear.partners.v1.partners_service_pb2 import Partner

PartnerArgument = Annotated[str, typer.Argument(metavar="ID", help="The partner.")]


def add_life_commands(app: App) -> None:
    """Add the four commands."""
    app.command("live")(live)
    app.command("suspend")(suspend)
    app.command("resume")(resume)
    app.command("exit")(leave)


def live(
    by: ByActingOperator,
    partner_id: PartnerArgument,
    certification: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Its certification report; needed in production."),
    ] = None,
) -> None:
    """Let a partner go live. Takes two operators."""
    request = pb.ActivatePartnerRequest(partner_id=partner_id)
    if certification is not None:
        request.certification.CopyFrom(envelope_to_proto(read_report(certification)))
    with by.connect() as connection:
        response = connection.call(connection.operators.ActivatePartner, request)
    answer_partner(by.as_json, response.partner)


def suspend(
    by: ByActingOperator,
    partner_id: PartnerArgument,
) -> None:
    """Stop a live partner from sending and receiving points, at once. Takes one operator."""
    request = pb.SuspendPartnerRequest(partner_id=partner_id)
    with by.connect() as connection:
        response = connection.call(connection.operators.SuspendPartner, request)
    answer_partner(by.as_json, response.partner)


def resume(
    by: ByActingOperator,
    partner_id: PartnerArgument,
) -> None:
    """Let a suspended partner trade again. Takes two operators."""
    request = pb.ResumePartnerRequest(partner_id=partner_id)
    with by.connect() as connection:
        response = connection.call(connection.operators.ResumePartner, request)
    answer_partner(by.as_json, response.partner)


def leave(
    by: ByActingOperator,
    partner_id: PartnerArgument,
) -> None:
    """Let a partner leave for good. What it owes is settled as ever. Takes two operators."""
    request = pb.ExitPartnerRequest(partner_id=partner_id)
    with by.connect() as connection:
        response = connection.call(connection.operators.ExitPartner, request)
    answer_partner(by.as_json, response.partner)


def read_report(path: Path) -> Envelope:
    """A report in DSSE's JSON form, nothing of it verified. Raises FileError."""
    try:
        return from_json(read_file(path).decode())
    except (Refused, UnicodeDecodeError):
        raise FileError(f"{path}: this is no certification report in DSSE's JSON form") from None


def answer_partner(as_json: bool, partner: Partner) -> None:
    """Print how a partner stands."""
    document: dict[str, Any] = partner_document(partner)
    answer(as_json, {"partner": document}, f"{document['partner_id']}: {document['state']}")
