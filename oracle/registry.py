"""The meters of a zone: whose they are, what they sign with and when, what they can physically measure.

The registry is a value. A change of it (a new meter, a rotated key) makes another registry, and a posting is
computed from exactly one, so two nodes with the same registry and readings compute the same bytes.

Validity is a span [from, until) of unix seconds, and a window belongs to the span that its *start* lies in.

    rotation       each window has at most one key: an old window's reading verifies against the old key,
                   however late it comes, and never against the new one
    replacement    the old meter serves until an instant, the new one from it on: neither is estimated where
                   it does not serve
    revocation     no reading that a revoked key signed counts any more, of whatever window (as the chain's
                   `revokeMeter`); its windows are missing, so they are estimated
    one owner      a key never signs for two accounts, and for two meters of one account only at different
                   times
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec

from oracle.day import Day, Mask
from oracle.errors import BadMeterKey, BadSignature, DuplicateMeter, OutOfRange, RevokedKey, UnknownMeter
from oracle.messages import REGISTERS, Reading, SignedReading, decode, verify

ALIGNED_S = 300
"""The shortest window: spans begin and end on multiples of it."""
FOREVER = (1 << 32) * 3600
"""Unix seconds after the last window that can be written."""


class Span(NamedTuple):
    """Unix seconds [from_s, until_s)."""

    from_s: int = 0
    until_s: int = FOREVER

    def __contains__(self, instant_s: object) -> bool:
        return isinstance(instant_s, int) and self.from_s <= instant_s < self.until_s

    def meets(self, other: Span) -> Span:
        """What both have in common; empty (from >= until) if nothing."""
        return Span(max(self.from_s, other.from_s), min(self.until_s, other.until_s))

    @property
    def empty(self) -> bool:
        return self.from_s >= self.until_s


ALWAYS = Span()


@dataclass(frozen=True, slots=True)
class MeterKey:
    """A P-256 key and the windows that it signs."""

    x: int
    y: int
    """Its point."""
    valid: Span = ALWAYS
    revoked: bool = False
    """Compromised: nothing that it signed counts."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One registered meter."""

    meter_id: bytes
    """32 bytes, see `messages.meter_id`."""
    public_x: int
    public_y: int
    """The P-256 point of its only or newest key."""
    account: bytes
    """20 bytes: whose energy it measures."""
    capacity_w: int | None = None
    """Power its connection can carry in either direction; None does not check."""
    registers: tuple[int, ...] = REGISTERS
    """The registers that it reports; a silent one of these is estimated."""
    service: Span = ALWAYS
    """When it measures for its account."""
    key_valid: Span = ALWAYS
    """The windows that its newest key signs."""
    key_revoked: bool = False
    former_keys: tuple[MeterKey, ...] = ()
    """The keys before, ascending."""

    @property
    def keys(self) -> tuple[MeterKey, ...]:
        """Every key, ascending by validity."""
        newest = MeterKey(self.public_x, self.public_y, self.key_valid, self.key_revoked)
        return (*self.former_keys, newest)

    def rotated(self, x: int, y: int, from_s: int) -> Meter:
        """The meter with another key from an instant on; windows before it keep theirs."""
        last = replace(self.keys[-1], valid=self.key_valid._replace(until_s=from_s))
        keys = (*self.former_keys, last)
        return replace(
            self,
            public_x=x,
            public_y=y,
            key_valid=Span(from_s),
            key_revoked=False,
            former_keys=keys,
        )

    def without_key(self, x: int, y: int) -> Meter:
        """The meter with that key revoked; BadMeterKey if it has no such key."""
        if (x, y) not in {(key.x, key.y) for key in self.keys}:
            raise BadMeterKey(self.meter_id, "it has no such key to revoke")
        former = tuple(replace(k, revoked=k.revoked or (k.x, k.y) == (x, y)) for k in self.former_keys)
        newest = self.key_revoked or (self.public_x, self.public_y) == (x, y)
        return replace(self, key_revoked=newest, former_keys=former)

    def replaced_by(self, successor: Meter, from_s: int) -> tuple[Meter, Meter]:
        """This meter until an instant, and another from it on."""
        return (
            replace(self, service=self.service._replace(until_s=from_s)),
            replace(successor, service=successor.service._replace(from_s=from_s)),
        )


