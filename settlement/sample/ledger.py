"""An exchange's books in memory, for a history that is small: the sequencer's own decisions and its
own sealing, and nothing stored. Pure but for what it keeps.
"""

from collections.abc import Callable
from datetime import datetime

from exchange.commands import Command, Order
from exchange.fold import InvariantBroken, State, fold
from exchange.ledger.postings import MoneyCell, PointsCell
from exchange.log.merkle import Frontier
from exchange.outcomes import Outcome
from exchange.seal import Letterhead, StreamEntry, StreamHead, seal
from partners.errors import Refused
from partners.registry import Registry
from settlement.statement import ProgramPoints
from settlement.windows import SettlementWindow, TreeHead, WindowState, WindowSum


class MemoryLedger:
    """Decides one command at a time, and remembers everything."""

    def __init__(
        self, registry: Registry, since: datetime, letterhead: Letterhead, salt: Callable[[], bytes]
    ) -> None:
        """`registry` is what the books begin with; `salt` gives 32 bytes at each call."""
        self.state = State(0, since, registry)
        self.streams: dict[int, list[StreamEntry]] = {}
        """By partner number."""
        self.orders: dict[int, bytes] = {}
        """What was ordered, by log index."""
        self._letterhead = letterhead
        self._salt = salt
        self._frontier = Frontier()
        self._heads: dict[int, StreamHead] = {}
        self._roots: dict[int, bytes] = {}

    def run(self, command: Command, now: datetime) -> Outcome:
        """Decide a command, and write what came of it; raises the Refused of one that is not
        recorded.
        """
        folded = fold(self.state, [command], now)
        if isinstance(folded.results[0], Refused):
            raise folded.results[0]
        sealed = seal(
            folded.outcomes,
            folded.state.registry,
            self._frontier,
            self._heads,
            self._letterhead,
            self._salt,
        )
        self.state, self._frontier = folded.state, sealed.frontier
        self._heads |= sealed.stream_heads
        self._roots |= sealed.roots
        for entry in sealed.stream_entries:
            self.streams.setdefault(entry.partner_number, []).append(entry)
        (outcome,) = folded.outcomes
        if isinstance(command, Order):
            self.orders[outcome.log_index] = command.payload
        return outcome

    def window(self, window_id: str) -> SettlementWindow:
        """A closed window."""
        found = self.state.windows[window_id]
        if found.end_index is None:
            raise InvariantBroken(f"{window_id} is open")
        registry = self.state.registry
        return SettlementWindow(
            found.number,
            window_id,
            registry.currencies[found.currency],
            registry.units[found.currency].number,
            found.business_date,
            WindowState(found.state),
            TreeHead(found.first_index, self._roots[found.first_index]),
            TreeHead(found.end_index, self._roots[found.end_index]),
        )

    def window_sums(self, window: SettlementWindow) -> tuple[WindowSum, ...]:
        """The money sums of a window."""
        return tuple(
            WindowSum(cell.party, cell.counterparty, cell.code, cell.tax_number, amount)
            for (number, cell), amount in self.state.window_sums.items()
            if number == window.number and isinstance(cell, MoneyCell)
        )

    def program_points(self, window: SettlementWindow) -> dict[str, ProgramPoints]:
        """The points of each program that the window moved."""
        moved: dict[int, dict[str, int]] = {}
        for (number, cell), amount in self.state.window_sums.items():
            if number == window.number and isinstance(cell, PointsCell):
                of_unit = moved.setdefault(cell.unit, {})
                of_unit[cell.code.name] = of_unit.get(cell.code.name, 0) + amount
        found = {}
        for program in self.state.registry.programs:
            points = moved.get(self.state.registry.points_unit(program).number)
            if points:
                bonus = points.get("BONUS_IN", 0)
                paid = points.get("IN", 0) + bonus
                found[program] = ProgramPoints(program, points.get("OUT", 0), paid, bonus)
        return found
