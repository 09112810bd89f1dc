"""Messages as the wire has them, for bytes that no serialiser would make. Pure.

Source of the format: protobuf.dev, "Encoding". A message is a row of pieces; a piece is a tag and a
body. Everything here takes a message apart that far and no further, so that its parts can be put
together wrongly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
NESTING = 150
"""Deeper than any parser follows."""
UNKNOWN = 15_000
"""A field number that no message of ours has."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A field as it travels."""

    number: int
    wire_type: int
    body: bytes
    """Of a length-delimited one without its length."""

    def encoded(self) -> bytes:
        """Tag, length where there is one, and body."""
        tag = varint(self.number << 3 | self.wire_type)
        if self.wire_type == LENGTH:
            return tag + varint(len(self.body)) + self.body
        return tag + self.body


def varint(value: int) -> bytes:
    """A number in its shortest form; negative ones as 64 bits."""
    value &= 2**64 - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def read_varint(raw: bytes, start: int) -> tuple[int, int]:
    """A number and where it ends; raises ValueError where there is none."""
    value = 0
    for place, byte in enumerate(raw[start : start + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError("no number")


def taken_apart(raw: bytes) -> list[Piece]:
    """A message's pieces; raises ValueError where it does not come apart."""
    found, place = [], 0
    while place < len(raw):
        tag, begin = read_varint(raw, place)
        wire_type = tag & 7
        if wire_type == LENGTH:
            length, begin = read_varint(raw, begin)
            place = begin + length
        elif wire_type == VARINT:
            _, place = read_varint(raw, begin)
        elif wire_type in (FIXED32, FIXED64):
            place = begin + (4 if wire_type == FIXED32 else 8)
        else:
            raise ValueError("a group")
        if place > len(raw) or tag >> 3 == 0:
            raise ValueError("cut short")
        found.append(Piece(tag >> 3, wire_type, raw[begin:place]))
    return found


def put_together(pieces: Sequence[Piece]) -> bytes:
    """The message of these pieces."""
    return b"".join(each.encoded() for each in pieces)


def replaced(raw: bytes, path: Sequence[int], made: Sequence[Piece]) -> bytes:
    """The message with what stood at a path of field numbers replaced; what is not there on the way
    is made.
    """
    first, *rest = path
    pieces = taken_apart(raw)
    others = [each for each in pieces if each.number != first]
    if not rest:
        return put_together([*others, *made])
    inner = next((each.body for each in pieces if each.number == first), b"")
    return put_together([*others, Piece(first, LENGTH, replaced(inner, rest, made))])


# Damage


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing done to a message."""

    kind: str
    place: int
    """Where, counted round."""
    value: int
    depth: int
    """How many messages further in."""


def damaged(raw: bytes, damage: Damage) -> bytes:
    """The message after the damage; unchanged where there is nothing to damage."""
    if damage.kind in ON_BYTES:
        at = damage.place % (len(raw) + 1)
        return ON_BYTES[damage.kind](raw, at, damage.value)
    try:
        pieces = taken_apart(raw)
    except ValueError:
        return raw
    if not pieces:
        return raw
    at = damage.place % len(pieces)
    piece = pieces[at]
    if damage.depth and piece.wire_type == LENGTH:
        inner = damaged(piece.body, replace(damage, depth=damage.depth - 1))
        return put_together([*pieces[:at], replace(piece, body=inner), *pieces[at + 1 :]])
    made = ON_PIECES[damage.kind](piece, damage.value)
    before, after = put_together(pieces[:at]), put_together(pieces[at + 1 :])
    return before + made + after


def _flip(raw: bytes, at: int, value: int) -> bytes:
    return raw[:at] + bytes(byte ^ 1 << value % 8 for byte in raw[at : at + 1]) + raw[at + 1 :]


def _insert(raw: bytes, at: int, value: int) -> bytes:
    return raw[:at] + bytes([value % 256]) * (1 + value % 3) + raw[at:]


def _delete(raw: bytes, at: int, value: int) -> bytes:
    return raw[:at] + raw[at + 1 + value % 4 :]


def _truncate(raw: bytes, at: int, _value: int) -> bytes:
    return raw[:at]


def _double(raw: bytes, at: int, value: int) -> bytes:
    return raw + raw[at : at + 1 + value % 64]


def _copies(piece: Piece, value: int) -> bytes:
    return piece.encoded() * (2 + value % 3)


def _drop(_piece: Piece, _value: int) -> bytes:
    return b""


def _overflow(piece: Piece, value: int) -> bytes:
    body = (b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x7f", b"\x80\x00", b"\x80" * 9 + b"\x01")
    return replace(piece, wire_type=VARINT, body=body[value % 4]).encoded()


def _other_type(piece: Piece, value: int) -> bytes:
    return varint(piece.number << 3 | value % 8) + piece.body


def _nest(piece: Piece, _value: int) -> bytes:
    body = piece.body
    for _ in range(NESTING):
        body = Piece(piece.number, LENGTH, body).encoded()
    return body


def _groups(piece: Piece, value: int) -> bytes:
    opened = Piece(piece.number, GROUP, b"").encoded() * NESTING
    closed = Piece(piece.number, END_GROUP, b"").encoded() * (NESTING - value % 2)
    return piece.encoded() + opened + closed


def _unknown(piece: Piece, value: int) -> bytes:
    return piece.encoded() + Piece(UNKNOWN + value, LENGTH, piece.body).encoded()


def _long(piece: Piece, value: int) -> bytes:
    lengths = (2**31 - 1, 2**32, 2**63, 2**64 - 1)
    return varint(piece.number << 3 | LENGTH) + varint(lengths[value % 4]) + piece.body


def _zero_number(piece: Piece, _value: int) -> bytes:
    return bytes([LENGTH]) + varint(len(piece.body)) + piece.body


ON_BYTES: Mapping[str, Callable[[bytes, int, int], bytes]] = MappingProxyType(
    {
        "flip": _flip,
        "insert": _insert,
        "delete": _delete,
        "truncate": _truncate,
        "double": _double,
    }
)
ON_PIECES: Mapping[str, Callable[[Piece, int], bytes]] = MappingProxyType(
    {
        "copies": _copies,
        "drop": _drop,
        "overflow": _overflow,
        "other type": _other_type,
        "nest": _nest,
        "groups": _groups,
        "unknown": _unknown,
        "long": _long,
        "zero number": _zero_number,
    }
)
