"""`operator add`, `operator grant`, `operator withdraw` and `operator list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.connection import connect
from exchange.cli.documents import operator_document
from exchange.cli.initialise import load_authority, make_operator_profile
from exchange.cli.key_events import key_with_event, registration
from exchange.cli.onboarding import KEY_LIFETIME
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    ReasonOption,
    ServerOption,
    operator_profile,
)
from exchange.cli.output import Command, answer, table
from partners.keys import Purpose
from partners.operators.roles import Role
from partners.points import check_id
from partners.wire import envelope_to_proto
from pointclear.partners.v1 import operator_service_pb2 as pb

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The operator.")]
RoleArgument = Annotated[Role, typer.Argument(metavar="ROLE", help=", ".join(Role) + ".")]


def operator_app() -> typer.Typer:
    """The commands about operators."""
    app = typer.Typer(no_args_is_help=True, help="Add operators and give them roles.")
    app.command("add", cls=Command)(add)
    app.command("grant", cls=Command)(grant)
    app.command("withdraw", cls=Command)(withdraw)
    app.command("list", cls=Command)(list_operators)
    return app


def add(
    name: NameArgument,
    role: Annotated[
        list[Role], typer.Option(help="What it may do; may be repeated: " + ", ".join(Role) + ".")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to make the operator's profile.")],
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an operator, and make its profile.

    Takes two operators. After an interruption, or the approval, run the same command again.
    """
    profile = operator_profile(profile_dir, data_dir, server)
    now = datetime.now(UTC)
    check_id(name, "operator.name")
    signer = make_operator_profile(
        out, load_authority(data_dir), name, profile.audience, profile.server, now
    )
    key = key_with_event(
        signer,
        lambda: registration(
            profile.audience,
            f"operator/{name}",
            Purpose.OPERATOR,
            signer.public_key,
            now,
            KEY_LIFETIME,
        ),
        tuple,
    )
    request = pb.AddOperatorRequest(
        operator=pb.Operator(name=name, roles=[wire_role(each) for each in sorted(set(role))]),
        key_event=envelope_to_proto(key.event),
    )
    with connect(profile, reason) as connection:
        response: pb.AddOperatorResponse = connection.call(
            connection.operators.AddOperator, request
        )
    answer_operator(as_json, response.operator)


def grant(
    name: NameArgument,
    role: RoleArgument,
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an operator a role. Takes two operators."""
    profile = operator_profile(profile_dir, data_dir, server)
    request = pb.GrantRoleRequest(operator=name, role=wire_role(role))
    with connect(profile, reason) as connection:
        response: pb.GrantRoleResponse = connection.call(connection.operators.GrantRole, request)
    answer_operator(as_json, response.operator)


def withdraw(
    name: NameArgument,
    role: RoleArgument,
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a role from an operator; one without any may no longer call. Takes two operators."""
    profile = operator_profile(profile_dir, data_dir, server)
    request = pb.WithdrawRoleRequest(operator=name, role=wire_role(role))
    with connect(profile, reason) as connection:
        response: pb.WithdrawRoleResponse = connection.call(
            connection.operators.WithdrawRole, request
        )
    answer_operator(as_json, response.operator)


def list_operators(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the operators and their roles."""
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: pb.ListOperatorsResponse = connection.call(
            connection.operators.ListOperators, pb.ListOperatorsRequest()
        )
    documents = [operator_document(each) for each in response.operators]
    answer(
        as_json,
        {"operators": documents},
        table(
            ("operator", "roles"), [(each["name"], ", ".join(each["roles"])) for each in documents]
        ),
    )


def wire_role(role: Role) -> pb.Role.ValueType:
    """A role as the wire names it."""
    return pb.Role.Value(f"ROLE_{role.name}")


def answer_operator(as_json: bool, operator: pb.Operator) -> None:
    """Print how an operator stands."""
    document = operator_document(operator)
    roles = ", ".join(document["roles"]) or "no role: it may no longer call"
    answer(as_json, {"operator": document}, f"{document['name']}: {roles}")
