"""CSV that a spreadsheet shows and does not carry out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets take a cell that begins so for a formula."""
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows with line feeds; text that would be a formula is quoted by an apostrophe, numbers stay numbers."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    quoted = "'" + value if value.startswith(_STARTS) else value
    return quoted.replace("\r", " ")  # which not every csv module quotes, and some read as the end of a row
