"""ProductId: what a token is, packed so that an id is read without any lookup (docs/formats.md, ProductId).

| 111..104 | 103..96 | 95..88 | 87..80  | 79..48 | 47..32       | 31..0       |
| side     | round   | kind   | quality | zone   | windowLength | windowIndex |
"""

from dataclasses import dataclass, replace

from settlement.reference.errors import MalformedProduct
from settlement.reference.words import field
from settlement.units import floor_div

ENERGY, FLEXIBILITY_UP, FLEXIBILITY_DOWN, CERTIFICATE = 0, 1, 2, 3
CLAIM, OBLIGATION = 0, 1
WINDOW_LENGTHS = (300, 900, 1800, 3600)
"""Seconds."""
QUALITIES = 16


@dataclass(frozen=True, order=True)
class ProductId:
    """A claim to, an obligation of or a certificate for energy in one window."""

    window_index: int
    """`unix_start // window_length`; in a group key, that divided by the lanes of a slot."""
    window_length: int
    """Seconds, one of `WINDOW_LENGTHS`."""
    zone: int
    quality: int
    kind: int = ENERGY
    round: int = 0
    side: int = CLAIM


def encode(product: ProductId) -> int:
    """The id. MalformedProduct if no such product exists."""
    word = (
        product.window_index
        | product.window_length << 32
        | product.zone << 48
        | product.quality << 80
        | product.kind << 88
        | product.round << 96
        | product.side << 104
    )
    if word < 0 or _fields(word) != product:
        raise MalformedProduct(word)
    _check(product, word)
    return word


def decode(word: int) -> ProductId:
    """The product of an id. MalformedProduct unless `encode` gives the same id back."""
    if word < 0 or word >> 112:
        raise MalformedProduct(word)
    product = _fields(word)
    _check(product, word)
    return product


def _fields(word: int) -> ProductId:
    return ProductId(
        window_index=field(word, 0, 32),
        window_length=field(word, 32, 16),
        zone=field(word, 48, 32),
        quality=field(word, 80, 8),
        kind=field(word, 88, 8),
        round=field(word, 96, 8),
        side=field(word, 104, 8),
    )


def _check(product: ProductId, word: int) -> None:
    ok = (
        product.window_length in WINDOW_LENGTHS
        and product.quality < QUALITIES
        and product.kind <= CERTIFICATE
        and product.side <= OBLIGATION
        and not (product.kind == CERTIFICATE and product.side == OBLIGATION)
    )
    if not ok:
        raise MalformedProduct(word)


def group_key(product: ProductId, lanes: int) -> int:
    """Key of the slot that holds the product with its neighbours; a certificate has the key of its claim."""
    kind = ENERGY if product.kind == CERTIFICATE else product.kind
    return encode(replace(product, kind=kind, window_index=floor_div(product.window_index, lanes)))
