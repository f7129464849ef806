"""The deployed Exchange as an object: its calls, its reads as the reference's types, its settlement token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from settlement.chain.abi import exchange_interface, interface
from settlement.chain.client import Chain
from settlement.chain.deploy import Deployment
from settlement.chain.rpc import Call, Receipt
from settlement.chain.sign import Signer
from settlement.reference.accounts import Cash, Member
from settlement.reference.session import Grid, SessionParams
from settlement.reference.session_key import KeyRing, KeyUse, Place, Scope, SessionKey
from settlement.reference.words import field


class Stage(IntEnum):
    """How far a session is, as the contract numbers it."""

    NONE, OPEN, COMMITTED, POSTED, PROVED, VOID = range(6)


class RunStage(IntEnum):
    """How far a day's run is, as the contract numbers it."""

    NONE, POSTED, SETTLING, SETTLED, CERTIFIED = range(5)


FLAG_WIDE, FLAG_SUSPENDED, FLAG_WITHDRAWING, FLAG_DONOR = 1, 2, 4, 8


@dataclass(frozen=True)
class Account:
    """A member and its cash as the chain has them."""

    member: Member | None
    """None for an account never registered."""
    cash: Cash
    withdrawing: tuple[int, int] = (0, 0)
    """What it asked back, nano, and the last session opened before."""
    held: int = 0
    """Bit `side * 16 + quality` for each product it ever had."""

    def holds(self, side: int, quality: int) -> bool:
        return bool(self.held >> (side * 16 + quality) & 1)


@dataclass(frozen=True)
class Run:
    """The settlement run of a day, and the sequence of a zone's posting."""

    stage: RunStage
    sequence: int
    carry_hash: bytes


def key_of(terms: Sequence[Any]) -> SessionKey | None:
    """A session key by what `keyOf` says; None if it was never granted."""
    *scope, granted_at, revoked_at = terms
    return SessionKey(Scope(*scope), granted_at, revoked_at) if granted_at else None


def member_of(word: int) -> Member | None:
    """The member of its packed word (contracts/libraries/Member.sol)."""
    role, flags = field(word, 56, 8), field(word, 64, 8)
    if role == 0:
        return None
    return Member(
        role=role,
        zone=field(word, 0, 32),
        max_quality=field(word, 72, 8),
        capacity_wh=field(word, 80, 32),
        wide=bool(flags & FLAG_WIDE),
        suspended=bool(flags & FLAG_SUSPENDED),
    )


