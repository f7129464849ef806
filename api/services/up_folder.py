"""What `trellis up` keeps in its folder, and how a new deployment is set up on a chain.

keys/            a keystore and its password for each who sends or signs; token.pem for access tokens
deployment.json  where the Exchange is: written last, without it a start sets up anew
chain/           the embedded chain: state.json, written every few seconds
trellis.db       the API's database
operator/ …      what each service keeps
registry.json    the meters, as oracle nodes read them
logs/            one file a service, JSON lines
processes.json   what runs now; up.json tells where
lock             held by `trellis up`
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.services.agents import QUALITIES, SUBSTITUTIONS
from settlement.chain import deploy
from settlement.chain.client import Chain
from settlement.chain.deploy import Deployment, Terms
from settlement.chain.exchange import Exchange, Token
from settlement.chain.keystore import create_keystore, open_signer, write_secret
from settlement.chain.sign import Signer
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, Member
from settlement.reference.session import single_zone
from settlement.units import WH_LIMIT

ADMIN, REGISTRAR, CLERK, RECEIPTS, RELAY = "admin", "registrar", "operator", "receipts", "relay"
SETTLER, SUPPLIER, GRIDCO = "settlement", "supplier", "network-operator"
ORACLES = ("oracle-1", "oracle-2", "oracle-3")
ORACLE_SENDERS = tuple(f"{name}-sends" for name in ORACLES)
"""What a node signs votes with sends nothing."""
QUORUM = 2
NAMES = (ADMIN, REGISTRAR, CLERK, RECEIPTS, RELAY, SETTLER, SUPPLIER, GRIDCO, *ORACLES, *ORACLE_SENDERS)
SENDERS = (ADMIN, REGISTRAR, CLERK, RELAY, SETTLER, *ORACLE_SENDERS)
"""Who sends transactions: on a permissioned network, the allow list."""
DEPOSIT_NANO = 1_000_000 * 10**9
"""Of the operator, for bonds, and of the supplier, for what it trades and carries."""
WINDOW_LENGTH_S = 1800
CURRENCY = ("Trellis test token", "TTT")


@dataclass(frozen=True)
class Folder:
    """The data folder."""

    path: Path

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def deployment(self) -> Path:
        return self.path / "deployment.json"

    @property
    def state(self) -> Path:
        return self.path / "chain" / "state.json"

    @property
    def running(self) -> Path:
        """What `trellis up --json` tells, while it runs."""
        return self.path / "up.json"

    @property
    def registry(self) -> Path:
        return self.path / "registry.json"

    @property
    def token_key(self) -> Path:
        return self.keys / "token.pem"

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.path / 'trellis.db'}"

    @property
    def identity_key(self) -> Path:
        """What identities are sealed with."""
        return self.keys / "identities.key"

    def key(self, name: str) -> Path:
        return self.keys / f"{name}.json"

    def signer(self, name: str) -> Signer:
        return open_signer(self.key(name), option="keys")

    def make_keys(self) -> None:
        """Those that are not there yet. A keystore is written after its password: one without a keystore
        was begun and never used.
        """
        self.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in NAMES:
            if not self.key(name).exists():
                Path(f"{self.key(name)}.password").unlink(missing_ok=True)
                create_keystore(self.key(name))
        if not self.token_key.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            write_secret(self.token_key, pem)
        if not self.identity_key.exists():
            write_secret(self.identity_key, b"first " + base64.b64encode(secrets.token_bytes(32)) + b"\n")


def write_whole(file: Path, text: str) -> None:
    """Whole, or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text)
    os.replace(partial, file)


def set_up(chain: Chain, folder: Folder) -> Deployment:
    """A deployment with its roles, accounts, oracle nodes, and a grid of one zone; nothing is written."""
    admin, registrar = folder.signer(ADMIN), folder.signer(REGISTRAR)
    addresses = {name: folder.signer(name).address for name in NAMES}
    found = deploy.deploy(chain, admin, Terms(WINDOW_LENGTH_S, currency=CURRENCY))
    for role, names in _rights().items():
        deploy.grant(chain, admin, found, role, [addresses[name] for name in names])
    exchange = Exchange(chain, found)
    for name, member in _accounts().items():
        exchange.register(registrar, addresses[name], member)
    for name in (CLERK, SUPPLIER):
        deposit(exchange, registrar, addresses[name], DEPOSIT_NANO)
    for name in ORACLES:
        exchange.send(registrar, "setOracle", addresses[name], True)
    exchange.send(registrar, "setQuorum", QUORUM)
    exchange.set_grid(registrar, single_zone(QUALITIES, SUBSTITUTIONS))
    return found


def deposit(exchange: Exchange, minter: Signer, account: bytes, amount_nano: int) -> None:
    """Test money for an account, minted, approved and paid in by who may mint."""
    token = Token(exchange.chain, exchange.deployment)
    token.mint(minter, minter.address, amount_nano)
    token.approve(minter, exchange.address, amount_nano)
    exchange.send(minter, "deposit", account, amount_nano)


def _rights() -> dict[int, Sequence[str]]:
    return {
        deploy.OPERATOR: [CLERK],
        deploy.ORACLE: [*ORACLE_SENDERS, SETTLER],
        deploy.REGISTRAR: [REGISTRAR],
        deploy.MINTER: [REGISTRAR],
        deploy.GUARDIAN: [ADMIN],
    }


def _accounts() -> dict[str, Member]:
    return {
        CLERK: Member(OPERATOR),
        SUPPLIER: Member(BALANCING_PARTY, 0, max(QUALITIES), WH_LIMIT - 1, wide=True),
        GRIDCO: Member(NETWORK_OPERATOR),
    }
