"""A zone's run as one node makes it: inputs from its store, its registry, the price feed and the chain.

All nodes with the same readings of the day and the days before, the same registry, prices and rules get the
same bytes. What stands of a day is read from the chain and not from an earlier run of the node's, so that a
node that was away, or was outvoted, goes on from what was settled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from oracle import registry_file
from oracle.aggregate import AccountDay
from oracle.contesting import upheld_readings
from oracle.correcting import CorrectedDay, Correcting, correct
from oracle.day import Day, MeterDay, Wh
from oracle.errors import NotYet
from oracle.estimation import History
from oracle.history import history_of
from oracle.intake import Verifier
from oracle.live.daily import arrived_of
from oracle.live.store import Store
from oracle.localdays import date_of, local_day, time_zone
from oracle.messages import SignedReading
from oracle.node import Computed, DayInputs, compute
from oracle.posting import posting_digest
from oracle.registry import MeterRegistry
from oracle.validation import Evidence, capacities_wh, validate
from oracle.voting.ballots import Offer, Slot
from oracle.voting.duties import Duty
from oracle.voting.feed import Prices, read_prices
from settlement.chain import challenger, corrector, market_days, statements
from settlement.chain.corrector import SignedCorrection, ZoneDay
from settlement.chain.exchange import Exchange, RunStage
from settlement.chain.settler import SignedPosting
from settlement.chain.signed_files import Signed
from settlement.chain.statements import Change, ZoneStatements
from settlement.errors import TrellisError
from settlement.reference.eip712 import keccak
from settlement.reference.posting import (
    ACTUAL,
    DEFAULT,
    DEFAULT_SEQUENCE,
    ESTIMATED,
    is_default,
    price_hash,
    struct_hash,
)
from settlement.reference.statement import BOUND_WH


@dataclass(frozen=True)
class Sources:
    """Where a node takes what it computes from."""

    data: Path
    registry: Path
    prices: Path
    tz: str
    past_days: int
    verifier: Verifier


@dataclass(frozen=True)
class Made:
    """One run of a zone's day, not signed yet."""

    slot: Slot
    signed: Signed
    """Without signatures."""
    offer: Offer
    inputs: DayInputs
    computed: Computed


@dataclass(frozen=True)
class Standing:
    """What a zone's day is settled by now, told by the chain."""

    signed: SignedPosting
    """Its accounts, part by part; without signatures."""
    accounts: AccountDay
    rows: Mapping[bytes, tuple[int, ...]]
    """Imbalances, Wh."""
    prices: Prices | None
    """None of a day by default that no correction has brought prices to."""


