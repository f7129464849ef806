"""ECDSA over P-256 with SHA-256, to be read (FIPS 186-4, section 6.4 and D.1.2.3; SEC 1, section 4.1.4).

Meters sign with it. As the Exchange does, it takes only signatures with low `s`, so that nobody can turn one
valid signature into another.
"""

from hashlib import sha256

Point = tuple[int, int] | None
"""Affine coordinates; None is the point at infinity."""

PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
A = PRIME - 3
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
"""The curve is y^2 = x^3 + A x + B modulo PRIME."""
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of its points, a prime."""
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
HIGHEST_S = ORDER >> 1


def on_curve(x: int, y: int) -> bool:
    """Whether this is a point of P-256, in canonical coordinates."""
    return 0 <= x < PRIME and 0 <= y < PRIME and (y * y - (x**3 + A * x + B)) % PRIME == 0


def add(p: Point, q: Point) -> Point:
    """The sum of two points."""
    if p is None or q is None:
        return q if p is None else p
    if p[0] == q[0]:
        if (p[1] + q[1]) % PRIME == 0:
            return None
        slope = (3 * p[0] * p[0] + A) * pow(2 * p[1], -1, PRIME) % PRIME
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, PRIME) % PRIME
    x = (slope * slope - p[0] - q[0]) % PRIME
    return x, (slope * (p[0] - x) - p[1]) % PRIME


def multiply(scalar: int, p: Point) -> Point:
    """`scalar` times a point, by doubling and adding; `scalar` is not negative."""
    total: Point = None
    while scalar:
        if scalar & 1:
            total = add(total, p)
        p, scalar = add(p, p), scalar >> 1
    return total


def verify(message: bytes, r: bytes, s: bytes, x: bytes, y: bytes) -> bool:
    """Whether `r` and `s` are a signature of `message` by the key `(x, y)`, all big-endian.

    False too of numbers out of range, of high `s`, and of a key that is no point of the curve.
    """
    r_, s_, x_, y_ = (int.from_bytes(value, "big") for value in (r, s, x, y))
    if not (0 < r_ < ORDER and 0 < s_ <= HIGHEST_S and on_curve(x_, y_)):
        return False
    digest = int.from_bytes(sha256(message).digest(), "big")
    inverse = pow(s_, -1, ORDER)
    by_base = multiply(digest * inverse % ORDER, GENERATOR)
    found = add(by_base, multiply(r_ * inverse % ORDER, (x_, y_)))
    return found is not None and found[0] % ORDER == r_
