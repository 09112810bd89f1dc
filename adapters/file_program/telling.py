"""What is told of a visit to a brand's folder, to whoever counts and to operators. Pure.

| event | what it is |
| --- | --- |
| CUT, SENT, FORGOTTEN | batches |
| TAKEN | a result file with answers, also one that was taken before |
| a fault's name | a result file that was refused for it; see `faults` |
| UNREACHED | the folder could not be reached, or was lost on the way: the next visit goes on |
| DIFFERS | a batch's name, or the folder, is taken by another: nothing more is sent |
"""

from collections.abc import Iterator

from adapters.file_program.faults import FileFault
from adapters.file_program.intake import Found, Taken, Turned
from adapters.file_program.program import Visit
from partners.visits import VisitEvent

COUNTED = ("CUT", "SENT", "FORGOTTEN", "TAKEN", "UNREACHED", "DIFFERS")
FOR_PEOPLE = frozenset({FileFault.ANSWER_CHANGED})
"""Faults of which a corrected file is no end: somebody must find out what is true."""


def events_of(visit: Visit) -> tuple[VisitEvent, ...]:
    """What happened, in the order in which it did."""
    return tuple(_events(visit))


def _events(visit: Visit) -> Iterator[VisitEvent]:
    yield from (VisitEvent("CUT") for _ in visit.cut)
    yield from (VisitEvent("SENT") for _ in visit.sent)
    for found in visit.found:
        yield from _of_file(found)
    yield from (VisitEvent("FORGOTTEN") for _ in visit.forgotten)
    if visit.differs:
        yield VisitEvent("DIFFERS", visit.differs, needs_people=True)
    if visit.failed:
        yield VisitEvent("UNREACHED", visit.failed)


def _of_file(found: Found) -> Iterator[VisitEvent]:
    match found:
        case Taken():
            yield VisitEvent("TAKEN", brings_answers=True)
        case Turned(name, refused):
            place = f"line {refused.line} {refused.field}".strip() if refused.line else "the file"
            text = f"{name} was refused: {refused.fault} ({place})"
            yield VisitEvent(refused.fault, text, needs_people=refused.fault in FOR_PEOPLE)
        case _:
            # One that is not finished is looked at again.
            return
