"""What the ids of orders are answered with from now on. Pure but for the run that it is given."""

from exchange.commands import Answer, Recorded
from exchange.fold.run import Run


def answered_with(run: Run, outcome: Recorded) -> Recorded:
    """Append an outcome, which is what its id is answered with from now on."""
    order = outcome.order
    run.answers[order.transfer_id] = Answer(
        outcome.source_partner, order.payload_sha256, outcome.log_index, order
    )
    run.append(outcome)
    return outcome
