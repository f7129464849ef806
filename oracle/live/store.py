"""What one oracle node has received, in SQLite: accepted readings for good, refused ones as samples.

`write` is one transaction, on disk when it returns (WAL, synchronous FULL): what is acknowledged afterwards
survives the process, the machine's power, and a second arrival. A reading is stored once, however often it
comes and under whatever signature bytes.

Nothing that others send fills the disk: a meter stores at most `Limits.readings_a_day`, refused records are
kept up to a number for each topic and in all, and beyond that are only counted.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from oracle.day import Day
from oracle.errors import BadStore
from oracle.intake import Reason
from oracle.live.judge import HEALABLE, Judged, Verdict
from oracle.live.wire import Receipt
from oracle.messages import Reading, SignedReading

FILE = "readings.sqlite"
VERSION = 1
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the disk that others can fill."""

    readings_a_day: int = 20_000
    """New readings of one meter on one day of arrival: 34 days of two registers in 5-minute windows."""
    refused_a_meter: int = 64
    refused: int = 20_000
    """Samples of refused records, of one topic and in all."""


class Stored(NamedTuple):
    """What a day's batch is taken from."""

    accepted: tuple[SignedReading, ...]
    """Ascending by message."""
    refused: tuple[SignedReading, ...]
    """Samples of the day's windows that a later registry may accept (`oracle.live.judge.HEALABLE`)."""

    @property
    def batch(self) -> tuple[SignedReading, ...]:
        """Both, as `oracle.intake.take` wants them: it judges each by the registry of then."""
        return self.accepted + self.refused


class Store:
    """One node's readings. One thread at a time may use it."""

    def __init__(self, folder: Path, limits: Limits = Limits(), *, read_only: bool = False) -> None:
        """Opens or makes the store in a folder; BadStore if that cannot be done, or another version made
        it.
        """
        self._limits = limits
        path = folder / FILE
        if read_only and not path.exists():
            raise BadStore(folder, f"it has no {FILE}: `trellis oracle run --data` makes it")
        try:
            self._connection = _open(path, read_only)
            self._samples = int(self._one("SELECT count(*) FROM refused"))
        except (sqlite3.Error, OSError) as cause:
            raise BadStore(path, str(cause)) from cause

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, verdicts: Sequence[Verdict], now_s: int) -> list[Receipt]:
        """Store a batch in one transaction; once this returns, all of it is on disk. sqlite3.Error if it is
        not (a full disk): then none of it is.
        """
        samples = self._samples
        try:
            with self._transaction():
                writing = _Writing(self._connection, self._limits, now_s, samples)
                receipts = [writing.delivery(verdict) for verdict in verdicts]
                writing.finish(len(verdicts))
        except sqlite3.Error:
            self._samples = samples
            raise
        self._samples = writing.samples
        return receipts

    def day(self, day: Day) -> Stored:
        """Everything of a day's windows."""
        of_day = "WHERE window_length_s = ? AND window_index >= ? AND window_index < ?"
        span = (day.window_length_s, day.first_window, day.first_window + day.windows)
        accepted = self._signed(f"SELECT message, signature FROM reading {of_day} ORDER BY message", span)
        healable = sorted(reason.name for reason in HEALABLE)
        among = f"{of_day} AND reason IN ({', '.join('?' * len(healable))})"
        query = f"SELECT DISTINCT message, signature FROM refused {among} ORDER BY message, signature"
        return Stored(accepted, self._signed(query, (*span, *healable)))

    def count(self, day: Day) -> int:
        """How many readings and samples of a day's windows there are: it grows with whatever comes."""
        of_day = "window_length_s = ? AND window_index >= ? AND window_index < ?"
        span = (day.window_length_s, day.first_window, day.first_window + day.windows)
        counts = (f"SELECT count(*) FROM {table} WHERE {of_day}" for table in ("reading", "refused"))
        return sum(int(self._connection.execute(query, span).fetchone()[0]) for query in counts)

    def _signed(self, query: str, values: Sequence[int | str]) -> tuple[SignedReading, ...]:
        return tuple(SignedReading(*row) for row in self._connection.execute(query, values))

    def counters(self) -> dict[str, int]:
        """payloads, stored, duplicate, and a `refused_…` for each reason that occurred."""
        return dict(self._connection.execute("SELECT name, value FROM counter ORDER BY name"))

    def readings(self) -> int:
        """How many are stored."""
        return int(self._one("SELECT count(*) FROM reading"))

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


