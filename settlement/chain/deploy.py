"""Puts a deployment on a chain and says who may do what.

Roles are the AccessManager's, one a selector. Whoever deploys is its administrator and can grant and revoke
them; nobody, the administrator included, can touch prices, fills, cash or tokens.

    role       may                                                             held by
    OPERATOR   openDay, openSession, commitBooks, postHeader, clear,           the market operator
               closeZone, joinChildren
    ORACLE     postMetering, postCorrection, bondOracles, unbondOracles,       oracle nodes and the operator
               settle of a day by default
    REGISTRAR  registerMember, changeMember, registerMeter, rotateMeter,       the community's registrar
               revokeMeter, setGrid, setOracle, setQuorum, setChallengeBond
    GUARDIAN   pause, unpause                                                  whoever watches
    MINTER     mint of the settlement token                                    who takes the money in
    AUDITOR    nothing on chain; the API shows all evidence                    auditors
    REGULATOR  nothing on chain; the API shows ledger and aggregates           regulators

ORACLE posts what a quorum signed: the contract checks the signatures, the role only keeps strangers from
filling blocks. An oracle node's vote is its signature (`setOracle`), not this role. What a quorum signed
anyone may settle, certify and correct; a day by default anyone may post and certify, but who settles it
chooses which accounts come when, and one that is passed over can never be settled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settlement.chain.abi import CODEC, exchange_interface, interface
from settlement.chain.client import Chain
from settlement.chain.compile import compile_contracts
from settlement.chain.errors import ChainError, WrongChain
from settlement.chain.rpc import to_bytes, to_hex
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference import eip712

ADMIN = 0
"""The AccessManager's own: grants and revokes."""
OPERATOR, ORACLE, REGISTRAR, GUARDIAN, MINTER, AUDITOR, REGULATOR = range(1, 8)

LABELS = {
    OPERATOR: "OPERATOR",
    ORACLE: "ORACLE",
    REGISTRAR: "REGISTRAR",
    GUARDIAN: "GUARDIAN",
    MINTER: "MINTER",
    AUDITOR: "AUDITOR",
    REGULATOR: "REGULATOR",
}

EXCHANGE_RIGHTS: Mapping[int, tuple[str, ...]] = {
    OPERATOR: (
        "openDay",
        "openSession",
        "commitBooks",
        "postHeader",
        "clear",
        "closeZone",
        "joinChildren",
    ),
    ORACLE: (
        "postMetering",
        "postCorrection",
        "bondOracles",
        "unbondOracles",
        "settle",  # of a day by default; the contract asks for nobody's role otherwise
    ),
    REGISTRAR: (
        "registerMember",
        "changeMember",
        "registerMeter",
        "rotateMeter",
        "revokeMeter",
        "setChallengeBond",
        "setGrid",
        "setOracle",
        "setQuorum",
    ),
    GUARDIAN: ("pause", "unpause"),
}
TOKEN_RIGHTS: Mapping[int, tuple[str, ...]] = {MINTER: ("mint",)}

MODULES = (
    "ClearingModule",
    "ProofModule",
    "SettlementModule",
    "OmissionModule",
    "DeliveryModule",
    "ChallengeModule",
)
"""What the Exchange delegates to, as its constructor takes them; each has a getter of its name."""

MAX_PAUSE_S = 86_400


@dataclass(frozen=True)
class Terms:
    """What a deployment never changes."""

    window_length: int = 1800
    """Seconds."""
    max_pause: int = MAX_PAUSE_S
    """Seconds."""
    currency: tuple[str, str] = ("Trellis settlement token", "TST")
    """Name and symbol of the settlement token."""


@dataclass(frozen=True)
class Deployment:
    """Where everything is."""

    chain_id: int
    exchange: bytes
    block: int
    """The first one worth reading: the Exchange's own."""
    token: bytes
    authority: bytes
    modules: tuple[bytes, ...]
    """In the order of `MODULES`."""
    window_length: int

    @property
    def separator(self) -> bytes:
        """The EIP-712 domain separator of all that is signed for it."""
        return eip712.domain_separator(self.chain_id, self.exchange)


