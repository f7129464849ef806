// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Book, Ledger, Session, Submission} from "./Ledger.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {IClearing} from "./interfaces/IClearing.sol";
import {Bond, Claim, ClaimKind, ClaimStage, IOmission, Receipt} from "./interfaces/IOmission.sol";
import {ISessionKeys} from "./interfaces/ISessionKeys.sol";
import {Member, ROLE_NETWORK_OPERATOR, ROLE_NONE} from "./libraries/Member.sol";
import {Absence, Inclusion, Membership} from "./libraries/Membership.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";
import {Receipts} from "./libraries/Receipts.sol";
import {ScheduleCodec, Scratch} from "./libraries/ScheduleCodec.sol";
import {SignedOrder, SignedRecords} from "./libraries/SignedRecords.sol";

/// @title Omission: orders forced into a session, claims against its bond
/// @dev A claim touches nothing but claims, so it may be made while another session clears; money moves only between sessions. What a claim pays comes from its
/// session's bond alone: whatever an operator and its friends agree on, no other account and no other session pays for it.
abstract contract Omission is Ledger, IOmission {
    /// @dev Seconds to defend, behind the last claim and the longest pause.
    uint64 private constant DEFENCE = 1 days;

    /// @dev Half of what a lane holds: the other half is for what the trader gives the operator, so that both together never overflow it.
    uint256 private constant HALF_HOME = type(uint16).max >> 1;
    uint256 private constant HALF_WIDE = 1 << 29;

    // --- submitting

    /// @inheritdoc IOmission
    function submit(uint24 epoch, uint32 zone, bytes calldata record) external whenNotPaused {
        _requireStage(epoch, Stage.Open);
        uint64 gate = _sessions[epoch].gate;
        if (block.timestamp >= gate) revert GateClosed(epoch, gate);
        SignedOrder memory order = _readClearable(epoch, zone, record);
        bytes32 hash = order.hash;
        if (order.flags & ScheduleCodec.FLAG_SUBMITTED == 0) revert NotFlagged(hash);
        if (_submitted[hash].epoch != 0) revert AlreadySubmitted(hash);
        _takePlace(epoch, zone, order);
        _submitted[hash] = Submission(epoch, order.signer != order.trader);
        emit OrderSubmitted(epoch, zone, hash, record);
    }

    /// @dev A trader has one place a side. Whoever holds an older order of it cannot take that place from the trader: its next order takes it back. No session key takes
    /// it from an order that the trader signed itself.
    function _takePlace(uint24 epoch, uint32 zone, SignedOrder memory order) private {
        bytes32 earlier = _submissionOf[epoch][order.trader][order.side];
        _submissionOf[epoch][order.trader][order.side] = order.hash;
        if (earlier != 0) {
            bool mayTake = order.signer == order.trader || _submitted[earlier].byKey;
            if (order.replaces != earlier || !mayTake) revert SubmissionTaken(order.trader, earlier);
            delete _submitted[earlier];
            emit SubmissionReplaced(epoch, earlier);
            return;
        }
        Session storage session = _sessions[epoch];
        if (session.submitted >= _params[epoch].maxSubmitted) revert TooManySubmissions(epoch);
        ++session.submitted;
        ++_submissions[epoch][zone];
    }

    /// @dev An order that clearing will not stumble over, whatever happens until then: that would make the session void.
    function _readClearable(uint24 epoch, uint32 zone, bytes calldata data)
        private
        view
        returns (SignedOrder memory order)
    {
        Member member = _members[_traderOf(data)];
        order = _readOne(epoch, zone, data, member.isWide() ? HALF_WIDE : HALF_HOME);
        _requireSigner(epoch, order);
        if (
            order.signer != order.trader && !_keys[order.trader][order.signer].countsAt(_sessions[epoch].gate)
        ) {
            revert ISessionKeys.KeyEnded(order.trader, order.signer);
        }
        SessionParams storage session = _params[epoch];
        _requireTrader(order, member, session.kind);
        if (zone >= _dayInfo[session.day].zones) revert IClearing.ZoneClosed(epoch, zone);
        if (member.zone() != zone) revert ForeignZone(order.trader, zone);
        if (order.offLimits) revert IClearing.LimitOutOfRange(order.hash);
        if (order.tooMuch) revert IClearing.QuantityOverflow(order.hash);
        if (order.shares != 0) revert IClearing.SplitOutOfRange(order.hash);
        _requireProduct(session, order);
    }

    /// @dev Beside those who always trade, the network operator buys flexibility.
    function _requireTrader(SignedOrder memory order, Member member, uint8 kind) private pure {
        if (member.mayTrade()) return;
        if (member.role() == ROLE_NONE) revert IClearing.UnregisteredTrader(order.trader);
        bool buysFlexibility =
            member.role() == ROLE_NETWORK_OPERATOR && kind != KIND_ENERGY && order.side == 0;
        if (!buysFlexibility) revert IClearing.OperatorMayNotTrade(order.trader);
    }

    function _requireProduct(SessionParams storage session, SignedOrder memory order) private view {
        uint256 first = session.firstWindow;
        if (order.firstWindow < first || order.firstWindow + order.windows > first + session.windows) {
            revert IClearing.WindowOutOfSession(order.hash);
        }
        bytes16 qualities = _dayInfo[session.day].qualities;
        uint256 count = _dayInfo[session.day].qualityCount;
        for (uint256 i; i < count; ++i) {
            if (uint8(qualities[i]) == order.quality) return;
        }
        revert IClearing.UnknownQuality(uint8(order.quality));
    }

    // --- claiming

    /// @inheritdoc IOmission
    function claimOmission(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Receipt calldata receipt,
        Absence calldata proof
    ) external whenNotPaused {
        _requireClaimable(epoch, Stage.Proved);
        SignedOrder memory order = _readSigned(epoch, zone, record);
        _requireReceipt(epoch, order.hash, receipt);
        Book memory book = _books[epoch][zone];
        if (!Membership.lacks(book.count, book.root, order.hash, proof)) revert NotAbsent(order.hash);
        _openClaim(epoch, order, ClaimKind.Omitted, true);
    }

    /// @inheritdoc IOmission
    function claimCancelled(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Inclusion calldata proof,
        bytes calldata cancel,
        Receipt calldata receipt
    ) external whenNotPaused {
        SignedOrder memory order = _readIncluded(epoch, zone, record, proof);
        bytes32 digest = _requireCancel(epoch, order.hash, order.trader, order.signer, cancel);
        _requireReceipt(epoch, digest, receipt);
        _openClaim(epoch, order, ClaimKind.WronglyIncluded, false);
    }

    /// @inheritdoc IOmission
    function claimReplaced(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Inclusion calldata proof,
        bytes calldata replacement,
        Receipt calldata receipt
    ) external whenNotPaused {
        SignedOrder memory order = _readIncluded(epoch, zone, record, proof);
        SignedOrder memory other = _readOne(epoch, zone, replacement, 0);
        _requireReplacing(other, order.hash, order.trader, order.signer);
        _requireReceipt(epoch, other.hash, receipt);
        _openClaim(epoch, order, ClaimKind.WronglyIncluded, false);
    }

    /// @inheritdoc IOmission
    function claimVoid(uint24 epoch, uint32 zone, bytes calldata record, Receipt calldata receipt)
        external
        whenNotPaused
    {
        _requireClaimable(epoch, Stage.Void);
        SignedOrder memory order = _readSigned(epoch, zone, record);
        _requireReceipt(epoch, order.hash, receipt);
        _openClaim(epoch, order, ClaimKind.Void, true);
    }

    /// @inheritdoc IOmission
    function claimCommitted(uint24 epoch, uint32 zone, bytes calldata record, Inclusion calldata proof)
        external
        whenNotPaused
    {
        _requireClaimable(epoch, Stage.Void);
        SignedOrder memory order = _readSigned(epoch, zone, record);
        _requireIncluded(epoch, zone, order.hash, proof);
        _openClaim(epoch, order, ClaimKind.Void, false);
    }

    /// @inheritdoc IOmission
    function claimSubmitted(uint24 epoch, uint32 zone, bytes calldata record) external whenNotPaused {
        _requireClaimable(epoch, Stage.Void);
        SignedOrder memory order = _readSigned(epoch, zone, record);
        if (_submitted[order.hash].epoch != epoch) revert NotForced(order.hash);
        _openClaim(epoch, order, ClaimKind.Void, false);
    }

    /// @dev An order of a proved session that was cleared. What was forced on the operator was not its choice.
    function _readIncluded(uint24 epoch, uint32 zone, bytes calldata record, Inclusion calldata proof)
        private
        view
        returns (SignedOrder memory order)
    {
        _requireClaimable(epoch, Stage.Proved);
        order = _readSigned(epoch, zone, record);
        _requireIncluded(epoch, zone, order.hash, proof);
        if (_submitted[order.hash].epoch != 0) revert Forced(order.hash);
    }

    function _openClaim(uint24 epoch, SignedOrder memory order, ClaimKind kind, bool byReceipt) private {
        address trader = order.trader;
        if (_claims[order.hash].stage != ClaimStage.None) revert AlreadyClaimed(order.hash);
        _requireMember(trader);
        _claims[order.hash] = Claim(trader, epoch, kind, ClaimStage.Open, byReceipt);
        Bond storage bond = _bonds[epoch];
        ++bond.claims;
        if (_claimsOf[epoch][trader]++ == 0) ++bond.traders;
        emit ClaimOpened(epoch, order.hash, trader, kind);
    }

    // --- defending

    /// @inheritdoc IOmission
    function defendCancelled(bytes32 order, uint32 zone, bytes calldata records, bytes calldata cancel)
        external
        whenNotPaused
    {
        Claim memory claim = _requireDefensible(order);
        (bytes32 last, address signer) = _followReplacements(claim, order, zone, records);
        _requireCancel(claim.epoch, last, claim.trader, signer, cancel);
        _defeat(claim, order);
    }

    /// @inheritdoc IOmission
    function defendReplaced(bytes32 order, uint32 zone, bytes calldata records, Inclusion calldata proof)
        external
        whenNotPaused
    {
        Claim memory claim = _requireDefensible(order);
        (bytes32 last,) = _followReplacements(claim, order, zone, records);
        if (last == order) revert NoReplacement(order);
        // Nobody knows whether the roots of a void session are those of any book: there, a trader is paid for the last of its orders instead of all.
        if (claim.kind != ClaimKind.Void) _requireIncluded(claim.epoch, zone, last, proof);
        else if (_claims[last].stage != ClaimStage.Open) revert NoClaim(last);
        _defeat(claim, order);
    }

    function _requireDefensible(bytes32 order) private view returns (Claim memory claim) {
        claim = _claims[order];
        if (claim.stage != ClaimStage.Open) revert NoClaim(order);
        if (!claim.byReceipt) revert NotDefensible(order);
        uint64 until = _defendedUntil(claim.epoch);
        if (block.timestamp > until) revert DefenceClosed(claim.epoch, until);
    }

    /// @dev The first record may be the claimed order itself, to show which key signed it. Each following replaces the one before.
    /// @return last the order that stands for the claimed one after the trader's replacements
    /// @return signer of `last`; the trader where nothing shows another
    function _followReplacements(Claim memory claim, bytes32 order, uint32 zone, bytes calldata records)
        private
        view
        returns (bytes32 last, address signer)
    {
        (last, signer) = (order, claim.trader);
        if (records.length == 0) return (last, signer);
        Scratch memory scratch = _scratch(claim.epoch, zone);
        for (uint256 at; at < records.length;) {
            SignedOrder memory next;
            (next, at) = SignedRecords.read(scratch, records, at, 0, 0, 0);
            if (next.hash != last) _requireReplacing(next, last, claim.trader, signer);
            (last, signer) = (next.hash, next.signer);
        }
    }

    function _defeat(Claim memory claim, bytes32 order) private {
        _claims[order].stage = ClaimStage.Defeated;
        Bond storage bond = _bonds[claim.epoch];
        --bond.claims;
        if (--_claimsOf[claim.epoch][claim.trader] == 0) --bond.traders;
        emit ClaimDefeated(claim.epoch, order);
    }

    // --- paying

    /// @inheritdoc IOmission
    function payClaim(bytes32 order) external whenNotPaused whenNotClearing {
        Claim memory claim = _claims[order];
        if (claim.stage != ClaimStage.Open) revert NoClaim(order);
        _requireDefended(claim.epoch);
        uint256 amount = _share(claim.epoch, claim.trader);
        Bond storage bond = _bonds[claim.epoch];
        bond.lockedNano -= uint96(amount);
        ++bond.paid;
        _claims[order].stage = ClaimStage.Paid;
        _credit(claim.trader, int256(amount));
        emit ClaimPaid(claim.epoch, order, claim.trader, amount);
    }

    /// @inheritdoc IOmission
    function releaseBond(uint24 epoch) external whenNotPaused whenNotClearing {
        Bond memory bond = _bonds[epoch];
        if (bond.operator == address(0)) revert NoBond(epoch);
        _requireDefended(epoch);
        uint256 owed = uint256(bond.claims - bond.paid) * _params[epoch].bondNano;
        uint256 locked = bond.lockedNano;
        if (bond.claims != bond.paid && _isOverdrawn(epoch, bond.claims)) owed = locked;
        if (locked == owed) revert NothingToRelease(epoch);
        _bonds[epoch].lockedNano = uint96(owed);
        _credit(bond.operator, int256(locked - owed));
        emit BondReleased(epoch, bond.operator, locked - owed);
    }

    /// @dev What each claim of a trader is paid. An operator can sign any number of receipts, so its friends can have any number of claims. Where they
    /// are more than the bond is for, traders share it equally, whoever comes first and however many claims each has.
    function _share(uint24 epoch, address trader) private view returns (uint256) {
        Bond storage bond = _bonds[epoch];
        uint256 full = _params[epoch].bondNano;
        if (!_isOverdrawn(epoch, bond.claims)) return full;
        uint256 part = full * _bondedClaims(epoch) / bond.traders / _claimsOf[epoch][trader];
        return part < full ? part : full;
    }

    function _isOverdrawn(uint24 epoch, uint256 claims) private view returns (bool) {
        return claims > _bondedClaims(epoch);
    }

    /// @dev How many claims the bond pays in full.
    function _bondedClaims(uint24 epoch) private view returns (uint256) {
        return uint256(_params[epoch].maxOrders) + _params[epoch].maxSubmitted;
    }

    // --- views

    /// @inheritdoc IOmission
    function bondOf(uint24 epoch) external view returns (Bond memory) {
        return _bonds[epoch];
    }

    /// @inheritdoc IOmission
    function claimOf(bytes32 order) external view returns (Claim memory) {
        return _claims[order];
    }

    /// @inheritdoc IOmission
    function submittedIn(bytes32 order) external view returns (uint24) {
        return _submitted[order].epoch;
    }

    /// @inheritdoc IOmission
    function submissionsOf(uint24 epoch, uint32 zone) external view returns (uint32) {
        return _submissions[epoch][zone];
    }

    // --- times

    function _requireClaimable(uint24 epoch, Stage expected) private view {
        if (_bonds[epoch].operator == address(0)) revert NoBond(epoch);
        Stage stage = _stageOf(epoch);
        if (stage != Stage.Proved && stage != Stage.Void) revert SessionNotEnded(epoch);
        if (stage != expected) revert IAuction.WrongStage(epoch, stage);
        uint64 claimBy = _params[epoch].claimBy;
        if (block.timestamp > claimBy) revert ClaimsClosed(epoch, claimBy);
    }

    function _defendedUntil(uint24 epoch) private view returns (uint64) {
        return _params[epoch].claimBy + DEFENCE + maxPause;
    }

    function _requireDefended(uint24 epoch) private view {
        uint64 until = _defendedUntil(epoch);
        if (block.timestamp <= until) revert DefenceOpen(epoch, until);
    }

    // --- what is shown

    /// @dev A receipt is for this hash if the digest over it recovers to the signer.
    function _requireReceipt(uint24 epoch, bytes32 hash, Receipt calldata receipt) private view {
        SessionParams storage session = _params[epoch];
        if (receipt.sequence >= session.maxOrders) {
            revert SequenceOutOfRange(receipt.sequence, session.maxOrders);
        }
        bytes32 digest =
            Receipts.receiptDigest(_domainSeparatorV4(), _sessions[epoch].id, hash, receipt.sequence);
        address signer = ECDSA.recover(digest, receipt.signature);
        if (signer != session.receiptSigner) revert ForeignReceipt(signer, session.receiptSigner);
    }

    function _requireCancel(
        uint24 epoch,
        bytes32 order,
        address trader,
        address orderSigner,
        bytes calldata signature
    ) private view returns (bytes32 digest) {
        digest = Receipts.cancelDigest(_domainSeparatorV4(), order, _sessions[epoch].id);
        address signer = ECDSA.recover(digest, signature);
        if (!_mayTakeBack(signer, trader, orderSigner)) revert IAccounts.WrongSigner(signer, trader);
    }

    function _requireIncluded(uint24 epoch, uint32 zone, bytes32 order, Inclusion calldata proof)
        private
        view
    {
        Book memory book = _books[epoch][zone];
        if (!Membership.includes(book.count, book.root, order, proof)) revert NotIncluded(order);
    }

    function _requireReplacing(SignedOrder memory order, bytes32 replaced, address trader, address signer)
        private
        pure
    {
        bool replacing = order.replaces == replaced && order.trader == trader;
        if (!replacing || !_mayTakeBack(order.signer, trader, signer)) {
            revert NotReplacing(order.hash, replaced);
        }
    }

    // --- who signed

    /// @dev The trader, or a key that it had granted by the gate, whatever became of it: an order of a key that has ended is in its book too, and fills zero.
    function _requireSigner(uint24 epoch, SignedOrder memory order) private view {
        if (order.signer == order.trader) return;
        if (!_keys[order.trader][order.signer].knownAt(_sessions[epoch].gate)) {
            revert IClearing.BadSignature(order.signer, order.trader);
        }
    }

    /// @dev Who has signed an order may take it back, and its trader may: no key has a say in what others signed, and none is asked whether it still counts.
    function _mayTakeBack(address who, address trader, address signer) private pure returns (bool) {
        return who == trader || who == signer;
    }

    // --- records

    function _scratch(uint24 epoch, uint32 zone) private view returns (Scratch memory) {
        SessionParams storage session = _params[epoch];
        return ScheduleCodec.prepare(
            _domainSeparatorV4(), _sessions[epoch].id, zone, session.kind, session.floor, session.cap
        );
    }

    function _readSigned(uint24 epoch, uint32 zone, bytes calldata data)
        private
        view
        returns (SignedOrder memory order)
    {
        order = _readOne(epoch, zone, data, 0);
        _requireSigner(epoch, order);
    }

    /// @dev Exactly one record.
    function _readOne(uint24 epoch, uint32 zone, bytes calldata data, uint256 bound)
        private
        view
        returns (SignedOrder memory order)
    {
        SessionParams storage session = _params[epoch];
        uint256 next;
        (order, next) = SignedRecords.read(_scratch(epoch, zone), data, 0, bound, session.floor, session.cap);
        if (next != data.length) revert ScheduleCodec.MalformedRecord(next);
    }

    /// @dev Whom a record says it is of: zero if it is too short to say.
    function _traderOf(bytes calldata data) private pure returns (address) {
        return data.length < 20 ? address(0) : address(bytes20(data[:20]));
    }
}
