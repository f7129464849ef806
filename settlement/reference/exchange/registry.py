"""Meter keys, and the oracle nodes whose signatures count."""

from dataclasses import replace

from settlement.reference import p256
from settlement.reference.eip712 import keccak
from settlement.reference.errors import BadMeter, BadQuorum, UnknownMeter
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.omission import Omission
from settlement.reference.exchange.state import FormerKey, Meter
from settlement.reference.words import check_address, check_hash, check_uint

FOR_EVER = 2**32 - 1
"""Until when a revoked key signed, where no other followed it."""


class Registry(Omission):
    """A meter belongs to one account for ever, and so does each key; keys follow one another, until the meter
    is revoked.
    """

    @transaction
    def register_meter(self, now: int, meter: bytes, account: bytes, x: bytes, y: bytes) -> None:
        """BadMeter if it was registered before, or its key is no point of the curve or another account's."""
        self.require_quiet(now)
        self.member(account)
        if meter in self.state.meters:
            raise BadMeter(meter)
        self._take_key(meter, account, x, y)
        self.state.meters[meter] = Meter(account, (x, y))
        self.emit(events.MeterRegistered(meter, account, x, y))

    @transaction
    def rotate_meter(self, now: int, meter: bytes, x: bytes, y: bytes, from_window: int) -> None:
        """From a window on the meter signs with another key; the present one stays good for what it measured
        before. BadMeter unless that is after the present key's own first window.
        """
        self.require_quiet(now)
        record = self.state.meters.get(meter)
        if record is None or record.key is None:
            raise UnknownMeter(meter)
        if check_uint("fromWindow", from_window, 32) <= record.since:
            raise BadMeter(meter)
        self._take_key(meter, record.account, x, y)
        if (meter, keccak(x + y)) in self.state.former_keys:
            raise BadMeter(meter)
        former = meter, keccak(record.key[0] + record.key[1])
        self.state.former_keys[former] = FormerKey(record.since, from_window)
        self.state.meters[meter] = Meter(record.account, (x, y), from_window)
        self.emit(events.MeterRotated(meter, x, y, from_window))

    def _take_key(self, meter: bytes, account: bytes, x: bytes, y: bytes) -> None:
        """The key is the account's from now on. The one point whose x is 0 stands for no key."""
        numbers = [int.from_bytes(check_hash("coordinate", value), "big") for value in (x, y)]
        owner = self.state.key_owners.setdefault(keccak(x + y), account)
        if owner != account or not numbers[0] or not p256.on_curve(*numbers):
            raise BadMeter(meter)

    @transaction
    def revoke_meter(self, now: int, meter: bytes) -> None:
        """UnknownMeter unless it has a key. None of its keys serves a challenge from now on; what they signed
        still answers those that are open.
        """
        self.require_quiet(now)
        self.end_keys(meter)

    def end_keys(self, meter: bytes) -> None:
        """UnknownMeter unless it has a key."""
        record = self.state.meters.get(meter)
        if record is None or record.key is None:
            raise UnknownMeter(meter)
        former = meter, keccak(record.key[0] + record.key[1])
        self.state.former_keys[former] = FormerKey(record.since, FOR_EVER)
        self.state.meters[meter] = replace(record, key=None)
        self.emit(events.MeterRevoked(meter))

    @transaction
    def set_oracle(self, now: int, node: bytes, active: bool) -> None:
        """Adds or removes a node. BadQuorum if fewer would be left than must sign."""
        self.require_quiet(now)
        node = check_address("node", node)
        before = self.state.oracles
        self.state.oracles = before | {node} if active else before - {node}
        if self.state.oracles != before and self.state.quorum > len(self.state.oracles):
            raise BadQuorum(self.state.quorum)
        self.emit(events.OracleChanged(node, active))

    @transaction
    def set_quorum(self, now: int, quorum: int) -> None:
        """How many nodes sign a posting."""
        self.require_quiet(now)
        if not 1 <= quorum <= len(self.state.oracles):
            raise BadQuorum(quorum)
        self.state.quorum = quorum
        self.emit(events.QuorumChanged(quorum))