def deploy(chain: Chain, admin: Signer, terms: Terms | None = None) -> Deployment:
    """Deploys everything; `admin` holds no role but the AccessManager's until it grants itself one."""
    given = terms or Terms()
    authority, _ = _create(chain, admin, "Administration", ["address"], [admin.address])
    token, _ = _create(
        chain, admin, "SettlementToken", ["address", "string", "string"], [authority, *given.currency]
    )
    built = (authority, token, given.window_length, given.max_pause)
    kind = "(address,address,uint16,uint32)"
    modules = tuple(_create(chain, admin, name, [kind], [built])[0] for name in MODULES)
    parts = [kind, *("address" for _ in modules)]
    exchange, block = _create(chain, admin, "Exchange", parts, [built, *modules])
    found = Deployment(chain.chain_id, exchange, block, token, authority, modules, given.window_length)
    _assign(chain, admin, found)
    return found


def _create(
    chain: Chain, admin: Signer, name: str, types: list[str], arguments: list[Any]
) -> tuple[bytes, int]:
    code = compile_contracts()[name].linked() + CODEC.encode(types, arguments)
    receipt = chain.send(admin, None, code)
    if receipt.contract is None:
        raise ChainError(f"the chain did not create {name}: see the node's log")
    return receipt.contract, receipt.block


def _assign(chain: Chain, admin: Signer, found: Deployment) -> None:
    """Gives each role its selectors, and its name."""
    tables = (
        (found.exchange, exchange_interface(), EXCHANGE_RIGHTS),
        (found.token, interface("SettlementToken"), TOKEN_RIGHTS),
    )
    manager = interface("Administration")
    for target, abi, rights in tables:
        for role, names in rights.items():
            selectors = [abi.selector(name) for name in names]
            call = manager.encode("setTargetFunctionRole", target, selectors, role)
            chain.send(admin, found.authority, call)
    for role, label in LABELS.items():
        chain.send(admin, found.authority, manager.encode("labelRole", role, label))


def grant(chain: Chain, admin: Signer, deployment: Deployment, role: int, accounts: Iterable[bytes]) -> None:
    """Lets accounts do what a role may, at once."""
    manager = interface("Administration")
    for account in accounts:
        chain.send(admin, deployment.authority, manager.encode("grantRole", role, account, 0))


def revoke(chain: Chain, admin: Signer, deployment: Deployment, role: int, account: bytes) -> None:
    """Takes a role away."""
    chain.send(admin, deployment.authority, interface("Administration").encode("revokeRole", role, account))


def has_role(chain: Chain, deployment: Deployment, role: int, account: bytes) -> bool:
    """Whether an account has a role now."""
    abi = interface("Administration")
    data = chain.call(deployment.authority, abi.encode("hasRole", role, account))
    is_member, delay = abi.decode("hasRole", data)
    return bool(is_member) and not delay


def getter(module: str) -> str:
    """The Exchange's view of a module's address."""
    return module[0].lower() + module[1:]


# deployment.json ----------------------------------------------------------------------------------------


def write_deployment(deployment: Deployment, path: Path) -> None:
    """Writes `{"chain_id", "exchange", "block"}`; the rest is read from the chain."""
    fields = {
        "chain_id": deployment.chain_id,
        "exchange": to_hex(deployment.exchange),
        "block": deployment.block,
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(fields, indent=2) + "\n")
    os.replace(partial, path)


def read_deployment(chain: Chain, path: Path) -> Deployment:
    """The deployment of a file. InputError if it is none, WrongChain if the node is of another chain."""
    try:
        fields = json.loads(path.read_text())
        chain_id, block = int(fields["chain_id"]), int(fields["block"])
        exchange = to_bytes(fields["exchange"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as cause:
        raise InputError(f"{path} is no deployment.json ({cause}): deploy first, or name another") from cause
    if chain_id != chain.chain_id:
        raise WrongChain(chain.chain_id, chain_id)
    return find_deployment(chain, exchange, block)


def find_deployment(chain: Chain, exchange: bytes, block: int) -> Deployment:
    """The deployment whose Exchange is at an address. InputError if nothing answers there."""
    if len(exchange) != 20 or not chain.code(exchange):
        raise InputError(f"no contract at {to_hex(exchange)}: give the Exchange's address on this chain")
    abi = exchange_interface()

    def read(name: str) -> Any:
        return abi.decode(name, chain.call(exchange, abi.encode(name)))[0]

    return Deployment(
        chain.chain_id,
        exchange,
        block,
        token=read("settlementToken"),
        authority=read("authority"),
        modules=tuple(read(getter(name)) for name in MODULES),
        window_length=read("windowLength"),
    )
