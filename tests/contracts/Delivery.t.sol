// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IDelivery} from "../../contracts/interfaces/IDelivery.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry} from "../../contracts/interfaces/ISettlement.sol";
import {IStatements, Statement} from "../../contracts/interfaces/IStatements.sol";
import {CertifiedDay} from "./support/CertifiedDay.sol";

/// @title What was sold as produced and not delivered: given back, paid back, and out of balance
contract DeliveryTest is CertifiedDay {
    function setUp() external {
        setUpCertified();
    }

    /// The buyer is paid back the price of what it misses, and what it took all the same falls into its imbalance: the balancing party earns the deficit.
    function test_what_is_not_delivered_is_paid_back() external {
        (int256 buyerHad, int256 balancerHad) = (freeOf(buyer), freeOf(balancer));
        RunCarry memory carry = settleBoth();
        eq(freeOf(buyer), buyerHad, "nothing yet, not even its reserve");
        eq(freeOf(balancer), balancerHad, "nothing yet");
        eq(carry.cashNano, 2 * LACKS * PRICE, "what the seller was not paid");
        certifyBoth(carry);
        int256 paid = 2 * LACKS * (PRICE - int256(DEFICIT));
        eq(freeOf(buyer) - buyerHad - 2000 * int256(uint256(BUY_RESERVE)), paid, "refund and imbalance");
        eq(freeOf(balancer) - balancerHad, 2 * LACKS * int256(DEFICIT), "the deficit");
        for (uint256 part; part < 2; ++part) {
            eq(exchange.statementOf(0, DAY, part), hashOf(statementOf(accountsOf(part))), "as stated");
        }
        requireConserved(0);
    }

    /// A part whose certificates change something says so, account by account, and then for the balancing party.
    function test_events_tell_what_changes() external {
        RunCarry memory carry = settleBoth();
        uint256 part = partOf(buyer);
        if (part == 1) certifyFirst(carry);
        Statement memory s = statementOf(accountsOf(part), buyer);
        stated[buyer] = [-LACKS, -LACKS];
        int256 cash = 2 * LACKS * (PRICE - int256(DEFICIT));
        vm.expectEmit(address(exchange));
        emit IDelivery.AccountDelivered(buyer, -2 * LACKS, cash, 2000 * uint256(BUY_RESERVE));
        vm.expectEmit(address(exchange));
        emit IDelivery.PartCertified(
            0, DAY, 2 * LACKS, 2 * LACKS * int256(DEFICIT), hashOf(statementOf(accountsOf(part)))
        );
        certify(dayPosting(), s, carry);
    }

    /// What the seller is paid, and what the buyer is paid back, needs the prices of the round; nothing else does.
    function test_prices_are_brought_where_they_are_needed() external {
        uint256 before = vm.snapshotState();
        vm.warp(AFTERWARDS);
        Posting memory p = dayPosting();
        postDay(p);
        bytes memory entries = entriesOf(0);
        bool needed = partOf(seller) == 0;
        if (needed) refuse(abi.encodeWithSelector(ISettlement.PricesMissing.selector, 0, DAY));
        vm.prank(meterOperator);
        exchange.settle(p, entries, noRunCarry(), noPrices());
        vm.revertToState(before);
        RunCarry memory carry = settleBoth();
        if (partOf(buyer) == 1) certifyFirst(carry);
        Statement memory s = statementOf(accountsOf(partOf(buyer)), buyer);
        refuse(abi.encodeWithSelector(ISettlement.PricesMissing.selector, 0, DAY));
        vm.prank(meterOperator);
        exchange.certify(p, s, carry, noPrices());
    }

    /// Prices are those of the proved rounds, word for word, and as many.
    function test_other_prices_are_refused(uint256 seed) external {
        vm.warp(AFTERWARDS);
        Posting memory p = dayPosting();
        postDay(p);
        bytes memory entries = entriesOf(0);
        RoundPrices[] memory prices = roundPrices();
        uint256 round;
        uint256 which = seed % 4;
        if (which == 0) prices[0].energyPotentials[seed / 4 % 2] ^= 1 << (seed >> 248);
        if (which == 1) prices[0].qualityPotentials[seed / 4 % 2] ^= 1 << (seed >> 248);
        if (which == 2) prices[0].energyPotentials = new uint256[](3);
        if (which == 3) {
            (prices, round) = (new RoundPrices[](2), 1);
            (prices[0], prices[1]) = (roundPrices()[0], roundPrices()[0]);
        }
        refuse(abi.encodeWithSelector(ISettlement.WrongPrices.selector, 0, DAY, round));
        vm.prank(meterOperator);
        exchange.settle(p, entries, noRunCarry(), prices);
    }

    /// A statement is the one that its part left: neither another account nor another leaf, neither fewer nor more.
    function test_other_statements_are_refused(uint256 seed) external {
        RunCarry memory carry = settleBoth();
        Statement memory s = statementOf(accountsOf(0));
        uint256 which = seed % 4;
        if (which == 0) s.leaves[seed / 4 % CUT] ^= bytes32(1 << (seed >> 248));
        if (which == 1) s.accounts[seed / 4 % CUT] = address(uint160(seed));
        if (which == 2) s = statementOf(accountsOf(1));
        if (which == 3) s.leaves = new bytes32[](CUT + 1);
        RoundPrices[] memory prices = roundPrices();
        refuse(abi.encodeWithSelector(IStatements.WrongStatement.selector, 0));
        vm.prank(meterOperator);
        exchange.certify(dayPosting(), s, carry, prices);
    }

    /// Rows are of the accounts that miss something, and of no others: none is too few, one more too many, and another's is wrong.
    function test_rows_are_of_those_who_miss_something() external {
        RunCarry memory carry = settleBoth();
        uint256 part = partOf(buyer);
        if (part == 1) certifyFirst(carry);
        Statement memory s = statementOf(accountsOf(part), buyer);
        bytes memory row = s.rows;
        bytes[4] memory wrong = [bytes(""), bytes.concat(row, row), bytes.concat(row, hex"00"), rowOf(seller)];
        if (keccak256(wrong[3]) == keccak256(row)) wrong[3][0] ^= 0x01;
        RoundPrices[] memory prices = roundPrices();
        Posting memory p = dayPosting();
        for (uint256 i; i < wrong.length; ++i) {
            s.rows = wrong[i];
            refuse(abi.encodeWithSelector(IStatements.WrongRows.selector));
            vm.prank(meterOperator);
            exchange.certify(p, s, carry, prices);
        }
    }

    /// A day is neither settled nor certified in a pause.
    function test_a_pause_holds_both_passes() external {
        RunCarry memory carry = settleBoth();
        vm.prank(guardian);
        exchange.pause();
        Statement memory s = statementOf(accountsOf(0));
        RoundPrices[] memory prices = roundPrices();
        Posting memory p = dayPosting();
        bytes memory entries = entriesOf(0);
        vm.startPrank(meterOperator);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.certify(p, s, carry, prices);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.settle(p, entries, carry, prices);
    }

    /// What is delivered, in any measure, and paid back: cash is conserved, and imbalances with the balancing party's sum to zero.
    /// forge-config: default.fuzz.runs = 64
    function test_cash_is_conserved(uint32 a, uint32 b) external {
        (delivered, taken) = (int256(within(uint256(a), 0, 2000)), int256(within(uint256(b), 0, 2000)));
        certifyAny();
        requireConserved(0);
    }

    int256 private delivered;
    int256 private taken;

    /// @dev In one part, at what was drawn.
    function certifyAny() private {
        int256[] memory wh = new int256[](prosumers.length);
        bytes memory entries;
        for (uint256 i; i < wh.length; ++i) {
            if (prosumers[i] == seller) wh[i] = delivered;
            if (prosumers[i] == buyer) wh[i] = -taken;
            entries = bytes.concat(entries, entry(prosumers[i], wh[i]));
        }
        RunCarry memory carry = settleAll(wh, SURPLUS, DEFICIT);
        int256 lacking = delivered < 1000 ? 1000 - delivered : int256(0);
        address[] memory all = accountsFrom(0, prosumers.length);
        Statement memory s = lacking == 0 ? statementOf(all) : statementOf(all, buyer);
        (int256 had, int256 before) = (freeOf(buyer), stated[buyer][0]);
        certify(postingOf(entries, SURPLUS, DEFICIT), s, carry);
        int256 change = valueOf(before - lacking) - valueOf(before);
        int256 released = 2000 * int256(uint256(BUY_RESERVE));
        eq(freeOf(buyer) - had - released, 2 * (lacking * PRICE + change), "paid back");
    }

    /// @dev The part before the buyer's, where nobody misses anything.
    function certifyFirst(RunCarry memory carry) private {
        certify(dayPosting(), statementOf(accountsOf(0)), carry);
        carry.parts = 1;
    }
}
