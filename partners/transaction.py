"""A transaction off the loop. The edge of this package."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine

_Done = TypeVar("_Done")


async def in_transaction(engine: Engine, act: Callable[..., _Done], *arguments: Any) -> _Done:
    """Run a blocking function on a connection in a transaction of its own, off the loop."""

    def done() -> _Done:
        with engine.begin() as transaction:
            return act(transaction.connection.dbapi_connection, *arguments)

    return await asyncio.to_thread(done)
