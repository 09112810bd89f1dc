"""Lets silence accept: looks, while a server runs, whether a stated window's clock has run out, and
takes what is due then as far as it goes.

Any number of processes may look at once; the settlement's turn is one's at a time. A crash leaves
nothing that the next look does not find.
"""

import logging

from exchange.at_work import keep_looking
from settlement.approval.store import currencies_unaccepted
from settlement.course import Course

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0


class Silence:
    """One process's."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def run(self) -> None:
        """Look until cancelled."""
        await keep_looking(self.look, LOOK_EVERY_S, "stated windows", log)

    async def look(self) -> None:
        """Take every currency on that has windows of which not all statements are accepted."""
        for currency in await self._course.read(currencies_unaccepted):
            await self._course.advance(currency)