class Work:
    """One node's computing. One thread at a time may use it."""

    def __init__(self, exchange: Exchange, sources: Sources) -> None:
        """BadRegistry if there is no registry to begin with."""
        self.exchange, self.sources = exchange, sources
        self._registry = registry_file.read(sources.registry)
        self._read_at = _changed(sources.registry)
        self._first: tuple[int, Mapping[int, ZoneStatements], list[SignedPosting]] | None = None

    @property
    def registry(self) -> MeterRegistry:
        """The meters of all zones, as the file has them now; as it had them before if it is broken."""
        changed = _changed(self.sources.registry)
        if changed != self._read_at:
            self._read_at = changed
            with contextlib.suppress(TrellisError):  # the service of readings tells of it
                self._registry = registry_file.read(self.sources.registry)
        return self._registry

    def seen(self, duty: Duty) -> tuple[object, ...]:
        """What changes whenever a run may come out otherwise, for what is not on the chain."""
        with Store(self.sources.data, read_only=True) as store:
            counts = [store.count(day) for day in (duty.day, *self._past(duty.day))]
        return (*counts, _changed(self.sources.registry), _changed(self.sources.prices))

    # The first run --------------------------------------------------------------------------------------

    def post(self, duty: Duty, zone: int, accounts: Sequence[bytes], sequence: int, key: bytes) -> Made:
        """The posting of a zone whose metered members these are. NotYet; InputError for prices."""
        traded = market_days.traded(self.exchange, duty.day.first_window)
        if not traded.ended:
            raise NotYet(duty.day.first_window, "a session of the day is neither proved nor void")
        prices = read_prices(self.sources.prices, duty.day, traded.bounds)
        inputs = self._inputs(duty, zone, accounts, sequence, key, prices)
        inputs = replace(inputs, rounds=traded.proved)
        computed = compute(inputs, self.sources.verifier)
        posted = computed.posted
        digest = posting_digest(posted.posting, self.exchange.separator)
        offer = _offer(digest, prices, computed, posted.parts)
        slot = Slot(zone, duty.day.first_window, 0, str(sequence))
        return Made(slot, SignedPosting(posted.posting, posted.parts, ()), offer, inputs, computed)

    # Later runs -----------------------------------------------------------------------------------------

    def correct(self, duty: Duty, zone: int, key: bytes) -> Made:
        """The correction that is next of a zone. NotYet while the chain would not take it."""
        day = duty.day.first_window
        at = _at(self.exchange, zone, duty.day)
        if self.exchange.run(0, day).stage is not RunStage.CERTIFIED:
            raise NotYet(day, "its first run is not certified")
        if at.run != duty.number - 1 or at.open:
            why = f"{at.open} challenges are open" if at.open else f"zone {zone} is at run {at.run}"
            raise NotYet(day, why)
        stands = self.standing(duty, zone)
        prices = stands.prices
        if prices is None:
            prices = read_prices(self.sources.prices, duty.day, market_days.traded(self.exchange, day).bounds)
        posting = stands.signed.posting
        sequence = sequence_of_run(posting.sequence, duty.number)
        inputs = self._inputs(duty, zone, stands.accounts.accounts, sequence, key, prices)
        computed = compute(inputs, self.sources.verifier)
        previous = at.link if at.is_open else struct_hash(posting)
        parts = tuple(tuple(stands.signed.accounts(part)) for part in range(len(stands.signed.parts)))
        given = Correcting(zone, duty.number, previous, *prices, parts)
        made = correct(stands.accounts, computed.accounts, computed.commitments.root, given)
        _check_applies(stands, computed.accounts)
        return self._corrected(Slot(zone, day, duty.number, "0x" + previous.hex()), made, inputs, computed)

    def _corrected(self, slot: Slot, made: CorrectedDay, inputs: DayInputs, computed: Computed) -> Made:
        digest = made.digest(self.exchange.separator)
        offer = _offer(digest, (inputs.surplus, inputs.deficit), computed, made.differences)
        return Made(slot, SignedCorrection(made.correction, made.differences, ()), offer, inputs, computed)

    def standing(self, duty: Duty, zone: int) -> Standing:
        """What a certified zone's day has come to: the first run, corrections and challenges."""
        certified, postings = self._first_run(duty.day.first_window)
        first, signed = certified[zone], next(one for one in postings if one.posting.zone == zone)
        changes = statements.changes_of(self.exchange, zone, duty.day.first_window)
        rows = statements.fold(first, changes).rows
        accounts = self._settled_by(duty.day, signed, first)
        priced = not is_default(signed.posting) or _at(self.exchange, zone, duty.day).run > 0
        prices = statements.prices_of(self.exchange, first) if priced else None
        return Standing(signed, _changed_by(accounts, changes), rows, prices)

    def _first_run(self, day: int) -> tuple[Mapping[int, ZoneStatements], list[SignedPosting]]:
        """Of a certified day, which never changes: the last that was asked for is kept."""
        if self._first is None or self._first[0] != day:
            postings = statements.settled_postings(self.exchange, day)
            self._first = (day, statements.first_run(self.exchange, day)[1], postings)
        return self._first[1], self._first[2]

    def _settled_by(self, day: Day, signed: SignedPosting, first: ZoneStatements) -> AccountDay:
        """What was metered by the first run; of a day by default what was contracted."""
        if is_default(signed.posting):
            contracted = statements.contracted(self.exchange, first)
            accounts = tuple(sorted(contracted))
            metered = np.array([contracted[account] for account in accounts], np.int64)
            return AccountDay(day, accounts, metered, np.full(metered.shape, DEFAULT, np.uint8))
        entries = [one for part in range(len(signed.parts)) for one in signed.entries(part)]
        wh = np.array([one.metered for one in entries], np.int64)
        flags = np.array([one.flags for one in entries], np.uint8)
        return AccountDay(day, tuple(one.account for one in entries), wh, flags)

    # Again, for what was committed to -------------------------------------------------------------------

    def committed(
        self, duty: Duty, zone: int, accounts: Sequence[bytes], sequence: int, key: bytes
    ) -> tuple[DayInputs, Computed]:
        """A run that is on chain, for its openings alone: prices do not matter."""
        free = (0,) * duty.day.windows
        inputs = self._inputs(duty, zone, accounts, sequence, key, (free, free))
        return inputs, compute(inputs, self.sources.verifier)

    # Inputs ---------------------------------------------------------------------------------------------

    def _inputs(
        self, duty: Duty, zone: int, accounts: Sequence[bytes], sequence: int, key: bytes, prices: Prices
    ) -> DayInputs:
        """What the node has of a zone's day. A sequence other than the first run's takes what challenges
        upheld.
        """
        day, chosen = duty.day, frozenset(accounts)
        meters = (meter for meter in self.registry.values() if meter.account in chosen)
        registry = MeterRegistry(meters, accounts)
        held = challenger.upheld(self.exchange, zone, day.first_window) if duty.number else []
        with Store(self.sources.data, read_only=True) as store:
            batch = of_registry(store.day(day).batch, registry)
            history = self._history(store, registry, day)
        return DayInputs(
            zone=zone,
            day=day,
            registry=registry,
            batch=batch,
            history=history,
            surplus=prices[0],
            deficit=prices[1],
            day_key=key,
            sequence=sequence,
            upheld=upheld_readings(held, day.window_length_s),
        )

    def _history(self, store: Store, registry: MeterRegistry, day: Day) -> History:
        """The days before as they are stored, less what does not pass by itself."""
        capacities = capacities_wh(registry, day.window_length_s)
        past = [self._valid(store, registry, each, capacities) for each in self._past(day)]
        return history_of(past, registry.series, day, time_zone(self.sources.tz))

    def _valid(self, store: Store, registry: MeterRegistry, day: Day, capacities: Wh) -> MeterDay:
        batch = of_registry(store.day(day).batch, registry)
        _, arrived = arrived_of(batch, registry, day, self.sources.verifier)
        return validate(arrived, Evidence(capacities)).readings

    def _past(self, day: Day) -> list[Day]:
        zone = time_zone(self.sources.tz)
        first = date_of(day, zone)
        return [
            local_day(first - timedelta(days=back), zone, day.window_length_s)
            for back in range(1, self.sources.past_days + 1)
        ]


