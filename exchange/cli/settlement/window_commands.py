"""`window open`, `window close` and `window list`."""

from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.options import (
    WindowArgument,
    parse_date,
)
from exchange.cli.output import answer, table
from exchange.cli.settlement.approval_commands import add_approval_commands
from exchange.cli.settlement.settlement_documents import window_document
from pointclear.settlement.v1.settlement_service_pb2 import (
    CloseWindowRequest,
    CloseWindowResponse,
    ListWindowsRequest,
    ListWindowsResponse,
    OpenWindowRequest,
    OpenWindowResponse,
)

WINDOWS_MAX = 500


def window_app() -> App:
    """The commands about settlement windows."""
    app = App(no_args_is_help=True, help="Open, close and list settlement windows.")
    app.command("open")(open_window)
    app.command("close")(close)
    app.command("list")(list_windows)
    add_approval_commands(app)
    return app


def open_window(
    by: ByActingOperator,
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")],
    business_date: Annotated[
        str, typer.Option(metavar="YYYY-MM-DD", help="The day that the window settles.")
    ],
) -> None:
    """Open the first window of a currency.

    Closing a window opens the next. Repeating it is harmless.
    """
    profile = by.profile()
    request = OpenWindowRequest(currency=currency, business_date=parse_date(business_date))
    with connect(profile, by.reason) as connection:
        response: OpenWindowResponse = connection.call(connection.settlement.OpenWindow, request)
    document = window_document(response.window)
    answer(by.as_json, {"window": document}, f"{document['window_id']}: {document['state']}")


def close(
    by: ByActingOperator,
    window_id: WindowArgument,
    next_business_date: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="[default: the next calendar day]"),
    ] = None,
) -> None:
    """Close a window, which opens the next.

    Shows what each partner owes (negative) or is owed. Repeating it is harmless.
    """
    profile = by.profile()
    request = CloseWindowRequest(
        window_id=window_id,
        next_business_date=parse_date(next_business_date) if next_business_date else "",
    )
    with connect(profile, by.reason) as connection:
        response: CloseWindowResponse = connection.call(connection.settlement.CloseWindow, request)
    closed, following = window_document(response.window), window_document(response.next_window)
    answer(
        by.as_json,
        {"window": closed, "next_window": following},
        f"{closed['window_id']}: {closed['state']}; {following['window_id']}: {following['state']}",
        table(
            ("partner", f"net {closed['currency']}"),
            list(closed["net_positions"].items()),
            right=(f"net {closed['currency']}",),
        ),
    )


def list_windows(
    by: ByAnybody,
) -> None:
    """List the windows, newest first, at most 500."""
    with by.connect() as connection:
        response: ListWindowsResponse = connection.call(
            connection.settlement.ListWindows, ListWindowsRequest(page_size=WINDOWS_MAX)
        )
    documents = [window_document(each) for each in response.windows]
    answer(
        by.as_json,
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
