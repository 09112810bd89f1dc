"""`window open`, `window close` and `window list`."""

from typing import Annotated, Any

import typer

from exchange.cli.approval_commands import add_approval_commands
from exchange.cli.connection import connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    OperatorProfileOption,
    ReasonOption,
    ServerOption,
    WindowArgument,
    either_profile,
    operator_profile,
    parse_date,
)
from exchange.cli.output import Command, answer, table
from exchange.cli.settlement_documents import window_document
from pointclear.settlement.v1.settlement_service_pb2 import (
    CloseWindowRequest,
    CloseWindowResponse,
    ListWindowsRequest,
    ListWindowsResponse,
    OpenWindowRequest,
    OpenWindowResponse,
)

WINDOWS_MAX = 500


def window_app() -> typer.Typer:
    """The commands about settlement windows."""
    app = typer.Typer(no_args_is_help=True, help="Open, close and list settlement windows.")
    app.command("open", cls=Command)(open_window)
    app.command("close", cls=Command)(close)
    app.command("list", cls=Command)(list_windows)
    add_approval_commands(app)
    return app


def open_window(
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")],
    business_date: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="The day that the window settles.")
    ],
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open the first window of a currency.

    Closing a window opens the next. Repeating it is harmless.
    """
    profile = operator_profile(profile_dir, data_dir, server)
    request = OpenWindowRequest(currency=currency, business_date=parse_date(business_date))
    with connect(profile, reason) as connection:
        response: OpenWindowResponse = connection.call(connection.settlement.OpenWindow, request)
    document = window_document(response.window)
    answer(as_json, {"window": document}, f"{document['window_id']}: {document['state']}")


def close(
    window_id: WindowArgument,
    next_business_date: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="[default: the next calendar day]"),
    ] = None,
    reason: ReasonOption = "",
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a window, which opens the next.

    Shows what each partner owes (negative) or is owed. Repeating it is harmless.
    """
    profile = operator_profile(profile_dir, data_dir, server)
    request = CloseWindowRequest(
        window_id=window_id,
        next_business_date=parse_date(next_business_date) if next_business_date else "",
    )
    with connect(profile, reason) as connection:
        response: CloseWindowResponse = connection.call(connection.settlement.CloseWindow, request)
    closed, following = window_document(response.window), window_document(response.next_window)
    answer(
        as_json,
        {"window": closed, "next_window": following},
        f"{closed['window_id']}: {closed['state']}; {following['window_id']}: {following['state']}",
        table(
            ("partner", f"net {closed['currency']}"),
            list(closed["net_positions"].items()),
            right=(f"net {closed['currency']}",),
        ),
    )


def list_windows(
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: EitherProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the windows, newest first, at most 500."""
    with connect(either_profile(profile_dir, data_dir, server)) as connection:
        response: ListWindowsResponse = connection.call(
            connection.settlement.ListWindows, ListWindowsRequest(page_size=WINDOWS_MAX)
        )
    documents = [window_document(each) for each in response.windows]
    answer(
        as_json,
        {"windows": documents},
        table(
            ("window", "currency", "business date", "state", "log indexes"),
            [
                (
                    each["window_id"],
                    each["currency"],
                    each["business_date"],
                    each["state"],
                    _range(each),
                )
                for each in documents
            ],
        ),
    )


def _range(document: dict[str, Any]) -> str:
    end = document["end_log_index"]
    return f"{document['first_log_index']} to {'now' if end is None else end - 1}"
