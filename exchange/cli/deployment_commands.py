"""`init`, `serve` and `migrate`: what is done on the machine that holds the deployment."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from exchange.cli.initialise import DEFAULT_AUDIENCE, initialise
from exchange.cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from exchange.cli.output import Command, answer, pairs
from exchange.cli.profile import DEFAULT_SERVER
from exchange.cli.wiring import DEFAULT_LISTEN, MigrateOptions, ServeOptions, Wiring


def add_deployment_commands(app: typer.Typer, wiring: Wiring) -> None:
    """Add the three commands; what they start comes from `wiring`."""

    def serve(
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        listen: Annotated[
            str, typer.Option(metavar="HOST:PORT", help="Where to listen.")
        ] = DEFAULT_LISTEN,
        database_url: Annotated[
            str | None,
            typer.Option(
                envvar="POINTCLEAR_DATABASE_URL",
                show_envvar=True,
                help="Database URL, as the service's role. [default: the embedded database]",
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Serve the exchange until SIGINT or SIGTERM."""
        wiring.serve(ServeOptions(data_dir, listen, database_url, as_json))

    def migrate(
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        database_url: Annotated[
            str | None,
            typer.Option(
                envvar="POINTCLEAR_OWNER_DATABASE_URL",
                show_envvar=True,
                help="Database URL, as its owner. [default: the embedded database]",
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Bring the database up to date, and grant the service's role what it needs."""
        wiring.migrate(MigrateOptions(data_dir, database_url, as_json))

    app.command("init", cls=Command)(init)
    app.command("serve", cls=Command)(serve)
    app.command("migrate", cls=Command)(migrate)


def init(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    audience: Annotated[
        str, typer.Option(help="Names this exchange and environment in everything that is signed.")
    ] = DEFAULT_AUDIENCE,
    server: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The address that clients' profiles will name."),
    ] = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Make the data directory of a new exchange.

    It gets a development CA, TLS, the exchange's keys and the first operator.
    A directory that holds an exchange already is refused and left as it is.
    """
    made = initialise(data_dir, audience, server, datetime.now(UTC))
    answer(
        as_json,
        {
            "data_dir": str(made.data_dir),
            "audience": made.audience,
            "server": made.server,
            "operator_profile": str(made.data_dir / "operator"),
            "operator_key_id": made.operator_key_id,
            "exchange_key_ids": made.exchange_key_ids,
        },
        f"Made {made.data_dir}",
        pairs(
            [
                ("audience", made.audience),
                ("operator", made.data_dir / "operator"),
                ("server", made.server),
            ]
        ),
        "Next: pointclear serve",
    )
