"""The partner's client of a Pointclear exchange.

    from pointclear.client import Order, connect

    with connect("profiles/aurora") as client:
        client.resume()
        quote = client.quote("aurora", "lotus", source_points=1_000)
        order = Order.at(quote, source_member="A-1001", target_member="L-77")
        transfer = client.transfer(order, key="redemption-4711")

It makes ids and signatures, writes every order down before it is sent, sends the same bytes again
until there is an answer, verifies what comes, and watches the partner's stream. It needs none of
the server's libraries. What may go wrong is in `pointclear.client.errors`; docs/client.md is the
guide.
"""

from pointclear.client.client import Client, connect
from pointclear.client.errors import (
    ClientError,
    JournalUnusable,
    KeyUsedOtherwise,
    ProofInvalid,
    RefusedForGood,
    RefusedForNow,
    RequestRefused,
    Unanswered,
    Unavailable,
)
from pointclear.client.line import Identity, Patience
from pointclear.client.pulling import Pulled
from pointclear.client.values import (
    START,
    Bookmark,
    Entry,
    Event,
    Order,
    Position,
    Quote,
    Reversal,
    Role,
    SourceLot,
    State,
    Transfer,
)

__all__ = [
    "START",
    "Bookmark",
    "Client",
    "ClientError",
    "Entry",
    "Event",
    "Identity",
    "JournalUnusable",
    "KeyUsedOtherwise",
    "Order",
    "Patience",
    "Position",
    "ProofInvalid",
    "Pulled",
    "Quote",
    "RefusedForGood",
    "RefusedForNow",
    "RequestRefused",
    "Reversal",
    "Role",
    "SourceLot",
    "State",
    "Transfer",
    "Unanswered",
    "Unavailable",
    "connect",
]
