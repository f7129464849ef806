"""Which readings of what arrived are sound, whatever day they are of. Pure, and raises nothing.

What is sound here is stored; which of the stored readings count is decided when a day is computed
(`oracle.intake.take`), by the registry of then. No clock is asked: nodes' clocks differ, and what they store
should not. First failing check first:

    TRUNCATED        the payload is not 1 to 512 whole records
    MALFORMED        not a 52-byte message with fields in range
    WRONG_TOPIC      the message is not of the meter whose topic it came on
    UNKNOWN_METER    its meter is not registered, or does not report that register
    TOO_LARGE, NOT_IN_SERVICE, REVOKED_KEY, BAD_SIGNATURE      as in `oracle.intake`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from oracle.errors import BadMessage
from oracle.intake import Reason, Verifier, unsound, verify_all
from oracle.live.wire import cut, digest, split
from oracle.messages import Reading, SignedReading, decode
from oracle.registry import MeterRegistry

HEALABLE = frozenset((Reason.UNKNOWN_METER, Reason.NOT_IN_SERVICE, Reason.BAD_SIGNATURE))
"""What the registry of that moment may be to blame for: a meter, a service or a key that it did not have yet.
Every other refusal is of the message or its sender, and final.
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A payload as it arrived."""

    meter_id: bytes | None
    """The meter of its topic; None on a topic that is none, or where readings come from elsewhere."""
    payload: bytes
    any_meter: bool = False
    """It came from another oracle, or a file: of whatever meters."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One record of a delivery."""

    signed: SignedReading
    """Of a truncated payload, what stands at its beginning."""
    reading: Reading | None
    """None where it does not decode."""
    reason: Reason | None
    """Why it is refused; None if it is sound."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A delivery and each of its records."""

    delivery: Delivery
    digest: bytes
    """SHA-256 of the payload."""
    records: tuple[Judged, ...]


def judge(
    deliveries: Sequence[Delivery],
    registry: MeterRegistry,
    verifier: Verifier = verify_all,
) -> list[Verdict]:
    """What to do with each record. Signatures of all deliveries are verified in one go."""
    screened = [_screen(delivery, registry) for delivery in deliveries]
    sound = [
        (record.signed, record.reading)
        for records in screened
        for record in records
        if record.reason is None and record.reading is not None
    ]
    verdicts = iter(verifier(sound, registry))
    return [
        Verdict(
            delivery,
            digest(delivery.payload),
            tuple(_signed(record, next(verdicts)) if record.reason is None else record for record in records),
        )
        for delivery, records in zip(deliveries, screened, strict=True)
    ]


def _signed(record: Judged, good: bool) -> Judged:
    return record if good else replace(record, reason=Reason.BAD_SIGNATURE)


def _screen(delivery: Delivery, registry: MeterRegistry) -> list[Judged]:
    records = split(delivery.payload)
    if records is None:
        return [Judged(cut(delivery.payload), None, Reason.TRUNCATED)]
    return [_judge(record, delivery, registry) for record in records]


def _judge(signed: SignedReading, delivery: Delivery, registry: MeterRegistry) -> Judged:
    try:
        reading = decode(signed.message)
    except BadMessage:
        return Judged(signed, None, Reason.MALFORMED)
    return Judged(signed, reading, _reason(reading, delivery, registry))


def _reason(reading: Reading, delivery: Delivery, registry: MeterRegistry) -> Reason | None:
    meter_id = reading.meter_id
    if not delivery.any_meter and meter_id != delivery.meter_id:
        return Reason.WRONG_TOPIC
    if meter_id not in registry or reading.register not in registry[meter_id].registers:
        return Reason.UNKNOWN_METER
    return unsound(reading, registry)
