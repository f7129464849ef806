"""A deployed Exchange with one account of each role, wallets that are contracts, and the app over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import solcx

from settlement.chain import deploy
from settlement.chain.abi import CODEC
from settlement.chain.anvil import Anvil
from settlement.chain.client import Chain
from settlement.chain.compile import compiler_settings
from settlement.chain.deploy import Deployment
from settlement.chain.exchange import Exchange
from settlement.chain.sign import Signer
from settlement.reference.accounts import BALANCING_PARTY, PROSUMER, Member

ROOT = Path(__file__).resolve().parents[2]


def key(number: int) -> Signer:
    """A key for tests, the same every time."""
    return Signer((0xA91_0000 + number).to_bytes(32, "big"))


PROSUMER_KEY, NEIGHBOUR, SUPPLIER = key(1), key(2), key(3)
OPERATOR, ORACLE, AUDITOR, REGULATOR, STRANGER = key(4), key(5), key(6), key(7), key(8)
REGISTRAR = key(9)
GRANTS = {
    deploy.OPERATOR: OPERATOR,
    deploy.ORACLE: ORACLE,
    deploy.AUDITOR: AUDITOR,
    deploy.REGULATOR: REGULATOR,
    deploy.REGISTRAR: REGISTRAR,
}


@dataclass
class World:
    """A chain and what is on it."""

    anvil: Anvil
    chain: Chain
    deployment: Deployment
    admin: Signer

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.chain, self.deployment)

    def create(self, name: str, types: Sequence[str] = (), arguments: Sequence[Any] = ()) -> bytes:
        """Puts one of the wallets of tests/contracts/support/Wallets.sol on the chain."""
        receipt = self.chain.send(self.admin, None, wallets()[name] + CODEC.encode(types, arguments))
        assert receipt.contract is not None
        return receipt.contract


@contextmanager
def running_world() -> Iterator[World]:
    """The chain is gone afterwards."""
    with Anvil() as anvil:
        chain, admin = Chain(anvil.rpc_url), Signer(anvil.private_keys[0])
        found = deploy.deploy(chain, admin)
        for role, signer in GRANTS.items():
            deploy.grant(chain, admin, found, role, [signer.address])
        deploy.grant(chain, admin, found, deploy.REGISTRAR, [admin.address])
        world = World(anvil, chain, found, admin)
        for signer, role in ((PROSUMER_KEY, PROSUMER), (NEIGHBOUR, PROSUMER), (SUPPLIER, BALANCING_PARTY)):
            world.exchange.register(admin, signer.address, Member(role, 0, 5, 8_000))
        yield world


@cache
def wallets() -> dict[str, bytes]:
    """Creation code by name."""
    file = "tests/contracts/support/Wallets.sol"
    settings = compiler_settings() | {"viaIR": False}
    sources = {file: {"content": (ROOT / file).read_text()}}
    job = {"language": "Solidity", "sources": sources, "settings": settings}
    output = solcx.compile_standard(job, base_path=ROOT, solc_binary=ROOT / "tools" / "solc")
    found = output["contracts"][file]
    return {name: bytes.fromhex(one["evm"]["bytecode"]["object"]) for name, one in found.items()}
