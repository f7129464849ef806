"""Orders forced into a session, and claims against what its operator set aside (docs/omission.md).

A claim is for one order and pays its trader. It stands unless the trader's own word, shown in time, says that
the order was taken back or replaced. What it pays comes from its session's bond alone.
"""

from dataclasses import replace

from settlement.reference import accounts, clearing, eip712, membership, orders, receipts, session_key
from settlement.reference.closing import Commitment
from settlement.reference.errors import (
    AlreadyClaimed,
    AlreadySubmitted,
    BadSignature,
    ClaimsClosed,
    DefenceClosed,
    DefenceOpen,
    Forced,
    ForeignReceipt,
    ForeignZone,
    GateClosed,
    KeyEnded,
    MalformedRecord,
    NoBond,
    NoClaim,
    NoReplacement,
    NotAbsent,
    NotDefensible,
    NotFlagged,
    NotForced,
    NothingToRelease,
    NotIncluded,
    NotReplacing,
    OperatorMayNotTrade,
    QuantityOverflow,
    SequenceOutOfRange,
    SessionNotEnded,
    SplitOutOfRange,
    SubmissionTaken,
    TooManySubmissions,
    UnregisteredTrader,
    WrongSigner,
    WrongStage,
    ZoneClosed,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.closing import Closing
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.state import Bond, Claim, ClaimKind, ClaimStage, SessionRecord, Stage
from settlement.reference.flexible import SignedFlexible
from settlement.reference.membership import Absence, Inclusion
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.receipts import Cancel, Receipt, SignedReceipt
from settlement.reference.record import NO_ADDRESS, NO_HASH
from settlement.units import floor_div

DEFENCE_S = 86_400
"""To defend, behind the last claim and the longest pause."""
HALF_HOME_WH, HALF_WIDE_WH = 32_767, 2**29
"""Half of what a lane holds: the other half is for what the trader gives the operator."""
EMPTY = Commitment(0, NO_HASH)


class Omission(Closing):
    """Anyone may make any of these calls."""

    # Submitting -------------------------------------------------------------------------------------------

    @transaction
    def submit(self, now: int, session: bytes, zone: int, record: bytes) -> None:
        """Forces an order into the session: one of each trader and side, or the next that replaces it."""
        self.require_running(now)
        found = self.require_stage(now, session, Stage.OPEN)
        if now >= found.params.gate:
            raise GateClosed(session, found.params.gate)
        signed, order_hash, signer = self._read_one(session, zone, record)
        self._require_counting(found, signed.schedule.trader, signer)
        self._check_clearable(session, zone, order_hash, signed)
        if not signed.submitted:
            raise NotFlagged(order_hash)
        if order_hash in self.state.submitted:
            raise AlreadySubmitted(order_hash)
        by_key = signer != signed.schedule.trader
        self._take_place(found, signed.schedule, order_hash, by_key)
        self.state.submitted[order_hash] = found.epoch
        self.state.keyed |= {order_hash} if by_key else set()
        self.emit(events.OrderSubmitted(session, zone, order_hash, record))

    def _require_counting(self, found: SessionRecord, trader: bytes, signer: bytes) -> None:
        """KeyEnded for a key whose orders would fill zero: it takes no place from its account."""
        if signer != trader and not self.state.keys[(trader, signer)].counts_at(found.params.gate):
            raise KeyEnded(trader, signer)

    def _check_clearable(self, session: bytes, zone: int, order_hash: bytes, signed: SignedOrder) -> None:
        """What would make clearing stumble, and so the session void."""
        order, market = signed.schedule, self.market(session)
        member = self.state.members.get(order.trader)
        if member is None:
            raise UnregisteredTrader(order.trader)
        if not accounts.may_trade(member, order.kind, order.side):
            raise OperatorMayNotTrade(order.trader)
        if zone >= market.grid.zones:
            raise ZoneClosed(session, zone)
        if member.zone != zone:
            raise ForeignZone(order.trader, zone)
        clearing.check_order(market, order_hash, order)
        if order.most_wh > (HALF_WIDE_WH if member.wide else HALF_HOME_WH):
            raise QuantityOverflow(order_hash)
        if isinstance(signed, SignedFlexible) and any(signed.shares_wh):
            raise SplitOutOfRange(order_hash)

    def _take_place(self, found: SessionRecord, order: Order, order_hash: bytes, by_key: bool) -> None:
        """Whoever holds an older order of the trader cannot keep its place from its next one. No session key
        takes it from an order that the trader signed itself.
        """
        place = (found.epoch, order.trader, order.side)
        earlier = self.state.places.get(place)
        self.state.places[place] = order_hash
        if earlier is not None:
            if order.replaces != earlier or (by_key and earlier not in self.state.keyed):
                raise SubmissionTaken(order.trader, earlier)
            del self.state.submitted[earlier]
            self.state.keyed -= {earlier}
            self.emit(events.SubmissionReplaced(order.session, earlier))
            return
        zone = (found.epoch, order.zone)
        total = sum(count for (epoch, _), count in self.state.submissions.items() if epoch == found.epoch)
        if total >= found.params.max_submitted:
            raise TooManySubmissions(order.session)
        self.state.submissions[zone] = self.state.submissions.get(zone, 0) + 1

    # Claiming ---------------------------------------------------------------------------------------------

    @transaction
    def claim_omission(
        self, now: int, session: bytes, zone: int, record: bytes, receipt: SignedReceipt, proof: Absence
    ) -> None:
        """In a proved session: an order that has a receipt and is not under the root."""
        self._require_claimable(now, session, Stage.PROVED)
        signed, order_hash, _ = self._read_one(session, zone, record)
        self._require_receipt(session, order_hash, receipt)
        book = self.book(session, zone)
        if not membership.lacks(book.count, book.root, order_hash, proof):
            raise NotAbsent(order_hash)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.OMITTED, by_receipt=True)

    @transaction
    def claim_cancelled(
        self,
        now: int,
        session: bytes,
        zone: int,
        record: bytes,
        proof: Inclusion,
        cancel: bytes,
        receipt: SignedReceipt,
    ) -> None:
        """In a proved session: an order under the root, though its cancel has a receipt."""
        signed, order_hash, signer = self._read_included(now, session, zone, record, proof)
        digest = self._require_cancel(session, order_hash, signed.schedule.trader, signer, cancel)
        self._require_receipt(session, digest, receipt)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.WRONGLY_INCLUDED)

    @transaction
    def claim_replaced(
        self,
        now: int,
        session: bytes,
        zone: int,
        record: bytes,
        proof: Inclusion,
        replacement: bytes,
        receipt: SignedReceipt,
    ) -> None:
        """In a proved session: an order under the root, though one that replaces it has a receipt."""
        signed, order_hash, signer = self._read_included(now, session, zone, record, proof)
        other, other_hash, by, after = self._read(session, zone, replacement, 0)
        _require_end(replacement, after)
        _require_replacing(other.schedule, other_hash, by, order_hash, signed.schedule.trader, signer)
        self._require_receipt(session, other_hash, receipt)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.WRONGLY_INCLUDED)

    @transaction
    def claim_void(self, now: int, session: bytes, zone: int, record: bytes, receipt: SignedReceipt) -> None:
        """In a void session: an order that has a receipt."""
        self._require_claimable(now, session, Stage.VOID)
        signed, order_hash, _ = self._read_one(session, zone, record)
        self._require_receipt(session, order_hash, receipt)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.VOID, by_receipt=True)

    @transaction
    def claim_committed(self, now: int, session: bytes, zone: int, record: bytes, proof: Inclusion) -> None:
        """In a void session: an order under the root."""
        self._require_claimable(now, session, Stage.VOID)
        signed, order_hash, _ = self._read_one(session, zone, record)
        self._require_included(session, zone, order_hash, proof)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.VOID)

    @transaction
    def claim_submitted(self, now: int, session: bytes, zone: int, record: bytes) -> None:
        """In a void session: an order that was submitted on chain."""
        self._require_claimable(now, session, Stage.VOID)
        signed, order_hash, _ = self._read_one(session, zone, record)
        if self.state.submitted.get(order_hash) != self.session(session).epoch:
            raise NotForced(order_hash)
        self._open_claim(session, signed.schedule, order_hash, ClaimKind.VOID)

    def _read_included(
        self, now: int, session: bytes, zone: int, record: bytes, proof: Inclusion
    ) -> tuple[SignedOrder, bytes, bytes]:
        """An order of a proved session that was cleared of the operator's own will, its hash and signer."""
        self._require_claimable(now, session, Stage.PROVED)
        signed, order_hash, signer = self._read_one(session, zone, record)
        self._require_included(session, zone, order_hash, proof)
        if order_hash in self.state.submitted:
            raise Forced(order_hash)
        return signed, order_hash, signer

    def _require_claimable(self, now: int, session: bytes, stage: Stage) -> None:
        self.require_running(now)
        record = self.session(session)
        if record.epoch not in self.state.bonds:
            raise NoBond(session)
        found = self.stage(now, session)
        if found not in ENDED:
            raise SessionNotEnded(session)
        if found is not stage:
            raise WrongStage(session, found)
        if now > record.params.claim_by:
            raise ClaimsClosed(session, record.params.claim_by)

    def _open_claim(
        self, session: bytes, order: Order, order_hash: bytes, kind: ClaimKind, by_receipt: bool = False
    ) -> None:
        if order_hash in self.state.claims:
            raise AlreadyClaimed(order_hash)
        self.member(order.trader)
        epoch = self.session(session).epoch
        self.state.claims[order_hash] = Claim(order.trader, epoch, kind, by_receipt)
        self.emit(events.ClaimOpened(session, order_hash, order.trader, kind.value))

    # Defending --------------------------------------------------------------------------------------------

    @transaction
    def defend_cancelled(self, now: int, order_hash: bytes, zone: int, records: bytes, cancel: bytes) -> None:
        """The trader took the order back, or the last of those that replaced it."""
        claim, session = self._require_defensible(now, order_hash)
        last, signer = self._follow_replacements(claim, session, order_hash, zone, records)
        self._require_cancel(session, last, claim.trader, signer, cancel)
        self._defeat(session, claim, order_hash)

    @transaction
    def defend_replaced(
        self, now: int, order_hash: bytes, zone: int, records: bytes, proof: Inclusion
    ) -> None:
        """The trader replaced the order, and the last of those that replaced it was cleared.

        Nobody knows whether the roots of a void session are those of any book: there the last must be
        claimed, so that its trader is paid for it instead of for all.
        """
        claim, session = self._require_defensible(now, order_hash)
        last, _ = self._follow_replacements(claim, session, order_hash, zone, records)
        if last == order_hash:
            raise NoReplacement(order_hash)
        if claim.kind is not ClaimKind.VOID:
            self._require_included(session, zone, last, proof)
        else:
            self._require_open(last)
        self._defeat(session, claim, order_hash)

    def _require_open(self, order_hash: bytes) -> Claim:
        claim = self.state.claims.get(order_hash)
        if claim is None or claim.stage is not ClaimStage.OPEN:
            raise NoClaim(order_hash)
        return claim

    def _require_defensible(self, now: int, order_hash: bytes) -> tuple[Claim, bytes]:
        self.require_running(now)
        claim = self._require_open(order_hash)
        if not claim.by_receipt:
            raise NotDefensible(order_hash)
        session = self.state.epochs[claim.epoch - 1]
        until = self.defended_until(session)
        if now > until:
            raise DefenceClosed(session, until)
        return claim, session

    def _follow_replacements(
        self, claim: Claim, session: bytes, order_hash: bytes, zone: int, records: bytes
    ) -> tuple[bytes, bytes]:
        """The order that stands for the claimed one after its trader's replacements, and who signed it.

        The first record may be the claimed order itself, to show which key signed it.
        """
        last, signer, at = order_hash, claim.trader, 0
        while at < len(records):
            signed, found, by, at = self._read(session, zone, records, at)
            if found != last:
                _require_replacing(signed.schedule, found, by, last, claim.trader, signer)
            last, signer = found, by
        return last, signer

    def _defeat(self, session: bytes, claim: Claim, order_hash: bytes) -> None:
        self.state.claims[order_hash] = replace(claim, stage=ClaimStage.DEFEATED)
        self.emit(events.ClaimDefeated(session, order_hash))

    # Paying -----------------------------------------------------------------------------------------------

    @transaction
    def pay_claim(self, now: int, order_hash: bytes) -> None:
        """Pays a claim that nothing defeated in time."""
        self.require_running(now)
        self.require_quiet(now)
        claim = self._require_open(order_hash)
        session = self.state.epochs[claim.epoch - 1]
        self._require_defended(now, session)
        amount = self._share(claim)
        self.state.claims[order_hash] = replace(claim, stage=ClaimStage.PAID)
        bond = self.state.bonds[claim.epoch]
        self.state.bonds[claim.epoch] = replace(bond, locked_nano=bond.locked_nano - amount)
        self.add_free(now, claim.trader, amount)
        self.emit(events.ClaimPaid(session, order_hash, claim.trader, amount))

    def _share(self, claim: Claim) -> int:
        """What each claim of the trader is paid.

        An operator can sign any number of receipts, so its friends can have any number of claims. Where they
        are more than the bond is for, traders share it equally, however many claims each has.
        """
        params = self.session(self.state.epochs[claim.epoch - 1]).params
        standing = self.standing(claim.epoch)
        if len(standing) <= params.bonded_claims:
            return params.bond_nano
        traders = [one.trader for one in standing.values()]
        each = floor_div(params.bond_nano * params.bonded_claims, len(set(traders)))
        return min(floor_div(each, traders.count(claim.trader)), params.bond_nano)

    def standing(self, epoch: int) -> dict[bytes, Claim]:
        """A session's claims that were not defeated, by order."""
        claims = self.state.claims.items()
        return {h: c for h, c in claims if c.epoch == epoch and c.stage is not ClaimStage.DEFEATED}

    @transaction
    def release_bond(self, now: int, session: bytes) -> None:
        """Returns what no claim needs, once nothing can be claimed or defended any more."""
        self.require_running(now)
        self.require_quiet(now)
        record = self.session(session)
        bond = self._bond(record, session)
        self._require_defended(now, session)
        unpaid = [c for c in self.standing(record.epoch).values() if c.stage is ClaimStage.OPEN]
        owed = sum(self._share(claim) for claim in unpaid)
        if len(self.standing(record.epoch)) > record.params.bonded_claims and unpaid:
            owed = bond.locked_nano  # what rounding leaves returns with the last claim
        amount = bond.locked_nano - owed
        if not amount:
            raise NothingToRelease(session)
        self.state.bonds[record.epoch] = replace(bond, locked_nano=owed)
        self.add_free(now, bond.operator, amount)
        self.emit(events.BondReleased(session, bond.operator, amount))

    def _bond(self, record: SessionRecord, session: bytes) -> Bond:
        if record.epoch not in self.state.bonds:
            raise NoBond(session)
        return self.state.bonds[record.epoch]

    def defended_until(self, session: bytes) -> int:
        return self.session(session).params.claim_by + DEFENCE_S + self.max_pause

    def _require_defended(self, now: int, session: bytes) -> None:
        until = self.defended_until(session)
        if now <= until:
            raise DefenceOpen(session, until)

    # What is shown ----------------------------------------------------------------------------------------

    def book(self, session: bytes, zone: int) -> Commitment:
        """What was committed of a zone; nothing for a zone without a book."""
        record = self.session(session)
        return record.commitments[zone] if zone < len(record.commitments) else EMPTY

    def _require_included(self, session: bytes, zone: int, order_hash: bytes, proof: Inclusion) -> None:
        book = self.book(session, zone)
        if not membership.includes(book.count, book.root, order_hash, proof):
            raise NotIncluded(order_hash)

    def _require_receipt(self, session: bytes, hash_: bytes, receipt: SignedReceipt) -> None:
        """A receipt is for this hash if the digest over it recovers to the signer."""
        params = self.session(session).params
        if receipt.sequence >= params.max_orders:
            raise SequenceOutOfRange(receipt.sequence, params.max_orders)
        message = Receipt(session, hash_, receipt.sequence)
        signer = eip712.recover(receipts.digest(self.separator, message), receipt.signature)
        if signer != params.receipt_signer:
            raise ForeignReceipt(signer, params.receipt_signer)

    def _require_cancel(
        self, session: bytes, order_hash: bytes, trader: bytes, order_signer: bytes, signature: bytes
    ) -> bytes:
        """The digest of the order's cancel, by who may take it back."""
        digest = receipts.digest(self.separator, Cancel(order_hash, session))
        signer = eip712.recover(digest, signature)
        if not session_key.may_take_back(signer, trader, order_signer):
            raise WrongSigner(signer, trader)
        return digest

    def _read(self, session: bytes, zone: int, data: bytes, at: int) -> tuple[SignedOrder, bytes, bytes, int]:
        """The order at a place of the records, its hash, who signed it, and the next place."""
        kind = self.session(session).params.kind
        signed, after = orders.decode(data, at, session, kind, zone)
        order_hash, signer = orders.signed_hash(self.separator, signed)
        if signer == NO_ADDRESS:
            raise BadSignature(signer, signed.schedule.trader)
        return signed, order_hash, signer, after

    def _read_one(self, session: bytes, zone: int, data: bytes) -> tuple[SignedOrder, bytes, bytes]:
        """The order of exactly one record, its hash, and who signed it.

        BadSignature unless its trader did, or a key that it had granted by the gate.
        """
        signed, order_hash, signer, after = self._read(session, zone, data, 0)
        _require_end(data, after)
        trader, gate = signed.schedule.trader, self.session(session).params.gate
        if not session_key.signs_for(self.state.keys, trader, signer, gate):
            raise BadSignature(signer, trader)
        return signed, order_hash, signer


def _require_end(data: bytes, after: int) -> None:
    if after != len(data):
        raise MalformedRecord(after)


def _require_replacing(
    order: Order, order_hash: bytes, by: bytes, replaced: bytes, trader: bytes, signer: bytes
) -> None:
    """NotReplacing unless an order signed `by` somebody takes back the one that `signer` signed."""
    replaces = order.replaces == replaced and order.trader == trader
    if not replaces or not session_key.may_take_back(by, trader, signer):
        raise NotReplacing(order_hash, replaced)
