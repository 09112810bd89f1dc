"""Whether some cycle of conversions multiplies points, at any instant. Pure.

No cycle does at an instant if, and only if, every program's point can be given a *worth* such that
no conversion gains: `factor × worth(target) ≤ worth(source)` for every multiplier then in force.
Worths are thus a proof that anyone can check, and looking for them finds a loop where there is one.

Rules kept here:

- Exact rationals decide. Floats, the logarithms of factors and worths, only find where to begin
  and screen out what is clear by a margin far beyond their error. A loop is multiplied out
  exactly before it is named; a product of exactly 1 is no loop.
- Terms that are free of loops all at once are free of loops at every instant, so that is tried
  first. Otherwise every instant at which the set changes is looked at, in their order.
- At each of them only what has begun is compared with the worths that held before. What has ended
  cannot make a loop.

Source: Bellman and Ford's relaxation on the logarithms, from zero at every program, then the same
relaxation on the rationals from the worths that it left. With P programs and M multipliers one pass
costs M; the floats take as many passes as the longest chain that improves on a direct conversion (a
handful, at most P), the rationals one pass and whatever the floats' noise left to mend. Worst case
P × M. docs/rates.md has figures.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import log, nan, prod

from partners.multipliers import Multiplier

MARGIN = 1e-9
"""Of a sum of logarithms: beyond it a float's sign is the exact one."""
LOG_MAX = 1e5
"""Of a worth: floats below it are good to about 1e-11, far within the margin."""
TOLERANCE = 1e-10
"""The floats' passes stop at improvements below this; the rationals see to the rest."""
SHORT = 8
"""Steps of a loop that is looked for in place of a longer one."""

Worths = Mapping[str, Fraction]
"""By program id. Only their ratios mean anything."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A cycle of conversions that gives back more points than it took."""

    steps: tuple[Multiplier, ...]
    """Each begins where the one before it ends, and the first where the last ends."""

    @property
    def product(self) -> Fraction:
        """Points that come back for one that goes round."""
        return prod((step.factor for step in self.steps), start=Fraction(1))

    @property
    def begins(self) -> datetime:
        """From when all its steps are in force."""
        return max(step.begins for step in self.steps)

    @property
    def ends(self) -> datetime | None:
        """Until when, exclusive; None if that is open."""
        return min((step.ends for step in self.steps if step.ends is not None), default=None)

    @property
    def programs(self) -> tuple[str, ...]:
        """Where it leads, the first program also at the end."""
        return (*(step.source for step in self.steps), self.steps[0].source)


def find_loop(multipliers: Iterable[Multiplier], since: datetime) -> Loop | None:
    """A loop that multiplies points at some instant from `since` on, the earliest; None if there is
    none.

    The answer does not depend on the order of `multipliers`.
    """
    steps = in_order(multipliers, since)
    if not isinstance(worths_of(steps), Loop):
        return None
    return _Search(steps).sweep(since)


def worths_of(multipliers: Iterable[Multiplier]) -> Worths | Loop:
    """Worths at which none of the multipliers gains, taken as if all were in force at once; or else
    a loop of them.
    """
    steps = tuple(multipliers)
    search = _Search(steps)
    loop = search.begin(range(len(steps)))
    return loop or {name: search.worths[at] for name, at in search.places.items()}


def gains(multiplier: Multiplier, worths: Worths) -> bool:
    """Whether it may gain at these worths; so it may where they do not know its programs."""
    source, target = worths.get(multiplier.source), worths.get(multiplier.target)
    return source is None or target is None or multiplier.factor * target > source


def in_order(multipliers: Iterable[Multiplier], since: datetime) -> tuple[Multiplier, ...]:
    """Those that are in force at `since` or later, in an order of their own."""
    return tuple(
        sorted((each for each in multipliers if each.ends is None or each.ends > since), key=_place)
    )


def _place(each: Multiplier) -> tuple[object, ...]:
    """By all that tells one from another: what has no end comes after what has one."""
    ends = (each.ends is None, each.ends or each.begins)
    return each.source, each.target, each.begins, each.label, each.factor, ends


