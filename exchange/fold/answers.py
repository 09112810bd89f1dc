"""What the ids of orders are answered with from now on. Pure but for the run that it is given."""

from exchange.commands import Answer, Original, Recorded
from exchange.fold.run import Run
from exchange.reversal import Portion


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
