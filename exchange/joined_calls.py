"""Several parts of a service as one, so that each part is in the room of what it is about."""

from typing import Any


class JoinedCalls:
    """Has the calls of all its parts; no two have one of the same name."""

    def __init__(self, *parts: Any) -> None:
        """A part may be joined itself."""
        self._parts = parts

    def __getattr__(self, call: str) -> Any:
        for part in () if call.startswith("_") else self._parts:
            if hasattr(part, call):
                return getattr(part, call)
        raise AttributeError(f"no part has the call {call}")
