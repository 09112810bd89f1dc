"""Whether anything was written, as the database itself knows it.

A transaction that writes, or locks a row to write, takes a number; one that reads takes none. So
as long as the next number stands still nothing was written by anybody. When it has moved, the rows
tell: each names the transaction that made it, and a table that lost rows has fewer. The database's
own cleaning takes numbers too.
"""

from collections.abc import Mapping
from typing import Any

_NEXT_NUMBER = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    ORDER BY relname
"""
_OF_TABLE = "SELECT '{0}', count(*), coalesce(max(xmin::text::bigint), 0) FROM {0}"
_BANK = """
    SELECT debits_posted - credits_posted
    FROM balance JOIN account USING (account_number) JOIN unit USING (unit_number)
    WHERE account.name = 'hub.bank.settlement' AND unit.name = '{0}'
"""


class Witness:
    """Sees what was written since it last looked."""

    def __init__(self, connection: Any) -> None:
        """`connection` is psycopg2's and used for nothing else."""
        connection.autocommit = True
        self._cursor = connection.cursor()
        self._cursor.execute(_TABLES)
        names = [name for (name,) in self._cursor.fetchall()]
        self._query = " UNION ALL ".join(_OF_TABLE.format(name) for name in names)
        self._rows: dict[str, int] = {}
        self._number = 0
        self.next_index = 0
        """Of the log."""
        self.written()

    def written(self) -> Mapping[str, int] | None:
        """The tables that changed, with the rows that came; None where no number was taken."""
        number = self._ask(_NEXT_NUMBER)[0][0]
        if number == self._number:
            return None
        rows, changed = {}, {}
        for name, count, newest in self._ask(self._query):
            rows[name] = count
            if newest >= self._number or count < self._rows.get(name, 0):
                changed[name] = count - self._rows.get(name, 0)
        self._rows, self._number = rows, number
        if changed:
            self.next_index = self._ask("SELECT next_index FROM head")[0][0]
        return changed

    def bank_balance(self, currency: str) -> int:
        """What the books say that the bank holds, in units."""
        ((balance,),) = self._ask(_BANK.format(currency))
        return int(balance)

    def _ask(self, query: str) -> list[Any]:
        self._cursor.execute(query)
        return list(self._cursor.fetchall())
