// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Carry, Posted} from "../../../contracts/interfaces/IClearing.sol";
import {Grid} from "../../../contracts/interfaces/IDays.sol";
import {ClosedZone} from "../../../contracts/interfaces/IProof.sol";
import {
    ROLE_BALANCING_PARTY,
    ROLE_NETWORK_OPERATOR,
    ROLE_PROSUMER
} from "../../../contracts/libraries/Member.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {Order} from "./Market.sol";
import {MeteredDay} from "./MeteredDay.sol";

/// @title Forest: a root with two zones below it, whose potentials are known by hand
/// @dev The seller lives in zone 1, the buyer in zone 2, one more buyer at the root. Line 1 charges 10,000 and has no limit, line 2 charges 20,000 and carries 600 Wh.
/// The seller offers 1000 Wh at 100,000, the buyer wants 1000 at 200,000: line 2 is full. Below it energy costs what its last buyer bids, above it what the last
/// seller asks, at the root what the line from there adds: each in the lowest and in the highest potentials alike.
abstract contract Forest is MeteredDay {
    uint256 internal constant FLOW = 600;
    int256 internal constant RENT = int256(FLOW) * (10_000 + 90_000);

    uint24 internal epoch;
    /// @dev The seller's limit.
    int256 private asks = 100_000;
    /// @dev The idle quality's potential: at its outer bounds, unless a test says otherwise.
    uint256 internal idle = uint256(uint32(int32(-OUTER)));

    function setUpForest() internal {
        deploy();
        setUpTree();
        register(balancer, ROLE_BALANCING_PARTY, (1 << 30) - 1, true);
        register(networkOperator, ROLE_NETWORK_OPERATOR, 0, true);
        registerIn(1, seller, ROLE_PROSUMER, 20_000, false);
        registerIn(2, buyer, ROLE_PROSUMER, 20_000, false);
        register(secondBuyer, ROLE_PROSUMER, 20_000, false);
        address[5] memory all = [balancer, networkOperator, seller, buyer, secondBuyer];
        for (uint256 i; i < 5; ++i) {
            fund(all[i], RICH);
        }
        setUpOracles(3, 2);
        openDay(DAY, 1);
        dayWindows = 1;
        epoch = openForest();
    }

    function openForest() internal virtual returns (uint24) {
        return openRound(0);
    }

    function setUpTree() private {
        grid.qualities = [0, 3];
        grid.substitutions = [1, 0];
        grid.parents = [type(uint32).max, 0, 0];
        grid.charges = [0, 10_000, 20_000];
        grid.capacities = [type(uint32).max, type(uint32).max, 600];
        vm.prank(operator);
        exchange.setGrid(grid);
    }

    /// @dev Another limit of the seller.
    function ask(int256 price) internal {
        asks = price;
    }

    // --- the honest session

    function orderOf(uint32 zone) internal view returns (Order memory o) {
        o = zone == 1 ? sell(SELLER, 1000, asks) : buy(BUYER, 1000, 200_000);
        o.zone = zone;
    }

    /// @dev One order in each zone below, none at the root.
    function commitForest() internal {
        uint32[] memory counts = new uint32[](3);
        bytes32[] memory roots = new bytes32[](3);
        roots[0] = rootOf(new bytes32[](0));
        for (uint32 zone = 1; zone < 3; ++zone) {
            (counts[zone], roots[zone]) = (1, rootOf(oneRoot(hashOf(epoch, orderOf(zone)))));
        }
        vm.warp(GATE);
        vm.prank(operator);
        exchange.commitBooks(epoch, counts, roots);
    }

    function headerWords() internal view returns (uint256[] memory words) {
        words = new uint256[](1);
        words[0] = idle;
    }

    function postForest() internal {
        vm.prank(operator);
        exchange.postHeader(epoch, headerWords());
    }

    function ranked(int256 price, uint256 rank) internal pure returns (uint256) {
        return potential(price, price) | rank << 64 | rank << 96;
    }

    function energyOf(uint32 zone) internal view returns (uint256) {
        if (zone == 0) return ranked(asks + 10_000, 1);
        return zone == 1 ? ranked(asks, 0) : ranked(200_000, 0);
    }

    function postedOf(uint32 zone) internal view returns (Posted memory posted) {
        posted.qualityPotentials = headerWords();
        posted.energyPotentials = new uint256[](1);
        posted.energyPotentials[0] = energyOf(zone);
        posted.marginals = new uint256[](2);
        if (zone == 1) posted.marginals[0] = 1000 << 128 | FLOW << 192;
        if (zone == 2) posted.marginals[0] = 1000 | FLOW << 64;
    }

    function recordsOf(uint32 zone) internal view returns (bytes memory) {
        return zone == 0 ? bytes("") : recordOf(epoch, orderOf(zone));
    }

    function carryOf(uint32 zone) internal view returns (Carry memory carry) {
        if (zone == 0) return noCarry();
        int256 price = zone == 1 ? asks : int256(200_000);
        uint256 at = zone == 1 ? 1000 << 64 : 1000;
        return carryWith(oneRoot(hashOf(epoch, orderOf(zone))), at | cellOf(0, 0, price, price), netOf(zone));
    }

    /// @param cell of quality 0, but for its net; nothing of the other quality
    function carryWith(bytes32[] memory hashes, uint256 cell, int64 net)
        internal
        pure
        returns (Carry memory carry)
    {
        carry.cells = new uint256[](2);
        carry.cells[0] = cell | uint256(uint64(net)) << 192;
        carry.cells[1] = cellOf(0, 0, type(int32).max, type(int32).min);
        carry.count = hashes.length;
        for (uint256 i; i < hashes.length; ++i) {
            MerkleFrontier.append(carry.frontier, i, MerkleFrontier.leafHash(hashes[i]));
            carry.lastHash = hashes[i];
        }
    }

    function netOf(uint32 zone) internal pure returns (int64) {
        if (zone == 0) return 0;
        return zone == 1 ? -int64(uint64(FLOW)) : int64(uint64(FLOW));
    }

    /// @dev What a zone leaves, its children aside.
    function closedOf(uint32 zone) internal view returns (ClosedZone memory closed) {
        closed.energyPotentials = new uint256[](1);
        closed.energyPotentials[0] = energyOf(zone);
        closed.nets = new uint256[](2);
        closed.nets[0] = uint64(netOf(zone));
        closed.qualitySupport = new uint256[](1);
        if (zone != 0) closed.energySupport = 3;
    }

    function childrenOf(uint32 first, uint32 end) internal view returns (ClosedZone[] memory list) {
        list = new ClosedZone[](end - first);
        for (uint32 zone = first; zone < end; ++zone) {
            list[zone - first] = closedOf(zone);
        }
    }

    function clearZone(uint32 zone) internal {
        Posted memory posted = postedOf(zone);
        bytes memory records = recordsOf(zone);
        vm.prank(operator);
        exchange.clear(epoch, zone, posted, noCarry(), records);
    }

    function closeLeaf(uint32 zone) internal {
        (Posted memory posted, Carry memory carry) = (postedOf(zone), carryOf(zone));
        vm.prank(operator);
        exchange.closeZone(epoch, zone, posted, carry, noChildren(), new uint256[](0));
    }

    /// @dev Both zones below are closed; the root is left.
    function bringForest() internal {
        commitForest();
        postForest();
        for (uint32 zone = 1; zone < 3; ++zone) {
            clearZone(zone);
            closeLeaf(zone);
        }
    }

    function closeRoot(ClosedZone[] memory children, uint256[] memory flows) internal {
        Posted memory posted = postedOf(0);
        vm.prank(operator);
        exchange.closeZone(epoch, 0, posted, noCarry(), children, flows);
    }

    function proveForest() internal {
        bringForest();
        closeRoot(childrenOf(1, 3), new uint256[](1));
    }
}
