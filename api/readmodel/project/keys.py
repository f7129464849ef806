"""Session keys: what accounts let their agents sign."""

from __future__ import annotations

from api.db.market_models import SessionKey
from api.readmodel.project.context import Context
from settlement.chain.key_events import KeyGranted, KeyRevoked
from settlement.chain.rpc import to_hex


def granted(c: Context, event: KeyGranted) -> None:
    """A new scope replaces the one before, and leaves the time of the first."""
    account, key = to_hex(event.account), to_hex(event.key)
    before = c.rows.find(SessionKey, account, key)
    c.put(
        SessionKey,
        account=account,
        key=key,
        zone=event.zone,
        kinds=event.kinds,
        max_wh_per_window=event.max_wh_per_window,
        max_spend_nano_per_day=event.max_spend_nano_per_day,
        expiry=event.expiry,
        granted_at=c.block.time if before is None else before["granted_at"],
        revoked_at=None,
    )


def revoked(c: Context, event: KeyRevoked) -> None:
    account, key = to_hex(event.account), to_hex(event.key)
    c.put(SessionKey, account=account, key=key, revoked_at=c.block.time)
