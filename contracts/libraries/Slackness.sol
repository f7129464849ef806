// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing, Posted} from "../interfaces/IClearing.sol";
import {Fill} from "./Fill.sol";
import {Marginal, Potential} from "./Posted.sol";

/// @title Slackness: optimal, extreme and balanced
/// @notice Constraints read `y_b <= y_a + c`. Both posted vectors must satisfy every one, and each entry must be supported: it is at its outer bound, or
/// a tight constraint reaches it from an entry of lower rank (in `hi` b from a, in `lo` a from b). Then the vectors are the highest and the lowest.
/// @dev The argument: docs/clearing.md. Reference: settlement/reference/slackness.py. Cells lie in the table of `Fill`, quality-major; a cell's last
/// word notes how its quality is supported there. Lengths have been checked, so that words are read without bounds checks.
library Slackness {
    int256 internal constant OUTER = 1 << 29;

    int256 private constant GROUND_RANK = -1;

    /// @dev How an entry is supported: in the lowest vector, in the highest, in both.
    uint256 private constant IN_LO = 1;
    uint256 private constant IN_HI = 2;
    uint256 private constant IN_BOTH = 3;

    /// @dev One node of the network, unpacked.
    struct Node {
        int256 lo;
        int256 hi;
        int256 rankLo;
        int256 rankHi;
    }

    /// @notice Refuses potentials of qualities out of range or against a substitution.
    function requireHeader(uint256[] calldata potentials, uint8[] calldata pairs, uint256 windows) internal pure {
        unchecked {
            for (uint256 i; i < potentials.length; ++i) {
                Potential y = Potential.wrap(_word(potentials, i));
                if (!y.isCanonical()) revert IClearing.NotCanonical("qualityPotentials", i);
                if (y.lo() < -OUTER || y.lo() > 0 || y.hi() < -OUTER || y.hi() > 0) revert IClearing.PotentialOutOfRange(i);
            }
            for (uint256 s; s < pairs.length; s += 2) {
                (uint256 from, uint256 to) = (uint256(pairs[s]) * windows, uint256(pairs[s + 1]) * windows);
                for (uint256 w; w < windows; ++w) {
                    (Potential a, Potential b) = (_quality(potentials, from + w, windows), _quality(potentials, to + w, windows));
                    if (a.lo() > b.lo() || a.hi() > b.hi()) revert IClearing.SubstitutionViolated(s / 2, w);
                }
            }
        }
    }

    /// @notice Proves a session of one zone, which is also the root: at-price totals as posted, every cell within its bounds in both vectors, energy and
    /// qualities balanced with the substitutions used, and every entry supported.
    /// @param table the zone's cells, all orders read
    /// @param pairs substitutions as flat pairs of dense quality indices
    /// @param flows Wh used of each substitution in each window
    function checkRoot(Posted calldata posted, uint256 table, uint8[] calldata pairs, uint256[] calldata flows)
        internal
        pure
    {
        uint256[] calldata qualities = posted.qualityPotentials;
        uint256[] calldata energy = posted.energyPotentials;
        uint256 cells = posted.marginals.length;
        for (uint256 w; w < energy.length; ++w) {
            _checkWindow(energy, qualities, table, cells, w);
        }
        for (uint256 s; s < pairs.length / 2; ++s) {
            _checkSubstitution(qualities, table, energy.length, pairs[2 * s], pairs[2 * s + 1], flows, s);
        }
        _requireRoot(qualities, table, energy.length, cells);
    }

    /// @dev All cells of one window against the zone's potential, and what they support of it.
    function _checkWindow(
        uint256[] calldata energy,
        uint256[] calldata qualities,
        uint256 table,
        uint256 cells,
        uint256 w
    ) private pure {
        Potential e = Potential.wrap(_word(energy, w));
        if (!e.isCanonical()) revert IClearing.NotCanonical("energyPotentials", w);
        Node memory node = Node(e.lo(), e.hi(), e.rankLo(), e.rankHi());
        if (node.lo < -OUTER || node.lo > OUTER || node.hi < -OUTER || node.hi > OUTER) {
            revert IClearing.PotentialOutOfRange(w);
        }
        uint256 supported = (node.lo == -OUTER ? IN_LO : 0) | (node.hi == OUTER ? IN_HI : 0);
        int256 net;
        unchecked {
            for (uint256 i = w; i < cells; i += energy.length) {
                uint256 cell = table + i * Fill.STRIDE;
                _requireMarginal(cell, i);
                supported |= _checkCell(cell, i, node, _quality(qualities, i, energy.length), i < energy.length);
                net += _int(cell, Fill.NET);
            }
        }
        if (net != 0) revert IClearing.EnergyUnbalanced(w, net);
        if (supported != IN_BOTH) revert IClearing.EnergyUnsupported(w);
    }

    /// @dev `e - y <= ub` supports e in hi and y in lo; `e - y >= lb` supports e in lo and y in hi.
    /// @return supported how the cell supports the zone's potential
    function _checkCell(uint256 cell, uint256 i, Node memory e, Potential y, bool ground)
        private
        pure
        returns (uint256 supported)
    {
        unchecked {
            (int256 ub, int256 lb) = (_int(cell, Fill.UB), _int(cell, Fill.LB));
            (int256 lo, int256 hi) = (e.lo - y.lo(), e.hi - y.hi());
            if (lo < lb || lo > ub || hi < lb || hi > ub) revert IClearing.CellViolated(i);
            int256 rankLo = ground ? GROUND_RANK : y.rankLo();
            int256 rankHi = ground ? GROUND_RANK : y.rankHi();
            uint256 quality;
            if (lo == lb && rankLo < e.rankLo) supported = IN_LO;
            if (lo == ub && e.rankLo < rankLo) quality = IN_LO;
            if (hi == ub && rankHi < e.rankHi) supported |= IN_HI;
            if (hi == lb && e.rankHi < rankHi) quality |= IN_HI;
            _set(cell, Fill.SUPPORT, quality);
        }
    }

    /// @dev `y_from <= y_to` always (the header has it); where the substitution is used, also `y_to <= y_from`.
    function _checkSubstitution(
        uint256[] calldata potentials,
        uint256 table,
        uint256 windows,
        uint256 from,
        uint256 to,
        uint256[] calldata flows,
        uint256 s
    ) private pure {
        for (uint256 w; w < windows; ++w) {
            Node memory a = _qualityNode(potentials, from, w, windows);
            Node memory b = _qualityNode(potentials, to, w, windows);
            uint256 fromCell = table + (from * windows + w) * Fill.STRIDE;
            uint256 toCell = table + (to * windows + w) * Fill.STRIDE;
            uint256 flow = _word(flows, s * windows + w);
            if (flow != 0) {
                if (flow >> 64 != 0 || a.lo != b.lo || a.hi != b.hi) revert IClearing.SubstitutionViolated(s, w);
                _set(fromCell, Fill.NET, uint256(_int(fromCell, Fill.NET) + int256(flow)));
                _set(toCell, Fill.NET, uint256(_int(toCell, Fill.NET) - int256(flow)));
            }
            uint256 fromBy;
            uint256 toBy;
            if (a.lo == b.lo) {
                if (a.rankLo < b.rankLo) toBy = IN_LO;
                if (flow != 0 && b.rankLo < a.rankLo) fromBy = IN_LO;
            }
            if (a.hi == b.hi) {
                if (b.rankHi < a.rankHi) fromBy |= IN_HI;
                if (flow != 0 && a.rankHi < b.rankHi) toBy |= IN_HI;
            }
            if (fromBy != 0) _set(fromCell, Fill.SUPPORT, uint256(_int(fromCell, Fill.SUPPORT)) | fromBy);
            if (toBy != 0) _set(toCell, Fill.SUPPORT, uint256(_int(toCell, Fill.SUPPORT)) | toBy);
        }
    }

    /// @dev Every quality balances, and every quality but the ground is supported.
    function _requireRoot(uint256[] calldata potentials, uint256 table, uint256 windows, uint256 cells) private pure {
        unchecked {
            for (uint256 i; i < cells; ++i) {
                uint256 cell = table + i * Fill.STRIDE;
                if (_int(cell, Fill.NET) != 0) revert IClearing.QualityUnbalanced(i, _int(cell, Fill.NET));
                if (i < windows) continue;
                uint256 supported = uint256(_int(cell, Fill.SUPPORT));
                Potential y = _quality(potentials, i, windows);
                if (y.lo() == -OUTER) supported |= IN_LO;
                if (y.hi() == 0) supported |= IN_HI;
                if (supported != IN_BOTH) revert IClearing.QualityUnsupported(i);
            }
        }
    }

    function _requireMarginal(uint256 cell, uint256 i) private pure {
        Marginal marginal = Marginal.wrap(uint256(_int(cell, Fill.MARGINAL)));
        bool same = uint256(_int(cell, Fill.BUYS)) == marginal.total(0) && uint256(_int(cell, Fill.SELLS)) == marginal.total(1);
        if (!same) revert IClearing.MarginalMismatch(i);
    }

    function _qualityNode(uint256[] calldata potentials, uint256 quality, uint256 w, uint256 windows)
        private
        pure
        returns (Node memory)
    {
        if (quality == 0) return Node(0, 0, GROUND_RANK, GROUND_RANK);
        Potential y = Potential.wrap(_word(potentials, (quality - 1) * windows + w));
        return Node(y.lo(), y.hi(), y.rankLo(), y.rankHi());
    }

    /// @dev The potential of the quality of a cell; the ground's is zero.
    function _quality(uint256[] calldata potentials, uint256 cell, uint256 windows) private pure returns (Potential) {
        return Potential.wrap(cell < windows ? 0 : _word(potentials, cell - windows));
    }

    function _word(uint256[] calldata array, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(array.offset, shl(5, index)))
        }
    }

    function _int(uint256 cell, uint256 field) private pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(cell, field))
        }
    }

    function _set(uint256 cell, uint256 field, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(add(cell, field), value)
        }
    }
}
