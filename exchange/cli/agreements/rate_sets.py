"""The set of rates that a caller may see, with proposals added, and what each corridor gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import exp, inf
from pathlib import Path

from exchange.cli.agreements.agreements import list_versions
from exchange.cli.agreements.terms_file import Values, read_terms, terms_payload
from exchange.cli.connection import Connection
from exchange.cli.files import read_file
from partners.agreement import Terms
from partners.agreement_checks import check_terms
from partners.envelope import RATE_AGREEMENT, Envelope
from partners.errors import Reason, Refused
from partners.free_lunch import find_loop, logarithm
from partners.multipliers import Multiplier
from partners.rate_set import multipliers_from, multipliers_in
from partners.registry import Force, Registry
from partners.wire import terms_from_payload, time_from_proto

FILES_ONLY = "files"
"""The audience of proposals that are compared among themselves and not with an exchange's."""


@dataclass(frozen=True, slots=True)
class CorridorRate:
    """What a corridor gives at an instant."""

    multiplier: Multiplier
    returns: float | None
    """What one point becomes that goes this way and comes back by the best one, to about ten
    digits; None where there is no way back, or a loop elsewhere makes it meaningless."""


def forces_seen(connection: Connection) -> tuple[Force, ...]:
    """All versions in force or due to be that the caller may see. Raises Failed or Refused."""
    return tuple(
        Force(
            each.terms,
            time_from_proto(each.message.effective_from, "effective_from"),
            time_from_proto(each.message.effective_until, "effective_until")
            if each.message.HasField("effective_until")
            else None,
        )
        for each in list_versions(connection)
        if each.message.HasField("effective_from")
    )


def proposals(paths: Iterable[Path], audience: str, now: datetime) -> tuple[Terms, ...]:
    """The terms of files, each checked on its own. Raises FileError or Refused."""
    return tuple(
        checked_terms(read_terms(text_of(path), path.suffix == ".toml"), audience, now)
        for path in paths
    )


def text_of(path: Path) -> str:
    """What a file of terms says. Raises FileError, or Refused(FIELD_INVALID) for one of no text."""
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise Refused(Reason.FIELD_INVALID, "terms", f"{path} is not UTF-8 text") from None


def checked_terms(values: Values, audience: str, now: datetime) -> Terms:
    """The terms of a file's members. Raises Refused unless they can be honoured."""
    payload = terms_payload(values, audience, now)
    terms = terms_from_payload(Envelope(RATE_AGREEMENT, payload, ()), audience)
    check_terms(terms)
    return terms


def rate_set(forces: Iterable[Force], proposed: Iterable[Terms], begins: datetime) -> Registry:
    """A registry of nothing but agreements: these, and the proposed ones from `begins` on in place
    of what is in force then on their corridors.
    """
    registry = Registry(
        agreements={(each.terms.agreement_id, each.terms.version): each for each in forces}
    )
    for terms in proposed:
        registry = registry.with_force(Force(terms, begins))
    return registry


def rates_at(registry: Registry, instant: datetime) -> tuple[CorridorRate, ...]:
    """What each corridor gives at an instant, by source and target. If there is a loop that gains,
    any way back may lead round it, so only the corridors of the loop say what comes back.
    """
    steps = [each for each in multipliers_from(registry, instant) if each.begins <= instant]
    loop = find_loop(steps, instant)
    if loop is not None:
        gain = float(loop.product)
        return tuple(CorridorRate(each, gain if each in loop.steps else None) for each in steps)
    best = best_paths(steps)
    return tuple(
        CorridorRate(each, exp(logarithm(each.factor) + back) if back is not None else None)
        for each in steps
        for back in (best.get((each.target, each.source)),)
    )


def best_paths(steps: Sequence[Multiplier]) -> dict[tuple[str, str], float]:
    """Logarithms of the best product from each program to each other (Floyd and Warshall), where no
    loop gains. P³ for P programs: a second for 200.
    """
    names = sorted({name for step in steps for name in (step.source, step.target)})
    places = {name: place for place, name in enumerate(names)}
    best = [[-inf] * len(names) for _ in names]
    for step in steps:
        source, target = places[step.source], places[step.target]
        best[source][target] = max(best[source][target], logarithm(step.factor))
    for middle, onward in enumerate(best):
        for row in best:
            if (first := row[middle]) > -inf:
                row[:] = [max(one, first + two) for one, two in zip(row, onward, strict=True)]
    return {
        (names[source], names[target]): product
        for source, row in enumerate(best)
        for target, product in enumerate(row)
        if product > -inf
    }


def instants_in(registry: Registry, now: datetime) -> tuple[datetime, ...]:
    """Every instant from `now` on at which the set changes."""
    found = {now}
    for force in registry.agreements.values():
        for each in multipliers_in(force):
            found |= {edge for edge in (each.begins, each.ends) if edge is not None and edge > now}
    return tuple(sorted(found))


def decimal(factor: Fraction) -> str:
    """A factor for people, to six significant digits."""
    return f"{float(factor):.6g}"
