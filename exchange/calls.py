"""One call that has ended, as metrics and logs see it. Pure.

No member reference and no payload is in it: of an order only its transfer id is kept.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

CANCELLED = "CANCELLED"
"""The code of a call whose caller went away, or whose deadline passed, before its answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call at its end."""

    method: str
    """Service and method, such as `ExchangeService/CreateTransfer`."""
    caller: str
    """The holder name of the channel's identity, such as `partner/grocery`; empty if unknown."""
    transfer_id: str
    """Of the one order that it named; empty for other calls."""
    code: str
    """Name of the gRPC status code."""
    reason: str
    """Why it was refused; empty if it was not."""
    text: str
    """What the caller was told with the reason. It names fields and limits, never members."""
    seconds: float
    refused: Mapping[str, int] = field(default_factory=Counter)
    """Of a batch that was answered: how many of its orders were refused, by reason."""
    incident: str = ""
    """What the caller was given to quote, of a call that met a bug."""
    bug: Exception | None = None
    """It may quote what the caller sent: nobody shows its text."""
