"""`operator add`, `operator grant`, `operator withdraw` and `operator list`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App, ByActingOperator, ByOperator
from exchange.cli.connection import connect
from exchange.cli.deployment.initialise import load_authority, make_operator_profile
from exchange.cli.documents import operator_document
from exchange.cli.keys.key_events import key_with_event, registration
from exchange.cli.output import answer, table
from exchange.cli.partners.onboarding import KEY_LIFETIME
from partners.keys import Purpose
from partners.operators.roles import Role
from partners.points import check_id
from partners.wire import envelope_to_proto
from pointclear.partners.v1 import operator_service_pb2 as pb

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The operator.")]
RoleArgument = Annotated[Role, typer.Argument(metavar="ROLE", help=", ".join(Role) + ".")]


def operator_app() -> App:
    """The commands about operators."""
    app = App(no_args_is_help=True, help="Add operators and give them roles.")
    app.command("add")(add)
    app.command("grant")(grant)
    app.command("withdraw")(withdraw)
    app.command("list")(list_operators)
    return app


def add(
    by: ByActingOperator,
    name: NameArgument,
    role: Annotated[
        list[Role], typer.Option(help="What it may do; may be repeated: " + ", ".join(Role) + ".")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to make the operator's profile.")],
) -> None:
    """Add an operator, and make its profile.

    Takes two operators. After an interruption, or the approval, run the same command again.
    """
    profile = by.profile()
    now = datetime.now(UTC)
    check_id(name, "operator.name")
    signer = make_operator_profile(
        out, load_authority(by.data_dir), name, profile.audience, profile.server, now
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
    with connect(profile, by.reason) as connection:
        response: pb.AddOperatorResponse = connection.call(
            connection.operators.AddOperator, request
        )
    answer_operator(by.as_json, response.operator)


def grant(
    by: ByActingOperator,
    name: NameArgument,
    role: RoleArgument,
) -> None:
    """Give an operator a role. Takes two operators."""
    profile = by.profile()
    request = pb.GrantRoleRequest(operator=name, role=wire_role(role))
    with connect(profile, by.reason) as connection:
        response: pb.GrantRoleResponse = connection.call(connection.operators.GrantRole, request)
    answer_operator(by.as_json, response.operator)


def withdraw(
    by: ByActingOperator,
    name: NameArgument,
    role: RoleArgument,
) -> None:
    """Take a role from an operator; one without any may no longer call. Takes two operators."""
    profile = by.profile()
    request = pb.WithdrawRoleRequest(operator=name, role=wire_role(role))
    with connect(profile, by.reason) as connection:
        response: pb.WithdrawRoleResponse = connection.call(
            connection.operators.WithdrawRole, request
        )
    answer_operator(by.as_json, response.operator)


def list_operators(
    by: ByOperator,
) -> None:
    """List the operators and their roles."""
    with by.connect() as connection:
        response: pb.ListOperatorsResponse = connection.call(
            connection.operators.ListOperators, pb.ListOperatorsRequest()
        )
    documents = [operator_document(each) for each in response.operators]
    answer(
        by.as_json,
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
