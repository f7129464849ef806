"""Rows of a CSV or Parquet file as columns.

CSV is read by Arrow, and checked for what Arrow forgives (spaces and hexadecimal digits in numbers). What
Arrow refuses, or might forgive, is read once more by Python's own reader, slowly: it alone decides what is
wrong, and says where.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as arrow
import pyarrow.csv as arrow_csv

from settlement.errors import InputError
from settlement.formats.memory import as_flags, as_ints, as_texts
from settlement.matching.market import Bools, Ints

PARQUET = b"PAR1"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FORGIVEN = {
    b" ": (b" ,", b", ", b" \n", b" \r", b'" ', b' "'),
    b"\t": (b"\t,", b",\t", b"\t\n", b"\t\r", b'"\t', b'\t"'),
    b"0x": (b",0x", b',"0x'),
    b"0X": (b",0X", b',"0X'),
}
"""What Arrow might forgive in a number, by what to look for first: most files have none of it."""

WHOLE = re.compile(r"-?[0-9]+")
BLOCK_BYTES = 1 << 22
SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Column:
    """A column's name, and whether it holds whole numbers."""

    name: str
    number: bool


@dataclass(frozen=True, eq=False)
class Rows:
    """A file's rows: `texts` and `numbers` by column, [N] each."""

    name: str
    data: bytes
    texts: dict[str, pa.Array]
    numbers: dict[str, Ints]

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def refuse(self, row: int, column: str, what: str) -> NoReturn:
        """Raise `InputError` for a row counted from 0."""
        raise InputError(f"{self.name}, {_place(self.data, row)}, column {column}: {what}")

    def refuse_first(self, wrong: Bools, column: str, what: str) -> None:
        """Refuse the first row that is wrong, if one is; `{}` in `what` stands for its value."""
        if wrong.any():
            row = int(np.argmax(wrong))
            self.refuse(row, column, what.format(self.shown(row, column)))

    def shown(self, row: int, column: str) -> str:
        """A value, short enough for a message."""
        number = self.numbers.get(column)
        return shown(self.texts[column][row].as_py()) if number is None else str(number[row])


def shown(text: str) -> str:
    """A text as a message quotes it."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def read_rows(data: bytes, name: str, columns: Sequence[Column]) -> Rows:
    """The rows of a CSV or Parquet file; `InputError` where one is not what its column holds."""
    if data.startswith(PARQUET):
        return _rows_of(_parquet(data, name, columns), data, name, columns)
    data = data.removeprefix(BYTE_ORDER_MARK)
    _, header = next(_records(data, name), (1, []))
    _refuse_bad_header(header, f"{name}, line 1", columns)
    table = _fast(data, columns)
    return _rows_of(table, data, name, columns) if table else _slow(data, name, columns)


def _rows_of(table: pa.Table, data: bytes, name: str, columns: Sequence[Column]) -> Rows:
    whole = {column.name: table.column(column.name).combine_chunks() for column in columns}
    texts = {column.name: whole[column.name] for column in columns if not column.number}
    numbers = {column.name: as_ints(whole[column.name]) for column in columns if column.number}
    return Rows(name, data, texts, numbers)


def _refuse_bad_header(found: Sequence[str], at: str, columns: Sequence[Column]) -> None:
    """`InputError` unless all columns are there, once each, and no others; `at` is where they stand."""
    expected = [column.name for column in columns]
    for place, column in enumerate(found):
        if column not in expected:
            raise InputError(f"{at}, column {shown(column)}: unknown; the columns are {expected}")
        if column in found[:place]:
            raise InputError(f"{at}, column {column}: named twice")
    for column in expected:
        if column not in found:
            raise InputError(f"{at}, column {column}: missing; the columns are {expected}")


def _fast(data: bytes, columns: Sequence[Column]) -> pa.Table | None:
    """Arrow's reading, or None if it refuses the file or may have read it too kindly."""
    if columns[0].number or not data.startswith(columns[0].name.encode()):
        return None
    if any(hint in data and any(each in data for each in forgiven) for hint, forgiven in FORGIVEN.items()):
        return None
    types = {column.name: pa.int64() if column.number else pa.string() for column in columns}
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=b'"' in data),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, null_values=[], strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None


def _slow(data: bytes, name: str, columns: Sequence[Column]) -> Rows:
    records = _records(data, name)
    _, header = next(records)
    by_name = {column.name: column for column in columns}
    values: list[list[Any]] = [[] for _ in header]
    for line, record in records:
        if len(record) != len(header):
            short = len(record) < len(header)
            column, missing = (header[len(record)], "missing: ") if short else (header[-1], "")
            raise InputError(
                f"{name}, line {line}, column {column}: {missing}{len(record)} values, not {len(header)}, "
                "in the row"
            )
        for column, kept, text in zip(header, values, record, strict=True):
            kept.append(_number(text, name, line, column) if by_name[column].number else text)
    read = dict(zip(header, values, strict=True))
    return Rows(
        name,
        data,
        {column.name: as_texts(read[column.name]) for column in columns if not column.number},
        {column.name: np.array(read[column.name], np.int64) for column in columns if column.number},
    )


def _number(text: str, name: str, line: int, column: str) -> int:
    if not WHOLE.fullmatch(text):
        raise InputError(f"{name}, line {line}, column {column}: {shown(text)} is not a whole number")
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise InputError(f"{name}, line {line}, column {column}: {shown(text)} is out of range")
    return int(text)


def _records(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file with the lines they begin at; empty lines are none."""
    reader = csv.reader(io.StringIO(_decoded(data, name), newline=""), strict=True)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{name}, line {line}: {error}") from None
        if record:
            yield line, record
        line = reader.line_num + 1


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{name}, line {line}: not UTF-8 text") from None


def _place(data: bytes, row: int) -> str:
    if data.startswith(PARQUET):
        return f"row {row + 1}"
    for place, (line, _) in enumerate(_records(data, "")):
        if place == row + 1:
            return f"line {line}"
    return f"row {row + 1}"


def _parquet(data: bytes, name: str, columns: Sequence[Column]) -> pa.Table:
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name} cannot be read as Parquet: {error}") from None
    _refuse_bad_header(table.column_names, name, columns)
    return pa.table({column.name: _converted(table, column, name) for column in columns})


def _converted(table: pa.Table, column: Column, name: str) -> pa.ChunkedArray:
    """A column as int64 or string; no value is changed on the way."""
    values = table.column(column.name)
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (pa.types.is_integer(kind) if column.number else texts):
        wanted = "whole numbers" if column.number else "text"
        raise InputError(f"{name}, row 1, column {column.name}: holds {kind}, not {wanted}")
    if values.null_count:
        row = int(np.argmax(as_flags(values.is_null().combine_chunks())))
        raise InputError(f"{name}, row {row + 1}, column {column.name}: no value")
    try:
        return values.cast(kind).cast(pa.int64() if column.number else pa.string())
    except pa.ArrowInvalid as error:
        raise InputError(f"{name}, {_first_beyond(values)}, column {column.name}: {error}") from None


def _first_beyond(values: pa.ChunkedArray) -> str:
    """The row whose number no int64 holds: only an unsigned one can be so large."""
    beyond = arrow.greater(values, pa.scalar(2**63 - 1, pa.uint64())).combine_chunks()
    return f"row {int(np.argmax(as_flags(beyond))) + 1}"
