"""Decides what becomes of a reserved transfer. Pure but for the run that it is given.

Rules kept here:

- A reservation ends once: by the target's answer, by the word of two operators where that never
  comes, or, as long as nothing was sent, by its sender or its deadline. The same end again changes
  nothing, nor does an answer by which nothing was credited, however the void came about: what a
  program fenced off it declines when it comes. Another end is refused.
- No passing of time voids what was sent. Without proof only what was not sent ends.
- A key that the target signed its answer with was in force at the log index of the end.
- What it books is what the order came to when it was reserved, in the window that is open now.
"""

from dataclasses import replace
from datetime import timedelta

from exchange.commands import Conclude, Order, Verdict
from exchange.day_limits import digest
from exchange.fold.answers import answered_with, check_proof_key
from exchange.fold.holds import committed, voided
from exchange.fold.run import Run
from exchange.linked_members import members_of
from exchange.outcomes import Held, Instruction, Recorded, Repeated, Result, TransferState
from partners.agreement import CreditMode, Expiry, ExpiryRule, Terms
from partners.conversion import Conversion
from partners.errors import Reason, Refused
from partners.program_port import ExpiryLot, InstructionKind
from partners.routes.route import RouteKind


def needs_answer(terms: Terms) -> bool:
    """Whether transfers under these terms are reserved until the target answers."""
    return terms.credit_mode is CreditMode.CONFIRMED


def credit_of(
    run: Run, order: Order, terms: Terms, conversion: Conversion, *, is_committed: bool
) -> Instruction | None:
    """What the target's system is told of a transfer; None where it is told nothing."""
    route = run.registry.route_of(terms.target_program)
    if is_committed and route.kind is RouteKind.STREAM:
        return None
    return Instruction(
        InstructionKind.CREDIT,
        terms.target_program,
        conversion.target_points,
        expiry_lots(terms.expiry, order, conversion.target_points, run),
        digest(run.before.member_secret, "credit", terms.target_program, member_of(run, order)),
        is_committed,
        None if is_committed else run.now + route.answer_within,
    )


def member_of(run: Run, order: Order) -> str:
    """The target's member; the link where the references are not at hand."""
    if order.link_id is not None and order.link_id not in run.links:
        return str(order.link_id)
    return members_of(run.links, order)[1]


def expiry_lots(
    expiry: Expiry, order: Order, target_points: int, run: Run
) -> tuple[ExpiryLot, ...]:
    """By when the granted points expire; none where the program's own rule says.

    Those that inherit their expiry are split like the source points, each lot up to the rounding of
    what comes before it, so that the parts sum to the whole.
    """
    if expiry.rule is ExpiryRule.FIXED_DAYS:
        return (ExpiryLot(target_points, run.now + timedelta(days=expiry.days)),)
    lots, given, taken = [], 0, 0
    for lot in order.source_lots:
        taken += lot.points
        upto = target_points * taken // order.source_points
        if upto > given:
            lots.append(ExpiryLot(upto - given, lot.expires_at))
        given = upto
    return tuple(lots)


def conclude(run: Run, command: Conclude) -> Result:
    """End a reservation by what is known of the credit."""
    reserved = run.reserved.get(command.transfer_id)
    if reserved is None:
        raise Refused(Reason.TRANSFER_UNKNOWN, "transfer_id", "no such transfer was reserved")
    return ended_as(run, reserved, command)


def cancel_reserved(run: Run, reserved: Held) -> Result:
    """End a reservation for its sender; raises Refused(TRANSFER_STATE) once it was sent."""
    return ended_as(run, reserved, Conclude(reserved.order.transfer_id, Verdict.CANCELLED))


def ended_as(run: Run, reserved: Held, command: Conclude) -> Result:
    if reserved.verdict is not None:
        if is_same_end(reserved.verdict, command.verdict):
            return Repeated(reserved.decided_index)
        ended = reserved.verdict.lower()
        raise Refused(Reason.TRANSFER_STATE, "transfer_id", f"the transfer was {ended} before")
    check_proof(run, reserved, command)
    if command.verdict is Verdict.CREDITED:
        outcome = committed(run, reserved, command.verdict)
    else:
        outcome = voided(run, reserved, command.verdict)
    outcome = replace(outcome, proof=command.proof, hold_index=reserved.log_index)
    run.reserved[command.transfer_id] = replace(
        reserved, verdict=command.verdict, decided_index=outcome.log_index
    )
    return answered_with(run, outcome)


def is_same_end(first: Verdict, again: Verdict) -> bool:
    """Whether another verdict says of the books what the first one did."""
    if again in (Verdict.DECLINED, Verdict.LAPSED):
        return first is not Verdict.CREDITED
    return first is again


def check_proof(run: Run, reserved: Held, command: Conclude) -> None:
    """Raise Refused (TRANSFER_STATE or KEY_NOT_IN_FORCE) where the end is not proved."""
    if command.proof is None:
        if reserved.sent or command.verdict is Verdict.CREDITED:
            raise Refused(
                Reason.TRANSFER_STATE,
                "transfer_id",
                "the target program was told of the transfer: its answer decides",
            )
    else:
        target = run.registry.programs[reserved.order.target_program]
        check_proof_key(run, command.proof, target)


def reserve(
    run: Run, held: Held, terms: Terms, conversion: Conversion, outcome: Recorded
) -> Recorded:
    """The record by which an order's amounts wait for the target's answer: new ones, or those that
    a review has let go on. It states no figures: nothing has moved.
    """
    instruction = credit_of(run, held.order, terms, conversion, is_committed=False)
    outcome = replace(
        outcome,
        state=TransferState.RESERVED,
        counted=held.counted,
        promotions=held.promotions,
        instruction=instruction,
        hold_index=held.log_index,
    )
    run.reserved[held.order.transfer_id] = replace(held, verdict=None, decided_index=0)
    return answered_with(run, outcome)
