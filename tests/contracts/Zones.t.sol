// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, SessionParams} from "../../contracts/interfaces/IAuction.sol";
import {Grid} from "../../contracts/interfaces/IDays.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {ROLE_PROSUMER} from "../../contracts/libraries/Member.sol";
import {Forest} from "./support/Forest.sol";

/// @title One run a day, zone after zone
/// @dev A day of five zones that nothing was traded on: members live in zones 0, 1, 2 and 4.
contract ZonesTest is Forest {
    uint32 private constant LATER = DAY + 48;

    function setUp() external {
        setUpForest();
        Grid memory five;
        (five.qualities, five.substitutions) = (grid.qualities, grid.substitutions);
        five.parents = new uint32[](5);
        five.parents[0] = type(uint32).max;
        (five.charges, five.capacities) = (new uint32[](5), new uint32[](5));
        for (uint256 zone = 1; zone < 5; ++zone) {
            five.charges[zone] = 1;
        }
        vm.startPrank(operator);
        exchange.setGrid(five);
        exchange.openDay(LATER, 1, 2);
        vm.stopPrank();
        registerIn(4, vm.addr(0xF0), ROLE_PROSUMER, 20_000, false);
        vm.warp(AFTERWARDS);
    }

    // --- honest oracle nodes

    function memberIn(uint32 zone) private view returns (address) {
        if (zone == 0) return secondBuyer;
        if (zone == 4) return vm.addr(0xF0);
        return zone == 1 ? seller : buyer;
    }

    /// @dev One member a zone, metered at nothing.
    function postingIn(uint32 zone, uint32 sequence) private view returns (Posting memory p) {
        p = postingOf(entry(memberIn(zone), 0), 80_000, 240_000);
        (p.zone, p.firstWindow, p.sequence, p.accounts) = (zone, LATER, sequence, 1);
    }

    function post(uint32 zone) private {
        postDay(postingIn(zone, 1));
    }

    /// @dev Of a day without rounds.
    function carry() private pure returns (RunCarry memory c) {
        (c.tallies, c.pots) = (new uint256[](0), new uint256[](0));
    }

    function settleZone(uint32 zone, bool first) private {
        settle(postingIn(zone, 1), entry(memberIn(zone), 0), first ? noRunCarry() : carry());
    }

    function certifyZone(uint32 zone) private {
        address[] memory one = new address[](1);
        one[0] = memberIn(zone);
        stated[one[0]] = [int256(0)];
        certify(postingIn(zone, 1), statementOf(one), carry());
    }

    function requireUnderWay(uint32 expected) private view {
        (uint32 zone, uint16 parts) = exchange.zoneUnderWay(LATER);
        eq(zone, expected, "zone under way");
        eq(parts, 0, "no part of it");
    }

    function refusePosting(Posting memory p, string memory part) private {
        bytes[] memory signatures = signaturesOf(p, 2);
        vm.prank(meterOperator);
        vm.expectRevert(abi.encodeWithSelector(IMetering.BadPosting.selector, part));
        exchange.postMetering(p, signatures);
    }

    function refuseZone(uint32 zone, bool first) private {
        Posting memory p = postingIn(zone, 1);
        bytes memory entries = entry(memberIn(zone), 0);
        RunCarry memory brought = first ? noRunCarry() : carry();
        vm.prank(meterOperator);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongPosting.selector, zone, LATER));
        exchange.settle(p, entries, brought, roundPrices());
    }

    // --- what holds

    /// Zones settle in ascending order, those without members are left out, and the last one's last part ends the run; certificates go the same way.
    function test_zones_settle_in_order() external {
        uint32[4] memory zones = [uint32(0), 1, 2, 4];
        for (uint256 i; i < 4; ++i) {
            post(zones[i]);
        }
        refuseZone(1, true);
        for (uint256 i; i < 4; ++i) {
            requireUnderWay(zones[i]);
            settleZone(zones[i], i == 0);
            if (i != 0) refuseZone(zones[i - 1], false);
        }
        requireStage(RunStage.Settled);
        for (uint256 i; i < 4; ++i) {
            requireUnderWay(zones[i]);
            certifyZone(zones[i]);
        }
        requireStage(RunStage.Certified);
        requireUnderWay(5);
    }

    function requireStage(RunStage expected) private view {
        (RunStage stage,,) = exchange.runOf(0, LATER);
        isTrue(stage == expected, "stage");
    }

    /// A zone without members is not posted, nor is one that the grid does not have.
    function test_zones_have_members() external {
        Posting memory p = postingIn(0, 1);
        p.zone = 3;
        refusePosting(p, "accounts");
        p.accounts = 0;
        refusePosting(p, "accounts");
        p.zone = 5;
        refusePosting(p, "zone");
    }

    /// A posting is replaced until its zone is settled, whichever zone is under way.
    function test_a_posting_is_replaced_until_its_zone_is_settled() external {
        post(0);
        post(1);
        postDay(postingIn(0, 2));
        refuseZone(0, true);
        settle(postingIn(0, 2), entry(memberIn(0), 0), noRunCarry());
        refusePosting(postingIn(0, 3), "stage");
        postDay(postingIn(1, 2));
        refuseZone(1, false);
        settle(postingIn(1, 2), entry(memberIn(1), 0), carry());
    }

    /// A zone that is not posted yet is waited for.
    function test_a_zone_is_not_left_out() external {
        post(0);
        post(2);
        settleZone(0, true);
        refuseZone(2, false);
        post(1);
        settleZone(1, false);
        settleZone(2, false);
        requireUnderWay(4);
    }

    /// Whoever joins a zone that was passed over does not hold the day up.
    function test_a_member_who_comes_late_holds_nothing_up() external {
        uint32[4] memory zones = [uint32(0), 1, 2, 4];
        for (uint256 i; i < 4; ++i) {
            post(zones[i]);
            if (i != 3) settleZone(zones[i], i == 0);
        }
        registerIn(3, vm.addr(0xF1), ROLE_PROSUMER, 20_000, false);
        Posting memory p = postingOf(entry(vm.addr(0xF1), 0), 80_000, 240_000);
        (p.zone, p.firstWindow, p.accounts) = (3, LATER, 1);
        refusePosting(p, "stage");
        settleZone(4, false);
        requireStage(RunStage.Settled);
        for (uint256 i; i < 4; ++i) {
            certifyZone(zones[i]);
        }
        requireStage(RunStage.Certified);
    }

    /// The carry of one zone begins the next, with no account and no part of it.
    function test_a_zone_begins_with_what_the_last_left(uint256 seed) external {
        post(0);
        post(1);
        settleZone(0, true);
        RunCarry memory wrong = carry();
        uint256 which = seed % 4;
        if (which == 0) wrong.lastAccount = secondBuyer;
        if (which == 1) wrong.parts = 1;
        if (which == 2) wrong.imbalanceWh = 1;
        if (which == 3) wrong.cashNano = 1;
        Posting memory p = postingIn(1, 1);
        bytes memory entries = entry(memberIn(1), 0);
        vm.prank(meterOperator);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongRunCarry.selector, 1, LATER));
        exchange.settle(p, entries, wrong, roundPrices());
        settleZone(1, false);
    }

    /// No session of the day opens once any of its zones is posted.
    function test_a_posted_day_trades_no_more() external {
        post(4);
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadSession.selector, "day"));
        exchange.openSession(laterRound());
    }

    function laterRound() private view returns (SessionParams memory p) {
        p = paramsOf(0);
        (p.day, p.firstWindow, p.gridVersion) = (LATER, LATER, 2);
    }

    /// What was traded between zones settles to nothing over all of them. A buyer whom a line prices higher is paid back what the seller was not paid: what the
    /// line earned by it stays earned.
    function test_trades_between_zones_settle() external {
        vm.warp(GATE - 1);
        proveForest();
        vm.warp(AFTERWARDS);
        (int256 sellerHad, int256 buyerHad, int256 before) = (freeOf(seller), freeOf(buyer), freeOf(balancer));
        RunCarry memory c = carry();
        for (uint32 zone; zone < 3; ++zone) {
            postDay(postingOn(zone));
            vm.prank(stranger);
            exchange.settle(postingOn(zone), entryIn(zone), zone == 0 ? noRunCarry() : c, pricesIn(zone));
            if (zone == 0) (c.tallies, c.pots) = (new uint256[](2), new uint256[](2));
            if (zone != 1) continue;
            c.tallies[0] = FLOW << 64 | 500 << 128;
            c.pots[0] = 100 * 100_000;
        }
        (RunStage stage,,) = exchange.runOf(2, DAY);
        isTrue(stage == RunStage.Settled, "the last zone ends the run");
        eq(freeOf(seller) - sellerHad, 500 * 100_000 + 600 * int256(PRODUCED_RESERVE), "paid for 500");
        eq(freeOf(balancer), before, "nothing to balance");
        c.tallies[0] += FLOW;
        c.cashNano = 100 * 100_000;
        for (uint32 zone; zone < 3; ++zone) {
            stated[memberIn(zone)] = [int256(0)];
            Statement memory s = statementOf(oneOf(memberIn(zone)));
            if (zone == 2) s.rows = rowOf(buyer);
            exchange.certify(postingOn(zone), s, c, pricesIn(zone));
        }
        int256 took = 100 * 240_000;
        int256 back = 100 * 100_000 - took + 600 * int256(uint256(BUY_RESERVE));
        eq(freeOf(buyer) - buyerHad, back, "the seller's price, the deficit, and its reserve");
        eq(freeOf(balancer) - before, took, "the balancing party earns the deficit and nothing else");
        int256 sum = freeOf(balancer) + freeOf(networkOperator) + freeOf(secondBuyer);
        eq(sum + freeOf(seller) + freeOf(buyer), int256(token.balanceOf(address(exchange))), "all cash");
    }

    /// A seller behind a full line that delivers nothing, and a network operator that is its friend: what the line earned of the buyer's price stays earned,
    /// and nothing else is theirs. At a negative price the seller pays all of it, so that what comes out is what the buyer paid.
    function test_lines_keep_what_energy_that_never_flowed_earned(bool negative) external {
        if (negative) ask(-1_900_000);
        vm.warp(GATE - 1);
        int256 friends = freeOf(seller) + freeOf(networkOperator);
        (int256 buyerHad, int256 before) = (freeOf(buyer), freeOf(balancer));
        proveForest();
        vm.warp(AFTERWARDS);
        RunCarry memory c = carry();
        for (uint32 zone; zone < 3; ++zone) {
            Posting memory p = idlePosting(zone);
            postDay(p);
            exchange.settle(p, entry(memberIn(zone), 0), zone == 0 ? noRunCarry() : c, pricesIn(zone));
            if (zone == 0) (c.tallies, c.pots) = (new uint256[](2), new uint256[](2));
            if (zone != 1) continue;
            (c.tallies[0], c.pots[0]) = (FLOW << 64, negative ? 0 : FLOW * 100_000);
        }
        c.tallies[0] += FLOW;
        // The buyer took nothing: for now it is long.
        (c.imbalanceWh, c.cashNano) = (int256(FLOW), int256(c.pots[0]));
        for (uint32 zone; zone < 3; ++zone) {
            stated[memberIn(zone)] = [zone == 2 ? int256(FLOW) : int256(0)];
            Statement memory s = statementOf(oneOf(memberIn(zone)));
            if (zone == 2) s.rows = rowOf(buyer);
            exchange.certify(idlePosting(zone), s, c, pricesIn(zone));
        }
        int256 price = negative ? int256(200_000) : int256(200_000 - 100_000);
        eq(freeOf(buyer) - buyerHad, -int256(FLOW) * price, "its price, less the seller's");
        eq(freeOf(seller) + freeOf(networkOperator) - friends, int256(FLOW) * price, "which the line earned");
        eq(freeOf(balancer), before, "nothing to balance");
    }

    /// @dev Everyone metered at nothing, at imbalance prices of zero.
    function idlePosting(uint32 zone) private view returns (Posting memory p) {
        p = postingOf(entry(memberIn(zone), 0), 0, 0);
        (p.zone, p.accounts) = (zone, 1);
    }

    /// @dev The seller delivers 500 of what it sold, the buyer takes all that it bought.
    function entryIn(uint32 zone) private view returns (bytes memory) {
        return entry(memberIn(zone), zone == 0 ? int256(0) : zone == 1 ? int256(500) : -int256(FLOW));
    }

    function postingOn(uint32 zone) private view returns (Posting memory p) {
        p = postingOf(entryIn(zone), 80_000, 240_000);
        (p.zone, p.accounts) = (zone, 1);
    }

    function pricesIn(uint32 zone) private view returns (RoundPrices[] memory prices) {
        prices = new RoundPrices[](1);
        prices[0] = RoundPrices(postedOf(zone).energyPotentials, headerWords());
    }

    function oneOf(address account) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = account;
    }
}
