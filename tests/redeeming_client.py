"""A partner's program that redeems points, written with the client library:

    python -m tests.redeeming_client PROFILE SERVER JOURNAL COUNT

At its start it resumes what an earlier run left, then it orders one transfer for each redemption,
and writes a line for each that is committed. Where POINTCLEAR_CLIENT_DIES_AT names a moment, it
ends itself there by `kill -9`: `written-down`, with the order on disk and not sent, or `answered`,
with the answer there and not on disk; `written-down:3` the third time.
"""

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

from pointclear.client import Order, connect
from pointclear.client import client as library
from pointclear.client.journal import Journal, Kept

DIES_AT = "POINTCLEAR_CLIENT_DIES_AT"
POINTS, TARGET_POINTS = 100, 50


class MortalJournal(Journal):
    """A journal whose program may end at a moment that has a name."""

    _moment, _, _times = os.environ.get(DIES_AT, "").partition(":")
    _passes = count(1)

    def _passed(self, moment: str) -> None:
        if moment == self._moment and next(self._passes) == int(self._times or 1):
            os.kill(os.getpid(), signal.SIGKILL)

    def keep(self, *arguments: Any) -> list[Kept]:
        kept = super().keep(*arguments)
        self._passed("written-down")
        return kept

    def answer(self, *arguments: Any, **options: Any) -> None:
        self._passed("answered")
        super().answer(*arguments, **options)


def redemption(number: int) -> Order:
    """What a member wants."""
    return Order(
        source_program="aurora",
        target_program="borealis",
        source_points=POINTS,
        target_points=TARGET_POINTS,
        agreement_id="aurora-borealis",
        agreement_version=1,
        source_member=f"A-{number}",
        target_member=f"B-{number}",
    )


def main(profile: str, server: str, journal: str, redemptions: int) -> None:
    """Redeem so many."""
    with connect(profile, server=server, journal=Path(journal)) as client:
        client.resume()
        for number in range(redemptions):
            transfer = client.transfer(redemption(number), key=f"redemption-{number}")
            assert transfer.is_committed
            print(transfer.transfer_id, flush=True)


if __name__ == "__main__":
    library.Journal = MortalJournal  # type: ignore[attr-defined]
    own_profile, at, kept_in, how_many = sys.argv[1:]
    main(own_profile, at, kept_in, int(how_many))
