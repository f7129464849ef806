// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Stage} from "../../contracts/interfaces/IAuction.sol";
import {Posted} from "../../contracts/interfaces/IClearing.sol";
import {ClosedZone, IProof} from "../../contracts/interfaces/IProof.sol";
import {ROLE_NETWORK_OPERATOR} from "../../contracts/libraries/Member.sol";
import {Market} from "./support/Market.sol";

/// A chain of three zones, all without orders: what nothing bounds lies at the outer bounds.
contract GrandchildrenTest is Market {
    uint32 private constant BOUND = 1 << 29;
    uint24 private epoch;

    function setUp() external {
        deploy();
        grid.qualities = [0, 3];
        grid.substitutions = [1, 0];
        grid.parents = [type(uint32).max, 0, 1];
        grid.charges = [0, 1, 1];
        grid.capacities = [type(uint32).max, type(uint32).max, type(uint32).max];
        vm.prank(operator);
        exchange.setGrid(grid);
        setUpMembers();
        registerIn(0, networkOperator, ROLE_NETWORK_OPERATOR, 0, false);
        openDay(DAY, 1);
        dayWindows = 1;
        epoch = openRound(0);
        vm.warp(GATE);
        vm.startPrank(operator);
        bytes32[] memory roots = new bytes32[](3);
        roots[0] = roots[1] = roots[2] = rootOf(new bytes32[](0));
        exchange.commitBooks(epoch, new uint32[](3), roots);
        exchange.postHeader(epoch, posted().qualityPotentials);
        vm.stopPrank();
    }

    /// A zone that has not joined its own children is no child yet: nothing below it is left out of the proof.
    function test_a_zone_is_joined_after_its_own_children() external {
        close(2, new ClosedZone[](0), none());
        close(1, new ClosedZone[](0), none());
        Posted memory empty = posted();
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IProof.WrongClosedZone.selector, epoch, 1));
        exchange.closeZone(epoch, 0, empty, noCarry(), only(left(0)), new uint256[](1));

        vm.prank(operator);
        exchange.joinChildren(epoch, 1, left(0), only(left(0)), none(), none());
        close(0, only(left(1)), new uint256[](1));
        isTrue(stageOf(epoch) == Stage.Proved, "proved with all its zones");
    }

    function close(uint32 zone, ClosedZone[] memory children, uint256[] memory flows) private {
        Posted memory empty = posted();
        vm.prank(operator);
        exchange.closeZone(epoch, zone, empty, noCarry(), children, flows);
    }

    function posted() private pure returns (Posted memory p) {
        p.qualityPotentials = new uint256[](1);
        p.qualityPotentials[0] = uint256(type(uint32).max - BOUND + 1);
        p.energyPotentials = new uint256[](1);
        p.energyPotentials[0] = uint256(type(uint32).max - BOUND + 1) | uint256(BOUND) << 32;
        p.marginals = new uint256[](2);
    }

    /// @dev What each of the zones leaves, with so many children joined.
    function left(uint32 joined) private pure returns (ClosedZone memory zone) {
        zone.energyPotentials = posted().energyPotentials;
        zone.nets = new uint256[](2);
        zone.qualitySupport = new uint256[](1);
        (zone.energySupport, zone.joined) = (3, joined);
    }

    function none() private pure returns (uint256[] memory) {
        return new uint256[](0);
    }

    function only(ClosedZone memory child) private pure returns (ClosedZone[] memory list) {
        list = new ClosedZone[](1);
        list[0] = child;
    }
}
