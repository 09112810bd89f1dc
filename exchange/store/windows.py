"""Settlement windows and their money sums."""

from collections.abc import Iterable
from typing import Any

from exchange.commands import Book, CloseWindow, Command, OpenWindow, WindowStep
from exchange.fold import Cell, window_id
from exchange.ledger.postings import Code, MoneyCell
from exchange.outcomes import Window
from exchange.store.queries import QUERIES


def load_windows(connection: Any, commands: Iterable[Command]) -> dict[str, Window]:
    """Every open window, and those that the commands name."""
    rows = QUERIES.windows(connection, window_ids=[*map(window_named, commands)])
    return {row[1]: Window(row[0], row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows}


def load_sums(connection: Any, commands: Iterable[Command]) -> dict[Cell, int]:
    """The money sums of the windows that these commands close."""
    closing = [each.window_id for each in commands if isinstance(each, CloseWindow)]
    if not closing:
        return {}
    return {
        (number, MoneyCell(party, counterparty, Code(code), tax)): amount
        for number, party, counterparty, code, tax, amount in QUERIES.window_money(
            connection, window_ids=closing
        )
    }


def window_named(command: Command) -> str:
    """The window that a command names, empty where it names none."""
    match command:
        case OpenWindow():
            return window_id(command.currency, command.business_date)
        case CloseWindow():
            return command.window_id
        case Book(step=WindowStep(window_id=named)):
            return named
        case _:
            return ""


def write_opened(connection: Any, window: Window, root: bytes) -> None:
    """A window that begins at the root of the log before its opening leaf."""
    QUERIES.open_window(
        connection,
        window_number=window.number,
        window_id=window.window_id,
        currency=window.currency,
        business_date=window.business_date,
        first_index=window.first_index,
        root=root,
    )


def write_closed(connection: Any, window: Window, root: bytes) -> None:
    """A window that ended at the root of the log before its closing leaf."""
    QUERIES.close_window(
        connection, window_number=window.number, end_index=window.end_index, root=root
    )


def write_step(connection: Any, step: WindowStep) -> None:
    """A window's next state."""
    QUERIES.step_window(connection, window_id=step.window_id, before=step.before, after=step.after)
