"""`switches partner`, `switches corridor`, `switches program` and `switches list`.

A command reads the subject's switches and changes those that it was told of, so that nobody
releases by accident what somebody else has stopped.
"""

from collections.abc import Iterable
from typing import Annotated, Any

import typer
import uuid_utils

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection
from exchange.cli.output import answer, table
from partners.limits.values import (
    CorridorSwitches,
    PartnerSwitches,
    ProgramSwitches,
    Switches,
)
from partners.limits.wire import switches_from_proto, switches_to_proto
from pointclear.partners.v1.limits_pb2 import (
    ListSwitchesRequest,
    ListSwitchesResponse,
    SetSwitchesRequest,
    SetSwitchesResponse,
)

ORDINARY = "ordinary"


def switches_app() -> App:
    """The commands about switches."""
    app = App(no_args_is_help=True, help="Stop and let go partners, corridors and programs.")
    app.command("partner")(partner)
    app.command("corridor")(corridor)
    app.command("program")(program)
    app.command("list")(list_switches)
    return app


def partner(
    by: ByActingOperator,
    partner_id: Annotated[str, typer.Argument(metavar="ID", help="The partner.")],
    sending: Annotated[
        bool | None, typer.Option("--sending/--no-sending", help="Whether it may send.")
    ] = None,
    receiving: Annotated[
        bool | None, typer.Option("--receiving/--no-receiving", help="Whether it may receive.")
    ] = None,
    quoting: Annotated[
        bool | None, typer.Option("--quoting/--no-quoting", help="Whether it may ask for quotes.")
    ] = None,
    on_hold: Annotated[
        bool | None,
        typer.Option("--hold-settlement/--no-hold-settlement", help="Hold its settlement."),
    ] = None,
) -> None:
    """Set a partner's switches; those not named stay as they are.

    They hold for every order that is decided from then on. What was committed stands.
    """
    with by.connect() as connection:
        before = _standing(connection, PartnerSwitches(partner_id))
        assert isinstance(before, PartnerSwitches)
        after = PartnerSwitches(
            partner_id,
            before.sending_stopped if sending is None else not sending,
            before.receiving_stopped if receiving is None else not receiving,
            before.quoting_stopped if quoting is None else not quoting,
            before.settlement_on_hold if on_hold is None else on_hold,
        )
        _show(by.as_json, [_set(connection, after)])


def corridor(
    by: ByActingOperator,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source program.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The target program.")],
    is_open: Annotated[bool, typer.Option("--open/--closed", help="Whether orders pass.")],
) -> None:
    """Open or close a corridor; its agreement stays as it is."""
    with by.connect() as connection:
        _show(by.as_json, [_set(connection, CorridorSwitches(source, target, not is_open))])


def program(
    by: ByActingOperator,
    program_id: Annotated[str, typer.Argument(metavar="ID", help="The program.")],
    in_maintenance: Annotated[
        bool, typer.Option("--maintenance/--in-service", help="Whether orders pass.")
    ],
) -> None:
    """Put a program into maintenance, or back into service."""
    with by.connect() as connection:
        _show(by.as_json, [_set(connection, ProgramSwitches(program_id, in_maintenance))])


def list_switches(
    by: ByAnybody,
) -> None:
    """List the switches that were ever set.

    A partner sees its own, its programs' and its corridors'.
    """
    with by.connect() as connection:
        _show(by.as_json, _all(connection))


def _all(connection: Connection) -> list[Switches]:
    response: ListSwitchesResponse = connection.call(
        connection.partners.ListSwitches, ListSwitchesRequest()
    )
    return [switches_from_proto(each) for each in response.switches]


def _standing(connection: Connection, ordinary: Switches) -> Switches:
    """A subject's switches as they stand, `ordinary` where none were ever set."""
    found = {each.subject: each for each in _all(connection)}
    return found.get(ordinary.subject, ordinary)


def _set(connection: Connection, switches: Switches) -> Switches:
    request = SetSwitchesRequest(
        change_id=uuid_utils.uuid7().bytes, switches=switches_to_proto(switches)
    )
    response: SetSwitchesResponse = connection.call(connection.partners.SetSwitches, request)
    return switches_from_proto(response.switches)


def _show(as_json: bool, switches: Iterable[Switches]) -> None:
    documents = [switches_document(each) for each in switches]
    rows = [
        (each["subject"], ", ".join(name for name, on in each.items() if on is True) or ORDINARY)
        for each in documents
    ]
    answer(as_json, {"switches": documents}, table(("subject", "switched"), rows))


def switches_document(switches: Switches) -> dict[str, Any]:
    """A subject's switches; true is what is out of the ordinary."""
    names = [
        name for name in switches.__slots__ if not name.endswith("_id") and "program" not in name
    ]
    return {"subject": switches.subject, **{name: getattr(switches, name) for name in names}}
