"""Looks at what a sandbox records of a partner, again and again, until everything was seen.

Effects: the network; time. The stream is read from its first entry and verified as a chain, with
what it gains from one look to the next; a statement is fetched when there is one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from exchange.cli.certification.observed import Seen, is_own, outcomes_of
from exchange.cli.certification.outcome import Outcomes
from exchange.cli.connection import Connection
from exchange.cli.failure import ExitCode, Failed
from exchange.cli.proofs import FIRST_PREVIOUS, Proof
from exchange.cli.settlement.settlement_commands import close_and_state, stated_lines
from exchange.cli.transfers.receipt_commands import read_stream
from partners.certification import WATCHED, ScenarioName
from partners.errors import Reason
from pointclear.exchange.v1.transfer_pb2 import TRANSFER_STATE_COMMITTED

PAUSE_S = 1.0
"""Between two looks."""


@dataclass(slots=True)
class Watch:
    """One partner's stream and statements, as far as they were read."""

    partner: Connection
    after: int | None = None
    """What stands up to this position of the stream does not count; None for what is there at the
    first look.
    """
    position: int = 0
    previous: bytes = FIRST_PREVIOUS
    """Digest of the payload at `position`."""
    receipts: list[Proof] = field(default_factory=list)
    lines: dict[str, bytes] = field(default_factory=dict)

    def look(self) -> Seen:
        """Read on. Raises Failed, also for what does not verify."""
        for each in read_stream(self.partner, self.position, previous=self.previous):
            self.position, self.previous = each.body.stream_seq, each.sha256
            if is_own(each) and self.after is not None and self.position > self.after:
                self.receipts.append(each)
        if self.after is None:
            self.after = self.position
        for window_id in self.windows():
            if window_id not in self.lines:
                self._state(window_id)
        return Seen(tuple(self.receipts), dict(self.lines), self.position)

    def windows(self) -> tuple[str, ...]:
        """The settlement windows that count what was carried out."""
        return tuple(
            dict.fromkeys(
                each.record.window_id
                for each in self.receipts
                if each.record.state == TRANSFER_STATE_COMMITTED
            )
        )

    def _state(self, window_id: str) -> None:
        try:
            self.lines[window_id] = stated_lines(self.partner, window_id)
        except Failed as failed:
            if failed.failure.reason != Reason.STATEMENT_UNKNOWN:
                raise


def watch_until(
    look: Callable[[], Seen],
    deadline: float,
    show: Callable[[Outcomes], None],
    close: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Outcomes:
    """What was seen when everything was, or when `deadline` had come, in seconds of the clock.
    `close` is called once, when nothing but the statement is left.

    Raises Failed where the exchange cannot be used from the start, or where something does not
    verify. An outage later on is waited out: a watch may take as long as somebody's work.
    """
    outcomes = outcomes_of(look())
    while True:
        show(outcomes)
        left = WATCHED - outcomes.keys()
        if not left or clock() >= deadline:
            return outcomes
        try:
            if close is not None and left == {ScenarioName.SETTLES}:
                close()
                close = None
            else:
                pause(min(PAUSE_S, max(deadline - clock(), 0)))
            outcomes = outcomes_of(look())
        except Failed as failed:
            if failed.failure.exit_code is not ExitCode.UNAVAILABLE:
                raise
            pause(min(PAUSE_S, max(deadline - clock(), 0)))


def close_windows(watch: Watch, operator: Connection) -> None:
    """Close and state the settlement windows that count what was carried out. Raises Failed."""
    for window_id in watch.windows():
        close_and_state(operator, window_id)