class MeterRegistry(Mapping[bytes, Meter]):
    """Meter id -> Meter, ascending. Immutable, and checked when it is made."""

    def __init__(self, meters: Iterable[Meter], members: Iterable[bytes] = ()) -> None:
        """`members` are accounts of the zone that the contract expects in a posting whether they have a
        meter or not (its meter was revoked, or is not installed yet); without one they are posted as zero by
        default.

        DuplicateMeter, BadMeterKey (no curve point, two at once, or one key for two accounts or for two
        meters at once) or OutOfRange.
        """
        found: dict[bytes, Meter] = {}
        for meter in meters:
            _check(meter)
            if meter.meter_id in found:
                raise DuplicateMeter(meter.meter_id)
            found[meter.meter_id] = meter
        _check_owners(found.values())
        self._meters = MappingProxyType(dict(sorted(found.items())))
        self._members = frozenset(_account(member) for member in members)
        self._keys = MappingProxyType({meter_id: _verifiers(m) for meter_id, m in self._meters.items()})

    def __getitem__(self, meter_id: bytes) -> Meter:
        try:
            return self._meters[meter_id]
        except KeyError:
            raise UnknownMeter(meter_id) from None

    def __contains__(self, meter_id: object) -> bool:
        return meter_id in self._meters

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._meters)

    def __len__(self) -> int:
        return len(self._meters)

    def key_of(self, reading: Reading) -> ec.EllipticCurvePublicKey:
        """The key that signs the reading's window, ready to verify with; UnknownMeter, BadMeterKey (none is
        valid then) or RevokedKey.
        """
        if reading.meter_id not in self._keys:
            raise UnknownMeter(reading.meter_id)
        start_s = reading.start_s
        for valid, revoked, key in self._keys[reading.meter_id]:
            if valid.from_s <= start_s < valid.until_s:
                if revoked:
                    raise RevokedKey(reading.meter_id, f"it was to sign window {reading.window_index}")
                return key
        raise BadMeterKey(reading.meter_id, f"none is valid in window {reading.window_index}")

    @property
    def accounts(self) -> tuple[bytes, ...]:
        """Every account that has a meter or is a member, ascending: the entries of a posting."""
        return tuple(sorted(self._members.union(meter.account for meter in self._meters.values())))

    @property
    def members(self) -> frozenset[bytes]:
        """The accounts that are expected with or without a meter."""
        return self._members

    @property
    def series(self) -> tuple[tuple[bytes, int], ...]:
        """Every (meter id, register) that should report, ascending: the rows of a day."""
        return tuple((meter_id, reg) for meter_id, m in self._meters.items() for reg in sorted(m.registers))

    def in_service(self, day: Day) -> Mask:
        """(S, W) where each of the series measures for its account."""
        spans = [self._meters[meter_id].service for meter_id, _ in self.series]
        bounds = np.array(spans, np.int64).reshape(-1, 2)
        starts_s = (day.first_window + np.arange(day.windows, dtype=np.int64)) * day.window_length_s
        serving: Mask = (bounds[:, :1] <= starts_s) & (starts_s < bounds[:, 1:])
        return serving


def authenticate(signed: SignedReading, registry: MeterRegistry) -> Reading:
    """The reading, if its registered meter signed it; BadMessage, UnknownMeter, BadMeterKey, RevokedKey or
    BadSignature otherwise.

    For one reading that somebody presents (a challenge). A batch goes through `oracle.intake`, which
    collects.
    """
    reading = decode(signed.message)
    if not verify(signed.message, signed.signature, registry.key_of(reading)):
        raise BadSignature(reading.meter_id)
    return reading


def _check(meter: Meter) -> None:
    if len(meter.meter_id) != 32:
        raise OutOfRange(meter.meter_id, "a meter id is 32 bytes")
    _account(meter.account)
    registers = meter.registers
    if not registers or set(registers) - set(REGISTERS) or len(set(registers)) < len(registers):
        raise OutOfRange(meter.registers, "registers are 1, 2 or both")
    if meter.capacity_w is not None and meter.capacity_w <= 0:
        raise OutOfRange(meter.capacity_w, "a capacity is positive")
    _check_span(meter.service)
    until_s = 0
    for key in meter.keys:
        _check_span(key.valid)
        if key.valid.from_s < until_s:
            raise BadMeterKey(meter.meter_id, "two of them are valid at once, or they do not ascend")
        until_s = key.valid.until_s


def _check_span(span: Span) -> None:
    aligned = not (span.from_s % ALIGNED_S or span.until_s % ALIGNED_S)
    if not (0 <= span.from_s < span.until_s <= FOREVER and aligned):
        raise OutOfRange(
            tuple(span), f"[from, until) is not empty, in unix seconds, multiples of {ALIGNED_S}"
        )


def _check_owners(meters: Iterable[Meter]) -> None:
    """BadMeterKey unless every key has one owner."""
    uses: dict[tuple[int, int], list[tuple[Meter, Span]]] = {}
    for meter in meters:
        for key in meter.keys:
            uses.setdefault((key.x, key.y), []).append((meter, key.valid.meets(meter.service)))
    for shared in uses.values():
        for place, (meter, span) in enumerate(shared):
            for other, theirs in shared[:place]:
                if other.account != meter.account:
                    raise BadMeterKey(meter.meter_id, "another account's meter has the same key")
                if other.meter_id != meter.meter_id and not span.meets(theirs).empty:
                    raise BadMeterKey(meter.meter_id, f"0x{other.meter_id.hex()} has it at the same time")


def _account(account: bytes) -> bytes:
    if len(account) != 20:
        raise OutOfRange(account, "an account is 20 bytes")
    return account


Verifier = tuple[Span, bool, ec.EllipticCurvePublicKey]
"""A key's validity, whether it was revoked, and the key."""


def _verifiers(meter: Meter) -> tuple[Verifier, ...]:
    try:
        return tuple(
            (
                key.valid,
                key.revoked,
                ec.EllipticCurvePublicNumbers(key.x, key.y, ec.SECP256R1()).public_key(),
            )
            for key in meter.keys
        )
    except ValueError as cause:
        raise BadMeterKey(meter.meter_id, "its point is not on P-256") from cause
