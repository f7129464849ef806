"""Between numpy and Arrow, the memory shared.

Arrow's own conversions import pandas first, which takes a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow

from settlement.matching.market import Bools, Ints


def as_arrow(values: Ints) -> pa.Array:
    """Numbers as Arrow's."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def as_texts(values: Sequence[str]) -> pa.Array:
    """Texts as Arrow's."""
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64).astype(np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    )


def literal(text: str) -> pa.Scalar:
    """One text, to be used with arrays of them."""
    return as_texts([text])[0]


def as_ints(values: pa.Array) -> Ints:
    """Whole numbers of any width, none missing, as int64."""
    shared: Ints = _shared(values.cast(pa.int64()), np.int64)
    return shared


def as_flags(values: pa.Array) -> Bools:
    """Truths, none missing."""
    flags: Bools = _shared(values.cast(pa.int8()), np.int8).astype(bool)
    return flags


def equal_to(texts: pa.Array, text: str) -> Bools:
    """Where a text is this one."""
    return as_flags(arrow.equal(texts, literal(text)))


def _shared(values: pa.Array, kind: Any) -> Any:
    if not len(values):
        return np.zeros(0, kind)
    return np.frombuffer(values.buffers()[1], kind)[values.offset : values.offset + len(values)]
