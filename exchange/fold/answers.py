"""What orders are answered with, and by whose word. Pure but for the run that it is given."""

from exchange.commands import Proof
from exchange.fold.run import Run
from exchange.outcomes import Answer, Original, Recorded
from exchange.reversal import Portion
from partners.errors import Reason, Refused


def answered_with(run: Run, outcome: Recorded) -> Recorded:
    """Append an outcome, which is what its id is answered with from now on."""
    order = outcome.order
    run.answers[order.transfer_id] = Answer(
        outcome.source_partner, order.payload_sha256, outcome.log_index, order
    )
    run.originals[order.transfer_id] = original_of(outcome)
    run.append(outcome)
    return outcome


def original_of(outcome: Recorded) -> Original:
    """A transfer as a reversal behind it finds it."""
    conversion = outcome.conversion
    return Original(
        outcome.log_index,
        outcome.state,
        outcome.source_partner,
        outcome.target_partner,
        outcome.terms,
        Portion(outcome.order.source_points, conversion) if conversion else None,
    )


def check_proof_key(run: Run, proof: Proof, target_partner: str) -> None:
    """Raise Refused(KEY_NOT_IN_FORCE) unless the key by which a brand is held to its answer is the
    brand's, and in force; what operators have seen was signed by none.
    """
    if not proof.key_id:
        return
    key = run.registry.keys.get(proof.key_id)
    if (
        key is None
        or key.holder != f"partner/{target_partner}"
        or not key.in_force(run.index, run.now)
    ):
        raise Refused(
            Reason.KEY_NOT_IN_FORCE, "signatures", "the confirmation's key is not in force"
        )