class _Writing:
    """One transaction."""

    def __init__(self, connection: sqlite3.Connection, limits: Limits, now_s: int, samples: int) -> None:
        self._connection, self._limits, self._now_s = connection, limits, now_s
        self.samples = samples
        self._counted = Counter[str]()
        self._sent: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}

    def delivery(self, verdict: Verdict) -> Receipt:
        """Every record of one payload."""
        stored = sum(self._record(record, verdict) for record in verdict.records)
        return Receipt(verdict.digest, stored, len(verdict.records) - stored)

    def finish(self, payloads: int) -> None:
        """Counts of the whole batch."""
        self._counted["payloads"] += payloads
        add = "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
        counted = sorted(self._counted.items())
        self._connection.executemany(f"INSERT INTO counter VALUES (?, ?) {add}", counted)
        today = self._now_s // DAY_S
        new = [(meter, today, n) for meter, n in self._sent.items() if n != self._before[meter]]
        self._connection.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?)", new)
        self._connection.execute("DELETE FROM sent WHERE day < ?", (today,))

    def _record(self, record: Judged, verdict: Verdict) -> bool:
        """Whether the record is in the store now."""
        if record.reason is not None or record.reading is None:
            self._refuse(record, record.reason or Reason.MALFORMED, verdict)
            return False
        if self._has(record.signed.message):
            self._counted["duplicate"] += 1
            return True
        if not self._within_quota(record.reading.meter_id):
            self._refuse(record, Reason.OVER_QUOTA, verdict)
            return False
        self._accept(record.signed, record.reading)
        return True

    def _has(self, message: bytes) -> bool:
        found = self._connection.execute("SELECT 1 FROM reading WHERE message = ?", (message,))
        return found.fetchone() is not None

    def _accept(self, signed: SignedReading, reading: Reading) -> None:
        row = (*_bytes(signed), reading.window_length_s, reading.window_index, self._now_s)
        self._connection.execute("INSERT INTO reading VALUES (?, ?, ?, ?, ?)", row)
        self._sent[reading.meter_id] += 1
        self._counted["stored"] += 1

    def _within_quota(self, meter_id: bytes) -> bool:
        if meter_id not in self._sent:
            query = "SELECT readings FROM sent WHERE meter_id = ? AND day = ?"
            row = self._connection.execute(query, (meter_id, self._now_s // DAY_S)).fetchone()
            self._sent[meter_id] = self._before[meter_id] = row[0] if row else 0
        return self._sent[meter_id] < self._limits.readings_a_day

    def _refuse(self, record: Judged, reason: Reason, verdict: Verdict) -> None:
        self._counted[f"refused_{reason.name.lower()}"] += 1
        topic = verdict.delivery.meter_id or b""
        whole = verdict.digest if record.reading is None else b""
        key = sha256(b"\0".join((topic, reason.name.encode(), *_bytes(record.signed), whole))).digest()
        again = "UPDATE refused SET times = times + 1, last_s = ? WHERE digest = ?"
        if self._connection.execute(again, (self._now_s, key)).rowcount or not self._room(topic):
            return
        reading = record.reading
        window = (reading.window_length_s, reading.window_index) if reading else (None, None)
        row = (key, topic, reason.name, *_bytes(record.signed), *window, self._now_s, self._now_s, 1)
        self._connection.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        self.samples += 1

    def _room(self, topic: bytes) -> bool:
        """Whether one more sample may be kept."""
        if self.samples >= self._limits.refused:
            return False
        query = "SELECT count(*) FROM refused WHERE meter_id = ?"
        return int(self._connection.execute(query, (topic,)).fetchone()[0]) < self._limits.refused_a_meter


def _bytes(signed: SignedReading) -> tuple[bytes, bytes]:
    return signed.message, signed.signature


def _open(path: Path, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit, with the tables made; sqlite3.Error, OSError or BadStore."""
    if read_only:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    else:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what homes consume is nobody else's
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA busy_timeout = 10000")
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == 0 and not read_only:
        schema = files("oracle.live").joinpath("schema.sql").read_text(encoding="utf-8")
        connection.executescript(f"BEGIN; {schema} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        connection.close()
        raise BadStore(path, f"it has version {version}, this program reads {VERSION}")
    return connection


def merged(stored: Iterable[Stored]) -> tuple[SignedReading, ...]:
    """What nodes compute from once they have told each other what they received: every message that any of
    some stores accepted, under one signature, and every sample of the others, ascending by message.

    Whose registry was old when a reading came, and who had room for a sample, then makes no difference.
    """
    known = list(stored)
    found: dict[bytes, SignedReading] = {}
    for each in known:
        for signed in each.accepted:
            if signed.message not in found or signed.signature < found[signed.message].signature:
                found[signed.message] = signed
    samples = {_bytes(signed) for each in known for signed in each.refused if signed.message not in found}
    both = (*map(_bytes, found.values()), *samples)
    return tuple(SignedReading(*pair) for pair in sorted(both))
