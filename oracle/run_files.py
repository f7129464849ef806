"""What a node keeps of a run, so that its readings can be opened, and forgotten: a file for each posting.

    runs/<zone>-<first window>-<sequence>.run

    "trellis-run-1\\n" ‖ zone(4) ‖ sequence(4) ‖ window length s(2) ‖ first window(4) ‖ windows(2) ‖ rows(4)
    rows, in the order of the commitments: account(20) ‖ message(52) ‖ flag(1) ‖ salt(32) ‖ commitment(32)

Integers are big-endian. Commitments are kept beside what they are made of, so that every other reading can
still be opened once one was erased: erasing overwrites, in place, the salt and the read (Wh and sequence)
with zeros. No salt is zero otherwise.

A file is written once, by whoever posts (`keep`), before the posting is sent. The day key is not in it.
What a file system, its snapshots or a drive keep of overwritten blocks is theirs to forget.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from oracle.cells import RECORD_BYTES, records
from oracle.commitments import Opening, check_opening
from oracle.day import Day
from oracle.errors import BadMessage, BadStore, ErasedSalt, OutOfRange
from oracle.messages import MESSAGE_BYTES, ReadingKey, decode
from oracle.node import Computed, DayInputs
from oracle.salts import SALT_BYTES
from oracle.tree import HASH_BYTES, Tree, grow
from settlement.reference import merkle

FOLDER, SUFFIX = "runs", ".run"
MAGIC = b"trellis-run-1\n"
HEADER = struct.Struct(">IIHIHI")
ACCOUNT_BYTES = 20
SALT_AT = ACCOUNT_BYTES + RECORD_BYTES
LEAF_AT = SALT_AT + SALT_BYTES
ROW_BYTES = LEAF_AT + HASH_BYTES
WH_AT = ACCOUNT_BYTES + 40
"""Where a row's Wh (4) and sequence (8) are: the end of its message."""
READ_BYTES = 12
MOST_FILE = len(MAGIC) + HEADER.size + merkle.MOST_LEAVES * ROW_BYTES


@dataclass(frozen=True, slots=True)
class Row:
    """A reading that a run committed to."""

    index: int
    """Its place among the commitments."""
    account: bytes
    key: ReadingKey
    erased: bool


@dataclass(frozen=True)
class RunFile:
    """A run as it was kept, less what was erased since."""

    path: Path
    zone: int
    sequence: int
    """Of the posting: the highest is the latest run."""
    day: Day
    rows: bytes
    """`ROW_BYTES` each."""

    def __len__(self) -> int:
        return len(self.rows) // ROW_BYTES

    def __iter__(self) -> Iterator[Row]:
        for index in range(len(self)):
            row = self._row(index)
            reading = decode(row[ACCOUNT_BYTES : ACCOUNT_BYTES + MESSAGE_BYTES])
            salt = row[SALT_AT : SALT_AT + SALT_BYTES]
            yield Row(index, row[:ACCOUNT_BYTES], reading.key, salt == bytes(SALT_BYTES))

    def tree(self) -> Tree:
        """Over its commitments: the root is the posting's."""
        return grow(b"".join(self._row(index)[LEAF_AT:] for index in range(len(self))))

    def open(self, row: Row) -> Opening:
        """What discloses one reading; ErasedSalt once it was erased, BadStore if the file was changed."""
        if row.erased:
            raise ErasedSalt(row.key)
        stored, tree = self._row(row.index), self.tree()
        message, flag = stored[ACCOUNT_BYTES : SALT_AT - 1], stored[SALT_AT - 1]
        opening = Opening(message, flag, stored[SALT_AT:LEAF_AT], row.index, tree.proof(row.index))
        if not check_opening(tree.root, opening):
            raise BadStore(self.path, f"reading {row.index} is not what it was committed to")
        return opening

    def _row(self, index: int) -> bytes:
        return self.rows[ROW_BYTES * index : ROW_BYTES * (index + 1)]


