// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams} from "../../../contracts/interfaces/IAuction.sol";
import {Carry, Posted} from "../../../contracts/interfaces/IClearing.sol";
import {ClaimStage, Receipt} from "../../../contracts/interfaces/IOmission.sol";
import {ROLE_OPERATOR} from "../../../contracts/libraries/Member.sol";
import {Absence, Inclusion} from "../../../contracts/libraries/Membership.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {Market, Order} from "./Market.sol";

/// @title Claims: an operator with a bond, its receipts, and proofs from the hashes of its books
abstract contract Claims is Market {
    uint256 internal constant RECEIPT_SIGNER = 0x5EC;
    uint64 internal constant BOND = 5e9;
    uint256 internal constant LOCKED = uint256(BOND) * 1010;
    uint8 internal constant SUBMITTED = 32;

    bytes32 private constant RECEIPT_TYPE_HASH =
        keccak256("Receipt(bytes32 session,bytes32 hash,uint32 sequence)");
    bytes32 private constant CANCEL_TYPE_HASH = keccak256("Cancel(bytes32 orderHash,bytes32 session)");

    function setUpClaims() internal {
        setUpWorld(2);
        register(operator, ROLE_OPERATOR, 0, false);
        fund(operator, RICH);
    }

    function bondedParams(uint8 round) internal view returns (SessionParams memory p) {
        p = paramsOf(round);
        (p.bondNano, p.receiptSigner) = (BOND, vm.addr(RECEIPT_SIGNER));
    }

    function openBonded(uint8 round) internal returns (uint24 epoch) {
        return openSession(bondedParams(round));
    }

    // --- times

    /// @dev The session opened is not committed in time.
    function passDeadline(uint24 epoch) internal {
        vm.warp(exchange.deadlineOf(epoch) + 1);
    }

    function passClaims(uint24 epoch) internal {
        vm.warp(exchange.sessionParams(epoch).claimBy + 1);
    }

    function defendedUntil(uint24 epoch) internal view returns (uint64) {
        return exchange.sessionParams(epoch).claimBy + 1 days + MAX_PAUSE;
    }

    function passDefence(uint24 epoch) internal {
        vm.warp(defendedUntil(epoch) + 1);
    }

    // --- what is signed

    function receiptOf(uint24 epoch, bytes32 hash, uint32 sequence) internal view returns (Receipt memory) {
        return receiptBy(RECEIPT_SIGNER, epoch, hash, sequence);
    }

    function receiptBy(uint256 key, uint24 epoch, bytes32 hash, uint32 sequence)
        internal
        view
        returns (Receipt memory)
    {
        (bytes32 session,) = exchange.sessionOf(epoch);
        bytes32 structHash = keccak256(abi.encode(RECEIPT_TYPE_HASH, session, hash, sequence));
        return Receipt(sequence, signStruct(key, structHash));
    }

    function cancelStruct(uint24 epoch, bytes32 order) internal view returns (bytes32) {
        (bytes32 session,) = exchange.sessionOf(epoch);
        return keccak256(abi.encode(CANCEL_TYPE_HASH, order, session));
    }

    function cancelOf(uint24 epoch, Order memory o) internal view returns (bytes memory) {
        return signStruct(o.key, cancelStruct(epoch, hashOf(epoch, o)));
    }

    function cancelDigest(uint24 epoch, Order memory o) internal view returns (bytes32) {
        return digestOf(cancelStruct(epoch, hashOf(epoch, o)));
    }

    /// @dev An order that replaces `o`, at another price.
    function replacing(uint24 epoch, Order memory o) internal view returns (Order memory other) {
        other = abi.decode(abi.encode(o), (Order));
        (other.replaces, other.nonce) = (hashOf(epoch, o), o.nonce + 1);
    }

    /// @dev The record, flagged as submitted on chain.
    function flagged(bytes memory record) internal pure returns (bytes memory) {
        record[20] |= bytes1(SUBMITTED);
        return record;
    }

    function submit(uint24 epoch, Order memory o) internal {
        exchange.submit(epoch, 0, flagged(recordOf(epoch, o)));
    }

    // --- forced orders

    /// @dev Commits and clears a book in which the orders that were submitted on chain are flagged so. What is left is to close.
    function bringForced(uint24 epoch, Order[] memory orders)
        internal
        returns (Posted memory posted, Carry memory carry)
    {
        bytes32[] memory hashes = commit(epoch, orders);
        posted = postedFor(orders);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        carry = carryAfter(orders, hashes);
        bytes memory records;
        for (uint256 i; i < orders.length; ++i) {
            bytes memory record = recordOf(epoch, orders[i]);
            bool forced = exchange.submittedIn(hashes[i]) == epoch;
            if (forced) ++carry.submitted;
            records = bytes.concat(records, forced ? flagged(record) : record);
        }
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    /// @dev A flexible buy over the whole day as it is submitted, and its hash: two entries' worth of energy.
    function flexibleRecord(uint24 epoch, uint256 key, uint32 mostWh, int32 limit, uint32 share)
        internal
        view
        returns (bytes memory record, bytes32 hash)
    {
        (bytes32 session,) = exchange.sessionOf(epoch);
        hash = digestOf(
            keccak256(
                bytes.concat(
                    abi.encode(FLEXIBLE_TYPE_HASH, vm.addr(key), session, 0, 0, 0, DAY, dayWindows, 1),
                    abi.encode(bytes32(0), address(0), 2 * mostWh, mostWh, limit)
                )
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        bytes memory head = abi.encodePacked(
            vm.addr(key), 0x30 | (v - 27) << 1, uint8(0), DAY, uint8(dayWindows), uint64(1), r, s
        );
        record = abi.encodePacked(head, 2 * mostWh, mostWh, uint32(limit), share);
        for (uint256 w = 1; w < dayWindows; ++w) {
            record = bytes.concat(record, bytes4(0));
        }
    }

    // --- proofs

    function inclusionOf(bytes32[] memory hashes, bytes32 hash)
        internal
        pure
        returns (Inclusion memory proof)
    {
        while (hashes[proof.index] != hash) ++proof.index;
        proof.siblings = pathOf(hashes, proof.index);
    }

    function absenceOf(bytes32[] memory hashes, bytes32 hash) internal pure returns (Absence memory proof) {
        while (proof.index < hashes.length && hashes[proof.index] < hash) ++proof.index;
        if (proof.index != 0) {
            proof.left.hash = hashes[proof.index - 1];
            proof.left.siblings = pathOf(hashes, proof.index - 1);
        }
        if (proof.index != hashes.length) {
            proof.right.hash = hashes[proof.index];
            proof.right.siblings = pathOf(hashes, proof.index);
        }
    }

    function pathOf(bytes32[] memory hashes, uint256 index) internal pure returns (bytes32[20] memory path) {
        bytes32[] memory level = new bytes32[](hashes.length);
        for (uint256 i; i < level.length; ++i) {
            level[i] = MerkleFrontier.leafHash(hashes[i]);
        }
        bytes32 zero;
        for (uint256 height; height < 20; ++height) {
            uint256 sibling = (index >> height) ^ 1;
            path[height] = sibling < level.length ? level[sibling] : zero;
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i; i < above.length; ++i) {
                bytes32 right = 2 * i + 1 < level.length ? level[2 * i + 1] : zero;
                above[i] = MerkleFrontier.nodeHash(level[2 * i], right);
            }
            zero = MerkleFrontier.nodeHash(zero, zero);
            level = above;
        }
    }

    // --- checks

    /// @dev Pays the claim: the trader gets `amount`, the vault keeps what it had.
    function requirePays(uint24 epoch, Order memory o, uint256 amount) internal {
        address trader = traderOf(o.key);
        (int256 before, uint256 vault) = (freeOf(trader), token.balanceOf(address(exchange)));
        exchange.payClaim(hashOf(epoch, o));
        eq(freeOf(trader), before + int256(amount), "paid");
        eq(token.balanceOf(address(exchange)), vault, "nothing left the vault");
        isTrue(exchange.claimOf(hashOf(epoch, o)).stage == ClaimStage.Paid, "said to be paid");
    }

    /// @dev Releases the bond: the operator gets `amount`.
    function requireReleases(uint24 epoch, uint256 amount) internal {
        int256 before = freeOf(operator);
        exchange.releaseBond(epoch);
        eq(freeOf(operator), before + int256(amount), "released");
    }

    /// @dev All cash and locked bonds are what the vault holds.
    function requireConserved(uint24 epoch) internal view {
        int256 sum = freeOf(operator) + freeOf(balancer) + int256(uint256(exchange.bondOf(epoch).lockedNano));
        for (uint256 i; i < prosumers.length; ++i) {
            (int256 free, uint256 reserved,,) = exchange.cashOf(prosumers[i]);
            sum += free + int256(reserved);
        }
        eq(sum, int256(token.balanceOf(address(exchange))), "cash and bonds are what is held");
    }
}
