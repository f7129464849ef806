"""Who takes part in a demo: every key follows from the seed, so a run can be repeated to the last byte.

Such keys are known to whoever knows the seed. They are for the demo's own chain, never for value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import ec

from api.services.agents import FIRM, SOLAR, car_need_wh, draw, low_carbon_homes
from oracle.messages import P256_ORDER, meter_id, private_key, public_point
from oracle.registry import Meter, MeterRegistry
from settlement.chain.sign import Signer
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, PROSUMER, Member
from settlement.units import WH_LIMIT

SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CONNECTION_W = 15_000
"""What a home's connection carries either way."""
ORACLES, QUORUM = 3, 2


def wallet(seed: int, name: str) -> Signer:
    """The secp256k1 key of a participant."""
    return Signer((1 + draw(SECP256K1_ORDER - 1, seed, "wallet", name)).to_bytes(32, "big"))


def meter_key(seed: int, serial: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in a meter."""
    return private_key(1 + draw(P256_ORDER - 1, seed, "meter", serial))


@dataclass(frozen=True)
class Resident:
    """A home's wallet and meter."""

    number: int
    wallet: Signer
    serial: str
    key: ec.EllipticCurvePrivateKey
    low_carbon: bool
    zone: int = 0
    car_wh: int = 0
    """What its car wants to charge in the night; 0 without a car."""

    @property
    def name(self) -> str:
        return f"Home {self.number:02}"

    @property
    def address(self) -> bytes:
        return self.wallet.address

    @cached_property
    def meter(self) -> Meter:
        point = public_point(self.key)
        return Meter(meter_id(self.serial), *point, account=self.address, capacity_w=CONNECTION_W)


@dataclass(frozen=True)
class Cast:
    """Everybody."""

    admin: Signer
    """Deploys, registers members and mints the settlement token."""
    operator: Signer
    supplier: Signer
    network: Signer
    receipts: Signer
    """The API's, for receipts and nothing else."""
    relay: Signer
    """The API's too: it sends what members signed, and has no right on chain."""
    session_key: Signer
    """With which the first home's agent signs orders, once its owner lets it."""
    oracles: tuple[Signer, ...]
    homes: tuple[Resident, ...]

    @property
    def zones(self) -> list[int]:
        """Where anybody lives, ascending."""
        return sorted({home.zone for home in self.homes})

    @cached_property
    def registry(self) -> MeterRegistry:
        """The meters of all zones."""
        return MeterRegistry(home.meter for home in self.homes)

    def registry_of(self, zone: int) -> MeterRegistry:
        """The meters of one zone: a posting has no others."""
        return MeterRegistry(home.meter for home in self.homes if home.zone == zone)

    @cached_property
    def ample_wh(self) -> int:
        """More than all homes together can draw or feed in within an hour."""
        return len(self.homes) * CONNECTION_W

    @cached_property
    def members(self) -> dict[bytes, Member]:
        """What each account is registered as."""
        homes = {home.address: Member(PROSUMER, home.zone, SOLAR, CONNECTION_W) for home in self.homes}
        return {
            self.operator.address: Member(OPERATOR),
            self.supplier.address: Member(BALANCING_PARTY, 0, FIRM, WH_LIMIT - 1, wide=True),
            self.network.address: Member(NETWORK_OPERATOR),
            **homes,
        }


def make_cast(seed: int, numbers: Sequence[int], streets: int = 1, cars: int = 0) -> Cast:
    """The same seed, the same people: spread over the streets in turn, the first so many with a car."""
    green = low_carbon_homes(seed, numbers)
    homes = tuple(
        replace(
            _resident(seed, number, number in green),
            zone=zone_of(place, streets),
            car_wh=car_need_wh(seed, number) if place < cars else 0,
        )
        for place, number in enumerate(numbers)
    )
    admin, operator, supplier, network, receipts, relay, session_key = (
        wallet(seed, name)
        for name in (
            *("admin", "operator", "supplier", "network operator"),
            *("receipt signer", "relay", "session key"),
        )
    )
    oracles = tuple(wallet(seed, f"oracle {index}") for index in range(1, ORACLES + 1))
    return Cast(admin, operator, supplier, network, receipts, relay, session_key, oracles, homes)


def zone_of(place: int, streets: int) -> int:
    """Of the home at a place of the list: one street is the substation's own zone."""
    return 1 + place % streets if streets > 1 else 0


def _resident(seed: int, number: int, low_carbon: bool) -> Resident:
    serial = f"DEMO-{number:02}"
    return Resident(number, wallet(seed, f"home {number}"), serial, meter_key(seed, serial), low_carbon)
