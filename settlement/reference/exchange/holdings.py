"""What the two passes of a run share: the run, the day it is settled under, and what accounts hold of it."""

from collections.abc import Sequence
from dataclasses import replace

from settlement.reference import settlement
from settlement.reference.errors import (
    WrongPosting,
    WrongPrices,
    WrongRunCarry,
    WrongStage,
)
from settlement.reference.exchange.core import ENDED
from settlement.reference.exchange.metering import Metering
from settlement.reference.exchange.state import RunRecord, SessionRecord, Stage
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices, energy_hash, quality_hash
from settlement.reference.product_id import ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import NOTHING_CARRIED, Day, RunCarry

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day)."""


class Holdings(Metering):
    """A day is settled, then certified, zone by zone and part by part."""

    def run(self, day: int) -> RunRecord:
        """WrongPosting unless a zone of the day was posted."""
        if day not in self.state.runs:
            raise WrongPosting(None, day)
        return self.state.runs[day]

    def posting(self, zone: int, day: int) -> Posting:
        """WrongPosting unless the zone's day was posted."""
        if (zone, day) not in self.state.postings:
            raise WrongPosting(zone, day)
        return self.state.postings[(zone, day)]

    def parts_of(self, zone: int, day: int) -> int:
        """How many statements a settled zone left: its posting's parts, or the calls that settled it without
        one.
        """
        return self.state.default_parts.get((zone, day), len(self.posting(zone, day).parts))

    def settlement_day(self, now: int, zone: int, day: int, prices: Sequence[RoundPrices] = ()) -> Day:
        """What a zone's day is settled under. WrongStage until each of its sessions is proved or void;
        WrongPrices unless what is brought, if anything, is what its proved rounds posted.
        """
        record, message = self.day(day), self.posting(zone, day)
        proved = self._proved_rounds(now, day)
        if prices and len(prices) != len(proved):
            raise WrongPrices(zone, day, len(prices))
        rounds = []
        for place, one in enumerate(proved):
            params, brought = one.params, prices[place] if prices else None
            if brought is not None:
                self._check_prices(zone, one, brought)
            rounds.append(settlement.round_of(params, one.epoch, brought))
        qualities = self.grid_of(day).qualities
        return Day(record.windows, qualities, tuple(rounds), message.surplus, message.deficit)

    def _proved_rounds(self, now: int, day: int) -> list[SessionRecord]:
        """The day's proved energy sessions by ascending round; WrongStage if one has not ended."""
        proved = []
        for session, one in self.state.sessions.items():
            if (one.params.day, one.params.kind) != (day, ENERGY):
                continue
            stage = self.stage(now, session)
            if stage not in ENDED:
                raise WrongStage(session, stage)
            if stage is Stage.PROVED:
                proved.append(one)
        return sorted(proved, key=lambda one: one.params.round)

    def _check_prices(self, zone: int, record: SessionRecord, prices: RoundPrices) -> None:
        kept = self.state.zones[(record.epoch, zone)].energy_hash, record.header_hash
        if (energy_hash(prices.energy), quality_hash(prices)) != kept:
            raise WrongPrices(zone, record.params.day, record.params.round)

    def holding(self, zone: int, day: int, key: tuple[int, int, int], **changes: int) -> ProductId:
        """The claim of a round, quality code and window of the day."""
        one_round, code, window = key
        product = ProductId(day + window, self.window_length, zone, code, ENERGY, one_round)
        return replace(product, **changes)

    def holdings(self, day: int, under: Day, account: bytes) -> tuple[Held, Held]:
        """The account's claims and obligations over the day, of proved sessions, none of zero."""
        zone = self.member(account).zone
        claims: Held = {}
        obligations: Held = {}
        for one in under.rounds:
            for code in under.qualities:
                for window in range(under.windows):
                    key = (one.round, code, window)
                    claims[key] = self.held(account, self.holding(zone, day, key))
                    obligations[key] = self.held(account, self.holding(zone, day, key, side=OBLIGATION))
        return {k: wh for k, wh in claims.items() if wh}, {k: wh for k, wh in obligations.items() if wh}

    def burn_held(self, day: int, account: bytes, side: int, held: Held) -> None:
        """Takes products of a day from the account's lanes."""
        zone = self.member(account).zone
        for key, wh in held.items():
            self.burn(account, self.holding(zone, day, key, side=side), wh)

    def under_way(
        self, now: int, zone: int, day: int, carry: RunCarry | None, prices: Sequence[RoundPrices]
    ) -> tuple[RunRecord, Day, RunCarry]:
        """WrongPosting unless the zone is the run's next; WrongRunCarry unless what is brought is what the
        part before left. Nothing is brought to the first; None is nothing.
        """
        self.require_running(now)
        self.require_quiet(now)
        run = self.run(day)
        if zone != self.zone_under_way(day):
            raise WrongPosting(zone, day)
        brought, first = carry or NOTHING_CARRIED, run.carry_hash is None
        fits = brought == NOTHING_CARRIED if first else settlement.run_carry_hash(brought) == run.carry_hash
        if not fits:
            raise WrongRunCarry(zone, day)
        under = self.settlement_day(now, zone, day, prices)
        return run, under, settlement.initial_run(under) if first else brought

    def update_run(self, day: int, carry: RunCarry, **changes: object) -> None:
        """Keeps the hash of what the next part must bring."""
        hash_ = settlement.run_carry_hash(carry)
        self.state.runs[day] = replace(self.state.runs[day], carry_hash=hash_, **changes)  # type: ignore[arg-type]
