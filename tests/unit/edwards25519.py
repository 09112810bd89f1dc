"""Arithmetic on edwards25519, slow and plain, to make the keys and signatures that attackers make.

Source: RFC 8032, section 5.1. For tests only: nothing here runs in constant time.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    """The sum of two points; complete, so it also doubles."""
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P
    return x, y


def multiply(scalar: int, point: Point) -> Point:
    """`scalar` times `point`."""
    total = NEUTRAL
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def encode(point: Point) -> bytes:
    """The canonical 32 bytes."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def point_at(y: int) -> Point | None:
    """The point with this y and an even x, if the curve has one."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return (x if x % 2 == 0 else P - x), y % P


def _base() -> Point:
    point = point_at(4 * pow(5, -1, P) % P)
    assert point is not None
    return point


def _point_of_order_8() -> Point:
    for y in range(2, 100):
        point = point_at(y)
        if point is not None:
            torsion = multiply(L, point)
            if multiply(4, torsion) != NEUTRAL:
                return torsion
    raise AssertionError("no point of order 8 found")


BASE = _base()
SMALL_ORDER_POINTS = tuple(multiply(k, _point_of_order_8()) for k in range(8))
"""The whole torsion subgroup; the neutral point is first."""


def small_order_encodings() -> tuple[bytes, ...]:
    """Every 32 bytes that decode to a point of small order, canonical or not: 14 of them."""
    found = set()
    for _, y in SMALL_ORDER_POINTS:
        for same_y in (y, y + P):
            if same_y < 2**255:
                for sign in (0, 1):
                    found.add((same_y | sign << 255).to_bytes(32, "little"))
    return tuple(sorted(found))


def scalar_of(*parts: bytes) -> int:
    """SHA-512 of the parts as a scalar."""
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


def signature_with(
    secret: int, public_key: bytes, nonce: int, added_to_r: Point, message: bytes
) -> bytes:
    """A signature by `secret` whose commitment R is `nonce`·B plus a point of one's choice."""
    r = encode(add(multiply(nonce, BASE), added_to_r))
    s = (nonce + scalar_of(r, public_key, message) * secret) % L
    return r + s.to_bytes(32, "little")
