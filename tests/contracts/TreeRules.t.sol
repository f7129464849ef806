// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILibraries} from "./harness/ILibraries.sol";
import {Checks} from "./support/Vm.sol";

/// @title Rules of lines and flexible orders, against their definitions said once more and plainly
contract TreeRulesTest is Checks {
    ILibraries private libraries;

    /// @dev A constraint `y_head <= y_tail + cost`; heads and tails are 0 the child, 1 its parent.
    struct Constraint {
        bool applies;
        uint256 head;
        uint256 tail;
        int256 cost;
    }

    struct Window {
        int256 lo;
        int256 hi;
        uint256 rankLo;
        uint256 rankHi;
        uint32 share;
    }

    /// @dev A flexible order, and whether its limit bounds the windows below, and those above.
    struct Terms {
        uint8 side;
        uint32 energy;
        uint32 most;
        int32 limit;
        bool capped;
        bool floored;
    }

    function setUp() external {
        libraries = ILibraries(vm.deployCode("harness/Libraries.sol:Libraries", ""));
    }

    // --- lines

    /// Each of a line's four constraints applies when there is room, or flow; all hold or the line is refused; a tight one supports as any constraint does.
    /// forge-config: default.fuzz.runs = 2000
    function test_a_line_is_four_constraints(uint256 seed) external view {
        // Small numbers, so that equalities and limits are often met.
        int256 charge = int256(1 + seed % 3);
        int256 capacity = int256((seed >> 8) % 3);
        int256 imported = int256((seed >> 16) % 5) - 2;
        Window[2] memory ends;
        for (uint256 i; i < 2; ++i) {
            uint256 bits = seed >> (24 + 40 * i);
            (ends[i].lo, ends[i].hi) = (int256(bits % 6), int256((bits >> 8) % 6));
            (ends[i].rankLo, ends[i].rankHi) = ((bits >> 16) % 3, (bits >> 24) % 3);
        }
        (bool within, uint256 supported) =
            libraries.line(wordOf(ends[0]), wordOf(ends[1]), imported, charge, capacity);
        (bool holds, uint256 expected) = expectLine(ends, rulesOf(imported, charge, capacity));
        isTrue(within == holds, "judged");
        if (holds) eq(supported, expected, "supported");
    }

    /// @dev Bits of the child's lo and hi, then of its parent's.
    function expectLine(Window[2] memory ends, Constraint[4] memory rules)
        private
        pure
        returns (bool holds, uint256 held)
    {
        holds = true;
        for (uint256 i; i < 4; ++i) {
            Constraint memory rule = rules[i];
            if (!rule.applies) continue;
            (Window memory head, Window memory tail) = (ends[rule.head], ends[rule.tail]);
            if (head.lo > tail.lo + rule.cost || head.hi > tail.hi + rule.cost) holds = false;
            if (head.lo == tail.lo + rule.cost && head.rankLo < tail.rankLo) held |= 1 << 2 * rule.tail;
            if (head.hi == tail.hi + rule.cost && tail.rankHi < head.rankHi) held |= 2 << 2 * rule.head;
        }
    }

    function rulesOf(int256 imported, int256 charge, int256 capacity)
        private
        pure
        returns (Constraint[4] memory rules)
    {
        rules[0] = Constraint(imported > -capacity, 1, 0, charge); // room towards the parent
        rules[1] = Constraint(imported < 0, 0, 1, -charge); // flow towards it
        rules[2] = Constraint(imported < capacity, 0, 1, charge); // room towards the child
        rules[3] = Constraint(imported > 0, 1, 0, -charge); // flow towards it
    }

    // --- flexible orders

    /// A split is optimal, and supports, as the order's node between its windows and the ground demands.
    /// forge-config: default.fuzz.runs = 2000
    function test_a_split_is_judged_by_its_windows(uint256 seed) external view {
        Terms memory terms;
        terms.side = uint8(seed % 2);
        terms.most = uint32((seed >> 8) % 3);
        terms.energy = uint32((seed >> 16) % 8);
        terms.limit = int32(uint32((seed >> 24) % 4));
        Window[] memory windows = windowsOf(seed >> 32, terms.most);
        (bool fits, bool optimal, uint256 support) = libraries.flexible(
            terms.side, terms.energy, terms.most, terms.limit, sharesOf(windows), potentialsOf(windows)
        );
        uint32 total;
        for (uint256 k; k < windows.length; ++k) {
            total += windows[k].share;
        }
        isTrue(fits == (total <= terms.energy), "no more than all");
        if (!fits) return;
        (bool some, bool left) = (total > 0, total < terms.energy);
        (terms.capped, terms.floored) = terms.side == 0 ? (some, left) : (left, some);
        bool holds = true;
        uint256 expected;
        for (uint256 k; k < windows.length; ++k) {
            (bool kept, uint256 held) = expect(terms, windows, k);
            holds = holds && kept;
            expected |= held;
        }
        isTrue(optimal == holds, "judged");
        if (holds) eq(support, expected, "supported");
    }

    function windowsOf(uint256 seed, uint32 most) private pure returns (Window[] memory windows) {
        windows = new Window[](1 + seed % 4);
        for (uint256 k; k < windows.length; ++k) {
            uint256 bits = seed >> (8 + 40 * k);
            windows[k] = Window(
                int256(bits % 4),
                int256((bits >> 8) % 4),
                (bits >> 16) % 3,
                (bits >> 24) % 3,
                uint32((bits >> 32) % (most + 1))
            );
        }
    }

    /// @dev What window `k` demands by itself and with each of the others, and which of its own entries are supported.
    function expect(Terms memory terms, Window[] memory windows, uint256 k)
        private
        pure
        returns (bool holds, uint256 held)
    {
        Window memory w = windows[k];
        (bool below, bool above) = sidesOf(w, terms);
        holds = (!below || !terms.capped || (w.lo <= terms.limit && w.hi <= terms.limit))
            && (!above || !terms.floored || (w.lo >= terms.limit && w.hi >= terms.limit));
        if (below && terms.capped && w.hi == terms.limit) held |= 2 << 2 * k;
        if (above && terms.floored && w.lo == terms.limit) held |= 1 << 2 * k;
        for (uint256 i; i < windows.length; ++i) {
            Window memory other = windows[i];
            (bool otherBelow, bool otherAbove) = sidesOf(other, terms);
            if (below && otherAbove) {
                if (w.lo > other.lo || w.hi > other.hi) holds = false;
                if (w.hi == other.hi && other.rankHi < w.rankHi) held |= 2 << 2 * k;
            }
            if (above && otherBelow && w.lo == other.lo && other.rankLo < w.rankLo) held |= 1 << 2 * k;
        }
    }

    function sidesOf(Window memory window, Terms memory terms) private pure returns (bool below, bool above) {
        (bool used, bool room) = (window.share > 0, window.share < terms.most);
        return terms.side == 0 ? (used, room) : (room, used);
    }

    function sharesOf(Window[] memory windows) private pure returns (bytes memory shares) {
        for (uint256 k; k < windows.length; ++k) {
            shares = bytes.concat(shares, bytes4(windows[k].share));
        }
    }

    function potentialsOf(Window[] memory windows) private pure returns (uint256[] memory words) {
        words = new uint256[](windows.length);
        for (uint256 k; k < windows.length; ++k) {
            words[k] = wordOf(windows[k]);
        }
    }

    function wordOf(Window memory w) private pure returns (uint256) {
        return
            uint256(uint32(int32(w.lo))) | uint256(uint32(int32(w.hi))) << 32 | w.rankLo << 64 | w.rankHi
                << 96;
    }
}
