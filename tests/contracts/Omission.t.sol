// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
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
import {Claims} from "./support/Claims.sol";
import {Order} from "./support/Market.sol";

/// @title An operator that leaves out, clears against its word, or never proves pays; an honest one does not
contract OmissionTest is Claims {
    uint24 private epoch;
    Order private bought;
    Order private sold;
    bytes32[] private hashes;

    function setUp() external {
        setUpClaims();
        epoch = openBonded(0);
        (bought, sold) = (buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
    }

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

    // --- void sessions

    /// An operator that never commits pays every receipt.
    function test_a_session_never_committed_pays_its_receipts() external {
        passDeadline(epoch);
        claimVoidOf(epoch, bought, 0);
        claimVoidOf(epoch, sold, 1);
        Inclusion memory nowhere;
        refused(
            abi.encodeCall(IOmission.claimCommitted, (epoch, 0, recordOf(epoch, sold), nowhere)),
            abi.encodeWithSelector(IOmission.NotIncluded.selector, hashOf(epoch, sold))
        );
        passDefence(epoch);
        requirePays(epoch, bought, BOND);
        requireReleases(epoch, LOCKED - 2 * BOND);
        requirePays(epoch, sold, BOND);
        refused(
            abi.encodeCall(IOmission.releaseBond, (epoch)),
            abi.encodeWithSelector(IOmission.NothingToRelease.selector, epoch)
        );
        requireConserved(epoch);
    }

    /// One that commits and never proves pays every committed order, with or without a receipt.
    function test_a_session_never_proved_pays_its_orders() external {
        hashes = commit(epoch, book(bought, sold));
        passDeadline(epoch);
        exchange.claimCommitted(epoch, 0, recordOf(epoch, sold), inclusionOf(hashes, hashOf(epoch, sold)));
        claimVoidOf(epoch, bought, 1);
        refused(
            voidCall(epoch, sold, 0),
            abi.encodeWithSelector(IOmission.AlreadyClaimed.selector, hashOf(epoch, sold))
        );
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hashOf(epoch, sold), 0, "", cancelOf(epoch, sold))),
            abi.encodeWithSelector(IOmission.NotDefensible.selector, hashOf(epoch, sold))
        );
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
        requirePays(epoch, bought, BOND);
    }

    /// A root of no book, in a session that goes void, takes nothing from those who have receipts.
    function test_a_root_of_nothing_protects_nobody() external {
        vm.warp(exchange.sessionParams(epoch).gate);
        vm.prank(operator);
        exchange.commitBooks(epoch, oneCount(5), oneRoot(keccak256("nothing")));
        passDeadline(epoch);
        claimVoidOf(epoch, sold, 0);
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
    }

    /// In a void session a trader is paid for the last of the orders that replace each other.
    function test_a_void_session_pays_replaced_orders_once() external {
        Order memory second = replacing(epoch, sold);
        passDeadline(epoch);
        claimVoidOf(epoch, sold, 0);
        bytes32 hash = hashOf(epoch, sold);
        Inclusion memory nowhere;
        refused(
            abi.encodeCall(IOmission.defendReplaced, (hash, 0, recordOf(epoch, second), nowhere)),
            abi.encodeWithSelector(IOmission.NoClaim.selector, hashOf(epoch, second))
        );
        claimVoidOf(epoch, second, 1);
        exchange.defendReplaced(hash, 0, recordOf(epoch, second), nowhere);
        passDefence(epoch);
        requirePays(epoch, second, BOND);
        requireReleases(epoch, LOCKED - BOND);
    }

    /// An order cancelled before the session became void is not paid.
    function test_a_void_session_pays_no_cancelled_orders() external {
        passDeadline(epoch);
        claimVoidOf(epoch, sold, 0);
        exchange.defendCancelled(hashOf(epoch, sold), 0, "", cancelOf(epoch, sold));
        passDefence(epoch);
        requireReleases(epoch, LOCKED);
    }

    /// An order on chain needs no receipt.
    function test_a_void_session_pays_submitted_orders() external {
        submit(epoch, sold);
        passDeadline(epoch);
        refused(
            abi.encodeCall(IOmission.claimSubmitted, (epoch, 0, recordOf(epoch, bought))),
            abi.encodeWithSelector(IOmission.NotForced.selector, hashOf(epoch, bought))
        );
        exchange.claimSubmitted(epoch, 0, recordOf(epoch, sold));
        refused(
            abi.encodeCall(IOmission.defendCancelled, (hashOf(epoch, sold), 0, "", cancelOf(epoch, sold))),
            abi.encodeWithSelector(IOmission.NotDefensible.selector, hashOf(epoch, sold))
        );
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
    }

    // --- paying

    /// Friends with any number of receipts take no more than their share, and nothing beyond the bond.
    function test_an_overdrawn_bond_is_shared_by_traders() external {
        SessionParams memory p = bondedParams(1);
        (p.maxOrders, p.maxSubmitted) = (3, 0);
        uint24 small = openSession(p);
        passDeadline(small);
        claimVoidOf(small, sold, 0);
        Order[] memory friends = new Order[](5);
        for (uint64 i; i < 5; ++i) {
            friends[i] = buy(BUYER, 1, 0);
            friends[i].nonce = i;
            claimVoidOf(small, friends[i], 0); // of the same sequence, too
        }
        passDefence(small);
        uint256 half = uint256(BOND) * 3 / 2;
        requirePays(small, friends[0], half / 5);
        refused(
            abi.encodeCall(IOmission.releaseBond, (small)),
            abi.encodeWithSelector(IOmission.NothingToRelease.selector, small)
        );
        requirePays(small, sold, BOND);
        for (uint256 i = 1; i < 5; ++i) {
            requirePays(small, friends[i], half / 5);
        }
        requireReleases(small, uint256(BOND) * 3 - BOND - half / 5 * 5);
        eq(uint256(exchange.bondOf(epoch).lockedNano), LOCKED, "the other session's bond is whole");
    }

    /// Money moves only between sessions and outside of a pause; claims may be made while another session clears.
    function test_money_waits_for_the_session_that_clears() external {
        proveWithout();
        SessionParams memory p = bondedParams(1);
        openSession(p);
        vm.warp(p.gate);
        claimOmissionOf(sold, 0);
        passDefence(epoch);
        refused(
            abi.encodeCall(IOmission.payClaim, (hashOf(epoch, bought))),
            abi.encodeWithSelector(IOmission.NoClaim.selector, hashOf(epoch, bought))
        );
        vm.prank(guardian);
        exchange.pause();
        bytes memory paused =
            abi.encodeWithSelector(IEmergency.ExchangePaused.selector, block.timestamp + MAX_PAUSE);
        bytes32 hash = hashOf(epoch, sold);
        refused(abi.encodeCall(IOmission.payClaim, (hash)), paused);
        refused(abi.encodeCall(IOmission.releaseBond, (epoch)), paused);
        vm.prank(guardian);
        exchange.unpause();
        requirePays(epoch, sold, BOND);
    }

    /// Cash stands still from a gate to its session's end, whoever is owed.
    function test_nothing_is_paid_while_a_session_clears() external {
        passDeadline(epoch);
        claimVoidOf(epoch, sold, 0);
        passDefence(epoch);
        vm.prank(operator);
        exchange.openDay(DAY + 48 * 30, 2, 1);
        SessionParams memory p = bondedParams(0);
        (p.day, p.firstWindow) = (DAY + 48 * 30, DAY + 48 * 30);
        (p.gate, p.commitBy) = (uint64(block.timestamp) + 60, uint64(block.timestamp) + 70);
        (p.proveBy, p.claimBy) = (p.gate + 100, p.gate + 100 + 2 * MAX_PAUSE + 1 days);
        uint24 next = openSession(p);
        vm.warp(p.gate);
        bytes memory clearing = abi.encodeWithSelector(IAccounts.ClearingInProgress.selector, next);
        bytes32 hash = hashOf(epoch, sold);
        refused(abi.encodeCall(IOmission.payClaim, (hash)), clearing);
        refused(abi.encodeCall(IOmission.releaseBond, (epoch)), clearing);
        passDeadline(next);
        requirePays(epoch, sold, BOND);
    }

    // --- submitting

    /// Anyone submits a trader's order before the gate; it is told whole and counted.
    function test_an_order_is_submitted_on_chain() external {
        bytes memory record = flagged(recordOf(epoch, sold));
        vm.prank(stranger);
        exchange.submit(epoch, 0, record);
        eq(uint256(exchange.submittedIn(hashOf(epoch, sold))), epoch, "session");
        eq(uint256(exchange.submissionsOf(epoch, 0)), 1, "counted");
        refused(
            submitCall(epoch, sold),
            abi.encodeWithSelector(IOmission.AlreadySubmitted.selector, hashOf(epoch, sold))
        );
        submit(epoch, buy(SELLER, 1, 0));
        eq(uint256(exchange.submissionsOf(epoch, 0)), 2, "a place for each side");
    }

    /// A trader has one place a side, which only an order that replaces the one there takes.
    function test_a_traders_place_is_its_own() external {
        submit(epoch, sold);
        Order memory other = sell(SELLER, 5, 7);
        refused(
            submitCall(epoch, other),
            abi.encodeWithSelector(IOmission.SubmissionTaken.selector, seller, hashOf(epoch, sold))
        );
        Order memory second = replacing(epoch, sold);
        submit(epoch, second);
        eq(uint256(exchange.submittedIn(hashOf(epoch, sold))), 0, "gone");
        eq(uint256(exchange.submittedIn(hashOf(epoch, second))), epoch, "there");
        eq(uint256(exchange.submissionsOf(epoch, 0)), 1, "still one");
        refused(
            submitCall(epoch, sold),
            abi.encodeWithSelector(IOmission.SubmissionTaken.selector, seller, hashOf(epoch, second))
        );
    }

    /// A session takes so many orders on chain, until its gate.
    function test_submissions_are_bounded() external {
        SessionParams memory p = bondedParams(1);
        p.maxSubmitted = 1;
        uint24 small = openSession(p);
        submit(small, sold);
        refused(
            submitCall(small, bought), abi.encodeWithSelector(IOmission.TooManySubmissions.selector, small)
        );
        submit(small, replacing(small, sold));
        vm.warp(p.gate);
        refused(
            submitCall(epoch, bought), abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Void)
        );
        refused(
            submitCall(small, replacing(small, replacing(small, sold))),
            abi.encodeWithSelector(IOmission.GateClosed.selector, small, p.gate)
        );
        vm.prank(guardian);
        exchange.pause();
        refused(
            submitCall(small, bought),
            abi.encodeWithSelector(IEmergency.ExchangePaused.selector, block.timestamp + MAX_PAUSE)
        );
    }

    /// What clearing would stumble over is not submitted.
    function test_what_cannot_be_cleared_is_not_submitted() external {
        bytes memory record = recordOf(epoch, sold);
        refused(
            abi.encodeCall(IOmission.submit, (epoch, 0, record)),
            abi.encodeWithSelector(IOmission.NotFlagged.selector, hashOf(epoch, sold))
        );
        (bool done, bytes memory answer) =
            address(exchange).call(abi.encodeCall(IOmission.submit, (epoch, 1, flagged(record))));
        isTrue(!done && bytes4(answer) == IClearing.BadSignature.selector, "signed for another zone");

        Order memory o = sell(SELLER, 1, 0);
        o.zone = 1;
        bytes memory beyond = flagged(recordOf(epoch, o));
        refused(
            abi.encodeCall(IOmission.submit, (epoch, 1, beyond)),
            abi.encodeWithSelector(IClearing.ZoneClosed.selector, epoch, 1)
        );
        o = sell(STRANGER, 1, 0);
        refused(submitCall(epoch, o), abi.encodeWithSelector(IClearing.UnregisteredTrader.selector, stranger));
        o = sell(SELLER, 32_768, 0);
        refused(
            submitCall(epoch, o),
            abi.encodeWithSelector(IClearing.QuantityOverflow.selector, hashOf(epoch, o))
        );
        o = sell(WIDE, (1 << 29) + 1, 0);
        refused(
            submitCall(epoch, o),
            abi.encodeWithSelector(IClearing.QuantityOverflow.selector, hashOf(epoch, o))
        );
        o = sell(SELLER, 1, 6_000_001);
        refused(
            submitCall(epoch, o), abi.encodeWithSelector(IClearing.LimitOutOfRange.selector, hashOf(epoch, o))
        );
        o = sell(SELLER, 1, 0);
        o.quality = 7;
        refused(submitCall(epoch, o), abi.encodeWithSelector(IClearing.UnknownQuality.selector, 7));
        o = sell(SELLER, 1, 0);
        --o.firstWindow;
        refused(
            submitCall(epoch, o),
            abi.encodeWithSelector(IClearing.WindowOutOfSession.selector, hashOf(epoch, o))
        );
        submit(epoch, sell(SELLER, 32_767, 0));
        submit(epoch, sell(WIDE, 1 << 29, 0));
    }

    /// A session that leaves a submitted order out, or does not say that it was submitted, cannot be proved; when it is void, the order is paid.
    function test_a_session_without_a_submitted_order_cannot_be_proved() external {
        submit(epoch, sold);
        uint256 snapshot = vm.snapshotState();
        (Posted memory posted, Carry memory carry) = bring(epoch, book(bought, sold));
        refused(closeCall(posted, carry), omittedOne());
        vm.revertToState(snapshot);
        (posted, carry) = bring(epoch, book(bought));
        refused(closeCall(posted, carry), omittedOne());
        passDeadline(epoch);
        isTrue(stageOf(epoch) == Stage.Void, "void");
        exchange.claimSubmitted(epoch, 0, recordOf(epoch, sold));
        claimVoidOf(epoch, bought, 0);
        passDefence(epoch);
        requirePays(epoch, sold, BOND);
        requirePays(epoch, bought, BOND);
        requireConserved(epoch);
    }

    /// Nobody flags an order that was not submitted, or that another has replaced.
    function test_only_submitted_orders_are_flagged() external {
        submit(epoch, sold);
        Order memory second = replacing(epoch, sold);
        submit(epoch, second);
        Order[] memory orders = book(sold);
        commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        vm.startPrank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = flagged(recordOf(epoch, sold));
        refused(
            abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), records)),
            abi.encodeWithSelector(IClearing.NotSubmitted.selector, hashOf(epoch, sold))
        );
        vm.stopPrank();
    }

    /// Flexible orders are submitted without a split, and claimed with any.
    function test_flexible_orders_are_submitted_and_claimed() external {
        (bytes memory record, bytes32 hash) = flexibleRecord(epoch, BUYER, 32_767, 5, 1);
        refused(
            abi.encodeCall(IOmission.submit, (epoch, 0, record)),
            abi.encodeWithSelector(IClearing.SplitOutOfRange.selector, hash)
        );
        (bytes memory tooMuch, bytes32 other) = flexibleRecord(epoch, BUYER, 32_768, 5, 0);
        refused(
            abi.encodeCall(IOmission.submit, (epoch, 0, tooMuch)),
            abi.encodeWithSelector(IClearing.QuantityOverflow.selector, other)
        );
        (tooMuch, other) = flexibleRecord(epoch, BUYER, 1, 6_000_001, 0);
        refused(
            abi.encodeCall(IOmission.submit, (epoch, 0, tooMuch)),
            abi.encodeWithSelector(IClearing.LimitOutOfRange.selector, other)
        );
        (bytes memory plain,) = flexibleRecord(epoch, BUYER, 32_767, 5, 0);
        exchange.submit(epoch, 0, plain);
        eq(uint256(exchange.submittedIn(hash)), epoch, "whatever the split");
        passDeadline(epoch);
        exchange.claimSubmitted(epoch, 0, record);
        eq(exchange.claimOf(hash).trader, buyer, "claimed");
    }

    // --- helpers

    function closeCall(Posted memory posted, Carry memory carry) private returns (bytes memory) {
        vm.prank(operator);
        return abi.encodeCall(IProof.closeZone, (epoch, 0, posted, carry, noChildren(), noFlows()));
    }

    function omittedOne() private view returns (bytes memory) {
        return abi.encodeWithSelector(IProof.SubmissionOmitted.selector, epoch, 0, 0, 1);
    }

    /// @dev The call changes nothing and says exactly this.
    function refused(bytes memory data, bytes memory error) private {
        (bool done, bytes memory answer) = address(exchange).call(data);
        isTrue(!done, "refused");
        eq(answer, error, "for this reason");
    }

    /// @dev The same where only the error's name matters.
    function refusedAs(bytes memory data, bytes4 selector) private {
        (bool done, bytes memory answer) = address(exchange).call(data);
        isTrue(!done && bytes4(answer) == selector, "refused for this reason");
    }

    function send(bytes memory data) private {
        (bool done, bytes memory answer) = address(exchange).call(data);
        if (done) return;
        assembly {
            revert(add(answer, 0x20), mload(answer))
        }
    }

    /// @dev Proves the session without the seller's order.
    function proveWithout() private {
        proveOf(book(bought));
    }

    function proveOf(Order[] memory orders) private {
        prove(epoch, orders);
        hashes = sortBook(epoch, orders);
    }

    function submitCall(uint24 which, Order memory o) private view returns (bytes memory) {
        return abi.encodeCall(IOmission.submit, (which, 0, flagged(recordOf(which, o))));
    }

    function omissionCall(Order memory o, uint32 sequence) private view returns (bytes memory) {
        bytes32 hash = hashOf(epoch, o);
        Receipt memory receipt = receiptOf(epoch, hash, sequence);
        Absence memory proof = absenceOf(hashes, hash);
        return abi.encodeCall(IOmission.claimOmission, (epoch, 0, recordOf(epoch, o), receipt, proof));
    }

    function claimOmissionOf(Order memory o, uint32 sequence) private {
        send(omissionCall(o, sequence));
    }

    function voidCall(uint24 which, Order memory o, uint32 sequence) private view returns (bytes memory) {
        Receipt memory receipt = receiptOf(which, hashOf(which, o), sequence);
        return abi.encodeCall(IOmission.claimVoid, (which, 0, recordOf(which, o), receipt));
    }

    function claimVoidOf(uint24 which, Order memory o, uint32 sequence) private {
        send(voidCall(which, o, sequence));
    }
}
