"""The delivery day as the oracle sees it: what meters sign, what goes wrong on the way, what nodes agree on.

The trouble is chosen by the seed, so that every run shows the same: a broker delivers some messages twice,
one home's meter is offline for a while, somebody alters a reading in transit, a meter that nobody registered
reports, and one of the oracle nodes withholds a home's readings. None of it is hidden from the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from api.services.agents import draw
from api.services.cast import QUORUM, Cast, Resident, meter_key
from oracle.estimation import History
from oracle.homes import WINDOW_LENGTH_S, Community, Home, by_day
from oracle.messages import EXPORT, IMPORT, REGISTERS, Reading, SignedReading, decode, meter_id, sign
from oracle.node import Agreement, Computed, DayInputs, OracleNode, agree
from oracle.posting import PostedDay
from oracle.registry import MeterRegistry
from settlement.chain.settler import SignedPosting
from settlement.reports.facts import Incident, Series

OFFLINE_WINDOWS = 3
REPEATED = 5
STRANGER = "UNREGISTERED-1"
HISTORY_DAYS = 7


@dataclass(frozen=True)
class Delivery:
    """What arrived, and who does not play fair."""

    batch: tuple[SignedReading, ...]
    incidents: tuple[Incident, ...]
    liar: int
    """Index of the oracle node that withholds readings."""
    withheld: bytes
    """Id of the meter whose readings it withholds."""


def register_wh(home: Home, register: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) what a register of the home's meter counts."""
    return home.import_wh if register == IMPORT else home.export_wh


def signed_readings(cast: Cast, today: Community) -> list[SignedReading]:
    """Every reading that the homes' meters sign: both registers, every window."""
    return [
        sign(_reading(resident, register, today.first_window + window, int(wh)), resident.key)
        for resident, home in zip(cast.homes, today.homes, strict=True)
        for register in REGISTERS
        for window, wh in enumerate(register_wh(home, register))
    ]


def _reading(resident: Resident, register: int, window: int, wh: int) -> Reading:
    return Reading(resident.meter.meter_id, register, WINDOW_LENGTH_S, window, wh, sequence=1)


def deliver(seed: int, cast: Cast, today: Community) -> Delivery:
    """The day's messages, with the day's trouble."""
    batch = signed_readings(cast, today)
    silent = cast.homes[draw(len(cast.homes), seed, "offline")]
    batch, lost = _without(seed, batch, silent, today)
    altered_at = draw(len(batch), seed, "altered")
    batch[altered_at] = _altered(batch[altered_at])
    stranger = Reading(meter_id(STRANGER), EXPORT, WINDOW_LENGTH_S, today.first_window + 12, 9_000, 1)
    batch.append(sign(stranger, meter_key(seed, STRANGER)))
    sound = batch[:altered_at] + batch[altered_at + 1 : -1]
    batch += [sound[draw(len(sound), seed, "repeated", each)] for each in range(REPEATED)]
    withheld = cast.homes[draw(len(cast.homes), seed, "withheld")]
    gone = Incident(
        f"readings of {silent.name}'s meter that never came", "estimated from its past, flagged", lost
    )
    return Delivery(tuple(batch), (gone,), draw(len(cast.oracles), seed, "liar"), withheld.meter.meter_id)


def _without(
    seed: int, batch: list[SignedReading], silent: Resident, today: Community
) -> tuple[list[SignedReading], int]:
    """The batch without some neighbouring windows of one meter, and how many messages that were."""
    first = today.first_window + draw(today.windows - OFFLINE_WINDOWS, seed, "offline from")
    gap = range(first, first + OFFLINE_WINDOWS)
    kept = [
        signed
        for signed in batch
        if not (
            (reading := decode(signed.message)).meter_id == silent.meter.meter_id
            and reading.window_index in gap
        )
    ]
    return kept, len(batch) - len(kept)


