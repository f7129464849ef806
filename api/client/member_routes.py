"""Routes of what a member signs besides orders, of its keys, evidence and identity, as methods."""

from __future__ import annotations

from typing import Any

from api.client.lists import listed
from api.client.route import ask, nothing, read, write
from api.schemas.cash import (
    AcceptanceTerms,
    DepositAnswer,
    DepositTerms,
    KeyGrantTerms,
    KeyRevocationTerms,
    RelayAnswer,
    RelayKind,
    RelayRequest,
    TransferTerms,
    TypedDataAnswer,
    WithdrawalAnswer,
    WithdrawalTerms,
)
from api.schemas.identities import (
    DisclosedAnswer,
    DisclosureAnswer,
    DisclosurePage,
    DisclosureRequest,
    IdentityBody,
)
from api.schemas.keys import SessionKeyAnswer, SessionKeyPage
from api.schemas.sessions import Kind
from settlement.evidence.bundle import Bundle


class CashRoutes:
    """Messages as they travel, unchecked: `messages.py` signs, and only what it has checked."""

    @ask("/v1/accounts/{account}/withdrawals/typed-data", WithdrawalTerms, TypedDataAnswer)
    def withdrawal_to_sign(self, account: bytes, amount_nano: int, valid_s: int = 3600) -> None:
        """EIP-712 data of a withdrawal; `withdraw` checks them."""

    @ask("/v1/accounts/{account}/transfers/typed-data", TransferTerms, TypedDataAnswer)
    def transfer_to_sign(
        self, account: bytes, to: bytes, product: int, amount_wh: int, valid_s: int = 3600
    ) -> None:
        """EIP-712 data of a transfer; `transfer` checks them."""

    @ask("/v1/accounts/{account}/acceptances/typed-data", AcceptanceTerms, TypedDataAnswer)
    def acceptance_to_sign(
        self, account: bytes, sender: bytes, product: int, amount_wh: int, valid_s: int = 3600
    ) -> None:
        """EIP-712 data of an acceptance; `accept` checks them."""

    @ask("/v1/accounts/{account}/key-grants/typed-data", KeyGrantTerms, TypedDataAnswer)
    def key_grant_to_sign(
        self,
        account: bytes,
        key: bytes,
        zone: int,
        kinds: list[Kind],
        max_wh_per_window: int,
        max_spend_nano_per_day: int,
        expires_at: int,
        valid_s: int = 3600,
    ) -> None:
        """EIP-712 data of a key grant; `grant_key` checks them."""

    @ask("/v1/accounts/{account}/key-revocations/typed-data", KeyRevocationTerms, TypedDataAnswer)
    def key_revocation_to_sign(self, account: bytes, key: bytes, valid_s: int = 3600) -> None:
        """EIP-712 data of a key's end; `revoke_key` checks them."""

    @write("/v1/relays", RelayRequest, RelayAnswer)
    def send_relay(self, kind: RelayKind, message: dict[str, Any], signature: bytes) -> None:
        """Has a signed message sent, once."""

    @read("/v1/relays/{tx}", RelayAnswer)
    def relayed(self, tx: bytes) -> None:
        """What became of a message that was sent; `wait_for_relay` waits for it."""

    @read("/v1/accounts/{account}/withdrawals/pending", WithdrawalAnswer)
    def pending_withdrawal(self, account: bytes) -> None:
        """The withdrawal that is announced, and what it waits for."""

    @write("/v1/accounts/{account}/withdrawals/pending/execution", None, RelayAnswer)
    def pay_out(self, account: bytes) -> None:
        """Has a withdrawal that is due paid out."""

    @ask("/v1/accounts/{account}/deposits/transactions", DepositTerms, DepositAnswer)
    def deposit_transactions(self, account: bytes, amount_nano: int) -> None:
        """Transactions that bring cash in, for the wallet to look at and send; unchecked."""


class KeyRoutes:
    """Session keys."""

    @listed("/v1/accounts/{account}/keys", SessionKeyPage, SessionKeyAnswer)
    def keys(self, account: bytes) -> None:
        """Keys that may sign orders of the account, and those that once might."""


class EvidenceRoutes:
    """For whoever does not believe the service."""

    @read("/v1/accounts/{account}/orders/{order}/evidence", Bundle)
    def evidence(self, account: bytes, order: bytes) -> None:
        """All that proves what became of an order, as told: `settlement.evidence.verify` checks it."""


class IdentityRoutes:
    """Who stands behind accounts: for the registrar, its members, and regulators."""

    @nothing("/v1/accounts/{account}/identity", "PUT", IdentityBody)
    def keep_identity(
        self, account: bytes, legal_name: str, contact: str, metering_points: list[str]
    ) -> None:
        """Keeps an identity in place of the one before; the registrar's."""

    @read("/v1/accounts/{account}/identity", IdentityBody)
    def identity(self, account: bytes) -> None:
        """What is kept of the wallet's own account."""

    @nothing("/v1/accounts/{account}/identity", "DELETE")
    def erase_identity(self, account: bytes) -> None:
        """Forgets an identity for good; the registrar's."""

    @write("/v1/disclosures", DisclosureRequest, DisclosedAnswer)
    def disclose(self, account: bytes, legal_basis: str, reason: str) -> None:
        """Tells a regulator who stands behind an account, and logs that it did."""

    @listed("/v1/disclosures", DisclosurePage, DisclosureAnswer)
    def disclosures(self) -> None:
        """The log of what regulators were told: all of it for auditors and regulators, else one's own."""


class MemberRoutes(CashRoutes, KeyRoutes, EvidenceRoutes, IdentityRoutes):
    """All of them."""
