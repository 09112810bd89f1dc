"""Decides what becomes of a transfer that was held. Pure but for the run that it is given.

Rules kept here:

- A hold ends once: released, refused by an operator, or cancelled by its sender. The same verdict
  again changes nothing; another one is refused.
- Nothing is checked again at a release: the operator has looked. Where the target's answer decides,
  a release reserves the transfer.
"""

from dataclasses import replace

from exchange.commands import DecideHeld, Verdict
from exchange.fold.answers import answered_with
from exchange.fold.holds import came_to, committed, resolved, voided
from exchange.fold.reservations import cancel_reserved, credit_of, needs_answer, reserve
from exchange.fold.run import Run
from exchange.outcomes import Held, Recorded, Repeated, Result
from partners.errors import Reason, Refused


def decide_held(run: Run, command: DecideHeld) -> Result:
    reserved = run.reserved.get(command.transfer_id)
    if reserved is not None and command.verdict is Verdict.CANCELLED:
        if command.partner_id == reserved.order.partner_id:
            return cancel_reserved(run, reserved)
        raise unknown()
    held = run.held.get(command.transfer_id)
    if held is None or command.partner_id not in ("", held.order.partner_id):
        raise unknown()
    if held.verdict is not None:
        if held.verdict is command.verdict:
            return Repeated(held.decided_index)
        raise Refused(
            Reason.TRANSFER_STATE, "transfer_id", f"the transfer was {held.verdict.lower()} before"
        )
    index = run.index
    if command.verdict is Verdict.RELEASED:
        outcome = released(run, held)
    else:
        outcome = answered_with(run, voided(run, held, command.verdict))
    run.held[command.transfer_id] = replace(held, verdict=command.verdict, decided_index=index)
    return outcome


def unknown() -> Refused:
    """The same for what does not exist and for what is another's."""
    return Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "no such transfer was held")


def released(run: Run, held: Held) -> Recorded:
    """The transfer takes place, or waits for its target's answer."""
    terms, conversion = came_to(run, held)
    if needs_answer(terms):
        outcome = replace(resolved(run, held, ()), verdict=Verdict.RELEASED)
        return reserve(run, held, terms, conversion, outcome)
    outcome = committed(run, held, Verdict.RELEASED)
    instruction = credit_of(run, held.order, terms, conversion, is_committed=True)
    return answered_with(run, replace(outcome, instruction=instruction))
