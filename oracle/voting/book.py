"""A node's ballots, keys and marks on disk: `ballots.sqlite` in its folder.

Each write is on disk when it returns (WAL, synchronous FULL). What a node signs for a slot is chosen by one
row that is never replaced, before the signature exists: whatever is killed, it signs nothing else. Keys are
overwritten when they are deleted, and the log with them.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

from oracle.errors import BadStore
from oracle.voting.ballots import MOST_OFFERS, Ballot, Offer, Signature, Slot
from oracle.voting.deciding import Said
from oracle.voting.duties import Duty
from oracle.voting.keys import Secret

FILE, VERSION = "ballots.sqlite", 1
SLOT_OFFERS = 4 * MOST_OFFERS
"""Of one node that are kept."""
_SLOT = "zone = ? AND day = ? AND run = ? AND place = ?"


class Book:
    """Several threads may use it."""

    def __init__(self, folder: Path) -> None:
        """Opens or makes it. BadStore."""
        self.path = folder / FILE
        self._lock = threading.RLock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "secure_delete = ON",
                "busy_timeout = 10000",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            self._make()
        except (sqlite3.Error, OSError) as cause:
            raise BadStore(self.path, str(cause)) from cause

    def _make(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            schema = files("oracle.voting").joinpath("book.sql").read_text(encoding="utf-8")
            self._db.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise BadStore(self.path, f"it has version {version}, this program reads {VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Ballots --------------------------------------------------------------------------------------------

    def hear(self, node: bytes, ballot: Ballot) -> bool:
        """Keep what a node said; whether any of it is new. Nothing of a run that is finished is kept; of one
        node and slot at most `SLOT_OFFERS` offers and two votes, of a zone's run four times that.
        """
        query = "SELECT 1 FROM finished WHERE day = ? AND run = ?"
        if self._rows(query, (ballot.slot.day, ballot.slot.run)):
            return False
        new = [self._offer(ballot.slot, node, one) for one in ballot.offers]
        if ballot.vote is not None:
            new.append(self._vote(ballot.slot, node, ballot.vote))
        return any(new)

    def offer(self, slot: Slot, own: bytes, offer: Offer, struct: bytes) -> bool:
        """What this node computed, and has on disk under a struct hash; whether it is new."""
        self._change(
            "INSERT OR IGNORE INTO draft VALUES (?, ?, ?, ?, ?, ?)", (*_row(slot), offer.digest, struct)
        )
        return self._offer(slot, own, offer)

    def drafts(self, slot: Slot) -> dict[bytes, bytes]:
        """Struct hash by digest of all that this node can sign for a slot."""
        return dict(self._rows(f"SELECT digest, struct FROM draft WHERE {_SLOT}", _row(slot)))

    def drafts_of(self, day: int, run: int) -> list[tuple[bytes, bytes]]:
        """The same of a run in all zones."""
        query = "SELECT digest, struct FROM draft WHERE day = ? AND run = ?"
        return [(digest, struct) for digest, struct in self._rows(query, (day, run))]

    def _offer(self, slot: Slot, node: bytes, one: Offer) -> bool:
        row = (*_row(slot), node, one.digest, one.prices, one.commitments, one.metered, *one.flags)
        names = (
            "zone, day, run, place, node, digest, prices, commitments, metered, actual, estimated, by_default"
        )
        return self._bounded(f"offer ({names})", "offer", slot, node, row, SLOT_OFFERS)

    def _vote(self, slot: Slot, node: bytes, vote: Signature) -> bool:
        row = (*_row(slot), node, vote.digest, vote.signature)
        return self._bounded("vote", "vote", slot, node, row, 2)

    def _bounded(
        self, into: str, table: str, slot: Slot, node: bytes, row: tuple[object, ...], most: int
    ) -> bool:
        """Insert a row unless the node has `most` in the slot, or four times that in the zone's run."""
        of_slot = f"(SELECT count(*) FROM {table} WHERE {_SLOT} AND node = ?) < ?"
        of_run = f"(SELECT count(*) FROM {table} WHERE zone = ? AND day = ? AND run = ? AND node = ?) < ?"
        query = (
            f"INSERT OR IGNORE INTO {into} SELECT {', '.join('?' * len(row))} WHERE {of_slot} AND {of_run}"
        )
        run = (slot.zone, slot.day, slot.run)
        return self._change(query, (*row, *_row(slot), node, most, *run, node, 4 * most))

    def choose(self, slot: Slot, digest: bytes) -> bytes:
        """What this node signs for a slot: `digest`, unless it chose before. On disk when it returns."""
        self._change("INSERT OR IGNORE INTO choice VALUES (?, ?, ?, ?, ?)", (*_row(slot), digest))
        chosen = self.choice(slot)
        assert chosen is not None
        return chosen

    def choice(self, slot: Slot) -> bytes | None:
        """What it chose, if it did."""
        found = self._rows(f"SELECT digest FROM choice WHERE {_SLOT}", _row(slot))
        return found[0][0] if found else None

    def signed(self, slot: Slot, own: bytes, vote: Signature) -> None:
        """Keep the node's own vote, to be told again."""
        self._vote(slot, own, vote)

    def said(self, slot: Slot) -> dict[bytes, Said]:
        """What each node said of a slot, the offers in the order in which they came."""
        offers: dict[bytes, list[Offer]] = {}
        votes: dict[bytes, list[Signature]] = {}
        columns = "node, digest, prices, commitments, metered, actual, estimated, by_default"
        query = f"SELECT {columns} FROM offer WHERE {_SLOT} ORDER BY number"
        for node, digest, prices, commitments, metered, *flags in self._rows(query, _row(slot)):
            actual, estimated, default = flags
            one = Offer(digest, prices, commitments, metered, (actual, estimated, default))
            offers.setdefault(node, []).append(one)
        query = f"SELECT node, digest, signature FROM vote WHERE {_SLOT} ORDER BY digest"
        for node, digest, signature in self._rows(query, _row(slot)):
            votes.setdefault(node, []).append(Signature(digest, signature))
        return {
            node: Said(tuple(offers.get(node, ())), tuple(votes.get(node, ()))) for node in offers | votes
        }

    def current(self, own: bytes) -> list[Ballot]:
        """The node's ballots of runs that are not on chain yet: what it tells the others."""
        query = (
            "SELECT DISTINCT zone, day, run, place FROM offer AS o WHERE node = ? AND NOT EXISTS "
            "(SELECT 1 FROM done AS d WHERE (d.zone, d.day, d.run) = (o.zone, o.day, o.run)) "
            "AND NOT EXISTS (SELECT 1 FROM spent AS s WHERE (s.zone, s.day, s.run, s.place) = "
            "(o.zone, o.day, o.run, o.place)) ORDER BY 1, 2, 3, 4"
        )
        slots = [Slot(*row) for row in self._rows(query, (own,))]
        mine = ((slot, self.said(slot)[own]) for slot in slots)
        return [Ballot(slot, said.offers[-MOST_OFFERS:], said.vote) for slot, said in mine]

    # Marks ----------------------------------------------------------------------------------------------

    def spend(self, slot: Slot, why: str) -> None:
        """The contract takes nothing for it any more."""
        self._change("INSERT OR IGNORE INTO spent VALUES (?, ?, ?, ?, ?)", (*_row(slot), why))

    def spent(self, zone: int, day: int, run: int) -> set[str]:
        """Places of a run that are."""
        query = "SELECT place FROM spent WHERE zone = ? AND day = ? AND run = ?"
        return {row[0] for row in self._rows(query, (zone, day, run))}

    def mark_done(self, zone: int, day: int, run: int) -> None:
        """A zone's run is on chain, and was looked at."""
        self._change("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", (zone, day, run))

    def is_done(self, zone: int, day: int, run: int) -> bool:
        """Whether it is."""
        query = "SELECT 1 FROM done WHERE zone = ? AND day = ? AND run = ?"
        return bool(self._rows(query, (zone, day, run)))

    def finish(self, day: int, run: int) -> None:
        """A run is on chain in all zones: its key is forgotten, and so is what others said of it."""
        with self._lock:
            self._change("INSERT OR IGNORE INTO finished VALUES (?, ?)", (day, run))
            for table in ("day_key", "offer", "vote", "draft", "spent"):
                self._change(f"DELETE FROM {table} WHERE day = ? AND run = ?", (day, run))
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def finished(self) -> set[tuple[int, int]]:
        """(day, run) of all that are."""
        return set(self._rows("SELECT day, run FROM finished", ()))

    # Keys -----------------------------------------------------------------------------------------------

    def secret(self) -> Secret | None:
        """What keys are made from now."""
        found = self._rows("SELECT date, value FROM secret", ())
        return Secret(date.fromisoformat(found[0][0]), found[0][1]) if found else None

    def begin(self, secret: Secret) -> None:
        """Take the secret that all nodes begin with; nothing if there is one."""
        self._change("INSERT OR IGNORE INTO secret VALUES (0, ?, ?)", (str(secret.day), secret.value))

    def key(self, day: int, run: int) -> bytes | None:
        """The day key of a run; None before it is due, and after it is finished."""
        found = self._rows("SELECT key FROM day_key WHERE day = ? AND run = ?", (day, run))
        return found[0][0] if found else None

    def draw_keys(self, due: Iterable[Duty], today: date) -> list[Duty]:
        """Make the keys of runs that are due by `today`, and go on to the next date's secret, in one
        transaction; the runs that are too early for the secret.
        """
        with self._lock, closing(self._db.cursor()) as cursor:
            secret, late = self.secret(), []
            if secret is None:
                raise BadStore(self.path, "it has no secret: name the nodes' common one as `secret`")
            if secret.day > today:
                return list(due)  # nothing is left to make or to forget
            cursor.execute("BEGIN IMMEDIATE")
            try:
                for duty in sorted(due, key=lambda one: (one.due_date, one.day.first_window, one.number)):
                    if duty.due_date < secret.day:
                        late.append(duty)
                        continue
                    secret = secret.at(duty.due_date)
                    row = (duty.day.first_window, duty.number, secret.key(duty.day.first_window, duty.number))
                    cursor.execute("INSERT OR IGNORE INTO day_key VALUES (?, ?, ?)", row)
                cursor.execute("UPDATE secret SET date = ?, value = ?", (str(secret.day), secret.value))
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            self._forget_before(today)
        return late

    def _forget_before(self, today: date) -> None:
        """All that is due by today has its key: the secrets up to today's are not needed any more."""
        secret = self.secret()
        if secret is not None and secret.day <= today:
            later = secret.at(today).next()
            self._change("UPDATE secret SET date = ?, value = ?", (str(later.day), later.value))
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    # SQLite ---------------------------------------------------------------------------------------------

    def _change(self, query: str, values: tuple[object, ...]) -> bool:
        with self._lock:
            return bool(self._db.execute(query, values).rowcount > 0)

    def _rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _row(slot: Slot) -> tuple[int, int, int, str]:
    return slot.zone, slot.day, slot.run, slot.place
