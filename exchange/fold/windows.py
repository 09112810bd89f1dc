"""Decides settlement windows, and the entries of a settlement."""

from dataclasses import replace
from datetime import date, timedelta

from exchange.commands import Book, CloseWindow, OpenWindow, WindowStep
from exchange.fold.funding import check_withdrawals, follow_collateral
from exchange.fold.run import Run
from exchange.fold.state import InvariantBroken
from exchange.fold.waiting_credits import abort_credits, paid_by, released_by, settle_credits
from exchange.json_body import JSON_BODY, json_body
from exchange.ledger.accounts import HUB
from exchange.ledger.postings import (
    OUTSIDE_NETS,
    CounterFull,
    MoneyCell,
    OutOfBounds,
)
from exchange.outcomes import Repeated, Result, Window, WindowClosed, WindowOpened
from partners.errors import Reason, Refused


def open_window(run: Run, command: OpenWindow) -> Result:
    if command.currency not in run.registry.currencies:
        raise Refused(
            Reason.FIELD_INVALID, "currency", f"no partner settles in {command.currency!r}"
        )
    wanted = window_id(command.currency, command.business_date)
    if wanted in run.windows:
        return Repeated(run.windows[wanted].first_index)
    already = run.open_windows().get(command.currency)
    if already is not None:
        raise Refused(
            Reason.WINDOW_STATE,
            "business_date",
            f"{already.window_id} is open; closing it opens the next",
        )
    opened = Window(
        1 + max((w.number for w in run.windows.values()), default=0),
        wanted,
        command.currency,
        command.business_date,
        "OPEN",
        run.index,
    )
    run.windows[wanted] = opened
    return run.enter(
        f"open/{wanted}", JSON_BODY, json_body(facts(opened)), effect=WindowOpened(opened)
    )


def close_window(run: Run, command: CloseWindow) -> Result:
    window = run.window(command.window_id)
    if window.end_index is not None:
        return Repeated(window.end_index)
    if command.not_before is not None and run.now < command.not_before:
        raise Refused(
            Reason.WINDOW_STATE,
            "window_id",
            f"{window.window_id} is open until {command.not_before}, and the log's clock shows"
            f" {run.now}",
        )
    following = command.next_business_date or day_after(window.business_date)
    if following <= window.business_date:
        raise Refused(
            Reason.FIELD_INVALID,
            "next_business_date",
            f"the next business date is after {window.business_date}",
        )
    sums = nets(run, window)
    closed = replace(window, state="CLOSED", end_index=run.index)
    opened = Window(
        1 + max(w.number for w in run.windows.values()),
        window_id(window.currency, following),
        window.currency,
        following,
        "OPEN",
        run.index,
    )
    run.windows |= {closed.window_id: closed, opened.window_id: opened}
    effect = WindowClosed(closed, opened, sums)
    return run.enter(
        f"close/{window.window_id}", JSON_BODY, closing_body(run, effect), effect=effect
    )


def day_after(day: date) -> date:
    """The next calendar day; raises Refused(FIELD_INVALID) where the calendar ends."""
    if day == date.max:
        raise Refused(Reason.FIELD_INVALID, "next_business_date", f"no day comes after {day}")
    return day + timedelta(days=1)


def nets(run: Run, window: Window) -> tuple[tuple[int, int], ...]:
    """Each party's net of the window, payments left out. Raises InvariantBroken unless they sum
    to 0.
    """
    nets: dict[int, int] = {HUB: 0}
    for (number, cell), amount in run.sums.items():
        if number != window.number or not isinstance(cell, MoneyCell):
            continue
        if cell.code not in OUTSIDE_NETS:
            nets[cell.party] = nets.get(cell.party, 0) + amount
    if sum(nets.values()) != 0:
        raise InvariantBroken(f"the nets of window {window.window_id} do not sum to 0: {nets}")
    return tuple(sorted(nets.items()))


def book(run: Run, command: Book) -> Result:
    if command.entry_key in run.entries:
        return run.same_body(command.entry_key, command.body, "entry_key")
    step = command.step
    if step is not None and run.window(step.window_id).state != step.before:
        raise Refused(
            Reason.WINDOW_STATE,
            "window_id",
            f"{step.window_id} is {run.window(step.window_id).state}, not {step.before}",
        )
    named = [each.resolves for each in command.postings if each.resolves]
    resolves = frozenset(named)
    if resolves & run.resolved or len(resolves) < len(named):
        raise Refused(Reason.ALREADY_EXISTS, "postings", "a hold was resolved before")
    window = run.open_windows().get(command.window_of) if command.window_of else None
    if command.postings and window is None:
        raise Refused(Reason.WINDOW_STATE, "", f"no window of {command.window_of} is open")
    check_withdrawals(run, command)
    paid = paid_by(run, command)
    released = released_by(run, paid)
    try:
        if command.forced and window is not None:
            run.force(command.postings, window, released)
        else:
            run.apply(command.postings, window, released)
    except (CounterFull, OutOfBounds) as bound:
        raise Refused(Reason.LIMIT_EXCEEDED, "", str(bound)) from bound
    run.resolved |= resolves
    for each in paid:
        run.credit(each.window_number, each.party, -each.amount)
    follow_collateral(run, command)
    if step is not None:
        move_window(run, step)
    return run.enter(
        command.entry_key,
        command.body_type,
        command.body,
        postings=command.postings,
        window=window,
        effect=step,
        facts=command.facts,
        is_forced=command.forced,
        released=released,
    )


def move_window(run: Run, step: WindowStep) -> None:
    """Take a window to its next state, with the credits that wait for it."""
    moved = replace(run.windows[step.window_id], state=step.after)
    run.windows[step.window_id] = moved
    if step.after == "SETTLED":
        settle_credits(run, moved)
    elif step.after == "ABORTED":
        abort_credits(run, moved)


def closing_body(run: Run, effect: WindowClosed) -> bytes:
    """What the log says of a closing: the window's range of indexes, each party's net in units of
    the currency, and the window that follows.
    """
    names = {HUB: "hub", **{each.number: name for name, each in run.registry.partners.items()}}
    return json_body(
        {
            **facts(effect.closed),
            "end_index": effect.closed.end_index,
            "nets": {names[party]: net for party, net in effect.nets},
            "next": facts(effect.opened),
        }
    )


def facts(window: Window) -> dict[str, object]:
    """A window as the log names it."""
    return {
        "window_id": window.window_id,
        "currency": window.currency,
        "business_date": window.business_date.isoformat(),
        "first_index": window.first_index,
    }


def window_id(currency: str, business_date: object) -> str:
    """Name of the window of a currency and a business date: `usd-2017-01-01`."""
    return f"{currency.lower()}-{business_date}"
