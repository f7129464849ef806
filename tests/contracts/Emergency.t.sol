// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {Market, Order} from "./support/Market.sol";

contract EmergencyTest is Market {
    function setUp() external {
        setUpWorld(2);
    }

    function pause() private returns (uint64 until) {
        vm.prank(guardian);
        exchange.pause();
        return uint64(block.timestamp) + MAX_PAUSE;
    }

    function unpause() private {
        vm.prank(guardian);
        exchange.unpause();
    }

    /// A pause stops cash, tokens and sessions.
    function test_a_pause_stops_everything() external {
        vm.prank(buyer);
        exchange.requestWithdrawal(1);
        bytes memory refusal = abi.encodeWithSelector(IEmergency.ExchangePaused.selector, pause());
        refuse(refusal);
        exchange.deposit(buyer, 1);
        vm.startPrank(buyer);
        refuse(refusal);
        exchange.requestWithdrawal(1);
        refuse(refusal);
        exchange.executeWithdrawal(buyer);
        refuse(refusal);
        exchange.transfer(secondBuyer, claimOf(0, 0), 0);
        vm.stopPrank();
        vm.startPrank(operator);
        refuse(refusal);
        exchange.openDay(DAY + 2, 2, 1);
        refuse(refusal);
        exchange.openSession(paramsOf(0));
        refuse(refusal);
        exchange.commitBooks(1, oneCount(0), oneRoot(bytes32(0)));
        refuse(refusal);
        exchange.postHeader(1, new uint256[](0));
        vm.stopPrank();
        vm.prank(guardian);
        refuse(refusal);
        exchange.pause();
    }

    /// Nobody has to end a pause: after `maxPause` everything goes on.
    function test_a_pause_ends_by_itself() external {
        uint64 until = pause();
        vm.warp(until - 1);
        isTrue(exchange.paused(), "until the last second");
        vm.warp(until);
        isTrue(!exchange.paused(), "over");
        fund(buyer, 1);
        vm.prank(guardian);
        refuse(abi.encodeWithSelector(IEmergency.NotPaused.selector));
        exchange.unpause();
    }

    /// After a pause, however it ended, as much time passes without one as the longest lasts.
    function test_a_pause_is_not_repeated_at_once() external {
        pause();
        vm.warp(block.timestamp + 100);
        unpause();
        uint64 notBefore = uint64(block.timestamp) + MAX_PAUSE;
        refusePauseUntil(notBefore);

        vm.warp(notBefore);
        uint64 until = pause();
        vm.warp(until + 50);
        refusePauseUntil(until + MAX_PAUSE);
        vm.warp(until + MAX_PAUSE);
        pause();
    }

    function refusePauseUntil(uint64 notBefore) private {
        vm.prank(guardian);
        refuse(abi.encodeWithSelector(IEmergency.PauseTooSoon.selector, notBefore));
        exchange.pause();
        vm.warp(notBefore - 1);
        vm.prank(guardian);
        refuse(abi.encodeWithSelector(IEmergency.PauseTooSoon.selector, notBefore));
        exchange.pause();
    }

    /// The guardian who pauses whenever it can holds settled cash no longer than `maxPause` at a time.
    function test_settled_cash_waits_no_longer_than_a_pause() external {
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        vm.prank(seller);
        exchange.requestWithdrawal(1000);
        uint64 until = pause();
        vm.warp(until);
        vm.prank(guardian);
        vm.expectPartialRevert(IEmergency.PauseTooSoon.selector);
        exchange.pause();
        exchange.executeWithdrawal(seller);
        eq(token.balanceOf(seller), 1000, "paid after one pause");
    }

    /// Sessions back to back, none of them ever proved, and a pause whenever there may be one: settled cash that waits for no session is paid between two pauses.
    function test_later_sessions_and_pauses_keep_nobodys_cash() external {
        vm.prank(seller);
        exchange.requestWithdrawal(1000);
        for (uint8 round; round < 4; ++round) {
            openRound(round);
        }
        vm.warp(GATE + 1);
        uint64 until = pause();
        refuse(abi.encodeWithSelector(IEmergency.ExchangePaused.selector, until));
        exchange.executeWithdrawal(seller);
        vm.warp(until);
        isTrue(stageOf(4) == Stage.Open, "a session behind its gate");
        exchange.executeWithdrawal(seller);
        eq(token.balanceOf(seller), 1000, "paid");
    }

    /// A session under way gets the time back that a pause took, to the second, while it lasts and afterwards.
    function test_a_pause_extends_a_session_under_way(uint256 lasts) external {
        lasts = within(lasts, 1, 2 * uint256(MAX_PAUSE));
        uint256 counted = lasts < MAX_PAUSE ? lasts : MAX_PAUSE;
        uint24 epoch = openRound(0);
        commit(epoch, new Order[](0));
        uint64 deadline = exchange.deadlineOf(epoch);
        pause();
        vm.warp(block.timestamp + lasts);
        eq(exchange.deadlineOf(epoch), deadline + counted, "while it lasts");
        if (lasts < MAX_PAUSE) unpause();
        vm.warp(deadline + counted);
        eq(exchange.deadlineOf(epoch), deadline + counted, "afterwards");
        isTrue(stageOf(epoch) == Stage.Committed, "alive at its deadline");
        vm.warp(deadline + counted + 1);
        isTrue(stageOf(epoch) == Stage.Void, "void behind it");
    }

    /// A session held up by a pause can still be proved in the time it got back.
    function test_a_session_is_proved_in_the_time_it_got_back() external {
        uint24 epoch = openRound(0);
        Order[] memory orders = book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
        (Posted memory posted, Carry memory carry) = bring(epoch, orders);
        uint64 until = pause();
        vm.warp(until + ROUND_LASTS);
        close(epoch, posted, carry);
        isTrue(stageOf(epoch) == Stage.Proved, "proved");
    }

    /// Pauses give a session `maxPause` at most, all together.
    function test_pauses_extend_a_session_by_one_longest_pause_at_most() external {
        vm.warp(GATE - 1);
        uint64 commitBy = GATE + 3 * MAX_PAUSE;
        uint24 epoch = openLong(commitBy);
        pause();
        vm.warp(block.timestamp + MAX_PAUSE - 10);
        unpause();
        eq(exchange.deadlineOf(epoch), commitBy + MAX_PAUSE - 10, "after one");
        vm.warp(block.timestamp + MAX_PAUSE);
        pause();
        vm.warp(block.timestamp + 100);
        unpause();
        eq(exchange.deadlineOf(epoch), commitBy + MAX_PAUSE, "after two");
    }

    function openLong(uint64 commitBy) private returns (uint24) {
        SessionParams memory params = paramsOf(0);
        (params.commitBy, params.proveBy) = (commitBy, commitBy + 1 hours);
        return openSession(params);
    }

    /// A session void before a pause stays void.
    function test_a_pause_revives_nothing() external {
        uint24 epoch = openRound(0);
        vm.warp(GATE + 10 minutes + 1);
        pause();
        vm.warp(block.timestamp + 60);
        isTrue(stageOf(epoch) == Stage.Void, "while it lasts");
        unpause();
        isTrue(stageOf(epoch) == Stage.Void, "afterwards");
    }

    /// A session whose gate comes after a pause gets nothing from it, though nobody ended that pause.
    function test_a_pause_gives_nothing_to_later_sessions() external {
        pause();
        vm.warp(block.timestamp + 2 * uint256(MAX_PAUSE));
        uint24 epoch = openRound(0);
        uint64 commitBy = exchange.sessionParams(epoch).commitBy;
        eq(exchange.deadlineOf(epoch), commitBy, "not extended");
        vm.warp(commitBy + 1);
        isTrue(stageOf(epoch) == Stage.Void, "void behind its deadline");
    }
}
