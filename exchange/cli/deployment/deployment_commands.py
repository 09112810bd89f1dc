"""`init`, `serve`, `config` and `migrate`: what is done where the deployment is held."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calling import App
from exchange.cli.deployment.initialise import (
    DEFAULT_AUDIENCE,
    DEFAULT_SANDBOX_AUDIENCE,
    initialise,
)
from exchange.cli.options import DEFAULT_DATA_DIR, DataDirOption, JsonOption
from exchange.cli.output import answer, pairs, table
from exchange.cli.profile import DEFAULT_SERVER
from exchange.cli.wiring import MigrateOptions, ServeOptions, Wiring
from partners.environment import Environment

ListenOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where to listen. [default: 127.0.0.1:7443]")
]
HttpOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Serve /healthz, /readyz and /metrics here. [default: off]"
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(help="Database URL, as the service's role. [default: the embedded database]"),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        envvar="POINTCLEAR_CONFIG",
        help="Settings in TOML. [default: DATA_DIR/pointclear.toml, if there is one]",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
]


def setting_flags(more: list[str], **named: str | None) -> tuple[tuple[str, str], ...]:
    """Name and value of the settings given as flags. Raises typer.BadParameter."""
    given = [(name, value) for name, value in named.items() if value is not None]
    for text in more:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is no setting such as pool_size=16")
        given.append((name, value))
    return tuple(given)


def add_deployment_commands(app: App, wiring: Wiring) -> None:
    """Add the four commands; what they start comes from `wiring`."""

    def serve(
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        listen: ListenOption = None,
        http: HttpOption = None,
        database_url: DatabaseOption = None,
        config_file: ConfigOption = None,
        more: SetOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Serve the exchange until SIGINT or SIGTERM.

        `pointclear config` shows every setting.
        """
        flags = setting_flags(more or [], listen=listen, http=http, database_url=database_url)
        wiring.serve(ServeOptions(data_dir, config_file, flags, as_json))

    def config(
        data_dir: DataDirOption = DEFAULT_DATA_DIR,
        listen: ListenOption = None,
        http: HttpOption = None,
        database_url: DatabaseOption = None,
        config_file: ConfigOption = None,
        more: SetOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show every setting of `serve`, its value, and where that came from.

        Flags go before the environment (POINTCLEAR_ and the name in capitals), that before the
        file, and that before the default. Passwords are masked.
        """
        flags = setting_flags(more or [], listen=listen, http=http, database_url=database_url)
        rows = wiring.config(ServeOptions(data_dir, config_file, flags, as_json))
        answer(
            as_json,
            {name: {"value": value, "from": origin} for name, value, origin in rows},
            table(
                ("setting", "value", "from"),
                [(name, "-" if value is None else value, origin) for name, value, origin in rows],
            ),
        )

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

    app.command("init")(init)
    app.command("serve")(serve)
    app.command("config")(config)
    app.command("migrate")(migrate)


def init(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    audience: Annotated[
        str | None,
        typer.Option(
            help="Names this exchange and environment in everything signed; a sandbox's ends"
            f" in /sandbox. [default: {DEFAULT_AUDIENCE}, {DEFAULT_SANDBOX_AUDIENCE}]"
        ),
    ] = None,
    server: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The address that clients' profiles will name."),
    ] = DEFAULT_SERVER,
    environment: Annotated[
        Environment,
        typer.Option(help="In production what takes two people always takes two."),
    ] = Environment.DEVELOPMENT,
    production: Annotated[
        bool, typer.Option("--production", help="The same as --environment production.")
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="The same as --environment sandbox.")
    ] = False,
    operator: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A first operator; may be repeated. [default: operator]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the data directory of a new exchange.

    It gets a development CA, TLS, the exchange's keys and the first operators; in production at
    least two are named. A directory that holds an exchange already is refused and left as it is.
    """
    if production and sandbox:
        raise typer.BadParameter("a deployment is for production or a sandbox, not both")
    flagged = {Environment.PRODUCTION: production, Environment.SANDBOX: sandbox}
    chosen = next((each for each, given in flagged.items() if given), environment)
    usual = DEFAULT_SANDBOX_AUDIENCE if chosen is Environment.SANDBOX else DEFAULT_AUDIENCE
    made = initialise(
        data_dir, audience or usual, server, datetime.now(UTC), chosen, operator or ()
    )
    answer(
        as_json,
        {
            "data_dir": str(made.data_dir),
            "audience": made.audience,
            "server": made.server,
            "environment": made.environment,
            "operator_profiles": {name: str(path) for name, path in made.operator_profiles.items()},
            "operator_profile": str(next(iter(made.operator_profiles.values()))),
            "operator_key_id": made.operator_key_id,
            "exchange_key_ids": made.exchange_key_ids,
        },
        f"Made {made.data_dir}",
        pairs(
            [
                ("audience", made.audience),
                ("environment", made.environment),
                *((f"operator {name}", path) for name, path in made.operator_profiles.items()),
                ("server", made.server),
            ]
        ),
        "Next: pointclear serve",
    )
