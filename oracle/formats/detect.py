"""From a file to records: unpacked within bounds, its format found by content."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from types import ModuleType
from typing import Final

from oracle.errors import BadFormat, TooLarge, UnknownFormat
from oracle.formats import FORMATS, safe, xml
from oracle.formats.record import PublicKeySource, Record
from settlement.errors import InputError

MOST_BYTES: Final = 64 << 20
"""Of a file, after unpacking."""
GZIP: Final = b"\x1f\x8b"
INSIDE: Final = ("ocmf", "pcdf", "edl40", "emh")
"""Formats that also come in SAFE's XML."""


def names() -> list[str]:
    return [module.NAME for module in FORMATS]


def content(path: Path) -> bytes:
    """The bytes of a file, or of the one in it if it is gzip. Raises `InputError` for what cannot be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(GZIP)) == GZIP
            file.seek(0)
            source = gzip.GzipFile(fileobj=file) if packed else file
            data = source.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as fault:
        raise InputError(f"{path} cannot be read: {fault}") from fault
    if len(data) > MOST_BYTES:
        raise TooLarge(path, f"more than {MOST_BYTES >> 20} MiB{' unpacked' if packed else ''}: split it")
    return data


def records(data: bytes, name: str, key: PublicKeySource | None = None, wanted: str = "") -> list[Record]:
    """The records of a file called `name`, in the `wanted` format or in the one that recognises it. Raises
    `UnknownFormat` if there is none, `BadFormat` if it is not of the wanted one."""
    if xml.has_doctype(data):
        raise BadFormat(wanted, xml.WITH_DOCTYPE) if wanted else UnknownFormat(name, xml.WITH_DOCTYPE)
    if wanted:
        return _as_wanted(data, key, wanted)
    refused: BadFormat | None = None
    for module in FORMATS:
        if module.recognises(data):
            try:
                return list(module.parse(data, key))
            except BadFormat as fault:
                refused = fault
    why = f"; {refused}" if refused else ""
    raise UnknownFormat(name, f"known are {', '.join(names())}{why}")


def _as_wanted(data: bytes, key: PublicKeySource | None, wanted: str) -> list[Record]:
    if wanted in INSIDE and safe.recognises(data):
        found = safe.parse(data, key)
        if any(record.format == wanted for record in found):
            return found
        raise BadFormat(wanted, "none of the values in it is")
    module: ModuleType = next(module for module in FORMATS if wanted == module.NAME)
    return list(module.parse(data, key))
