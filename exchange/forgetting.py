"""Forgets a member's reference in the stored orders.

An order's bytes were signed, so a reference cannot be taken out of them: the whole payload goes,
and the signature, by which one could try references out. The digest stays, so that a repeat is
answered from the record as before. The orders are searched as they lie, beside the sequencer:
nothing is kept by reference that would have to be forgotten itself.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from exchange.reads import QUERIES
from exchange.wire import names_member, order_bytes_naming

ORDERS_AT_ONCE = 500


def empty_orders(engine: Engine, program: str, member: str) -> int:
    """Empty every stored order that names the program's member; returns how many did.

    Each step commits by itself. A crash leaves those emptied that were; the next call goes on.
    """
    after, emptied = UUID(int=0), 0
    while True:
        with engine.begin() as transaction:
            connection: Any = transaction.connection.dbapi_connection
            as_source, as_target = order_bytes_naming(member)
            rows = QUERIES.orders_with(
                connection,
                after=str(after),
                as_source=as_source,
                as_target=as_target,
                orders_max=ORDERS_AT_ONCE,
            )
            found = [(UUID(row[0]), bytes(row[1])) for row in rows]
            named = [
                str(transfer_id)
                for transfer_id, payload in found
                if names_member(payload, program, member)
            ]
            if named:
                QUERIES.empty_requests(connection, ids=named)
                emptied += len(named)
            if len(found) < ORDERS_AT_ONCE:
                return emptied
            after = found[-1][0]
