"""Meter keys, and the oracle nodes whose signatures count."""

from settlement.reference.errors import BadMeter, BadQuorum, UnknownMeter
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.omission import Omission
from settlement.reference.exchange.state import Meter
from settlement.reference.words import check_address, check_hash

PRIME = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
"""P-256 (FIPS 186-4, D.1.2.3): y^2 = x^3 - 3x + B modulo PRIME."""


def on_curve(x: int, y: int) -> bool:
    """Whether this is a point of P-256."""
    return x < PRIME and y < PRIME and (y * y - (x**3 - 3 * x + B)) % PRIME == 0


class Registry(Omission):
    """A meter belongs to one account for ever; its key may be revoked."""

    @transaction
    def register_meter(self, now: int, meter: bytes, account: bytes, x: bytes, y: bytes) -> None:
        """BadMeter if it was registered before, or its key is no point of the curve."""
        self.require_quiet(now)
        self.member(account)
        numbers = [int.from_bytes(check_hash("coordinate", value), "big") for value in (x, y)]
        if meter in self.state.meters or not on_curve(*numbers):
            raise BadMeter(meter)
        self.state.meters[meter] = Meter(account, (x, y))
        self.emit(events.MeterRegistered(meter, account, x, y))

    @transaction
    def revoke_meter(self, now: int, meter: bytes) -> None:
        """UnknownMeter unless it has a key."""
        self.require_quiet(now)
        record = self.state.meters.get(meter)
        if record is None or record.key is None:
            raise UnknownMeter(meter)
        self.state.meters[meter] = Meter(record.account, None)
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
