// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {ClosedZone, IProof} from "../../contracts/interfaces/IProof.sol";
import {Forest} from "./support/Forest.sol";

/// @title Trees of zones: closing, joining, proving, and what is refused on the way
/// @dev After each refusal the honest operator goes on from where it was: nothing has changed.
contract ProofTest is Forest {
    function setUp() external {
        setUpForest();
    }

    function requireProved() private view {
        isTrue(stageOf(epoch) == Stage.Proved, "proved");
    }

    function finish() private {
        closeRoot(childrenOf(1, 3), new uint256[](1));
        requireProved();
    }

    // --- what holds

    /// A congested line prices its two ends apart, and the network operator is paid what lies between.
    function test_a_congested_tree_is_proved() external {
        bringForest();
        vm.expectEmit(address(exchange));
        emit IProof.SessionProved(epoch);
        vm.expectEmit(address(exchange));
        emit IProof.NetworkPaid(epoch, RENT);
        finish();
        eq(freeOf(networkOperator), int256(RICH) + RENT, "the network is paid");
        int256 sold = -int256(FLOW) * int256(PRODUCED_RESERVE);
        int256 bought = int256(FLOW) * (200_000 + int256(uint256(BUY_RESERVE)));
        eq(freeOf(seller), int256(RICH) + sold, "the seller gets its limit");
        eq(freeOf(buyer), int256(RICH) - bought, "the buyer pays its limit");
        eq(exchange.balanceOf(buyer, claimOf(0, 0) | 2 << 48), FLOW, "a claim in its zone");
        eq(exchange.balanceOf(seller, obligationOf(0, 0) | 1 << 48), FLOW, "an obligation in its");
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 0, "and in no other");
    }

    /// Children are joined in as many transactions as it takes; the last one proves the session.
    function test_children_join_in_steps() external {
        bringForest();
        ClosedZone memory root = closedOf(0);
        expectJoined(root);
        closeRoot(noChildren(), new uint256[](0));
        ClosedZone memory then = closedOf(0);
        (then.nets[0], then.energySupport, then.joined) = (uint64(netOf(1)), 3, 1);
        then.rentNano = int256(FLOW) * 10_000;
        expectJoined(then);
        join(root, childrenOf(1, 2), new uint256[](0), new uint256[](0));
        isTrue(stageOf(epoch) == Stage.Posted, "not yet");
        join(then, childrenOf(2, 3), headerWords(), new uint256[](1));
        requireProved();
        eq(freeOf(networkOperator), int256(RICH) + RENT, "the same rent, once");
    }

    function expectJoined(ClosedZone memory zone) private {
        vm.expectEmit(address(exchange));
        emit IProof.ZoneJoined(epoch, 0, keccak256(abi.encode(zone)), zone.joined);
    }

    function join(
        ClosedZone memory self,
        ClosedZone[] memory children,
        uint256[] memory header,
        uint256[] memory flows
    ) private {
        vm.prank(operator);
        exchange.joinChildren(epoch, 0, self, children, header, flows);
    }

    /// A tree needs somebody who is paid for its lines.
    function test_lines_need_a_network_operator() external {
        deploy();
        vm.startPrank(operator);
        exchange.setGrid(grid);
        exchange.openDay(DAY, 1, 1);
        refuse(abi.encodeWithSelector(IAuction.BadSession.selector, "gridVersion"));
        exchange.openSession(paramsOf(0));
    }

    // --- commitments

    /// Books are committed zone after zone, in one transaction or several; with the last the session is.
    function test_books_are_committed_in_steps() external {
        vm.warp(GATE);
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 0));
        exchange.commitBooks(epoch, new uint32[](0), new bytes32[](0));
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 0));
        exchange.commitBooks(epoch, new uint32[](2), new bytes32[](1));
        exchange.commitBooks(epoch, oneCount(400), oneRoot(bytes32(uint256(1))));
        isTrue(stageOf(epoch) == Stage.Open, "one of three");
        (uint32 zones, uint32 orders) = exchange.commitmentOf(epoch);
        eq(zones * 1000 + orders, 1400, "what is committed");
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 1));
        exchange.commitBooks(epoch, oneCount(601), oneRoot(bytes32(uint256(2))));
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 3));
        exchange.commitBooks(epoch, new uint32[](3), new bytes32[](3));
        uint32[] memory counts = new uint32[](2);
        (counts[0], counts[1]) = (500, 100);
        exchange.commitBooks(epoch, counts, new bytes32[](2));
        isTrue(stageOf(epoch) == Stage.Committed, "all of them");
        (uint32 count, bytes32 root) = exchange.bookOf(epoch, 0);
        eq(count, 400, "count");
        eq(root, bytes32(uint256(1)), "root");
    }

    /// Not all committed in time: void.
    function test_a_part_of_the_books_is_no_commitment() external {
        vm.warp(GATE);
        vm.prank(operator);
        exchange.commitBooks(epoch, oneCount(0), oneRoot(bytes32(0)));
        vm.warp(GATE + 10 minutes + 1);
        isTrue(stageOf(epoch) == Stage.Void, "void");
    }

    // --- zones

    /// The grid has no fourth zone.
    function test_a_zone_of_no_grid_is_refused() external {
        bringForest();
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IClearing.ZoneClosed.selector, epoch, 3));
        exchange.clear(epoch, 3, postedOf(0), noCarry(), "");
        finish();
    }

    /// A closed zone takes no more orders, is not closed again, and not begun anew.
    function test_a_zone_closes_once() external {
        bringForest();
        bytes memory refusal = abi.encodeWithSelector(IClearing.WrongCarry.selector, epoch, 1);
        (Posted memory posted, Carry memory carry) = (postedOf(1), carryOf(1));
        bytes memory records = recordsOf(1);
        vm.startPrank(operator);
        refuse(refusal);
        exchange.closeZone(epoch, 1, posted, carry, noChildren(), new uint256[](0));
        refuse(refusal);
        exchange.clear(epoch, 1, posted, carry, records);
        refuse(abi.encodeWithSelector(IClearing.WrongLength.selector, "cells", 0, 2));
        exchange.clear(epoch, 1, posted, noCarry(), records);
        vm.stopPrank();
        finish();
    }

    /// A zone is closed with the orders of its own book: another's are not in it.
    function test_another_zones_orders_are_refused() external {
        commitForest();
        postForest();
        Posted memory posted = postedOf(1);
        bytes memory records = recordsOf(2);
        vm.prank(operator);
        vm.expectPartialRevert(IClearing.BadSignature.selector);
        exchange.clear(epoch, 1, posted, noCarry(), records);
        for (uint32 zone = 1; zone < 3; ++zone) {
            clearZone(zone);
            closeLeaf(zone);
        }
        finish();
    }

    /// Orders flagged as submitted on chain were.
    function test_an_order_is_not_flagged_as_submitted() external {
        commitForest();
        postForest();
        Posted memory posted = postedOf(1);
        bytes memory records = recordsOf(1);
        records[20] |= 0x20;
        bytes memory refusal =
            abi.encodeWithSelector(IClearing.NotSubmitted.selector, hashOf(epoch, orderOf(1)));
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.clear(epoch, 1, posted, noCarry(), records);
    }

    // --- children

    /// Not one word of a child may differ from what it left.
    function test_a_changed_child_is_refused(uint256 seed) external {
        bringForest();
        ClosedZone[] memory children = childrenOf(1, 3);
        uint32 which = uint32(seed % 2);
        ClosedZone memory child = children[which];
        uint256 bit = 1 << (seed >> 8) % 256;
        uint256 place = (seed >> 16) % 6;
        if (place == 0) child.energyPotentials[0] ^= bit;
        if (place == 1) child.nets[(seed >> 24) % 2] ^= bit;
        if (place == 2) child.energySupport ^= bit;
        if (place == 3) child.qualitySupport[0] ^= bit;
        if (place == 4) child.rentNano ^= int256(bit);
        if (place == 5) ++child.joined;
        refuseRoot(children, abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, which + 1));
        finish();
    }

    function refuseRoot(ClosedZone[] memory children, bytes memory refusal) private {
        Posted memory posted = postedOf(0);
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.closeZone(epoch, 0, posted, noCarry(), children, new uint256[](1));
    }

    /// Children come in the order of their zones, each once, and no more than there are.
    function test_each_child_is_joined_once() external {
        bringForest();
        ClosedZone[] memory children = childrenOf(1, 3);
        (children[0], children[1]) = (closedOf(2), closedOf(1));
        refuseRoot(children, abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 1));
        children = childrenOf(1, 3);
        children[1] = closedOf(1);
        refuseRoot(children, abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 2));
        children = new ClosedZone[](3);
        (children[0], children[1], children[2]) = (closedOf(1), closedOf(2), closedOf(2));
        refuseRoot(children, abi.encodeWithSelector(IProof.TooManyChildren.selector, epoch, 0));
        finish();
    }

    /// A child that has not closed has left nothing, whatever is brought for it.
    function test_an_open_child_is_refused() external {
        commitForest();
        postForest();
        clearZone(1);
        closeLeaf(1);
        refuseRoot(childrenOf(1, 3), abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 2));
        clearZone(2);
        refuseRoot(childrenOf(1, 3), abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 2));
        closeLeaf(2);
        finish();
    }

    /// Another session's zone is no child, though it looks alike.
    function test_a_child_of_another_session_is_refused() external {
        proveForest();
        epoch = openRound(1);
        commitLater();
        refuseRoot(childrenOf(1, 3), abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 1));
    }

    function commitLater() private {
        vm.warp(GATE + ROUND_LASTS + BETWEEN);
        vm.startPrank(operator);
        exchange.commitBooks(epoch, new uint32[](3), emptyRoots());
        exchange.postHeader(epoch, headerWords());
        vm.stopPrank();
    }

    function emptyRoots() private pure returns (bytes32[] memory roots) {
        roots = new bytes32[](3);
        for (uint256 zone; zone < 3; ++zone) {
            roots[zone] = rootOf(new bytes32[](0));
        }
    }

    /// What a zone brings of itself when it joins more children is what it left, and what comes too early is refused.
    function test_a_zone_joins_as_it_was_left() external {
        bringForest();
        ClosedZone memory root = closedOf(0);
        bytes memory refusal = abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 0);
        vm.prank(operator);
        refuse(refusal);
        exchange.joinChildren(epoch, 0, root, childrenOf(1, 3), headerWords(), new uint256[](1));
        closeRoot(childrenOf(1, 2), new uint256[](0));
        vm.startPrank(operator);
        refuse(refusal);
        exchange.joinChildren(epoch, 0, root, childrenOf(1, 3), headerWords(), new uint256[](1));
        (root.nets[0], root.energySupport, root.joined) = (uint64(netOf(1)), 3, 1);
        root.rentNano = int256(FLOW) * 10_000;
        refuse(abi.encodeWithSelector(IClearing.WrongLength.selector, "substitutions", 0, 1));
        exchange.joinChildren(epoch, 0, root, childrenOf(2, 3), headerWords(), new uint256[](0));
        refuse(abi.encodeWithSelector(IClearing.WrongHeader.selector, epoch));
        exchange.joinChildren(epoch, 0, root, childrenOf(2, 3), new uint256[](1), new uint256[](1));
        refuse(abi.encodeWithSelector(IClearing.WrongLength.selector, "qualityPotentials", 1, 0));
        exchange.joinChildren(epoch, 0, root, noChildren(), headerWords(), new uint256[](0));
        refuse(abi.encodeWithSelector(IClearing.WrongLength.selector, "substitutions", 1, 0));
        exchange.joinChildren(epoch, 0, root, noChildren(), new uint256[](0), new uint256[](1));
        exchange.joinChildren(epoch, 0, root, childrenOf(2, 3), headerWords(), new uint256[](1));
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Proved));
        exchange.joinChildren(epoch, 0, root, childrenOf(2, 3), headerWords(), new uint256[](1));
    }

    // --- lines

    /// More than a line carries is refused.
    function test_a_line_is_not_overloaded() external {
        refuseForest(601, 110_000, 1, abi.encodeWithSelector(IProof.LineOverCapacity.selector, 2, 0));
    }

    /// A root's price between others than the line's charge apart is refused.
    function test_prices_along_a_line_differ_by_its_charge() external {
        refuseForest(FLOW, 109_999, 1, abi.encodeWithSelector(IProof.LineViolated.selector, 1, 0));
        refuseForest(FLOW, 110_001, 1, abi.encodeWithSelector(IProof.LineViolated.selector, 1, 0));
    }

    /// Ranks that do not descend to what holds a price support nothing.
    function test_a_price_that_nothing_holds_is_refused() external {
        refuseForest(FLOW, 110_000, 0, abi.encodeWithSelector(IProof.EnergyUnsupported.selector, 0, 0));
    }

    /// What zones trade with each other balances: no one sells what no one buys.
    function test_zones_balance() external {
        commitForest();
        postForest();
        clearZone(2);
        closeLeaf(2);
        Posted memory posted = postedOf(1);
        posted.marginals[0] = 1000 << 128 | 601 << 192;
        bytes memory records = recordsOf(1);
        Carry memory carry = carryOf(1);
        uint256 net = uint64(int64(-601));
        carry.cells[0] = uint192(carry.cells[0]) | net << 192;
        vm.startPrank(operator);
        exchange.clear(epoch, 1, posted, noCarry(), records);
        exchange.closeZone(epoch, 1, posted, carry, noChildren(), new uint256[](0));
        vm.stopPrank();
        ClosedZone[] memory children = childrenOf(1, 3);
        children[0].nets[0] = net;
        refuseRoot(children, abi.encodeWithSelector(IProof.EnergyUnbalanced.selector, 0, -1));
    }

    /// @dev The same session, but that the buyer gets `wh` and the root has another price.
    function refuseForest(uint256 wh, int256 price, uint256 rank, bytes memory refusal) private {
        uint256 before = vm.snapshotState();
        commitForest();
        postForest();
        clearZone(1);
        closeLeaf(1);
        Posted memory posted = postedOf(2);
        posted.marginals[0] = 1000 | wh << 64;
        bytes memory records = recordsOf(2);
        Carry memory carry = carryOf(2);
        carry.cells[0] = uint256(uint192(carry.cells[0])) | wh << 192;
        vm.startPrank(operator);
        exchange.clear(epoch, 2, posted, noCarry(), records);
        exchange.closeZone(epoch, 2, posted, carry, noChildren(), new uint256[](0));
        ClosedZone[] memory children = childrenOf(1, 3);
        children[1].nets[0] = wh;
        posted = postedOf(0);
        posted.energyPotentials[0] = ranked(price, rank);
        refuse(refusal);
        exchange.closeZone(epoch, 0, posted, noCarry(), children, new uint256[](1));
        vm.stopPrank();
        vm.revertToState(before);
    }

    // --- qualities

    /// A premium that nothing holds is refused, though nobody trades the quality.
    function test_a_premium_that_nothing_holds_is_refused() external {
        idle = potential(-5, -5);
        bringForest();
        refuseFlows(0, abi.encodeWithSelector(IProof.QualityUnsupported.selector, 1));
    }

    /// A substitution is used only where both qualities cost the same, and within 64 bits.
    function test_a_substitution_costs_nothing() external {
        bringForest();
        refuseFlows(1, abi.encodeWithSelector(IProof.SubstitutionViolated.selector, 0, 0));
        finish();
    }

    /// What serves another quality was sold.
    function test_qualities_balance() external {
        idle = potential(0, 0);
        bringForest();
        refuseFlows(1, abi.encodeWithSelector(IProof.QualityUnbalanced.selector, 0, -1));
        refuseFlows(1 << 64, abi.encodeWithSelector(IProof.SubstitutionViolated.selector, 0, 0));
    }

    function refuseFlows(uint256 wh, bytes memory refusal) private {
        uint256[] memory flows = new uint256[](1);
        flows[0] = wh;
        (Posted memory posted, ClosedZone[] memory children) = (postedOf(0), childrenOf(1, 3));
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.closeZone(epoch, 0, posted, noCarry(), children, flows);
    }

    // --- one zone by itself

    /// A potential beyond the outer bounds, or with bits that mean nothing, closes no zone.
    function test_potentials_are_in_range() external {
        commitForest();
        postForest();
        Posted memory posted = postedOf(0);
        posted.energyPotentials[0] = potential(-OUTER - 1, 0);
        bytes memory refusal = abi.encodeWithSelector(IProof.PotentialOutOfRange.selector, 0);
        refuseClose(posted, refusal);
        posted.energyPotentials[0] = potential(0, OUTER + 1);
        refuseClose(posted, refusal);
        posted.energyPotentials[0] = 1 << 128;
        refusal = abi.encodeWithSelector(IClearing.NotCanonical.selector, "energyPotentials", 0);
        refuseClose(posted, refusal);
    }

    function refuseClose(Posted memory posted, bytes memory refusal) private {
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.closeZone(epoch, 0, posted, noCarry(), noChildren(), new uint256[](0));
    }

    /// Potentials of qualities lie between -2^29 and zero.
    function test_a_header_is_in_range() external {
        commitForest();
        uint256[] memory header = headerWords();
        header[0] = potential(-OUTER - 1, 0);
        refuseHeader(header, abi.encodeWithSelector(IProof.PotentialOutOfRange.selector, 0));
        header[0] = potential(-OUTER, 1);
        refuseHeader(header, abi.encodeWithSelector(IProof.PotentialOutOfRange.selector, 0));
        header[0] = 1 << 128;
        refuseHeader(header, abi.encodeWithSelector(IClearing.NotCanonical.selector, "qualityPotentials", 0));
        postForest();
    }

    function refuseHeader(uint256[] memory header, bytes memory refusal) private {
        vm.prank(operator);
        vm.expectRevert(refusal);
        exchange.postHeader(epoch, header);
    }

    /// What was bid at the price is what was posted, and what fills or not lies on the right side of it.
    function test_cells_are_as_posted() external {
        commitForest();
        postForest();
        Posted memory posted = postedOf(1);
        posted.marginals[0] = 1001 << 128 | FLOW << 192;
        Carry memory carry = carryOf(1);
        carry.cells[0] = uint192(carry.cells[0]) | uint256(uint64(int64(-599))) << 192; // 600 x 1000 / 1001
        refuseZoneOne(posted, carry, abi.encodeWithSelector(IProof.MarginalMismatch.selector, 0));
        // The seller's limit lies between the two, and it fills: it holds the lowest up.
        posted = postedOf(1);
        posted.energyPotentials[0] = potential(90_000, 120_000);
        posted.marginals[0] = 0;
        carry = carryOf(1);
        carry.cells[0] = cellOf(0, 0, type(int32).max, 100_000) | uint256(uint64(int64(-1000))) << 192;
        refuseZoneOne(posted, carry, abi.encodeWithSelector(IProof.CellViolated.selector, 0));
    }

    function refuseZoneOne(Posted memory posted, Carry memory carry, bytes memory refusal) private {
        uint256 before = vm.snapshotState();
        bytes memory records = recordsOf(1);
        vm.startPrank(operator);
        exchange.clear(epoch, 1, posted, noCarry(), records);
        refuse(refusal);
        exchange.closeZone(epoch, 1, posted, carry, noChildren(), new uint256[](0));
        vm.stopPrank();
        vm.revertToState(before);
    }

    /// An operator proves nothing after the deadline.
    function test_the_deadline_counts_for_joining_too() external {
        bringForest();
        closeRoot(noChildren(), new uint256[](0));
        vm.warp(GATE + ROUND_LASTS + 1);
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Void));
        exchange.joinChildren(epoch, 0, closedOf(0), childrenOf(1, 3), headerWords(), new uint256[](1));
        eq(freeOf(networkOperator), int256(RICH), "no rent of a void session");
        eq(freeOf(buyer), int256(RICH), "and nobody paid");
    }
}
