"""Looking after programs that are not called."""

import asyncio
from collections.abc import Callable, Sequence

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.intake import Taken, Turned, Waiting
from adapters.file_program.program import Visit
from adapters.file_program.telling import COUNTED, events_of
from exchange.at_work import at_work
from exchange.delivery.visits import Visits
from exchange.outbound.watch import CallWatcher
from partners.routes.route import Route, RouteKind
from partners.visits import VisitEvent

ROUTES = tuple(Route(name, RouteKind.FILE, "file:///x") for name in ("fuel", "lotus"))


class Seen(CallWatcher):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def visited(self, program: str, event: str) -> None:
        self.events.append((program, event))


def visited(
    visit: Callable[[Route], Sequence[VisitEvent]],
    closed: Callable[[Route], bool] = lambda _: False,
    held_up: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    """What was told of some visits; those of `held_up` never end."""
    seen = Seen()

    async def go(route: Route) -> Sequence[VisitEvent]:
        if route.program in held_up:
            seen.visited(route.program, "BEGAN")
            await asyncio.Event().wait()
        return visit(route)

    async def answered(program: str) -> None:
        seen.visited(program, "ANSWERED")

    async def scenario() -> None:
        visits = Visits(lambda: ROUTES, go, closed, 0.001, seen, answered)
        async with at_work(visits):
            await asyncio.sleep(0.05)

    asyncio.run(scenario())
    return seen.events


def test_every_program_is_visited_again_and_again() -> None:
    told = visited(lambda _: [VisitEvent("SENT")])
    assert {told.count((each.program, "SENT")) > 1 for each in ROUTES} == {True}


def test_a_visit_that_does_not_end_is_not_begun_again_and_holds_up_no_other() -> None:
    told = visited(lambda _: [VisitEvent("SENT")], held_up=frozenset({"fuel"}))
    assert told.count(("fuel", "BEGAN")) == 1
    assert told.count(("lotus", "SENT")) > 1


def test_a_visit_that_fails_is_begun_again_and_ends_no_other() -> None:
    calls: list[str] = []

    def visit(route: Route) -> Sequence[VisitEvent]:
        calls.append(route.program)
        if route.program == "fuel":
            raise OSError("the disk")
        return [VisitEvent("SENT")]

    assert ("lotus", "SENT") in visited(visit)
    assert calls.count("fuel") > 1


def test_nobody_is_visited_while_it_is_closed() -> None:
    told = visited(lambda _: [VisitEvent("SENT")], closed=lambda route: route.program == "fuel")
    assert {program for program, _ in told} == {"lotus"}


def test_what_happened_on_a_visit_is_told_without_what_stands_in_a_file() -> None:
    secret = FileRefused(FileFault.POINTS_WRONG, "DONE cannot come with 7 points", line=3)
    changed = FileRefused(
        FileFault.ANSWER_CHANGED, "it was declined before", line=9, field="points"
    )
    visit = Visit(
        cut=(1,),
        sent=(1, 2),
        found=(
            Taken("r-1.results.csv", 2, repeated=False),
            Turned("r-2.results.csv", secret),
            Turned("r-3.results.csv", changed),
            Waiting("r-4.results.csv"),
        ),
        forgotten=(1,),
        failed="the server was not done within 120 s",
        differs="fuel-00000003.instructions.csv stands there already, with other content",
    )
    events = events_of(visit)
    assert [each.name for each in events] == [
        *("CUT", "SENT", "SENT", "TAKEN", "POINTS_WRONG", "ANSWER_CHANGED", "FORGOTTEN"),
        *("DIFFERS", "UNREACHED"),
    ]
    assert {each.name for each in events} <= {*COUNTED, *FileFault}
    assert [each.name for each in events if each.needs_people] == ["ANSWER_CHANGED", "DIFFERS"]
    assert events[4].text == "r-2.results.csv was refused: POINTS_WRONG (line 3)"
    assert events[5].text == "r-3.results.csv was refused: ANSWER_CHANGED (line 9 points)"
    assert events_of(Visit(busy=True)) == ()


def test_what_a_program_has_at_work_is_asked_for_when_a_visit_brings_answers() -> None:
    told = visited(lambda route: [VisitEvent("TAKEN", brings_answers=route.program == "fuel")])
    assert ("fuel", "ANSWERED") in told
    assert ("lotus", "ANSWERED") not in told
