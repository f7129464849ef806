// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {CashLib} from "../../contracts/libraries/Cash.sol";
import {MerkleFrontier} from "../../contracts/libraries/MerkleFrontier.sol";
import {PackedWindows} from "../../contracts/libraries/PackedWindows.sol";
import {ILibraries, ReadCash, ReadMember, ReadProduct} from "./harness/ILibraries.sol";
import {Checks} from "./support/Vm.sol";

/// @title Packed words: product ids, qualities, cash, members, lanes, trees
contract WordsTest is Checks {
    ILibraries private libraries;

    function setUp() external {
        libraries = ILibraries(vm.deployCode("harness/Libraries.sol:Libraries", ""));
    }

    // --- product ids

    /// Ids and group keys are those of the shared vectors.
    function test_ids_are_those_of_the_vectors() external view {
        string memory json = vm.readFile("tests/vectors/products.json");
        uint256 count;
        for (
            string memory at = "[0]";
            vm.keyExistsJson(json, at);
            at = string.concat("[", vm.toString(++count), "]")
        ) {
            ReadProduct memory p = productOf(json, at);
            uint256 id = vm.parseJsonUint(json, string.concat(at, ".id"));
            eq(libraries.pack(p), id, "id");
            eq(
                libraries.groupKey(id, 16),
                vm.parseJsonUint(json, string.concat(at, ".group_key_home")),
                "home"
            );
            eq(
                libraries.groupKey(id, 8),
                vm.parseJsonUint(json, string.concat(at, ".group_key_wide")),
                "wide"
            );
        }
        isTrue(count >= 4, "vectors were read");
    }

    function productOf(string memory json, string memory at) private pure returns (ReadProduct memory p) {
        p.side = uint8(vm.parseJsonUint(json, string.concat(at, ".side")));
        p.round = uint8(vm.parseJsonUint(json, string.concat(at, ".round")));
        p.kind = uint8(vm.parseJsonUint(json, string.concat(at, ".kind")));
        p.quality = uint8(vm.parseJsonUint(json, string.concat(at, ".quality")));
        p.zone = uint32(vm.parseJsonUint(json, string.concat(at, ".zone")));
        p.length = uint16(vm.parseJsonUint(json, string.concat(at, ".window_length")));
        p.windowIndex = uint32(vm.parseJsonUint(json, string.concat(at, ".window_index")));
    }

    /// A product reads back as it was packed, and only ids without higher bits are canonical.
    function test_ids_read_back(ReadProduct calldata p, uint256 higher) external view {
        uint256 id = libraries.pack(p);
        eq(abi.encode(libraries.readProduct(id)), abi.encode(p), "fields");
        isTrue(libraries.isCanonical(id), "canonical");
        isTrue(!libraries.isCanonical(id | within(higher, 1, type(uint144).max) << 112), "no higher bits");
    }

    // --- qualities

    /// Bands have the caps of the table; firm and greener is better.
    function test_qualities_are_a_lattice() external view {
        uint16[8] memory caps = [65_535, 500, 350, 200, 100, 50, 20, 0];
        for (uint8 code; code < 16; ++code) {
            (uint8 band, bool firm, uint16 cap, uint8 merit) = libraries.quality(code);
            eq(band, code % 8, "band");
            isTrue(firm == (code >= 8), "firmness");
            eq(cap, caps[band], "cap");
            eq(merit, 2 * band + (firm ? 1 : 0), "merit");
            isTrue(libraries.serves(code, 0) && libraries.serves(code, code), "serves the least and itself");
            for (uint8 other; other < 16; ++other) {
                bool better = code % 8 >= other % 8 && code / 8 >= other / 8;
                isTrue(libraries.serves(code, other) == better, "serves what is not better");
            }
        }
    }

    // --- cash

    /// Cash reads back as it was packed.
    function test_cash_reads_back(int88 free, uint72 reserved, int72 net, uint24 epoch) external view {
        ReadCash memory c = libraries.readCash(libraries.packCash(free, reserved, net, epoch));
        eq(c.free, free, "free");
        eq(c.reserved, reserved, "reserved");
        eq(c.net, net, "net");
        eq(c.epoch, epoch, "epoch");
    }

    /// An amount that does not fit its field reverts, whichever it is.
    function test_cash_out_of_range_reverts(int256 amount) external {
        amount = within(amount, 1 << 87, type(int256).max);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(amount, 0, 0, 0);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(-amount - 1, 0, 0, 0);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(0, uint256(amount), 0, 0);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(0, 0, amount, 0);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(0, 1 << 72, 0, 0);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        libraries.packCash(0, 0, -(1 << 71) - 1, 0);
    }

    // --- members

    /// A member reads back as it was packed; a flag or a holding changes nothing else.
    function test_members_read_back(
        uint32 zone,
        uint8 role,
        uint8 flags,
        uint8 maxQuality,
        uint32 capacityWh,
        uint256 seed
    ) external view {
        uint256 word = libraries.packMember(zone, role, flags, maxQuality, capacityWh);
        ReadMember memory m = ReadMember(zone, role, flags, maxQuality, capacityWh, 0);
        eq(abi.encode(libraries.readMember(word)), abi.encode(m), "as packed");

        (uint8 side, uint8 code, uint8 flag) =
            (uint8(seed % 2), uint8(seed / 2 % 16), uint8(1 << (seed / 32 % 8)));
        bool known;
        (word, known) = libraries.withHeld(word, side, code);
        m.held = uint32(1) << (side * 16 + code);
        isTrue(known, "holds");
        (word, known) = libraries.withFlag(word, flag, true);
        m.flags |= flag;
        isTrue(known, "has");
        eq(abi.encode(libraries.readMember(word)), abi.encode(m), "nothing else changed");
        (word, known) = libraries.withFlag(word, flag, false);
        m.flags &= ~flag;
        isTrue(!known, "has no more");
        eq(abi.encode(libraries.readMember(word)), abi.encode(m), "nothing else changed back");
    }

    // --- lanes

    /// Adding two words adds lane by lane, or reverts if any lane would not hold its sum: lanes never bleed.
    function test_lanes_never_bleed(uint256 word, uint256 added, bool wide, uint256 sparse) external {
        (uint256 lanes, uint256 bits) = wide ? (uint256(8), uint256(32)) : (uint256(16), uint256(16));
        if (sparse % 2 == 0) (word, added) = (halved(word, wide), halved(added, wide));
        bool fits = true;
        for (uint256 i; i < lanes; ++i) {
            if (laneOf(word, i, bits) + laneOf(added, i, bits) >> bits != 0) fits = false;
        }
        if (!fits) vm.expectRevert(abi.encodeWithSelector(PackedWindows.LaneOverflow.selector, word, added));
        uint256 sum = libraries.addLanes(word, added, wide);
        for (uint256 i; fits && i < lanes; ++i) {
            eq(laneOf(sum, i, bits), laneOf(word, i, bits) + laneOf(added, i, bits), "lane by lane");
        }
    }

    /// One full lane beside empty ones overflows by one Wh, whichever it is.
    function test_each_lane_overflows_by_itself(bool wide) external {
        uint256 largest = wide ? type(uint32).max : type(uint16).max;
        for (uint256 i; i < (wide ? 8 : 16); ++i) {
            uint256 full = libraries.atLane(i, largest, wide);
            uint256 one = libraries.atLane(i, 1, wide);
            vm.expectRevert(abi.encodeWithSelector(PackedWindows.LaneOverflow.selector, full, one));
            libraries.addLanes(full, one, wide);
            vm.expectRevert(abi.encodeWithSelector(PackedWindows.LaneOverflow.selector, 0, largest + 1));
            libraries.atLane(i, largest + 1, wide);
        }
    }

    /// Taking from a lane changes that lane alone, or reverts if it holds less.
    function test_lanes_underflow(uint256 word, uint256 seed, uint256 amount, bool wide) external {
        (uint256 lanes, uint256 bits) = wide ? (uint256(8), uint256(32)) : (uint256(16), uint256(16));
        uint256 lane = seed % lanes;
        uint256 held = laneOf(word, lane, bits);
        eq(libraries.getLane(word, lane, wide), held, "read");
        if (seed % 3 != 0) amount = within(amount, 0, held);
        if (amount > held) {
            vm.expectRevert(abi.encodeWithSelector(PackedWindows.LaneUnderflow.selector, word, lane, amount));
        }
        uint256 left = libraries.subLane(word, lane, amount, wide);
        for (uint256 i; amount <= held && i < lanes; ++i) {
            eq(laneOf(left, i, bits), laneOf(word, i, bits) - (i == lane ? amount : 0), "that lane alone");
        }
    }

    /// The total of a word is the sum of its lanes.
    function test_lanes_sum_up(uint256 word, bool wide) external view {
        (uint256 lanes, uint256 bits) = wide ? (uint256(8), uint256(32)) : (uint256(16), uint256(16));
        uint256 sum;
        for (uint256 i; i < lanes; ++i) {
            sum += laneOf(word, i, bits);
        }
        eq(libraries.totalOfLanes(word, wide), sum, "any word");
        uint256 full = wide ? uint256(8) * type(uint32).max : uint256(16) * type(uint16).max;
        eq(libraries.totalOfLanes(type(uint256).max, wide), full, "full lanes");
    }

    function laneOf(uint256 word, uint256 lane, uint256 bits) private pure returns (uint256) {
        return (word >> (lane * bits)) % (1 << bits);
    }

    /// @dev Each lane below half, so that sums fit.
    function halved(uint256 word, bool wide) private pure returns (uint256) {
        uint256 ones = wide
            ? 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff
            : 0x7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff;
        return word & ones;
    }

    // --- trees

    /// Roots and frontiers are those of the shared vectors.
    function test_trees_are_those_of_the_vectors() external view {
        string memory json = vm.readFile("tests/vectors/merkle.json");
        bytes32[] memory hashes = vm.parseJsonBytes32Array(json, ".leaves");
        bytes32[] memory roots = vm.parseJsonBytes32Array(json, ".roots");
        bytes32[] memory last = vm.parseJsonBytes32Array(json, ".frontier");
        for (uint256 count; count <= hashes.length; ++count) {
            bytes32[] memory leaves = new bytes32[](count);
            for (uint256 i; i < count; ++i) {
                leaves[i] = hashes[i];
            }
            (bytes32[20] memory frontier, bytes32 root) = libraries.tree(leaves);
            eq(root, roots[count], "root");
            for (uint256 i; count == hashes.length && i < 20; ++i) {
                eq(frontier[i], last[i], "frontier");
            }
        }
    }

    /// A tree of any few leaves has the root that pairing level by level gives.
    function test_trees_pair_level_by_level(bytes32[] calldata given, uint256 count) external view {
        count = within(count, 0, given.length < 40 ? given.length : 40);
        bytes32[] memory level = new bytes32[](64);
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            leaves[i] = level[i] = given[i];
        }
        bytes32 zero;
        for (uint256 depth; depth < 20; ++depth) {
            for (uint256 i; i < 64; i += 2) {
                (bytes32 left, bytes32 right) = depth == 0 || i + 1 < 64 >> depth
                    ? (level[i], level[i + 1])
                    : (i == 0 ? level[0] : zero, zero);
                level[i / 2] = keccak256(abi.encodePacked(bytes1(0x01), left, right));
            }
            zero = keccak256(abi.encodePacked(bytes1(0x01), zero, zero));
        }
        (, bytes32 root) = libraries.tree(leaves);
        eq(root, level[0], "root");
    }

    /// The tree takes 2^20 - 1 leaves and no more.
    function test_a_full_tree_takes_no_leaf() external {
        bytes32[20] memory frontier;
        vm.expectRevert(abi.encodeWithSelector(MerkleFrontier.TooManyLeaves.selector, (1 << 20) - 1));
        libraries.append(frontier, (1 << 20) - 1, bytes32(uint256(1)));
        libraries.append(frontier, (1 << 20) - 2, bytes32(uint256(1)));
    }
}
