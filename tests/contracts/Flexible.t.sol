// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
import {Flexibly, Market, Order} from "./support/Market.sol";

/// @title Flexible orders on chain: the split is the operator's, as long as no window would be better
/// @dev Two windows. The seller offers 1000 Wh at 100,000 in the first and at 150,000 in the second; the buyer wants 1000 Wh in either, up to 200,000. All trade in
/// the first: its price lies between the seller's two limits, and the second window's with it, which the order holds together.
contract FlexibleTest is Market {
    uint24 private epoch;

    function setUp() external {
        setUpWorld(2);
        epoch = openRound(0);
    }

    // --- the honest session

    function offer() private view returns (Order memory o) {
        o = sell(SELLER, 1000, 100_000);
        o.limit[1] = 150_000;
    }

    function wish() private view returns (Flexibly memory o) {
        o = flexibly(BUYER, 0, 1000, 1000, 200_000);
        o.shares[0] = 1000;
    }

    function posting() private pure returns (Posted memory posted) {
        posted.qualityPotentials = new uint256[](2);
        posted.energyPotentials = new uint256[](2);
        posted.marginals = new uint256[](4);
        for (uint256 w; w < 2; ++w) {
            posted.qualityPotentials[w] = potential(-OUTER, 0);
            // In lo the second window follows the first, in hi the first follows the second.
            posted.energyPotentials[w] = potential(100_000, 150_000) | w << 64 | (1 - w) << 96;
        }
    }

    /// @dev The book's records in order, and its hashes.
    function bookOf(Flexibly memory flexible)
        private
        view
        returns (bytes32[] memory hashes, bytes memory records)
    {
        hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (hashOf(epoch, offer()), hashOf(epoch, flexible));
        bytes memory first = recordOf(epoch, offer());
        bytes memory second = recordOf(epoch, flexible);
        if (hashes[0] < hashes[1]) return (hashes, bytes.concat(first, second));
        (hashes[0], hashes[1]) = (hashes[1], hashes[0]);
        return (hashes, bytes.concat(second, first));
    }

    /// @dev Commits the book and posts the header.
    function bringBook(Flexibly memory flexible)
        private
        returns (bytes32[] memory hashes, bytes memory records)
    {
        (hashes, records) = bookOf(flexible);
        vm.warp(GATE);
        vm.startPrank(operator);
        exchange.commitBooks(epoch, oneCount(2), oneRoot(rootOf(hashes)));
        exchange.postHeader(epoch, posting().qualityPotentials);
        vm.stopPrank();
    }

    function carryOf(bytes32[] memory hashes) private view returns (Carry memory carry) {
        carry = carryAfter(new Order[](0), hashes);
        carry.cells[0] = cellOf(0, 0, type(int32).max, 100_000);
        carry.cells[1] = cellOf(0, 0, 150_000, type(int32).min);
        carry.support = 2 | 4; // the first window's highest, the second's lowest
    }

    function clear(bytes memory records) private {
        Posted memory posted = posting();
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    function refuseRecord(Flexibly memory flexible, bytes4 error) private {
        uint256 before = vm.snapshotState();
        (, bytes memory records) = bringBook(flexible);
        bytes memory refusal = abi.encodeWithSelector(error, hashOf(epoch, flexible));
        Posted memory posted = posting();
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        vm.revertToState(before);
    }

    // --- what holds

    /// A flexible order buys where it is cheapest, at the prices of its windows, and holds those prices together.
    function test_a_flexible_order_is_cleared_and_proved() external {
        (bytes32[] memory hashes, bytes memory records) = bringBook(wish());
        clear(records);
        close(epoch, posting(), carryOf(hashes));
        isTrue(stageOf(epoch) == Stage.Proved, "proved");
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 1000, "all in the first window");
        eq(exchange.balanceOf(buyer, claimOf(0, 1)), 0, "nothing in the second");
        eq(freeOf(buyer), int256(RICH) - 1000 * (125_000 + int256(uint256(BUY_RESERVE))), "paid");
        eq(freeOf(seller), int256(RICH) - 1000 * int256(PRODUCED_RESERVE), "paid when it delivers");
    }

    /// What is claimed to be supported by flexible orders is what was found.
    function test_support_is_not_invented() external {
        (bytes32[] memory hashes, bytes memory records) = bringBook(wish());
        clear(records);
        Carry memory carry = carryOf(hashes);
        carry.support = 15;
        Posted memory posted = posting();
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IClearing.WrongCarry.selector, epoch, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// Without ranks that say what holds what, nothing does.
    function test_windows_do_not_hold_each_other() external {
        (bytes32[] memory hashes, bytes memory records) = bringBook(wish());
        Posted memory posted = posting();
        for (uint256 w; w < 2; ++w) {
            posted.energyPotentials[w] = potential(100_000, 150_000);
        }
        Carry memory carry = carryOf(hashes);
        carry.support = 0;
        vm.startPrank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        // Each is held by an order on one side; on the other only by its neighbour.
        refuse(abi.encodeWithSelector(IProof.EnergyUnsupported.selector, 0, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// Another split that costs as much may be posted, but holds no prices that it does not bring about.
    function test_another_split_holds_no_prices() external {
        Flexibly memory o = wish();
        (o.shares[0], o.shares[1]) = (0, 1000);
        (bytes32[] memory hashes, bytes memory records) = bringBook(o);
        clear(records);
        Carry memory carry = carryOf(hashes);
        carry.cells[0] |= uint256(uint64(int64(-1000))) << 192;
        carry.cells[1] |= uint256(1000) << 192;
        // The windows have changed places: the first has room, the second is used.
        carry.support = 0;
        Posted memory posted = posting();
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IProof.EnergyUnsupported.selector, 0, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    // --- what is refused

    /// A share is within the maximum, all within the energy.
    function test_a_split_is_within_what_was_signed() external {
        Flexibly memory o = wish();
        o.shares[0] = 1001;
        refuseRecord(o, IClearing.SplitOutOfRange.selector);
        (o.shares[0], o.shares[1]) = (600, 401);
        refuseRecord(o, IClearing.SplitOutOfRange.selector);
        o.maxWh = 500;
        (o.shares[0], o.shares[1]) = (501, 0);
        refuseRecord(o, IClearing.SplitOutOfRange.selector);
    }

    /// Less than the trader would have at these prices is refused.
    function test_a_split_leaves_nothing_out() external {
        Flexibly memory o = wish();
        o.shares[0] = 999;
        refuseRecord(o, IClearing.SplitNotOptimal.selector);
    }

    /// More than the limit allows is refused too, and so is a sale below it.
    function test_a_split_keeps_to_its_limit() external {
        Flexibly memory o = wish();
        o.limit = 149_999;
        refuseRecord(o, IClearing.SplitNotOptimal.selector);
        Flexibly memory sale = flexibly(SECOND_SELLER, 1, 1000, 1000, 100_001);
        sale.shares[0] = 1000;
        refuseRecord(sale, IClearing.SplitNotOptimal.selector);
    }

    /// Limits, quantities and windows are as those of schedules.
    function test_terms_are_in_range() external {
        Flexibly memory o = wish();
        o.limit = 6_000_001;
        refuseRecord(o, IClearing.LimitOutOfRange.selector);
        o = wish();
        o.energyWh = 1 << 30;
        refuseRecord(o, IClearing.QuantityOverflow.selector);
        o = wish();
        o.maxWh = 1 << 16;
        refuseRecord(o, IClearing.QuantityOverflow.selector);
        o.side = 1;
        o.maxWh = 1 << 30;
        refuseRecord(o, IClearing.QuantityOverflow.selector);
        o = wish();
        o.firstWindow = DAY + 1;
        refuseRecord(o, IClearing.WindowOutOfSession.selector);
    }

    /// The split is not signed, all else is: not one bit may change.
    function test_terms_are_signed(uint256 seed) external {
        Posted memory posted = posting();
        Flexibly memory o = wish();
        bringBook(o);
        bytes memory record = recordOf(epoch, o);
        uint256 at = seed % (record.length - 8);
        record[at] ^= bytes1(uint8(1 << (seed >> 200) % 8));
        // The flag of an order submitted on chain is not signed either; such orders are known.
        vm.prank(operator);
        (bool done,) =
            address(exchange).call(abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), record)));
        isTrue(!done, "refused");
    }

    /// An order that does not count has no share, and says why it does not.
    function test_ineligible_flexible_orders_have_no_share() external {
        vm.startPrank(registrar);
        exchange.changeMember(buyer, 15, 20_000, true);
        exchange.changeMember(secondSeller, 15, 500, false);
        vm.stopPrank();
        refuseRecord(wish(), IClearing.SplitOutOfRange.selector);
        Flexibly memory none = wish();
        none.shares[0] = 0;
        expectIneligible(none, 6);
        Flexibly memory sale = flexibly(SECOND_SELLER, 1, 1000, 501, 100_000);
        expectIneligible(sale, 4);
        Flexibly memory dear = flexibly(WIDE, 0, (1 << 30) - 1, 1000, 6_000_000);
        expectIneligible(dear, 2);
    }

    function expectIneligible(Flexibly memory o, uint8 reason) private {
        uint256 before = vm.snapshotState();
        (, bytes memory records) = bringBook(o);
        Posted memory posted = posting();
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(epoch, vm.addr(o.key), hashOf(epoch, o), reason);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        (, uint256 reserved,,) = exchange.cashOf(vm.addr(o.key));
        eq(reserved, 0, "nothing is set aside");
        vm.revertToState(before);
    }

    /// Its cover is what all of it could cost.
    function test_cover_is_for_all_of_it() external {
        (, bytes memory records) = bringBook(wish());
        clear(records);
        (, uint256 reserved,,) = exchange.cashOf(buyer);
        eq(reserved, 1000 * (200_000 + uint256(BUY_RESERVE)), "energy at its limit, and what it keeps");
    }
}
