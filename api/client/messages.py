"""Cash out, tokens handed over, keys let in: a message is asked for, compared with what was wanted, signed
and sent by the service's relay. The hash that is signed is computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.client.errors import BadTypedData
from api.client.member_routes import CashRoutes
from api.client.route import Operation
from api.client.service import Service
from api.client.wire import Flow, Sleep
from api.relays.kinds import KINDS, BadField, Value
from api.schemas.cash import RelayAnswer, RelayKind, TypedDataAnswer
from api.schemas.sessions import KINDS as PRODUCTS
from api.schemas.sessions import Kind

POLL_S = 0.1
SKEW_S = 300
"""By how much the clocks of service and client may differ."""


class Messages:
    """Of both clients."""

    core: Any

    @Operation
    def withdraw(self, amount_nano: int, valid_s: int = 3600) -> Flow[RelayAnswer]:
        """Announces a withdrawal of the wallet's free cash in place of an earlier one; 0 cancels it."""
        account = self.core.signer.address
        told = yield from CashRoutes.withdrawal_to_sign.flow(self, account, amount_nano, valid_s)
        return (yield from self._sent("withdrawal", told, (account, amount_nano), valid_s))

    @Operation
    def transfer(self, to: bytes, product: int, amount_wh: int, valid_s: int = 3600) -> Flow[RelayAnswer]:
        """Hands a claim or certificate of the wallet's over. Who takes a claim accepts it first."""
        account = self.core.signer.address
        told = yield from CashRoutes.transfer_to_sign.flow(self, account, to, product, amount_wh, valid_s)
        return (yield from self._sent("transfer", told, (account, to, product, amount_wh), valid_s))

    @Operation
    def accept(self, sender: bytes, product: int, amount_wh: int, valid_s: int = 3600) -> Flow[RelayAnswer]:
        """Agrees to take so much of a claim over from its holder."""
        account, terms = self.core.signer.address, (sender, product, amount_wh)
        told = yield from CashRoutes.acceptance_to_sign.flow(self, account, *terms, valid_s)
        return (yield from self._sent("acceptance", told, (account, *terms), valid_s))

    @Operation
    def grant_key(
        self,
        key: bytes,
        zone: int,
        kinds: Sequence[Kind],
        max_wh_per_window: int,
        max_spend_nano_per_day: int,
        expires_at: int,
        valid_s: int = 3600,
    ) -> Flow[RelayAnswer]:
        """Lets a key sign orders of the wallet's account within a scope (docs/session-keys.md). `zone` is the
        account's own; `expires_at` is in Unix seconds.
        """
        account, scope = self.core.signer.address, (max_wh_per_window, max_spend_nano_per_day, expires_at)
        told = yield from CashRoutes.key_grant_to_sign.flow(
            self, account, key, zone, list(kinds), *scope, valid_s
        )
        bits = sum(1 << PRODUCTS.index(kind) for kind in set(kinds))
        return (yield from self._sent("key_grant", told, (account, key, zone, bits, *scope), valid_s))

    @Operation
    def revoke_key(self, key: bytes, valid_s: int = 3600) -> Flow[RelayAnswer]:
        """Ends a key of the wallet's account, for good."""
        account = self.core.signer.address
        told = yield from CashRoutes.key_revocation_to_sign.flow(self, account, key, valid_s)
        return (yield from self._sent("key_revocation", told, (account, key), valid_s))

    @Operation
    def wait_for_relay(self, sent: RelayAnswer, timeout_s: float = 60.0) -> Flow[RelayAnswer]:
        """What became of it: mined, or failed with the Exchange's error. TimeoutError after that long."""
        until = self.core.passing() + timeout_s
        while sent.state == "pending":
            if self.core.passing() >= until:
                raise TimeoutError(f"the transaction 0x{sent.tx_hash.hex()} is still pending")
            yield Sleep(POLL_S)
            sent = yield from CashRoutes.relayed.flow(self, sent.tx_hash)
        return sent

    def _sent(
        self, kind: RelayKind, told: TypedDataAnswer, wanted: tuple[Value, ...], valid_s: int
    ) -> Flow[RelayAnswer]:
        latest = self.core.now() + valid_s + SKEW_S
        digest = checked_message(kind, told, wanted, self.core.service, latest)
        signature = self.core.signer.sign_digest(digest)
        return (yield from CashRoutes.send_relay.flow(self, kind, told.typed_data["message"], signature))


def checked_message(
    kind: RelayKind, told: TypedDataAnswer, wanted: tuple[Value, ...], service: Service, latest: float
) -> bytes:
    """The digest of a message. BadTypedData unless the typed data are of this kind and Exchange, each field
    is what was wanted, and it counts until `latest` (Unix seconds) at most. Its nonce is the service's word:
    a wrong one only makes the Exchange refuse it.
    """
    table = KINDS[kind]
    try:
        values = table.read(told.typed_data["message"])
    except (KeyError, TypeError, AttributeError, BadField) as cause:
        raise BadTypedData(f"it is no {table.primary_type}") from cause
    if told.kind != kind or told.typed_data != table.typed_data(values, service.chain_id, service.exchange):
        raise BadTypedData("its types or domain are not the Exchange's")
    for (_, name), value, own in zip(table.fields, values, wanted, strict=False):
        if value != own:
            raise BadTypedData(f"{name} was changed")
    deadline = values[-1]
    if not isinstance(deadline, int) or deadline > latest:
        raise BadTypedData("it would count for longer than was asked for")
    digest = table.digest(values, service.separator)
    if told.digest != digest:
        raise BadTypedData("its digest is of something else")
    return digest
