"""Session keys: granted, replaced and ended by their accounts, between sessions only."""

from settlement.reference import session_key
from settlement.reference.errors import BadKey, BadScope, KeyEnded, KeyNotGranted
from settlement.reference.exchange import events
from settlement.reference.exchange.accounts import Accounts
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.state import Stage
from settlement.reference.messages import KeyGrant, KeyRevocation
from settlement.reference.record import NO_ADDRESS
from settlement.reference.session_key import NOT_USED, KeyUse, Scope, SessionKey


class Keys(Accounts):
    """What a key may do in a session is what it may at its gate."""

    @transaction
    def grant_key(self, now: int, account: bytes, key: bytes, zone: int, scope: Scope) -> None:
        """The key may trade for the account, within this scope alone from now on.

        What it used stays used. KeyEnded if it was revoked or has expired: that is for good.
        """
        self.require_running(now)
        self.require_quiet(now)
        member = self.member(account)
        if key == NO_ADDRESS or key in self.state.members:
            raise BadKey(key)
        if zone != member.zone:
            raise BadScope("zone")
        session_key.check_scope(scope, now)
        old = self.state.keys.get((account, key))
        if old is not None and old.ended(now):
            raise KeyEnded(account, key)
        self.state.keys[(account, key)] = SessionKey(scope, old.granted_at if old else now)
        self.emit(events.KeyGranted(account, key, zone, scope))

    @transaction
    def grant_key_signed(self, now: int, message: KeyGrant, signature: bytes) -> None:
        """The same, signed by the account and relayed by anyone."""
        self.require_running(now)
        self.use_message(
            now, message.account, message.nonce, message.deadline, message.struct_hash(), signature
        )
        self.grant_key(now, message.account, message.key, message.zone, message.scope)

    @transaction
    def revoke_key(self, now: int, account: bytes, key: bytes) -> None:
        """Ends a key, also during a pause. KeyNotGranted if it never was, or was ended so before."""
        self.require_quiet(now)
        granted = self.state.keys.get((account, key))
        if granted is None or granted.revoked_at:
            raise KeyNotGranted(account, key)
        self.state.keys[(account, key)] = session_key.revoked(granted, now)
        self.emit(events.KeyRevoked(account, key))

    @transaction
    def revoke_key_signed(self, now: int, message: KeyRevocation, signature: bytes) -> None:
        """The same, signed by the account and relayed by anyone."""
        self.use_message(
            now, message.account, message.nonce, message.deadline, message.struct_hash(), signature
        )
        self.revoke_key(now, message.account, message.key)

    def key_use(self, now: int, account: bytes, key: bytes) -> KeyUse:
        """What the key used, folded if its session has ended."""
        use = self.state.key_uses.get((account, key), NOT_USED)
        if use.epoch == 0:
            return use
        stage = self.stage(now, self.state.epochs[use.epoch - 1])
        return session_key.fold(use, proved=stage is Stage.PROVED) if stage in ENDED else use
