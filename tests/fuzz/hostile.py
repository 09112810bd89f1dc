"""Strategies for what a hostile sender may send: values, messages full of them, damaged bytes."""

from collections.abc import Iterator
from uuid import UUID

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tests import factories as make
from tests.fuzz.pieces import (
    LENGTH,
    ON_BYTES,
    ON_PIECES,
    VARINT,
    Damage,
    Piece,
    damaged,
    replaced,
    varint,
)

DEPTH_MAX = 4
NUMBERS = (
    *(0, 1, 2, -1, -2, 7, 100, 101, 999, 10_000, 1_000_000),
    *(2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**62 - 1, 2**62, 2**62 + 1),
    *(2**63 - 1, -(2**63), 2**64 - 1, 10**9, 999_999_999, 1_000, -1_000),
    # Seconds: the last of the year 9999, the first after it, the first of the year 1, now.
    *(253_402_300_799, 253_402_300_800, -62_135_596_800, -62_135_596_801, 1_784_116_800),
)
TEXTS = (
    *(b"", b"grocery", b"fuel", b"deli", b"hub", b"exchange", b"grocery-fuel", b"fuel-grocery"),
    *(b"partner/grocery", b"operator/operator", b"CNY", b"USD", b"JPY", b"XXX", b"XAU", b"cny"),
    *(b"cny-2026-07-15", b"cny-2026-07-16", b"cny-9999-12-31", b"2026-07-15", b"9999-12-31"),
    *(b"0001-01-01", b"2026-W29-3", b"20260720", b"2026-02-30", b"vat6", b"none", b"till 7"),
    *(b"a" * 64, b"a" * 65, b"-", b"A", b" ", b"\n", b"nul\0nul", b"'; DROP TABLE record; --"),
    *(b"%s %(partner_id)s :x {0} $1 \\", b"../../etc/passwd\r\nX: y", b"\t\x1b[31m\x7f"),
    *(b"\xe2\x80\xaeevil\xe2\x80\x8f", b"\xf0\x9f\x98\x80", b"\xef\xbf\xbf", b"\xef\xbb\xbf"),
    *(b"\xed\xa0\x80", b"\xff\xfe", b"\xc0\x80", b"\xf4\x90\x80\x80", b"e\xcc\x81" * 40),
    *(b"a" * 10_000, "é".encode() * 10_000, b"a-" * 5_000, b"password=" * 1_000, b"\0" * 3_000),
    *(b"x:" * 1_500, b"A" * 400, b"AAAA" * 6 + b"AA"),
)
MILD_TEXTS = tuple(text for text in TEXTS if text.isascii() and text and len(text) <= 64)
MILD_NUMBERS = (
    *(1, 2, 3, 7, 50, 100, 101, 102, 999, 1_000, 10_000, 1_000_000, 1_000_001, 2**31, 2**62),
    # Seconds about now.
    *(1_784_116_740, 1_784_116_799, 1_784_116_800, 1_784_116_831, 1_784_120_400),
)
IDS = tuple(
    UUID(text).bytes
    for text in (
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",
        "00000000-0000-7000-8000-000000000000",
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "919108f7-52d1-4320-9bac-f847db4148a8",
        "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
    )
)
BLOBS = (
    *IDS,
    *(make.transfer_id(number).bytes for number in range(1, 5)),
    *(b"", b"\0", b"\0" * 15, b"\0" * 16, b"\0" * 17, b"\0" * 32, b"\x01" + b"\0" * 31),
    *(b"\xff" * 32, b"\xff" * 64, b"\0" * 64, b"\n" * 5_000, b'{"a":' * 50),
)
TEXT_TYPES = (FieldDescriptor.TYPE_STRING,)
BLOB_TYPES = (FieldDescriptor.TYPE_BYTES,)
COUNTS = (1, 1, 1, 1, 2, 3, 17, 600)
"""How often a repeated field is set."""
FIELD_BYTES_MAX = 200_000
"""Of a repeated field: more than most methods take, less than gRPC itself turns away."""

Path = tuple[FieldDescriptor, ...]


def leaves(descriptor: Descriptor, depth: int = DEPTH_MAX) -> Iterator[Path]:
    """The way to every field of a message and of those inside it."""
    for field in descriptor.fields:
        yield (field,)
        if field.message_type is not None and depth:
            yield from ((field, *rest) for rest in leaves(field.message_type, depth - 1))


def values(field: FieldDescriptor, *, mild: bool = False) -> st.SearchStrategy[Piece]:
    """A field of the right wire type with a value that it may not like; a mild one is of a kind
    that some field takes.
    """
    if mild and field.type in TEXT_TYPES:
        return st.sampled_from(MILD_TEXTS).map(lambda text: Piece(field.number, LENGTH, text))
    if mild and field.message_type is None and field.type not in BLOB_TYPES:
        numbers = st.sampled_from(MILD_NUMBERS)
        return numbers.map(lambda number: Piece(field.number, VARINT, varint(number)))
    if field.type in TEXT_TYPES:
        texts = st.sampled_from(TEXTS) | st.text(max_size=20).map(str.encode)
        return texts.map(lambda text: Piece(field.number, LENGTH, text))
    if field.type in BLOB_TYPES:
        blobs = st.sampled_from(BLOBS) | st.binary(max_size=40)
        return blobs.map(lambda blob: Piece(field.number, LENGTH, blob))
    if field.message_type is not None:
        return st.just(Piece(field.number, LENGTH, b""))
    numbers = st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**64 - 1)
    return numbers.map(lambda number: Piece(field.number, VARINT, varint(number)))


def one_in(number: int) -> st.SearchStrategy[bool]:
    """True once in so many times; integers would be drawn from their ends too often."""
    return st.sampled_from((*(False,) * (number - 1), True))


@st.composite
def hostile_values(
    draw: st.DrawFn, kind: Descriptor, good: bytes, *, mild: bool = False, times: int = 3
) -> bytes:
    """A message of this kind, well-formed, with some of the good one's fields set to other values,
    set many times or left out, up to `times` of them.
    """
    ways = list(leaves(kind))
    if not ways:
        return good
    for _ in range(draw(st.integers(1, times))):
        path = draw(st.sampled_from(ways))
        made = [draw(values(path[-1], mild=mild))] if not draw(one_in(10)) else []
        if made and path[-1].is_repeated:
            room = FIELD_BYTES_MAX // max(1, len(made[0].body))
            made *= min(draw(st.sampled_from(COUNTS)), room)
        good = replaced(good, [field.number for field in path], made)
    return good


damages = st.builds(
    Damage,
    st.sampled_from((*ON_BYTES, *ON_PIECES)),
    st.integers(0, 2**12),
    st.integers(0, 255),
    st.integers(0, 3),
)


@st.composite
def damaged_bytes(draw: st.DrawFn, good: bytes) -> bytes:
    """A message's bytes after some damage."""
    for each in draw(st.lists(damages, min_size=1, max_size=4)):
        good = damaged(good, each)
    return good


def canonical(kind: Descriptor, raw: bytes) -> bytes:
    """The one encoding of a message; the bytes as they are where they are none of this kind."""
    message: Message = GetMessageClass(kind)()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        return raw
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True)
