// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {
    Bond,
    Claim,
    ClaimKind,
    ClaimStage,
    IOmission,
    Receipt
} from "../../contracts/interfaces/IOmission.sol";
import {Absence, Inclusion} from "../../contracts/libraries/Membership.sol";
import {ScheduleCodec} from "../../contracts/libraries/ScheduleCodec.sol";
import {Order} from "./support/Market.sol";
import {Promises} from "./support/Promises.sol";

/// @title An operator that leaves out, or clears against its word, pays; an honest one does not
contract OmissionTest is Promises {
    // --- the bond

    /// Opening locks what all claims may cost, of the operator's free cash.
    function test_a_bond_is_locked_when_its_session_opens() external view {
        Bond memory bond = exchange.bondOf(epoch);
        eq(bond.operator, operator, "operator");
        eq(uint256(bond.lockedNano), LOCKED, "locked");
        eq(freeOf(operator), int256(RICH - LOCKED), "left");
        requireConserved(epoch);
    }

    /// Without the cash, or without being an operator, nobody opens a session with a bond.
    function test_a_bond_needs_an_operator_with_cash() external {
        SessionParams memory p = bondedParams(1);
        (p.maxOrders, p.bondNano) = (1 << 19, 1 << 40);
        uint256 needed = uint256(p.bondNano) * ((1 << 19) + 10);
        refuse(
            abi.encodeWithSelector(IAccounts.InsufficientCash.selector, operator, freeOf(operator), needed)
        );
        openSession(p);
        manager.grantRole(RUNS_MARKET, buyer, 0);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IAuction.BadSession.selector, "bondNano"));
        exchange.openSession(bondedParams(1));
        eq(exchange.latestEpoch(), 1, "nothing opened");
    }

    /// An operator that did all it promised gets the whole bond back, once.
    function test_an_honest_operator_gets_its_bond_back() external {
        prove(epoch, book(bought, sold));
        uint64 until = defendedUntil(epoch);
        vm.warp(until);
        refused(
            abi.encodeCall(IOmission.releaseBond, (epoch)),
            abi.encodeWithSelector(IOmission.DefenceOpen.selector, epoch, until)
        );
        passDefence(epoch);
        requireReleases(epoch, LOCKED);
        refused(
            abi.encodeCall(IOmission.releaseBond, (epoch)),
            abi.encodeWithSelector(IOmission.NothingToRelease.selector, epoch)
        );
    }

    /// A session without a bond has nothing to claim or release.
    function test_without_a_bond_nothing_is_claimed() external {
        uint24 bare = openRound(1);
        passDeadline(bare);
        refused(voidCall(bare, bought, 0), abi.encodeWithSelector(IOmission.NoBond.selector, bare));
        refused(
            abi.encodeCall(IOmission.releaseBond, (bare)),
            abi.encodeWithSelector(IOmission.NoBond.selector, bare)
        );
    }

    // --- omission

    /// An order with a receipt that was left out is paid, once.
    function test_an_omitted_order_is_paid() external {
        proveWithout();
        claimOmissionOf(sold, 7);
        Claim memory claim = exchange.claimOf(hashOf(epoch, sold));
        eq(claim.trader, seller, "trader");
        isTrue(claim.kind == ClaimKind.Omitted && claim.stage == ClaimStage.Open, "open");
        refused(
            omissionCall(sold, 7),
            abi.encodeWithSelector(IOmission.AlreadyClaimed.selector, hashOf(epoch, sold))
        );
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
        requireConserved(epoch);
        refused(
            abi.encodeCall(IOmission.payClaim, (hashOf(epoch, sold))),
            abi.encodeWithSelector(IOmission.NoClaim.selector, hashOf(epoch, sold))
        );
        requireReleases(epoch, LOCKED - BOND);
        requireConserved(epoch);
    }

    /// An order is missing before the first, between two, behind the last and in an empty book.
    function test_an_order_is_missing_anywhere_in_a_book() external {
        Order[] memory all = new Order[](4);
        for (uint64 i; i < 4; ++i) {
            all[i] = buy(BUYER, 1, 0);
            all[i].nonce = i;
        }
        sortBook(epoch, all);
        for (uint256 left; left < 4; ++left) {
            uint256 snapshot = vm.snapshotState();
            Order[] memory rest = new Order[](3);
            for (uint256 i; i < 3; ++i) {
                rest[i] = all[i < left ? i : i + 1];
            }
            proveOf(rest);
            claimOmissionOf(all[left], 0);
            for (uint256 i; i < 3; ++i) {
                bytes memory record = recordOf(epoch, rest[i]);
                Receipt memory receipt = receiptOf(epoch, hashOf(epoch, rest[i]), 0);
                Absence memory proof = absenceOf(hashes, hashOf(epoch, all[left]));
                refused(
                    abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)),
                    abi.encodeWithSelector(IOmission.NotAbsent.selector, hashOf(epoch, rest[i]))
                );
            }
            vm.revertToState(snapshot);
        }
        prove(epoch, new Order[](0));
        claimOmissionOf(all[0], 0);
    }

    /// Neighbours that are not neighbours, and padding behind the book, show nothing.
    function test_forged_absence_is_refused() external {
        proveWithout();
        bytes32 there = hashes[0];
        Receipt memory receipt = receiptOf(epoch, there, 0);
        bytes memory record = recordOf(epoch, bought);
        Absence memory proof;
        bytes memory refusal = abi.encodeWithSelector(IOmission.NotAbsent.selector, there);
        refused(abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)), refusal);
        (proof.index, proof.left.siblings) = (1, pathOf(hashes, 0));
        refused(abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)), refusal);
        proof.left.hash = bytes32(uint256(there) - 1);
        refused(abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)), refusal);
        // The empty leaf behind the book, and places beyond it.
        (proof.index, proof.left.hash, proof.left.siblings) = (2, 0, pathOf(hashes, 1));
        refused(abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)), refusal);
        proof.index = 1 << 20;
        refused(abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)), refusal);
    }

    /// The receipt is the session's signer's, for this order, session and Exchange, of a sequence that exists.
    function test_only_the_sessions_receipts_count() external {
        proveWithout();
        bytes memory record = recordOf(epoch, sold);
        bytes32 hash = hashOf(epoch, sold);
        Absence memory proof = absenceOf(hashes, hash);
        refused(
            abi.encodeCall(
                IOmission.claimOmission, (epoch, 0, record, receiptBy(STRANGER, epoch, hash, 0), proof)
            ),
            abi.encodeWithSelector(IOmission.ForeignReceipt.selector, stranger, vm.addr(RECEIPT_SIGNER))
        );
        refused(
            abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receiptOf(epoch, hash, 1000), proof)),
            abi.encodeWithSelector(IOmission.SequenceOutOfRange.selector, 1000, 1000)
        );
        Receipt memory receipt = receiptOf(epoch, hash, 999);
        receipt.sequence = 998;
        refusedAs(
            abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)),
            IOmission.ForeignReceipt.selector
        );
        refusedAs(
            abi.encodeCall(
                IOmission.claimOmission, (epoch, 0, record, receiptOf(epoch, hashOf(epoch, bought), 0), proof)
            ),
            IOmission.ForeignReceipt.selector
        );
        uint24 other = openBonded(1);
        refusedAs(
            abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receiptOf(other, hash, 0), proof)),
            IOmission.ForeignReceipt.selector
        );
        exchange.claimOmission(epoch, 0, record, receiptOf(epoch, hash, 999), proof);
    }

    /// An order of another session, or that its trader did not sign, is none of this one.
    function test_only_signed_orders_of_the_session_are_claimed() external {
        proveWithout();
        uint24 other = openBonded(1);
        Absence memory proof = absenceOf(hashes, hashOf(epoch, sold));
        Receipt memory receipt = receiptOf(epoch, hashOf(other, sold), 0);
        refusedAs(
            abi.encodeCall(IOmission.claimOmission, (epoch, 0, recordOf(other, sold), receipt, proof)),
            IClearing.BadSignature.selector
        );
        bytes memory padded = bytes.concat(recordOf(epoch, sold), bytes1(0));
        refused(
            abi.encodeCall(
                IOmission.claimOmission, (epoch, 0, padded, receiptOf(epoch, hashOf(epoch, sold), 0), proof)
            ),
            abi.encodeWithSelector(ScheduleCodec.MalformedRecord.selector, padded.length - 1)
        );
    }

    /// Claims are made from the session's end until `claimBy`, and not in a pause.
    function test_claims_have_their_time() external {
        Order[] memory orders = book(bought);
        hashes = commit(epoch, orders);
        refused(omissionCall(sold, 7), abi.encodeWithSelector(IOmission.SessionNotEnded.selector, epoch));
        passDeadline(epoch);
        refused(
            omissionCall(sold, 7), abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Void)
        );
        vm.prank(guardian);
        exchange.pause();
        refused(
            voidCall(epoch, sold, 0),
            abi.encodeWithSelector(IEmergency.ExchangePaused.selector, block.timestamp + MAX_PAUSE)
        );
        vm.prank(guardian);
        exchange.unpause();
        passClaims(epoch);
        uint64 claimBy = exchange.sessionParams(epoch).claimBy;
        refused(
            voidCall(epoch, sold, 0), abi.encodeWithSelector(IOmission.ClaimsClosed.selector, epoch, claimBy)
        );
        vm.warp(claimBy);
        claimVoidOf(epoch, sold, 0);
    }

    // --- defence

    /// An order that its trader cancelled was rightly left out.
    function test_a_cancelled_order_defeats_the_claim() external {
        proveWithout();
        claimOmissionOf(sold, 0);
        bytes32 hash = hashOf(epoch, sold);
        bytes memory wrong = signStruct(BUYER, cancelStruct(epoch, hash));
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hash, 0, "", wrong)),
            abi.encodeWithSelector(IAccounts.WrongSigner.selector, buyer, seller)
        );
        passClaims(epoch);
        exchange.defendCancelled(hash, 0, "", cancelOf(epoch, sold));
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hash, 0, "", cancelOf(epoch, sold))),
            abi.encodeWithSelector(IOmission.NoClaim.selector, hash)
        );
        passDefence(epoch);
        refused(
            abi.encodeCall(IOmission.payClaim, (hash)),
            abi.encodeWithSelector(IOmission.NoClaim.selector, hash)
        );
        requireReleases(epoch, LOCKED);
    }

    /// A chain of replacements whose last was cleared, or cancelled, defeats the claim; a broken one does not.
    function test_a_replaced_order_defeats_the_claim() external {
        Order memory second = replacing(epoch, sold);
        Order memory third = replacing(epoch, second);
        proveOf(book(bought, third));
        claimOmissionOf(sold, 0);
        claimOmissionOf(second, 1);
        bytes32 hash = hashOf(epoch, sold);
        Inclusion memory proof = inclusionOf(hashes, hashOf(epoch, third));
        bytes memory records = recordOf(epoch, third);
        refused(
            abi.encodeCall(IOmission.defendReplaced, (hash, 0, records, proof)),
            abi.encodeWithSelector(IOmission.NotReplacing.selector, hashOf(epoch, third), hash)
        );
        records = bytes.concat(recordOf(epoch, second), records);
        exchange.defendReplaced(hash, 0, records, proof);
        hash = hashOf(epoch, second);
        refused(
            abi.encodeCall(IOmission.defendReplaced, (hash, 0, "", proof)),
            abi.encodeWithSelector(IOmission.NoReplacement.selector, hash)
        );
        exchange.defendCancelled(hash, 0, recordOf(epoch, third), cancelOf(epoch, third));
    }

    /// A replacement that was itself left out and not cancelled defends nothing, and nobody replaces another's order.
    function test_a_replacement_must_stand_in_the_book() external {
        proveWithout();
        claimOmissionOf(sold, 0);
        bytes32 hash = hashOf(epoch, sold);
        Order memory second = replacing(epoch, sold);
        Inclusion memory proof = inclusionOf(hashes, hashes[0]);
        refused(
            abi.encodeCall(IOmission.defendReplaced, (hash, 0, recordOf(epoch, second), proof)),
            abi.encodeWithSelector(IOmission.NotIncluded.selector, hashOf(epoch, second))
        );
        second.key = BUYER;
        refused(
            abi.encodeCall(IOmission.defendReplaced, (hash, 0, recordOf(epoch, second), proof)),
            abi.encodeWithSelector(IOmission.NotReplacing.selector, hashOf(epoch, second), hash)
        );
        uint64 until = defendedUntil(epoch);
        passDefence(epoch);
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hash, 0, "", cancelOf(epoch, sold))),
            abi.encodeWithSelector(IOmission.DefenceClosed.selector, epoch, until)
        );
        requirePays(epoch, sold, BOND);
    }

    // --- wrong inclusion

    /// An order that was cleared though the operator had accepted its cancel is paid; nothing defends it.
    function test_a_cancelled_order_that_was_cleared_is_paid() external {
        proveOf(book(bought, sold));
        bytes32 hash = hashOf(epoch, sold);
        bytes memory record = recordOf(epoch, sold);
        Inclusion memory proof = inclusionOf(hashes, hash);
        bytes memory cancel = cancelOf(epoch, sold);
        Receipt memory receipt = receiptOf(epoch, hash, 3);
        refusedAs(
            abi.encodeCall(IOmission.claimCancelled, (epoch, 0, record, proof, cancel, receipt)),
            IOmission.ForeignReceipt.selector
        );
        receipt = receiptOf(epoch, cancelDigest(epoch, sold), 3);
        exchange.claimCancelled(epoch, 0, record, proof, cancel, receipt);
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hash, 0, "", cancel)),
            abi.encodeWithSelector(IOmission.NotDefensible.selector, hash)
        );
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
    }

    /// So is one that was cleared though the operator had accepted the order that replaces it.
    function test_a_replaced_order_that_was_cleared_is_paid() external {
        Order memory second = replacing(epoch, sold);
        proveOf(book(bought, sold));
        bytes32 hash = hashOf(epoch, sold);
        bytes memory record = recordOf(epoch, sold);
        Inclusion memory proof = inclusionOf(hashes, hash);
        Receipt memory receipt = receiptOf(epoch, hashOf(epoch, second), 3);
        Order memory foreign = replacing(epoch, sold);
        foreign.key = BUYER;
        refused(
            abi.encodeCall(
                IOmission.claimReplaced, (epoch, 0, record, proof, recordOf(epoch, foreign), receipt)
            ),
            abi.encodeWithSelector(IOmission.NotReplacing.selector, hashOf(epoch, foreign), hash)
        );
        exchange.claimReplaced(epoch, 0, record, proof, recordOf(epoch, second), receipt);
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
    }

    /// A trader who forces an order on the operator cannot call that wrong.
    function test_a_forced_order_is_never_wrongly_included() external {
        submit(epoch, sold);
        bytes32 hash = hashOf(epoch, sold);
        bytes memory record = recordOf(epoch, sold);
        Order[] memory orders = book(bought, sold);
        hashes = sortBook(epoch, orders);
        (Posted memory posted, Carry memory carry) = bringForced(epoch, orders);
        close(epoch, posted, carry);
        isTrue(stageOf(epoch) == Stage.Proved, "proved with it");
        Receipt memory receipt = receiptOf(epoch, cancelDigest(epoch, sold), 0);
        Inclusion memory proof = inclusionOf(hashes, hash);
        refused(
            abi.encodeCall(
                IOmission.claimCancelled, (epoch, 0, record, proof, cancelOf(epoch, sold), receipt)
            ),
            abi.encodeWithSelector(IOmission.Forced.selector, hash)
        );
    }
}