class _Search:
    """Worths while they are being found: private to one call.

    Programs and steps go by their place. A program's route is the step that its worth came from;
    following routes can only lose worth, so that routes which close make a loop that gains.
    """

    def __init__(self, steps: tuple[Multiplier, ...]) -> None:
        self.steps = steps
        names = sorted({name for step in steps for name in (step.source, step.target)})
        self.places = {name: place for place, name in enumerate(names)}
        self.source = [self.places[step.source] for step in steps]
        self.target = [self.places[step.target] for step in steps]
        self.logs = [logarithm(step.factor) for step in steps]
        self.into: list[dict[int, None]] = [{} for _ in names]
        """By target, the steps in force."""
        self.worths = [Fraction(1)] * len(names)
        self.worth_logs = [0.0] * len(names)
        self.routes: list[int | None] = [None] * len(names)

    def sweep(self, since: datetime) -> Loop | None:
        """Look at every instant at which the set changes."""
        begun: dict[datetime, list[int]] = {}
        ended: dict[datetime, list[int]] = {}
        for number, step in enumerate(self.steps):
            begun.setdefault(max(step.begins, since), []).append(number)
            if step.ends is not None:
                ended.setdefault(step.ends, []).append(number)
        for instant in sorted(begun.keys() | ended.keys()):
            for number in ended.get(instant, ()):
                self.end(number)
            new = begun.get(instant, [])
            # Floats are quicker than rationals at finding out about many at once.
            many = 4 * len(new) > len(self.places)
            loop = self.begin(new) if many else self.add(new)
            if loop is not None:
                return self.shortened(loop)
        return None

    def shortened(self, loop: Loop) -> Loop:
        """The shortest loop that gains which a short stretch of this one and one direct conversion
        back make, or else this one: what chance found may lead through half the coalition.
        """
        direct: dict[tuple[str, str], Multiplier] = {}
        for number in (number for steps in self.into for number in steps):
            step = self.steps[number]
            known = direct.get((step.source, step.target))
            if known is None or known.factor < step.factor:
                direct[step.source, step.target] = step
        round_twice = loop.steps * 2
        for length in range(1, min(len(loop.steps) - 1, SHORT)):
            for first in range(len(loop.steps)):
                last = round_twice[first + length - 1]
                back = direct.get((last.target, round_twice[first].source))
                if back is None:
                    continue
                shorter = (*round_twice[first : first + length], back)
                if Loop(shorter).product > 1:
                    return loop_of(shorter)
        return loop

    def begin(self, new: Iterable[int]) -> Loop | None:
        """Add steps and find all worths anew."""
        for number in new:
            self.into[self.target[number]][number] = None
        self.guess()
        changed = deque(range(len(self.places)))
        return self.settle(changed)

    def add(self, new: Iterable[int]) -> Loop | None:
        """Add steps and mend the worths that they change."""
        for number in new:
            self.into[self.target[number]][number] = None
        changed: deque[int] = deque()
        for number in new:
            if self.gains(number):
                loop = self.follow(number)
                if loop is not None:
                    return loop
                changed.append(self.source[number])
        return self.settle(changed)

    def end(self, number: int) -> None:
        """Take a step out. The worth that came from it stays, as good as any to begin with."""
        source, target = self.source[number], self.target[number]
        del self.into[target][number]
        if self.routes[source] == number:
            self.routes[source] = None

    def settle(self, changed: deque[int]) -> Loop | None:
        """Raise worths, exactly, until no step gains; `changed` are the programs whose worth is
        not yet seen by the steps into them.
        """
        waiting = set(changed)
        while changed:
            at = changed.popleft()
            waiting.discard(at)
            for number in self.into[at]:
                if not self.gains(number):
                    continue
                loop = self.follow(number)
                if loop is not None:
                    return loop
                source = self.source[number]
                if source not in waiting:
                    waiting.add(source)
                    changed.append(source)
        return None

    def gains(self, number: int) -> bool:
        """Whether a step gains at the worths of now."""
        source, target = self.source[number], self.target[number]
        gain = self.logs[number] + self.worth_logs[target] - self.worth_logs[source]
        # A worth too large for the margin has nan for its logarithm, which is neither.
        if gain < -MARGIN:
            return False
        if gain > MARGIN:
            return True
        factor, before, after = self.steps[number].factor, self.worths[source], self.worths[target]
        return (
            factor.numerator * after.numerator * before.denominator
            > factor.denominator * after.denominator * before.numerator
        )

    def follow(self, number: int) -> Loop | None:
        """Give a step's source the worth that the step promises; the loop, if that closes one."""
        source, at = self.source[number], self.target[number]
        trail = [number]
        while at != source:
            route = self.routes[at]
            if route is None:
                self.routes[source] = number
                self.value(source, self.steps[number].factor * self.worths[self.target[number]])
                return None
            trail.append(route)
            at = self.target[route]
        return loop_of(self.steps[each] for each in trail)

    def value(self, at: int, worth: Fraction) -> None:
        self.worths[at] = worth
        magnitude = logarithm(worth)
        self.worth_logs[at] = magnitude if abs(magnitude) < LOG_MAX else nan

    def guess(self) -> None:
        """Find worths by floats, then exactly along the routes that these chose."""
        count = len(self.places)
        out: list[list[int]] = [[] for _ in range(count)]
        for steps in self.into:
            for number in steps:
                out[self.source[number]].append(number)
        ahead = [[self.target[number] for number in numbers] for numbers in out]
        weights = [[self.logs[number] for number in numbers] for numbers in out]
        best = [0.0] * count
        routes: list[int | None] = [None] * count
        order = range(count)
        for _ in range(count):
            improved = False
            # Every other pass goes the other way (Yen): chains lie in either direction.
            order = order[::-1]
            for at in order:
                offers = [w + best[to] for w, to in zip(weights[at], ahead[at], strict=True)]
                most = max(offers, default=0.0)
                if most > best[at] + TOLERANCE:
                    best[at], routes[at], improved = most, out[at][offers.index(most)], True
            if not improved or closed(routes, self.target):
                break
        self.routes = [None] * count
        self.worths = [Fraction(1)] * count
        self.worth_logs = [0.0] * count
        for at in range(count):
            self.value_along(at, routes)

    def value_along(self, at: int, routes: list[int | None]) -> None:
        """Give a program the exact worth of its route, and those on the way theirs."""
        trail: list[int] = []
        seen = set()
        while (number := routes[at]) is not None and self.routes[at] is None and at not in seen:
            seen.add(at)
            trail.append(number)
            at = self.target[number]
        if at in seen:
            # The routes close: a loop, if the floats are right. Cut open here, it is left to the
            # rationals, which find it at this very step.
            routes[self.source[trail.pop()]] = None
        for number in reversed(trail):
            self.routes[self.source[number]] = number
            self.value(
                self.source[number],
                self.steps[number].factor * self.worths[self.target[number]],
            )


def closed(routes: list[int | None], target: list[int]) -> bool:
    """Whether following the routes leads back somewhere."""
    clear: set[int] = set()
    for start in range(len(routes)):
        at, trail = start, set()
        while at not in clear and (number := routes[at]) is not None:
            if at in trail:
                return True
            trail.add(at)
            at = target[number]
        clear |= trail
    return False


def loop_of(steps: Iterable[Multiplier]) -> Loop:
    """The loop, told from its first program by name."""
    told = tuple(steps)
    first = min(range(len(told)), key=lambda place: told[place].source)
    loop = Loop((*told[first:], *told[:first]))
    assert loop.product > 1, "what is named as a loop multiplies points"
    return loop


def logarithm(positive: Fraction) -> float:
    """Its natural logarithm; numerator and denominator may be too large for a float."""
    return log(positive.numerator) - log(positive.denominator)
