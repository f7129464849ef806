// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IOmission} from "../../contracts/interfaces/IOmission.sol";
import {Order} from "./support/Market.sol";
import {Promises} from "./support/Promises.sol";

/// @title Orders that are submitted on chain are in the book, or the session is void
contract SubmissionsTest is Promises {
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
}
