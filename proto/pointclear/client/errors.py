"""What the client raises. One base; a class says what the caller may do, `reason` says why.

ClientError
  RequestRefused       the exchange said no; with its receipt, if that was recorded
    RefusedForNow      a new order, under another key, may succeed later (NEW_ID)
    RefusedForGood     as it stands it never will (NEVER)
  Unavailable          no answer came within the patience; nothing is known to have changed
    Unanswered         the same of an order that was sent: it may have been carried out or not
  ProofInvalid         what came does not prove what it says: keep it, act on none of it, and ask
  KeyUsedOtherwise     the key of an order stands for another order in the journal
  JournalUnusable      the journal is damaged, another partner's, or of a newer version
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from partners.errors import PointclearError, Retry

if TYPE_CHECKING:
    from pointclear.client.values import Event


class ClientError(PointclearError):
    """Base of them all."""


class RequestRefused(ClientError):
    """The exchange refused a request, and says why."""

    def __init__(
        self,
        reason: str,
        text: str = "",
        field: str = "",
        retry: Retry = Retry.NEVER,
        remedy: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        recorded: "Event | None" = None,
    ) -> None:
        super().__init__(reason, text)
        self.reason = reason
        """A name from docs/errors.md; a newer exchange may give one that this version does not
        know: `retry` says what to do with it."""
        self.text = text
        """One line for people."""
        self.field = field
        """The request's field at fault, empty where it is none in particular."""
        self.retry = retry
        self.remedy = remedy
        """One sentence: what to do next."""
        self.metadata = metadata
        """Facts for machines, units in their keys."""
        self.recorded = recorded
        """Of an order whose refusal was recorded: what was, with its signed proof."""

    def __str__(self) -> str:
        """Reason, field, text and remedy on one line."""
        place = f" ({self.field})" if self.field else ""
        return f"{self.reason}{place}: {self.text} {self.remedy}".strip()


class RefusedForNow(RequestRefused):
    """A new request, with a new id, may succeed later."""


class RefusedForGood(RequestRefused):
    """The request itself is at fault."""


class Unavailable(ClientError):
    """No answer came in time. Asking again, later, is right."""


class Unanswered(Unavailable):
    """An order was sent, and what became of it is not known: it is in the journal.

    Ask again with the same key, or call `resume`: the same bytes are sent. A new order in its place
    may move the points twice.
    """

    def __init__(self, key: str, order_id: UUID, text: str) -> None:
        super().__init__(f"{key} ({order_id}): {text}")
        self.key = key
        self.order_id = order_id
        """The transfer's id, or the reversal's."""


class ProofInvalid(ClientError):
    """What the exchange answered does not prove what it says."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(f"{text} ({field})" if field else text)
        self.text = text
        self.field = field
        """Where in the payload it goes wrong, or `signatures`."""


class KeyUsedOtherwise(ClientError):
    """The key of an order stands for another order in the journal."""


class JournalUnusable(ClientError):
    """The journal cannot be used. Its text says what to do."""