def _altered(signed: SignedReading) -> SignedReading:
    """A message changed on its way: 5 kWh more, under the old signature."""
    wh = int.from_bytes(signed.message[40:44], "big") + 5_000
    return SignedReading(signed.message[:40] + wh.to_bytes(4, "big") + signed.message[44:], signed.signature)


# The oracle ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PostedZone:
    """What the nodes agreed on for a zone, and an honest node's working."""

    signed: SignedPosting
    computed: Computed


def batch_of(cast: Cast, zone: int, batch: Iterable[SignedReading]) -> tuple[SignedReading, ...]:
    """What a zone's nodes are given: its meters' messages; the first zone's also those of unknown meters."""
    zone_of = {home.meter.meter_id: home.zone for home in cast.homes}
    first = cast.zones[0]
    return tuple(one for one in batch if zone_of.get(one.message[1:33], first) == zone)


def history_of(cast: Cast, registry: MeterRegistry, past: Community) -> History:
    """The registers' past days, in the registry's order; all of them were actual."""
    homes = {resident.meter.meter_id: home for resident, home in zip(cast.homes, past.homes, strict=True)}
    wh = np.stack([by_day(register_wh(homes[meter], register)) for meter, register in registry.series])
    return History(wh, np.ones(wh.shape, np.bool_))


def vote_all(
    zones: Iterable[DayInputs], delivery: Delivery, cast: Cast, separator: bytes
) -> tuple[list[PostedZone], tuple[Incident, ...]]:
    """What the nodes agree on zone by zone, and what was refused on the way."""
    found = [vote(inputs, delivery, cast, separator) for inputs in zones]
    posted = [one for one, _ in found]
    dissents = (dissent for _, agreed in found for dissent in _dissents(agreed, cast))
    return posted, (*delivery.incidents, *_refusals(one.computed for one in posted), *dissents)


def vote(
    inputs: DayInputs, delivery: Delivery, cast: Cast, separator: bytes
) -> tuple[PostedZone, Agreement[PostedDay]]:
    """What the nodes agree on, with an honest node's working."""
    votes, honest = [], []
    for index, signer in enumerate(cast.oracles):
        given = _withholding(inputs, delivery.withheld) if index == delivery.liar else inputs
        cast_vote, computed = OracleNode(signer.secret).vote(given, separator)
        votes.append(cast_vote)
        if index != delivery.liar:
            honest.append(computed)
    agreed = agree(votes, [signer.address for signer in cast.oracles], QUORUM, separator)
    posting = SignedPosting(agreed.posted.posting, agreed.posted.parts, agreed.signatures)
    return PostedZone(posting, honest[0]), agreed


def _withholding(inputs: DayInputs, meter: bytes) -> DayInputs:
    return replace(inputs, batch=tuple(one for one in inputs.batch if one.message[1:33] != meter))


def _refusals(zones: Iterable[Computed]) -> Iterable[Incident]:
    """Messages that did not count, and readings that validation took out, by reason."""
    reasons = Counter[str]()
    for computed in zones:
        reasons.update(rejected.reason.value for rejected in computed.intake.rejected)
        reasons.update(failure.reason.value for failure in computed.failures)
    for reason, count in sorted(reasons.items()):
        yield Incident("readings refused by the oracle", reason, count)


def _dissents(agreed: Agreement[PostedDay], cast: Cast) -> Iterable[Incident]:
    nodes = {signer.address: index for index, signer in enumerate(cast.oracles, start=1)}
    for dissent in agreed.dissents:
        why = dissent.why.split(",")[0]
        yield Incident(
            f"oracle node {nodes[dissent.node]} withheld a home's readings",
            f"outvoted {len(agreed.signers)} to 1: {why}",
        )


def imbalance_prices(retail: Series, feed_in: Series, margin: int) -> tuple[Series, Series]:
    """Surplus and deficit prices: the supplier's own, `margin` worse for whoever is off balance."""
    return tuple(price - margin for price in feed_in), tuple(price + margin for price in retail)
