"""Decides reversals on the word of the target's program. Pure but for the run that it is given.

Rules kept here:

- What the program took on a source's request is booked like what the target itself reverses. Where
  it took nothing, the request ends without a posting.
- A program that declines a credit which was committed has given nothing: all of the transfer is
  booked back, on the evidence of its own signed answer.
- An answer is booked once. A key that it was signed with is in force at the log index.
"""

from dataclasses import replace

from exchange.commands import Repeated, Result, Reversed, TakeBack, Undo
from exchange.fold.answers import check_proof_key
from exchange.fold.reversals import answered_with, book_back
from exchange.fold.run import Run
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
    outcome = book_back(run, order, original, order.target_points)
    return answered_with(run, replace(outcome, undoes=True, proof=command.proof))
