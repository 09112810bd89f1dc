"""Decides quotes: what is offered for an amount. Pure but for the run that it is given.

A quote is no leaf of the log: nobody owes anything for it. All that it changes is how much of the
promotions' budgets is left, and that comes back when it lapses.
"""

from exchange.commands import AskQuote
from exchange.fold.run import Run
from exchange.outcomes import Quoted
from exchange.quotes.quote import Quote, source_points_giving
from exchange.switches import check_quoting
from exchange.transfer import check_limits, check_unaltered, convert_at, terms_in_force
from partners.agreement import Terms
from partners.conversion import Conversion
from partners.errors import Reason, Refused


def ask_quote(run: Run, command: AskQuote) -> Quoted:
    """Offer what is asked for; raises Refused."""
    known = run.quotes.get(command.quote_id)
    if known is not None:
        if (known.partner_id, known.request_sha256) != (command.partner_id, command.request_sha256):
            raise Refused(
                Reason.MODIFIED_REQUEST, "quote_id", "this id was used before with other content"
            )
        return Quoted(known)
    terms = terms_asked_for(run, command)
    source_points, conversion = amount_asked_for(run, terms, command)
    check_limits(terms, source_points)
    quote = Quote(
        command.quote_id,
        command.partner_id,
        command.request_sha256,
        terms,
        source_points,
        conversion,
        run.now,
        run.now + command.valid_for,
    )
    run.offer(quote)
    return Quoted(quote)


def terms_asked_for(run: Run, command: AskQuote) -> Terms:
    """The terms in force between the programs; raises Refused where there are none."""
    if run.registry.programs.get(command.source_program) != command.partner_id:
        raise Refused(Reason.PROGRAM_UNKNOWN, "source_program", "you have no program of that name")
    if command.target_program not in run.registry.programs:
        raise Refused(
            Reason.PROGRAM_UNKNOWN,
            "target_program",
            f"there is no program {command.target_program}",
        )
    check_quoting(run.registry, command.source_program, command.target_program)
    terms = terms_in_force(run.registry, (command.source_program, command.target_program), run.now)
    if terms is None:
        raise Refused(
            Reason.AGREEMENT_NOT_IN_FORCE, "target_program", "no agreement is in force between them"
        )
    check_unaltered(run.registry, *terms.name)
    return terms


def amount_asked_for(run: Run, terms: Terms, command: AskQuote) -> tuple[int, Conversion]:
    """The source points, and what they come to now.

    A fixed target is looked for with every promotion that runs. Where a budget does not cover its
    bonus, the promotion is left out and the amount is looked for again.
    """
    running = terms.promotions_at(run.now)
    while True:
        source_points = command.source_points or source_points_giving(
            terms, command.target_points, command.segment, running
        )
        conversion = convert_at(
            run.registry, terms, source_points, command.segment, run.promotion_points, run.now
        )
        if command.source_points or conversion.target_points == command.target_points:
            return source_points, conversion
        applied = {bonus.promotion for bonus in conversion.bonuses}
        running = tuple(each for each in running if each in applied)
