// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {SessionParams} from "../../contracts/interfaces/IAuction.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IOmission} from "../../contracts/interfaces/IOmission.sol";
import {Inclusion} from "../../contracts/libraries/Membership.sol";
import {Order} from "./support/Market.sol";
import {Promises} from "./support/Promises.sol";

/// @title An operator that never commits, or never proves, pays; what a bond does not cover is shared
contract VoidSessionsTest is Promises {
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
}
