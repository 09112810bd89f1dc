"""Settlement windows and their money sums."""

from collections.abc import Iterable, Iterator
from typing import Any

from exchange.commands import Book, CloseWindow, Command, OpenWindow, WindowStep
from exchange.fold import Cell, window_id
from exchange.ledger.postings import Code, CreditCell, MoneyCell
from exchange.outcomes import Window
from exchange.store.queries import QUERIES
from partners.commands import SetLimits
from partners.limits.values import PartnerLimits
from partners.registry import Registry


def load_windows(connection: Any, commands: Iterable[Command]) -> dict[str, Window]:
    """Every window that is not stated yet, those whose credits still wait though they were aborted,
    and those that the commands name.
    """
    named = [name for each in commands for name in windows_named(each)]
    rows = QUERIES.windows(connection, window_ids=named)
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


def load_credits(
    connection: Any, registry: Registry, commands: Iterable[Command]
) -> dict[Cell, int]:
    """What waits of credits: of the windows that these commands pay or move, and of aborted ones;
    and of partners whose funding they change, in all windows that are not settled.
    """
    named = [name for each in commands if isinstance(each, Book) for name in windows_named(each)]
    partners = [
        registry.partners[name].number
        for each in commands
        if isinstance(each, SetLimits) and isinstance(each.limits, PartnerLimits)
        if (name := each.limits.partner_id) in registry.partners
    ]
    if not named and not partners:
        return {}
    rows = QUERIES.window_credits(connection, window_ids=named, partner_numbers=partners)
    return {(number, CreditCell(party)): amount for number, party, amount in rows}


def windows_named(command: Command) -> Iterator[str]:
    """The windows that a command names."""
    match command:
        case OpenWindow():
            yield window_id(command.currency, command.business_date)
        case CloseWindow():
            yield command.window_id
        case Book():
            if isinstance(command.step, WindowStep):
                yield command.step.window_id
            if command.pays:
                yield command.pays
        case _:
            pass


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
