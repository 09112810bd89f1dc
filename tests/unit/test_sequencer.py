"""The sequencer's thread outlives what goes wrong in a batch, and every caller is answered."""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg2
import pytest

from exchange import sequencer as module
from exchange.batch import CommitUnknown, Decided
from exchange.commands import Command, OpenWindow
from exchange.log.merkle import Frontier
from exchange.observer import UNOBSERVED
from exchange.outcomes import Repeated
from exchange.seal import Sealed
from exchange.sequencer import GATHER_S_MAX, Reply, Sequencer, gathering_s
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner
from partners.signers import Signers
from tests import factories as make

DECIDED = Decided(Repeated(7))
COMMAND = OpenWindow(make.CURRENCY, make.DAY_ONE)


class UnansweredCommit:
    """A ledger whose first COMMIT is not answered; later batches are."""

    observer = UNOBSERVED

    def __init__(self, *looked_up: Exception | bool) -> None:
        """What each look-up finds, or how it fails."""
        self.looked_up = list(looked_up)
        self.batches = 0

    def run(self, commands: Sequence[Command]) -> tuple[Decided, ...]:
        """Decide a batch."""
        self.batches += 1
        if self.batches == 1:
            raise CommitUnknown((DECIDED,), Sealed((), (), Frontier(), {}, {}))
        return (DECIDED,) * len(commands)

    def was_committed(self, unknown: CommitUnknown) -> bool:
        """Look it up."""
        found = self.looked_up.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """There is nothing to close."""


async def submit_twice(ledger: Any) -> tuple[Reply, Reply]:
    """The answer of the batch that was lost, and of the next."""
    sequencer = Sequencer(
        ledger, Signers({Purpose.RECEIPTS: (SeedSigner(bytes(32)),)}), asyncio.get_running_loop()
    )
    sequencer.start()
    try:
        (first,) = sequencer.submit([COMMAND])
        lost = await asyncio.wait_for(first, 30)
        (second,) = sequencer.submit([COMMAND])
        return lost, await asyncio.wait_for(second, 30)
    finally:
        await asyncio.to_thread(sequencer.stop)


@pytest.mark.parametrize(
    ("looked_up", "reason"),
    [
        ([True], None),
        ([psycopg2.OperationalError("starting up"), True], None),
        ([False], Reason.TRY_LATER),
        ([psycopg2.OperationalError("starting up"), False], Reason.TRY_LATER),
        ([psycopg2.ProgrammingError("no such table")], Reason.TRY_LATER),
        ([ValueError("a bug")], Reason.TRY_LATER),
    ],
)
def test_an_unknown_commit_is_looked_up_and_the_thread_goes_on(
    looked_up: list[Exception | bool], reason: Reason | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_UP_PAUSE_S", 0)
    ledger = UnansweredCommit(*looked_up)
    lost, following = asyncio.run(submit_twice(ledger))
    if reason is None:
        assert lost.result == DECIDED.result
    else:
        assert isinstance(lost.result, Refused)
        assert lost.result.reason is reason
    assert following.result == DECIDED.result
    assert (ledger.batches, ledger.looked_up) == (2, [])


def test_a_lone_caller_never_waits_and_others_no_longer_than_their_batch() -> None:
    assert gathering_s(answered=1, waiting=0, took_s=1.0) == 0
    assert gathering_s(answered=20, waiting=0, took_s=0.004) == 0.004
    assert gathering_s(answered=20, waiting=19, took_s=0.004) == 0.004
    assert gathering_s(answered=20, waiting=20, took_s=0.004) == 0
    assert gathering_s(answered=500, waiting=0, took_s=0.1) == GATHER_S_MAX
