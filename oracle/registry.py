"""The meters of a zone: whose they are, what they sign with, what they can physically measure.

The registry is a value. A change of it (a new meter, a rotated key) makes another registry, and a posting is
computed from exactly one, so two nodes with the same registry and readings compute the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric import ec

from oracle.errors import BadMeterKey, BadSignature, DuplicateMeter, OutOfRange, UnknownMeter
from oracle.messages import REGISTERS, Reading, SignedReading, decode, verify


@dataclass(frozen=True, slots=True)
class Meter:
    """One registered meter."""

    meter_id: bytes
    """32 bytes, see `messages.meter_id`."""
    public_x: int
    public_y: int
    """Its P-256 point."""
    account: bytes
    """20 bytes: whose energy it measures."""
    capacity_w: int | None = None
    """Power its connection can carry in either direction; None does not check."""
    registers: tuple[int, ...] = REGISTERS
    """The registers that it reports; a silent one of these is estimated."""


class MeterRegistry(Mapping[bytes, Meter]):
    """Meter id -> Meter, ascending. Immutable, and checked when it is made."""

    def __init__(self, meters: Iterable[Meter], members: Iterable[bytes] = ()) -> None:
        """`members` are accounts of the zone that the contract expects in a posting whether they have a
        meter or not (its meter was revoked, or is not installed yet); without one they are posted as zero by
        default.

        DuplicateMeter, BadMeterKey (no curve point, or one key for two accounts) or OutOfRange.
        """
        found: dict[bytes, Meter] = {}
        owner: dict[tuple[int, int], bytes] = {}
        for meter in meters:
            _check(meter)
            if meter.meter_id in found:
                raise DuplicateMeter(meter.meter_id)
            if owner.setdefault((meter.public_x, meter.public_y), meter.account) != meter.account:
                raise BadMeterKey(meter.meter_id, "another account's meter has the same key")
            found[meter.meter_id] = meter
        self._meters = MappingProxyType(dict(sorted(found.items())))
        self._members = frozenset(_account(member) for member in members)
        self._keys = MappingProxyType({meter_id: _public_key(m) for meter_id, m in self._meters.items()})

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

    def public_key(self, meter_id: bytes) -> ec.EllipticCurvePublicKey:
        """The meter's key, ready to verify with; UnknownMeter."""
        if meter_id not in self._keys:
            raise UnknownMeter(meter_id)
        return self._keys[meter_id]

    @property
    def accounts(self) -> tuple[bytes, ...]:
        """Every account that has a meter or is a member, ascending: the entries of a posting."""
        return tuple(sorted(self._members.union(meter.account for meter in self._meters.values())))

    @property
    def series(self) -> tuple[tuple[bytes, int], ...]:
        """Every (meter id, register) that should report, ascending: the rows of a day."""
        return tuple((meter_id, reg) for meter_id, m in self._meters.items() for reg in sorted(m.registers))


def authenticate(signed: SignedReading, registry: MeterRegistry) -> Reading:
    """The reading, if its registered meter signed it; BadMessage, UnknownMeter or BadSignature otherwise.

    For one reading that somebody presents (a challenge). A batch goes through `oracle.intake`, which
    collects.
    """
    reading = decode(signed.message)
    if not verify(signed.message, signed.signature, registry.public_key(reading.meter_id)):
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


def _account(account: bytes) -> bytes:
    if len(account) != 20:
        raise OutOfRange(account, "an account is 20 bytes")
    return account


def _public_key(meter: Meter) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicNumbers(meter.public_x, meter.public_y, ec.SECP256R1()).public_key()
    except ValueError as cause:
        raise BadMeterKey(meter.meter_id, "its point is not on P-256") from cause