def sequence_of_run(posted: int, run: int) -> int:
    """That of a later run's salts and file, which no posting of the day had."""
    return run + (0 if posted == DEFAULT_SEQUENCE else posted)


def of_registry(batch: Sequence[SignedReading], registry: MeterRegistry) -> tuple[SignedReading, ...]:
    """The readings of its meters."""
    return tuple(one for one in batch if one.message[1:33] in registry)


def _at(exchange: Exchange, zone: int, day: Day) -> ZoneDay:
    return corrector.zone_day(exchange, zone, day.first_window)


def _changed_by(accounts: AccountDay, changes: Sequence[Change]) -> AccountDay:
    """What was metered, after corrections and challenges."""
    metered = accounts.metered.copy()
    places = {account: row for row, account in enumerate(accounts.accounts)}
    for one in changes:
        metered[places[one.account]] += np.array(one.difference, np.int64)
    return replace(accounts, metered=metered)


def _check_applies(stands: Standing, now: AccountDay) -> None:
    """NotYet for a correction that the contract would take and then could not apply: once one part of it is
    applied, one that cannot be blocks the zone's day.
    """
    difference = now.metered - stands.accounts.metered
    for account, more in zip(now.accounts, difference.tolist(), strict=True):
        pairs = zip(stands.rows[account], more, strict=True)
        if any(wh and not -BOUND_WH < before + wh < BOUND_WH for before, wh in pairs):
            raise NotYet(
                now.day.first_window, f"account 0x{account.hex()} would leave what an imbalance may be"
            )


def _offer(digest: bytes, prices: Prices, computed: Computed, parts: Sequence[bytes]) -> Offer:
    flags = computed.accounts.flags
    actual, estimated, default = (int(np.count_nonzero(flags == one)) for one in (ACTUAL, ESTIMATED, DEFAULT))
    metered = keccak(b"".join(map(keccak, parts)))
    return Offer(
        digest, price_hash(*prices), computed.commitments.root, metered, (actual, estimated, default)
    )


def _changed(path: Path) -> int:
    """When a file was changed, ns; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
