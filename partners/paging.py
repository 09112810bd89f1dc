"""Pages of lists: their size, and the tokens that name the next one. Pure.

A token holds where the last page ended, under a digest of that, of the list (the request without
its page) and of the caller. So a token that was altered, or came with another list or from another
caller, is refused. It is no secret and opens nothing: whoever made one up would still read nothing
but its own rows, since every query is scoped by the caller.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from partners.errors import Reason, Refused

PAGE_DEFAULT, PAGE_MAX = 100, 500
TOKEN_MAX = 400
"""Characters in a token."""
_DIGEST_BYTES = 16
_PURPOSE = b"pointclear page token v1"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Paged:
    """Which page of a list a caller asks for."""

    caller: str
    listed: bytes
    """The list: the request without its page, serialised, after the list's own name."""
    size: int
    """As the request has it; 0 for the default."""
    token: str


@dataclass(frozen=True, slots=True)
class Page(Generic[_T]):
    """Some of a list's items."""

    items: tuple[_T, ...]
    next_token: str
    """Of the page after it, empty on the last."""


def page_of(items: Sequence[_T], name: Callable[[_T], str], paged: Paged) -> Page[_T]:
    """The page that is asked for, of items in the order of their names, which are unique.

    Raises Refused(FIELD_INVALID) for a size or a token that is not one.
    """
    size = page_size(paged.size)
    end = page_end(paged.caller, paged.listed, paged.token)
    rest = [each for each in items if end is None or name(each) > end]
    more = len(rest) > size
    following = page_token(paged.caller, paged.listed, name(rest[size - 1])) if more else ""
    return Page(tuple(rest[:size]), following)


def page_size(wanted: int) -> int:
    """How many a page holds: 100 for 0, at most 500; raises Refused(FIELD_INVALID) below 0."""
    if wanted < 0:
        raise Refused(Reason.FIELD_INVALID, "page_size", "sizes are not negative")
    return min(wanted or PAGE_DEFAULT, PAGE_MAX)


def page_token(caller: str, listed: bytes, end: str) -> str:
    """The token of the page after `end`. `listed` is the request without its page, serialised."""
    raw = _digest(caller, listed, end) + end.encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def page_end(caller: str, listed: bytes, token: str) -> str | None:
    """Where the page before ended, None for the first page; raises Refused(FIELD_INVALID) for a
    token that was not made for this list and this caller.
    """
    if not token:
        return None
    end = _end_of(token)
    if end is None or page_token(caller, listed, end) != token:
        raise Refused(
            Reason.FIELD_INVALID, "page_token", "the token is not of a page of this list of yours"
        )
    return end


def _end_of(token: str) -> str | None:
    if len(token) > TOKEN_MAX:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return raw[_DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        return None


def _digest(caller: str, listed: bytes, end: str) -> bytes:
    parts = (_PURPOSE, caller.encode(), hashlib.sha256(listed).digest(), end.encode())
    return hashlib.sha256(b"\0".join(parts)).digest()[:_DIGEST_BYTES]
