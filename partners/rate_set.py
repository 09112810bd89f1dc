"""Refuses terms under which some cycle of conversions would multiply points. Pure.

An activation that gains nothing at the worths that are known is let through by a comparison or
two. Any other has all terms in force or to come looked at again (see `partners.free_lunch` for what
that costs), and what is refused, and for which loop, does not depend on what was known.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from partners.errors import Reason, Refused
from partners.free_lunch import Loop, find_loop, gains, in_order, worths_of
from partners.multipliers import Multiplier, multipliers_of
from partners.registry import Force, Registry

PROGRAMS_NAMED = 8
"""Of a longer loop, so many programs are named: ids have up to 64 characters, and an answer has to
fit the wire."""
PRODUCT_DIGITS = 30
"""Significant digits of a product that is told as a decimal figure."""


def without_free_lunch(
    registry: Registry, now: datetime, changed: Iterable[Force] | None = None
) -> Registry:
    """The registry, if from `now` on no cycle of conversions multiplies points at any instant.

    `changed` are the forces by which it differs from one that was let through, other terms having
    only ended earlier than they did; None means that nothing is known of it. Raises
    Refused(FREE_LUNCH) naming loop, product and interval.
    """
    known = registry.worths
    if (
        known is not None
        and changed is not None
        and not any(gains(each, known) for force in changed for each in multipliers_in(force))
    ):
        return registry
    steps = multipliers_from(registry, now)
    worths = worths_of(steps)
    if not isinstance(worths, Loop):
        return replace(registry, worths=worths)
    loop = find_loop(steps, now)
    if loop is not None:
        raise refusal_of(loop, now)
    # Terms that follow each other would make a loop if they met.
    return replace(registry, worths=None)


def multipliers_from(registry: Registry, now: datetime) -> tuple[Multiplier, ...]:
    """What all versions make of a point that are in force at `now` or will be."""
    return in_order(
        (each for force in registry.agreements.values() for each in multipliers_in(force)), now
    )


def multipliers_in(force: Force) -> tuple[Multiplier, ...]:
    """What the version makes of a point while it is in force."""
    return multipliers_of(force.terms, force.effective_from, force.effective_until)


def refusal_of(loop: Loop, now: datetime) -> Refused:
    """The refusal that names the loop."""
    path = programs_of(loop)
    product = figure(loop.product)
    begins = max(loop.begins, now).isoformat()
    ends = loop.ends.isoformat() if loop.ends else "open"
    labels = [step.label for step in loop.steps[:PROGRAMS_NAMED]]
    return Refused(
        Reason.FREE_LUNCH,
        "agreement",
        f"1 point that goes round {path} comes back as {product}, from {begins} until {ends}"
        f" ({', '.join(labels)})",
        {
            "loop": path,
            "product": exact(loop.product),
            "begins": begins,
            "ends": ends,
            "agreements": ", ".join(labels),
        },
    )


def programs_of(loop: Loop) -> str:
    """`fuel > deli > fuel`."""
    programs = loop.programs
    if len(loop.steps) > PROGRAMS_NAMED:
        left_out = len(loop.steps) - PROGRAMS_NAMED
        programs = (*programs[:PROGRAMS_NAMED], f"({left_out} more)", programs[-1])
    return " > ".join(programs)


def exact(product: Fraction) -> str:
    """Numerator and denominator, or a decimal figure where these are too long to read."""
    return str(product) if product.denominator < 10**PRODUCT_DIGITS else figure(product)


def figure(product: Fraction) -> str:
    """A decimal figure, rounded down."""
    with localcontext(prec=PRODUCT_DIGITS, rounding=ROUND_FLOOR):
        shown = Decimal(product.numerator) / Decimal(product.denominator)
        return f"{shown.normalize():f}"
