"""Decides reversals on the word of the target's program. Pure but for the run that it is given.

Rules kept here:

- What the program took on a source's request is booked like what the target itself reverses. Where
  it took nothing, the request ends without a posting. More than was left of the credit is refused,
  and waits for people: its brand signed what cannot be.
- A program that declines a credit which was committed has given nothing: all of the transfer that
  is not reversed yet is booked back, on the evidence of its own signed answer.
- An answer is booked once. A key that it was signed with is in force at the log index.
"""

from dataclasses import replace

from exchange.commands import TakeBack, Undo
from exchange.fold.answers import check_proof_key
from exchange.fold.reversals import answered_with, book_back
from exchange.fold.run import Run
from exchange.outcomes import Original, Repeated, Result, Reversed
from partners.errors import Reason, Refused


def take_back(run: Run, command: TakeBack) -> Result:
    """Book what a program took back on a source's request."""
    asked = run.asked.get(command.reversal_id)
    if asked is None:
        raise Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "no such reversal was asked for")
    if asked.decided_index:
        return Repeated(asked.decided_index)
    order = asked.order
    original = run.originals.get(order.transfer_id)
    assert original is not None, "what was asked for is about a transfer"
    check_proof_key(run, command.proof, original.target_partner)
    if command.points:
        outcome = book_back(run, order, original, command.points)
    else:
        nothing = Refused(Reason.REVERSAL_REFUSED, "", "the target program took nothing back")
        outcome = Reversed(run.index, run.now, order, original, nothing, None, None, ())
    outcome = replace(outcome, decides=command.reversal_id, proof=command.proof)
    run.asked[command.reversal_id] = replace(asked, decided_index=outcome.log_index)
    return answered_with(run, outcome)


def undo(run: Run, command: Undo) -> Result:
    """Book all of a committed transfer back whose credit the target's program declined."""
    order = command.order
    answered = run.answers.get(order.reversal_id)
    if answered is not None:
        return Repeated(answered.log_index)
    original = run.originals.get(order.transfer_id)
    if original is None or original.target_partner != order.partner_id:
        raise Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "there is no such transfer")
    check_proof_key(run, command.proof, original.target_partner)
    points = left_of(original, order.target_points)
    if not points:
        raise Refused(Reason.TRANSFER_STATE, "transfer_id", "all of it was reversed before")
    outcome = book_back(run, order, original, points)
    return answered_with(run, replace(outcome, undoes=True, proof=command.proof))


def left_of(original: Original, points: int) -> int:
    """How many of a transfer's target points no reversal has taken back; `points` where its figures
    are not to be had, which `book_back` refuses.
    """
    whole = original.whole
    return whole.target_points - original.reversed_points if whole else points
