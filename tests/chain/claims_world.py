"""Sessions with a bond on the embedded chain, every call made on the model too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from chain_world import CLAIM_BY, PROSUMERS, SIGNERS, STRANGER, World, key, make_schedule
from eth_abi.exceptions import EncodingError

from settlement.chain import claims
from settlement.chain.books import Session
from settlement.chain.errors import ContractRevert
from settlement.chain.intake import Intake
from settlement.chain.receipts import sign_cancel, sign_receipt
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference import membership, orders
from settlement.reference.accounts import Member
from settlement.reference.errors import Refused
from settlement.reference.exchange.state import ClaimStage
from settlement.reference.membership import Absence, Inclusion
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import Cancel, Receipt, SignedReceipt
from settlement.reference.schedule import SignedSchedule
from settlement.reference.session_key import Scope

RECEIPTS = key(300)
"""The session's receipt signer."""
BOND = 7 * 10**9
BUYER, SELLER, POOR, BIG = PROSUMERS

ECDSA = "ECDSAInvalidSignature"


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


ANYTHING = Scope(kinds=15, max_wh=2**32 - 1, max_spend=2**96 - 1, expiry=2**40 - 1)


@dataclass
class Bonded:
    """One session, its orders by name, and what is signed about them."""

    world: World
    session: Session
    hashes: list[bytes] = field(default_factory=list)
    """Of the book that was committed."""

    @property
    def separator(self) -> bytes:
        return self.world.exchange.separator

    # Orders and what is signed ----------------------------------------------------------------------------

    def order(self, trader: Signer, **changes: Any) -> SignedSchedule:
        return self.world.sign(make_schedule(self.session, trader.address, **changes))

    def replacing(self, order: SignedSchedule, **changes: Any) -> SignedSchedule:
        """The trader's next order in its place."""
        again = replace(order.schedule, replaces=self.hash(order), nonce=order.schedule.nonce + 1, **changes)
        return self.world.sign(again)

    def by(self, agent: Signer, order: SignedSchedule, **changes: Any) -> SignedSchedule:
        """The order in the same words, but for some, signed by an agent."""
        return sign_schedule(agent, self.separator, replace(order.schedule, **changes))

    def grant(self, owner: Signer, agent: Signer, scope: Scope = ANYTHING) -> None:
        """On the chain and in the model."""
        world, zone = self.world, self.world.model.member(owner.address).zone
        world.exchange.send(owner, "grantKey", agent.address, zone, *vars(scope).values())
        world.model.grant_key(world.now(), owner.address, agent.address, zone, scope)

    def revoke(self, owner: Signer, agent: Signer) -> None:
        self.world.exchange.send(owner, "revokeKey", agent.address)
        self.world.model.revoke_key(self.world.now(), owner.address, agent.address)

    def hash(self, order: SignedOrder) -> bytes:
        return orders.signed_hash(self.separator, order)[0]

    def record(self, order: SignedOrder, submitted: bool = False) -> bytes:
        return orders.encode(replace(order, submitted=submitted))

    def cancel(self, order: SignedOrder, signer: Signer | None = None) -> bytes:
        trader = signer or SIGNERS[order.schedule.trader]
        return sign_cancel(trader, self.separator, Cancel(self.hash(order), self.session.id))

    def receipt(self, hash_: bytes, sequence: int = 0, signer: Signer = RECEIPTS) -> SignedReceipt:
        return sign_receipt(signer, self.separator, Receipt(self.session.id, hash_, sequence))

    def receipt_of(self, order: SignedOrder, sequence: int = 0) -> SignedReceipt:
        return self.receipt(self.hash(order), sequence)

    def absence(self, order: SignedOrder) -> Absence:
        return membership.prove_absence(self.hashes, self.hash(order)) or Absence(0)

    def inclusion(self, order: SignedOrder) -> Inclusion:
        return membership.prove_inclusion(self.hashes, self.hash(order)) or claims.NOWHERE

    # The session ------------------------------------------------------------------------------------------

    def prove(self, *book: SignedSchedule) -> None:
        self.remember(*book)
        self.world.clear(self.session, book)

    def commit(self, *book: SignedSchedule) -> None:
        self.remember(*book)
        self.world.commit(self.session, book)

    def remember(self, *book: SignedSchedule) -> None:
        self.hashes = sorted(self.hash(one) for one in book)
        self.world.orders |= {self.hash(one): one.schedule for one in book}

    def pass_deadline(self) -> None:
        self.world.clock.advance_to(self.session.params.prove_by + 1)

    def pass_defence(self) -> None:
        self.world.clock.advance_to(self.world.model.defended_until(self.session.id) + 1)

    # Both at once -----------------------------------------------------------------------------------------

    def both(self, name: str, *values: Any) -> str:
        """Makes a call on the chain and on the model: both do it, or both refuse it with the same error,
        whose name is returned.
        """
        of_order = name.startswith("defend") or name == "pay_claim"
        first = () if of_order else (self.session.epoch,)
        refused = self._send(camel(name), (*first, *map(argument, values)))
        call = getattr(self.world.model, name)
        first = () if of_order else (self.session.id,)
        before = self.world.model.state.copy()
        try:
            call(self.world.now(), *first, *values)
        except Refused as error:
            found = type(error).__name__
            assert self.world.model.state == before
        else:
            found = ""
        assert found == refused.replace(ECDSA, "InvalidSignature"), (name, found, refused)
        return found

    def _send(self, name: str, values: tuple[Any, ...]) -> str:
        try:
            self.world.exchange.send(STRANGER, name, *values)
        except ContractRevert as error:
            return ECDSA if error.name.startswith(ECDSA) else error.name
        except EncodingError as error:
            raise AssertionError(f"{name}: {error}") from error
        return ""

    def assert_same(self) -> None:
        """Cash, bonds, claims and everything told are the model's."""
        self.world.assert_same()
        model, epoch = self.world.model, self.session.epoch
        bond, standing = model.state.bonds[epoch], model.standing(epoch).values()
        paid = sum(claim.stage is ClaimStage.PAID for claim in standing)
        traders = len({claim.trader for claim in standing})
        ((*found,),) = self.world.exchange.view("bondOf", epoch)
        assert found == [bond.operator, bond.locked_nano, len(standing), paid, traders]
        for order_hash, claim in model.state.claims.items():
            ((*found,),) = self.world.exchange.view("claimOf", order_hash)
            assert found == [claim.trader, epoch, claim.kind.value, claim.stage.value, claim.by_receipt]


def argument(value: Any) -> Any:
    """A value of the reference as eth_abi takes it."""
    match value:
        case SignedReceipt():
            return claims.receipt_arguments(value)
        case Inclusion():
            return claims.inclusion_arguments(value)
        case Absence():
            return claims.absence_arguments(value)
    return value


def fund_operator(world: World, amount: int = 10**13) -> None:
    world.token.mint(world.admin, world.admin.address, amount)
    world.token.approve(world.admin, world.exchange.address, amount)
    world.deposit(world.operator.address, amount)


def open_bonded(world: World, **changes: Any) -> Bonded:
    terms = {"bond_nano": BOND, "claim_by": CLAIM_BY, "receipt_signer": RECEIPTS.address, **changes}
    return Bonded(world, world.open_session(**terms))


def make_intake(bonded: Bonded) -> Intake:
    return Intake(bonded.separator, bonded.session, RECEIPTS)


def member_of(world: World, order: SignedOrder) -> Member:
    return world.model.member(order.schedule.trader)