class Exchange:
    """One deployment on one chain."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        self.chain, self.deployment = chain, deployment
        self.abi = exchange_interface()
        self.address = deployment.exchange

    @property
    def separator(self) -> bytes:
        return self.deployment.separator

    # Calls ----------------------------------------------------------------------------------------------

    def send(self, signer: Signer, name: str, *arguments: Any, gas: int | None = None) -> Receipt:
        """A small call, encoded from the ABI."""
        return self.chain.send(signer, self.address, self.abi.encode(name, *arguments), gas=gas)

    def send_data(self, signer: Signer, data: bytes, *, gas: int | None = None) -> Receipt:
        """A call that is encoded already."""
        return self.chain.send(signer, self.address, data, gas=gas)

    def view(self, name: str, *arguments: Any, block: int | None = None) -> tuple[Any, ...]:
        """Everything a view returns."""
        data = self.chain.call(self.address, self.abi.encode(name, *arguments), block=block)
        return self.abi.decode(name, data)

    def views(self, name: str, arguments: Sequence[tuple[Any, ...]], block: int | None = None) -> list[Any]:
        """The same view for many arguments, of one block: a tuple each."""
        calls = [Call(self.address, self.abi.encode(name, *one)) for one in arguments]
        return [self.abi.decode(name, data) for data in self.chain.call_many(calls, block=block)]

    # Members --------------------------------------------------------------------------------------------

    def register(self, registrar: Signer, account: bytes, member: Member) -> Receipt:
        terms = (member.zone, member.role, member.max_quality, member.capacity_wh, member.wide)
        return self.send(registrar, "registerMember", account, *terms)

    def accounts(self, addresses: Sequence[bytes], block: int | None = None) -> dict[bytes, Account]:
        """Members with their cash, folded, as of a block."""
        at = self.chain.block_number() if block is None else block
        each = [(address,) for address in addresses]
        words = [word for (word,) in self.views("memberOf", each, at)]
        cash = self.views("cashOf", each, at)
        found = {
            address: Account(member_of(word), Cash(*amounts), held=field(word, 112, 32))
            for address, word, amounts in zip(addresses, words, cash, strict=True)
        }
        asked = [a for a, word in zip(addresses, words, strict=True) if word >> 64 & FLAG_WITHDRAWING]
        requests = self.views("withdrawalOf", [(address,) for address in asked], at)
        for address, request in zip(asked, requests, strict=True):
            found[address] = replace(found[address], withdrawing=tuple(request))
        return found

    def session_keys(self, places: Sequence[Place], block: int | None = None) -> KeyRing:
        """Those of the keys that were ever granted, and what they used, folded, as of a block."""
        if not places:
            return KeyRing()
        at = self.chain.block_number() if block is None else block
        terms, uses = self.views("keyOf", places, at), self.views("keyUseOf", places, at)
        found = {place: key_of(each) for place, each in zip(places, terms, strict=True)}
        keys = {place: key for place, key in found.items() if key is not None}
        return KeyRing(keys, {place: KeyUse(*use) for place, use in zip(places, uses, strict=True)})

    def cash(self, account: bytes, block: int | None = None) -> Cash:
        return Cash(*self.view("cashOf", account, block=block))

    # Sessions -------------------------------------------------------------------------------------------

    def set_grid(self, registrar: Signer, grid: Grid) -> int:
        """The version of a new grid."""
        receipt = self.send(registrar, "setGrid", grid_arguments(grid))
        return int.from_bytes(receipt.logs[0].topics[1], "big")

    def open_day(self, operator: Signer, day: int, windows: int, version: int) -> Receipt:
        return self.send(operator, "openDay", day, windows, version)

    def session(self, epoch: int, block: int | None = None) -> tuple[bytes, Stage]:
        """Its id and how far it is now."""
        session, stage = self.view("sessionOf", epoch, block=block)
        return session, Stage(stage)

    def params(self, epoch: int) -> SessionParams:
        return SessionParams(*self.view("sessionParams", epoch)[0])

    def run(self, zone: int, day: int) -> Run:
        """How far the run of a zone and day is."""
        stage, sequence, carry_hash = self.view("runOf", zone, day)
        return Run(RunStage(stage), sequence, carry_hash)

    def zone_under_way(self, day: int) -> tuple[int, int]:
        """The zone whose parts are next, or the number of zones if none is; and how many are behind."""
        zone, parts = self.view("zoneUnderWay", day)
        return zone, parts

    def time(self) -> int:
        """Of the latest block, Unix seconds."""
        return self.chain.now()


class Token:
    """The settlement token; one unit is one nano."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        self.chain, self.address = chain, deployment.token
        self.abi = interface("SettlementToken")

    def mint(self, minter: Signer, account: bytes, amount_nano: int) -> Receipt:
        return self.chain.send(minter, self.address, self.abi.encode("mint", account, amount_nano))

    def approve(self, owner: Signer, spender: bytes, amount_nano: int) -> Receipt:
        return self.chain.send(owner, self.address, self.abi.encode("approve", spender, amount_nano))

    def balance(self, account: bytes) -> int:
        data = self.chain.call(self.address, self.abi.encode("balanceOf", account))
        return int(self.abi.decode("balanceOf", data)[0])


def grid_arguments(grid: Grid) -> tuple[tuple[int, ...], ...]:
    """The grid as eth_abi takes it."""
    return (grid.qualities, grid.substitutions, grid.parents, grid.charges, grid.capacities)
