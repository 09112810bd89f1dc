"""Why a command did not do what was asked, as one value, and the exit code that says so.

Pure. Exit codes: 0 done, 1 refused (by the exchange or by a check of ours), 2 usage, 3 unavailable
(the exchange, a file or a port could not be used), 4 waits for a second operator.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import IntEnum
from types import MappingProxyType

from partners.envelope import Envelope
from partners.errors import PointclearError, Reason, Refused


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    WAITS = 4


UNAVAILABLE = "UNAVAILABLE"
"""The reason given when nobody refused, but the exchange or a file could not be used."""
PROOF_INVALID = "PROOF_INVALID"
"""The reason given when what the exchange answered does not prove what it says."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Everything that is known about one failure."""

    exit_code: ExitCode
    reason: str
    """A name from the list of reasons, or UNAVAILABLE, INTERNAL or PROOF_INVALID."""
    text: str
    """One line for people."""
    remedy: str = ""
    """One sentence: what to do next."""
    field: str = ""
    """The request's field at fault, empty where it is none in particular."""
    retry: str = ""
    """SAME_ID, NEW_ID or NEVER; empty where the exchange did not say."""
    retry_after_s: float | None = None
    metadata: Mapping[str, str] = dataclass_field(default_factory=lambda: MappingProxyType({}))
    receipt: Envelope | None = None
    """The receipt of a refusal that was recorded."""


class Failed(PointclearError):
    """Ends a command with a failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        """Reason and text on one line."""
        return f"{self.failure.reason}: {self.failure.text}"


def unavailable(text: str, remedy: str) -> Failed:
    """The exchange, or something that the command needs, cannot be used now."""
    return Failed(Failure(ExitCode.UNAVAILABLE, UNAVAILABLE, text, remedy))


def proof_invalid(text: str, field: str = "") -> Failed:
    """The exchange's answer does not prove what it says."""
    remedy = "Keep what you have, act on none of it, and ask the operator for an explanation."
    return Failed(Failure(ExitCode.REFUSED, PROOF_INVALID, text, remedy, field))


def failure_of(error: PointclearError) -> Failure:
    """The failure that an error of ours amounts to."""
    if isinstance(error, Failed):
        return error.failure
    if isinstance(error, Refused):
        return Failure(
            exit_code_of(error.reason),
            error.reason,
            error.text or "refused",
            error.remedy,
            error.field,
            error.retry,
            metadata=error.metadata,
        )
    return Failure(ExitCode.UNAVAILABLE, UNAVAILABLE, str(error))


def exit_code_of(reason: str) -> ExitCode:
    """TRY_LATER is no refusal: the service is not ready, and the same request may be sent again."""
    return ExitCode.UNAVAILABLE if reason == Reason.TRY_LATER else ExitCode.REFUSED
