// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {IDelivery} from "../../contracts/interfaces/IDelivery.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

contract SettlementTest is MeteredDay {
    int256 private constant SOLD = 1000 * 150_000;

    int256 private sellerBefore;
    int256 private buyerBefore;
    int256 private balancerBefore;

    /// @dev The seller sold the buyer 1000 Wh in one window.
    function setUp() external {
        setUpWorld(1);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        (sellerBefore, buyerBefore, balancerBefore) = (freeOf(seller), freeOf(buyer), freeOf(balancer));
    }

    /// @dev Everyone metered at zero but the two who traded.
    function metered(int256 bySeller, int256 byBuyer) private view returns (int256[] memory wh) {
        wh = new int256[](prosumers.length);
        for (uint256 i; i < wh.length; ++i) {
            if (prosumers[i] == seller) wh[i] = bySeller;
            if (prosumers[i] == buyer) wh[i] = byBuyer;
        }
    }

    /// @dev What the seller earned, its reserve aside.
    function sellerEarned() private view returns (int256) {
        return freeOf(seller) - sellerBefore - 1000 * int256(PRODUCED_RESERVE);
    }

    /// @dev What its imbalance earned: its reserve waits for `certify`.
    function buyerEarned() private view returns (int256) {
        return freeOf(buyer) - buyerBefore;
    }

    // --- signs

    /// Bought 1000 Wh, took 1100, at 80 micro/kWh: 8 micro are owed.
    function test_a_shortfall_at_a_positive_price_costs() external {
        settleAll(metered(1000, -1100), 80, 80);
        eq(buyerEarned(), -8000, "nano");
    }

    /// The same at -50 micro/kWh earns 5 micro.
    function test_a_shortfall_at_a_negative_price_earns() external {
        settleAll(metered(1000, -1100), -50, -50);
        eq(buyerEarned(), 5000, "nano");
    }

    /// Sold 1000 Wh as produced, delivered 900: those are paid for, the rest is nobody's imbalance, and waits for `certify`.
    function test_what_is_not_produced_is_not_paid() external {
        RunCarry memory carry = settleAll(metered(900, -1000), 80, 80);
        eq(sellerEarned(), 900 * 150_000, "nano");
        eq(freeOf(balancer), balancerBefore, "nothing to balance");
        eq(carry.cashNano, 100 * 150_000, "what the buyer paid for the rest");
    }

    /// Delivered 100 Wh more, at 80 micro/kWh: 8 micro are earned; at -50 they cost 5.
    function test_a_surplus_is_the_mirror() external {
        uint256 before = vm.snapshotState();
        settleAll(metered(1100, -1000), 80, 80);
        eq(sellerEarned(), SOLD + 8000, "at a positive price");
        vm.revertToState(before);
        settleAll(metered(1100, -1000), -50, -50);
        eq(sellerEarned(), SOLD - 5000, "at a negative price");
    }

    /// A surplus earns the surplus price, a shortfall costs the deficit price.
    function test_dual_prices() external {
        uint256 before = vm.snapshotState();
        settleAll(metered(1100, -1000), 80_000, 240_000);
        eq(sellerEarned(), SOLD + 100 * 80_000, "surplus");
        vm.revertToState(before);
        settleAll(metered(1000, -1100), 80_000, 240_000);
        eq(buyerEarned(), -100 * 240_000, "deficit");
    }

    /// Who meters what was contracted gets its reserve back and no more, a buyer of energy as produced when the day is certified.
    function test_balanced_accounts_get_their_reserves_back() external {
        int256[] memory wh = metered(1000, -1000);
        RunCarry memory carry = settleAll(wh, 80_000, 240_000);
        eq(freeOf(seller), int256(RICH) + SOLD, "the seller sold at the price");
        eq(freeOf(buyer), int256(RICH) - SOLD - 1000 * int256(uint256(BUY_RESERVE)), "the buyer waits");
        bytes memory entries;
        for (uint256 i; i < wh.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], wh[i]));
        }
        Statement memory s = statementOf(accountsFrom(0, wh.length));
        vm.expectEmit(address(exchange));
        emit IDelivery.AccountDelivered(buyer, 0, 0, 1000 * uint256(BUY_RESERVE));
        vm.expectEmit(address(exchange));
        emit IDelivery.PartCertified(0, DAY, 0, 0, hashOf(s));
        vm.expectEmit(address(exchange));
        emit IDelivery.RunCertified(0, DAY, 0);
        certify(postingOf(entries, 80_000, 240_000), s, carry);
        eq(freeOf(buyer), int256(RICH) - SOLD, "the buyer bought at the price");
        eq(freeOf(balancer), balancerBefore, "nothing is left to balance");
    }

    /// Whatever is metered at whatever prices, all cash there was is all cash there is.
    function test_cash_is_conserved(int32 a, int32 b, int32 low, int32 high) external {
        int256 bySeller = within(int256(a), -1_000_000, 1_000_000);
        int256 byBuyer = within(int256(b), -1_000_000, 1_000_000);
        int32 surplus = int32(within(int256(low), -500_000, 900_000));
        int32 deficit = int32(within(int256(high), surplus, 900_000));
        RunCarry memory carry = settleAll(metered(bySeller, byBuyer), surplus, deficit);
        int256 sum = freeOf(balancer) + carry.cashNano + 1000 * int256(uint256(BUY_RESERVE));
        for (uint256 i; i < prosumers.length; ++i) {
            sum += freeOf(prosumers[i]);
        }
        eq(sum, int256(token.balanceOf(address(exchange))), "all cash, with what waits for certify");
        eq(
            freeOf(balancer) - balancerBefore,
            -cashOfRun(bySeller, byBuyer, surplus, deficit),
            "the other side"
        );
    }

    function cashOfRun(int256 bySeller, int256 byBuyer, int256 surplus, int256 deficit)
        private
        pure
        returns (int256)
    {
        int256 delivered = bySeller < 0 ? int256(0) : bySeller < 1000 ? bySeller : int256(1000);
        (int256 one, int256 two) = (bySeller - delivered, byBuyer + 1000);
        return one * (one > 0 ? surplus : deficit) + two * (two > 0 ? surplus : deficit);
    }

    // --- parts

    /// Parts of any size settle the same as one, in any division.
    function test_parts_settle_as_one(uint256 cut) external {
        cut = within(cut, 1, prosumers.length - 1);
        (Posting memory p, bytes[] memory parts, RunCarry memory carry) = postHalves(metered(900, -1200), cut);
        settle(p, parts[0], noRunCarry());
        settle(p, parts[1], carry);
        eq(sellerEarned(), 900 * 150_000, "seller");
        eq(freeOf(balancer) - balancerBefore, 200 * 240_000, "balancing party");
    }

    /// A part is settled once, in its place, as it was signed.
    function test_the_wrong_part_is_refused() external {
        (Posting memory p, bytes[] memory parts, RunCarry memory carry) = postHalves(metered(1000, -1000), 1);
        vm.startPrank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.WrongPart.selector, 0));
        exchange.settle(p, bytes.concat(parts[0], hex"00"), noRunCarry(), roundPrices());
        exchange.settle(p, parts[0], noRunCarry(), roundPrices());
        refuse(abi.encodeWithSelector(ISettlement.WrongPart.selector, 1));
        exchange.settle(p, parts[0], carry, roundPrices());
        vm.stopPrank();
    }

    /// Only the posting that was signed last is settled.
    function test_the_wrong_posting_is_refused() external {
        (Posting memory p, bytes memory entries) = postWhole(metered(1000, -1000));
        p.surplusMicroPerKWh[0] += 1;
        vm.startPrank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY));
        exchange.settle(p, entries, noRunCarry(), roundPrices());
        p.firstWindow = DAY + 48;
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY + 48));
        exchange.settle(p, entries, noRunCarry(), roundPrices());
    }

    /// The carry is what the part before left: not one word may differ, nor may a first part bring any.
    function test_the_wrong_carry_is_refused(uint256 seed) external {
        (Posting memory p, bytes[] memory parts, RunCarry memory carry) = postHalves(metered(1000, -1000), 1);
        bytes memory refusal = abi.encodeWithSelector(ISettlement.WrongRunCarry.selector, 0, DAY);
        vm.startPrank(meterOperator);
        refuse(refusal);
        exchange.settle(p, parts[0], carry, roundPrices());
        exchange.settle(p, parts[0], noRunCarry(), roundPrices());
        refuse(refusal);
        exchange.settle(p, parts[1], noRunCarry(), roundPrices());
        uint256 which = seed % 6;
        if (which == 5) carry.pots[seed / 5 % carry.pots.length] ^= 1 << (seed >> 248);
        if (which == 0) carry.tallies[seed / 5 % carry.tallies.length] ^= 1 << (seed >> 248);
        if (which == 1) ++carry.imbalanceWh;
        if (which == 2) ++carry.cashNano;
        if (which == 3) carry.lastAccount = address(uint160(carry.lastAccount) + 1);
        if (which == 4) ++carry.parts;
        refuse(refusal);
        exchange.settle(p, parts[1], carry, roundPrices());
    }

    /// Words cannot wander between the carry's tallies, pots and sums, though they would hash the same in one row.
    function test_carried_tallies_have_their_length() external {
        (Posting memory p, bytes[] memory parts, RunCarry memory carry) = postHalves(metered(1000, -1000), 1);
        settle(p, parts[0], noRunCarry());
        uint256[] memory tallies = carry.tallies;
        carry.tallies = new uint256[](tallies.length + 1);
        for (uint256 i; i < tallies.length; ++i) {
            carry.tallies[i] = tallies[i];
        }
        carry.tallies[tallies.length] = uint256(carry.imbalanceWh);
        (carry.imbalanceWh, carry.cashNano) = (carry.cashNano, int256(uint256(uint160(carry.lastAccount))));
        bytes memory refusal = abi.encodeWithSelector(ISettlement.WrongRunCarry.selector, 0, DAY);
        vm.startPrank(meterOperator);
        refuse(refusal);
        exchange.settle(p, parts[1], carry, roundPrices());
        (carry.tallies, carry.pots) = (new uint256[](2 * tallies.length), new uint256[](0));
        for (uint256 i; i < tallies.length; ++i) {
            carry.tallies[i] = tallies[i];
        }
        (carry.imbalanceWh, carry.cashNano) = (0, 0);
        refuse(refusal);
        exchange.settle(p, parts[1], carry, roundPrices());
    }

    /// Entries are of metered members of the zone, ascending, and whole.
    function test_bad_entries_are_refused() external {
        refuseEntry(entry(balancer, 0), balancer);
        refuseEntry(entry(stranger, 0), stranger);
        refuseEntry(bytes.concat(entry(prosumers[1], 0), entry(prosumers[0], 0)), prosumers[0]);
        refuseEntry(bytes.concat(entry(prosumers[0], 0), entry(prosumers[0], 0)), prosumers[0]);
        refuseEntry(bytes.concat(entry(prosumers[0], 0), hex"00"), address(0));
    }

    /// Quantities are below 2^30 Wh in size, flags 0 to 2, and unused flag bits zero.
    function test_entries_in_range_only() external {
        address account = prosumers[0];
        refuseEntry(entry(account, 1 << 30), account);
        refuseEntry(entry(account, -(1 << 30)), account);
        refuseEntry(bytes.concat(bytes20(account), hex"c0", bytes4(0)), account);
        refuseEntry(bytes.concat(bytes20(account), hex"01", bytes4(0)), account);
        Posting memory p = postingOf(entry(account, (1 << 30) - 1), 80_000, 240_000);
        p.parts = new bytes32[](2);
        p.parts[0] = keccak256(entry(account, (1 << 30) - 1));
        vm.warp(AFTERWARDS);
        postDay(p);
        settle(p, entry(account, (1 << 30) - 1), noRunCarry());
    }

    function refuseEntry(bytes memory entries, address account) private {
        uint256 before = vm.snapshotState();
        Posting memory p = postingOf(entries, 80_000, 240_000);
        vm.warp(AFTERWARDS);
        postDay(p);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.BadEntry.selector, account));
        exchange.settle(p, entries, noRunCarry(), roundPrices());
        vm.revertToState(before);
    }

    // --- the end of a run

    /// A run ends when every part is settled, once.
    function test_a_run_ends_once() external {
        (Posting memory p, bytes memory entries) = postWhole(metered(1000, -1000));
        RunCarry memory carry = carryOf(metered(1000, -1000));
        settle(p, entries, noRunCarry());
        vm.startPrank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.WrongRunStage.selector, 0, DAY, RunStage.Settled));
        exchange.settle(p, entries, carry, roundPrices());
    }

    /// A posting that leaves accounts out ends no run, though their trades balance among themselves.
    function test_no_account_is_left_out() external {
        int256[] memory wh = new int256[](prosumers.length);
        bytes memory entries;
        for (uint256 i; i < wh.length; ++i) {
            if (prosumers[i] == seller || prosumers[i] == buyer) continue;
            entries = bytes.concat(entries, entry(prosumers[i], 0));
        }
        Posting memory p = postingOf(entries, 80_000, 240_000);
        vm.warp(AFTERWARDS);
        postDay(p);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.IncompleteRun.selector, wh.length - 2, wh.length));
        exchange.settle(p, entries, noRunCarry(), roundPrices());
    }

    /// The balancing party's own trades are settled with the run: its reserves return and its tokens end.
    function test_the_balancing_partys_trades_settle_too() external {
        trade(1, book(buy(SECOND_BUYER, 500, 200_000), sell(BALANCER, 500, 100_000)));
        int256 before = freeOf(balancer);
        settleAll(metered(1000, -1000), 80_000, 240_000);
        // The second buyer took nothing: its surplus of 500 Wh is what the balancing party did not deliver.
        eq(
            freeOf(balancer) - before,
            500 * (int256(uint256(SELL_RESERVE)) - 80_000),
            "reserve less the surplus paid"
        );
        eq(exchange.balanceOf(balancer, obligationOf(1, 0)), 0, "nothing is owed any more");
    }

    // --- certificates

    /// Claims of band 0 leave no certificate, and a day is certified once, when all of it is settled.
    function test_a_day_is_certified_once() external {
        int256[] memory wh = metered(1000, -1000);
        (Posting memory p, bytes[] memory parts, RunCarry memory first) = postHalves(wh, 1);
        RunCarry memory carry = carryOf(wh);
        settle(p, parts[0], noRunCarry());
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.WrongRunStage.selector, 0, DAY, RunStage.Settling));
        exchange.certify(p, statementOf(accountsFrom(0, 1)), first, roundPrices());
        settle(p, parts[1], first);
        eq(exchange.statementOf(0, DAY, 0), hashOf(statementOf(accountsFrom(0, 1))), "stated");
        eq(exchange.statementOf(0, DAY, 1), hashOf(statementOf(accountsFrom(1, prosumers.length))), "stated");
        certify(p, statementOf(accountsFrom(0, 1)), carry);
        carry.parts = 1;
        certify(p, statementOf(accountsFrom(1, prosumers.length)), carry);
        (RunStage stage,,) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Certified, "certified");
        eq(exchange.balanceOf(buyer, idOf(0, 0, 0, 0, 0)), 0, "no claim any more");
        eq(exchange.balanceOf(buyer, idOf(0, 0, 3, 0, 0)), 0, "residual mix");
        carry.parts = 0;
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY));
        exchange.certify(p, statementOf(accountsFrom(0, 1)), carry, roundPrices());
    }

    // --- helpers

    function postWhole(int256[] memory wh) private returns (Posting memory p, bytes memory entries) {
        for (uint256 i; i < wh.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], wh[i]));
        }
        p = postingOf(entries, 80_000, 240_000);
        vm.warp(AFTERWARDS);
        postDay(p);
    }

    /// @dev In two parts, the first with `cut` accounts.
    /// The carry is what the first leaves.
    function postHalves(int256[] memory wh, uint256 cut)
        private
        returns (Posting memory p, bytes[] memory parts, RunCarry memory carry)
    {
        parts = new bytes[](2);
        carry = initialRun();
        for (uint256 i; i < wh.length; ++i) {
            uint256 part = i < cut ? 0 : 1;
            parts[part] = bytes.concat(parts[part], entry(prosumers[i], wh[i]));
            if (part == 0) countAccount(carry, prosumers[i], wh[i], 80_000, 240_000);
        }
        carry.parts = 1;
        p = postingOf(parts[0], 80_000, 240_000);
        p.parts = new bytes32[](2);
        (p.parts[0], p.parts[1]) = (keccak256(parts[0]), keccak256(parts[1]));
        vm.warp(AFTERWARDS);
        postDay(p);
    }

    /// @dev What the settled day leaves to certification.
    function carryOf(int256[] memory wh) private returns (RunCarry memory carry) {
        carry = initialRun();
        for (uint256 i; i < wh.length; ++i) {
            countAccount(carry, prosumers[i], wh[i], 80_000, 240_000);
        }
        return certifyStart(carry);
    }
}
