"""The registry as this process's edge sees it: what the sequencer left, or newer when a key is not
known yet.

Another process on the same database may have registered a key a moment ago. So an unknown key id is
looked up once more in the database before an order is refused for it. What is decided about an
order is decided in the sequencer, never here.
"""

import asyncio
from collections.abc import Iterable

from sqlalchemy import Engine

from exchange.batch import Ledger
from partners import store
from partners.actions.rules import check_direct_call
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.registry import Registry


class RegistryView:
    """The newest snapshot that this process has seen."""

    def __init__(self, engine: Engine, ledger: Ledger, audience: str) -> None:
        """`ledger` is asked for the snapshot of its last batch."""
        self._engine = engine
        self._ledger = ledger
        self._audience = audience
        self._read = Registry(revision=-1)

    @property
    def current(self) -> Registry:
        """The newer of what was read and what the last batch left."""
        decided = self._ledger.registry
        return decided if decided.revision >= self._read.revision else self._read

    async def know(self, key_ids: Iterable[str]) -> None:
        """Read the database again if one of these keys is not in the snapshot and the terms have
        changed.
        """
        if any(key_id not in self.current.keys for key_id in key_ids):
            await self.refresh()

    async def require(self, caller: Caller, method: str) -> None:
        """Raise Refused(CALLER_UNKNOWN) for a caller who is not registered, though the authority
        gave out a certificate; and what `check_direct_call` raises for an operator.
        """
        # Another process may have revoked an operator's last key a moment ago, so an operator is
        # always looked up. A partner's calls are many, and its signatures are judged later.
        if not caller.is_operator and registered(self.current, caller):
            return
        if not registered(await self.refresh(), caller):
            raise Refused(Reason.CALLER_UNKNOWN, "", f"{caller.holder} is not registered here")
        if caller.is_operator:
            check_direct_call(method, self.current.operators[caller.name])

    async def refresh(self) -> Registry:
        """Read the database again if the terms have changed; returns the newest snapshot."""
        self._read = await asyncio.to_thread(self._newest, self.current)
        return self.current

    def _newest(self, known: Registry) -> Registry:
        with self._engine.begin() as transaction:
            # One snapshot for all reads: a change between two of them would give a registry that
            # never was.
            connection = transaction.connection.dbapi_connection
            connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # type: ignore[union-attr]
            revision: int = store.QUERIES.terms_revision(connection)
            if revision == known.revision:
                return known
            return store.load_registry(connection, revision, self._audience)


def registered(registry: Registry, caller: Caller) -> bool:
    """Whether a partner is one of the coalition's, or an operator has a role and not only revoked
    keys.
    """
    if caller.is_operator:
        keys = [key for key in registry.keys.values() if key.holder == caller.holder]
        in_force = not keys or any(key.revoked_index is None for key in keys)
        return in_force and bool(registry.operators.get(caller.name))
    return caller.name in registry.partners