def path_of(data: Path, inputs: DayInputs) -> Path:
    """Where a node's folder has the run of these inputs, once it is kept."""
    return data / FOLDER / f"{inputs.zone}-{inputs.day.first_window}-{inputs.sequence}{SUFFIX}"


def keep(data: Path, inputs: DayInputs, computed: Computed) -> Path:
    """Write the file of a run to a node's folder, on disk when it returns; BadStore if it is there already
    (a second one would bring back what was erased) or cannot be written.
    """
    day, cells = inputs.day, computed.commitments.keys
    path = path_of(data, inputs)
    folder = path.parent
    header = HEADER.pack(
        inputs.zone, inputs.sequence, day.window_length_s, day.first_window, day.windows, len(cells)
    )
    content = MAGIC + header + b"".join(_rows(inputs, computed))
    part = path.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)  # never over another
        part.unlink()
        sync(folder)
    except FileExistsError:
        raise BadStore(path, "this run was kept already: a posting has a sequence of its own") from None
    except OSError as cause:
        raise BadStore(path, str(cause)) from cause
    return path


def _rows(inputs: DayInputs, computed: Computed) -> Iterator[bytes]:
    cells, salts = computed.commitments.keys, computed.salts.whole()
    told = records(computed.readings, cells)
    for index in range(len(cells)):
        series, _ = cells.cell(index)
        yield inputs.registry[cells.series[series][0]].account
        yield told[RECORD_BYTES * index : RECORD_BYTES * (index + 1)]
        yield salts[SALT_BYTES * index : SALT_BYTES * (index + 1)]
        yield computed.commitments.tree.leaf(index)


def read(path: Path) -> RunFile:
    """BadStore if it is none, or cut short."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE + 1)
    except OSError as cause:
        raise BadStore(path, str(cause)) from cause
    start = len(MAGIC) + HEADER.size
    if not content.startswith(MAGIC) or len(content) < start:
        raise BadStore(path, "it is no file of a run")
    zone, sequence, length_s, first, windows, count = HEADER.unpack_from(content, len(MAGIC))
    if len(content) != start + count * ROW_BYTES:
        raise BadStore(path, f"it has {len(content)} bytes, not those of {count} readings")
    try:
        found = RunFile(path, zone, sequence, Day(length_s, first, windows), content[start:])
        for _ in found:
            pass
    except (BadMessage, OutOfRange) as fault:
        raise BadStore(path, fault.message) from fault
    return found


def kept(data: Path, windows: range | None = None) -> list[RunFile]:
    """The runs that a node's folder has, or those of days with any of these window indices, ascending by
    zone, day and sequence; BadStore. Of other days only the beginning is read.
    """
    files = (data / FOLDER).glob(f"*{SUFFIX}")
    runs = (read(path) for path in files if windows is None or _touches(path, windows))
    return sorted(runs, key=lambda run: (run.zone, run.day.first_window, run.sequence))


def _touches(path: Path, windows: range) -> bool:
    """Whether its day has one of them; so it is said of what is no file of a run, which `read` refuses."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC) + HEADER.size)
    except OSError as cause:
        raise BadStore(path, str(cause)) from cause
    if len(head) < len(MAGIC) + HEADER.size:
        return True
    first, count = HEADER.unpack_from(head, len(MAGIC))[3:5]
    return bool(first < windows.stop and windows.start < first + count)


def erase(run: RunFile, rows: Iterable[Row]) -> int:
    """Overwrite salts and reads, on disk when it returns: how many were there. BadStore if that fails; it can
    be done again.
    """
    start, count = len(MAGIC) + HEADER.size, 0
    try:
        with run.path.open("r+b", buffering=0) as file:
            for row in rows:
                at = start + ROW_BYTES * row.index
                os.pwrite(file.fileno(), bytes(READ_BYTES), at + WH_AT)
                os.pwrite(file.fileno(), bytes(SALT_BYTES), at + SALT_AT)
                count += not row.erased
            os.fsync(file.fileno())
    except OSError as cause:
        raise BadStore(run.path, str(cause)) from cause
    return count


def sync(folder: Path) -> None:
    """The folder's entries on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
