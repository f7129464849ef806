// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing, Posted} from "../interfaces/IClearing.sol";
import {Cell, Marginal, Potential} from "./Posted.sol";

/// @title Slackness: optimal, extreme and balanced
/// @notice Constraints read `y_b <= y_a + c`. Both posted vectors must satisfy every one, and each entry must be supported: it is at its outer bound, or
/// a tight constraint reaches it from an entry of lower rank (in `hi` b from a, in `lo` a from b). Then the vectors are the highest and the lowest.
/// @dev The argument: docs/clearing.md. Reference: settlement/reference/slackness.py. Cells are quality-major, `q * windows + w`.
library Slackness {
    int256 internal constant OUTER = 1 << 29;

    /// @dev The ground's potential and rank.
    int256 private constant GROUND_RANK = -1;

    uint256 private constant ENERGY_LO = 1;
    uint256 private constant ENERGY_HI = 2;
    uint256 private constant BOTH = 3;

    /// @dev Which entries are supported so far: bit 0 for `lo`, bit 1 for `hi`.
    struct Support {
        uint8[] energy;
        uint8[] quality;
    }

    /// @notice Refuses potentials of qualities out of range or against a substitution.
    function requireHeader(uint256[] calldata potentials, uint8[] calldata substitutions, uint256 windows) internal pure {
        for (uint256 i; i < potentials.length; ++i) {
            Potential y = Potential.wrap(potentials[i]);
            if (!y.isCanonical()) revert IClearing.NotCanonical("qualityPotentials", i);
            if (_outside(y.lo(), -OUTER, 0) || _outside(y.hi(), -OUTER, 0)) revert IClearing.PotentialOutOfRange(i);
        }
        for (uint256 s; s < substitutions.length; s += 2) {
            for (uint256 w; w < windows; ++w) {
                Potential from = _quality(potentials, substitutions[s], w, windows);
                Potential to = _quality(potentials, substitutions[s + 1], w, windows);
                if (from.lo() > to.lo() || from.hi() > to.hi()) revert IClearing.SubstitutionViolated(s / 2, w);
            }
        }
    }

    /// @notice Refuses potentials of zones out of range.
    function requireEnergy(uint256[] calldata potentials) internal pure {
        for (uint256 w; w < potentials.length; ++w) {
            Potential e = Potential.wrap(potentials[w]);
            if (!e.isCanonical()) revert IClearing.NotCanonical("energyPotentials", w);
            if (_outside(e.lo(), -OUTER, OUTER) || _outside(e.hi(), -OUTER, OUTER)) {
                revert IClearing.PotentialOutOfRange(w);
            }
        }
    }

    /// @notice Checks every cell of a zone in both vectors, and notes what its bounds support.
    function checkCells(Posted calldata posted, uint256[] memory cells) internal pure returns (Support memory support) {
        uint256 windows = posted.energyPotentials.length;
        support.energy = new uint8[](windows);
        support.quality = new uint8[](cells.length);
        for (uint256 i; i < cells.length; ++i) {
            Cell cell = Cell.wrap(cells[i]);
            Marginal marginal = Marginal.wrap(posted.marginals[i]);
            if (cell.atPrice(0) != marginal.total(0) || cell.atPrice(1) != marginal.total(1)) {
                revert IClearing.MarginalMismatch(i);
            }
            Potential e = Potential.wrap(posted.energyPotentials[i % windows]);
            Potential y = _quality(posted.qualityPotentials, i / windows, i % windows, windows);
            _checkCell(support, i, windows, cell, e, y);
        }
        for (uint256 w; w < windows; ++w) {
            Potential e = Potential.wrap(posted.energyPotentials[w]);
            if (e.lo() == -OUTER) support.energy[w] |= uint8(ENERGY_LO);
            if (e.hi() == OUTER) support.energy[w] |= uint8(ENERGY_HI);
        }
    }

    /// @notice At the root: qualities balance with the substitutions used, those bind, and every entry of the session is supported.
    function checkRoot(
        Posted calldata posted,
        uint256[] memory cells,
        uint8[] calldata pairs,
        uint256[] calldata flows,
        Support memory support
    ) internal pure {
        uint256 windows = posted.energyPotentials.length;
        int256[] memory net = _nets(cells, windows);
        for (uint256 i; i < flows.length; ++i) {
            uint256 from = uint256(pairs[i / windows * 2]) * windows + i % windows;
            uint256 to = uint256(pairs[i / windows * 2 + 1]) * windows + i % windows;
            if (flows[i] > uint256(type(int256).max) >> 64) revert IClearing.QualityUnbalanced(from, net[from]);
            net[from] += int256(flows[i]);
            net[to] -= int256(flows[i]);
            _checkSubstitution(posted.qualityPotentials, support, from, to, windows, flows[i] != 0);
        }
        for (uint256 i; i < net.length; ++i) {
            if (net[i] != 0) revert IClearing.QualityUnbalanced(i, net[i]);
        }
        _requireSupported(posted.qualityPotentials, support, windows);
    }

    /// @dev `e - y <= ub` supports e in hi and y in lo; `e - y >= lb` supports e in lo and y in hi.
    function _checkCell(Support memory support, uint256 i, uint256 windows, Cell cell, Potential e, Potential y) private pure {
        (int256 ub, int256 lb) = (cell.ub(), cell.lb());
        (int256 lo, int256 hi) = (e.lo() - y.lo(), e.hi() - y.hi());
        if (lo < lb || lo > ub || hi < lb || hi > ub) revert IClearing.CellViolated(i);
        bool ground = i < windows;
        int256 rankLo = ground ? GROUND_RANK : y.rankLo();
        int256 rankHi = ground ? GROUND_RANK : y.rankHi();
        uint256 energy;
        uint256 quality;
        if (lo == lb && rankLo < e.rankLo()) energy |= ENERGY_LO;
        if (lo == ub && e.rankLo() < rankLo) quality |= ENERGY_LO;
        if (hi == ub && rankHi < e.rankHi()) energy |= ENERGY_HI;
        if (hi == lb && e.rankHi() < rankHi) quality |= ENERGY_HI;
        if (energy != 0) support.energy[i % windows] |= uint8(energy);
        if (quality != 0) support.quality[i] |= uint8(quality);
    }

    /// @dev `y_from <= y_to` always (the header has it); a substitution in use also `y_to <= y_from`.
    function _checkSubstitution(
        uint256[] calldata potentials,
        Support memory support,
        uint256 from,
        uint256 to,
        uint256 windows,
        bool used
    ) private pure {
        Potential a = _quality(potentials, from / windows, from % windows, windows);
        Potential b = _quality(potentials, to / windows, to % windows, windows);
        if (used && (a.lo() != b.lo() || a.hi() != b.hi())) {
            revert IClearing.SubstitutionViolated(from, from % windows);
        }
        int256 aLo = from < windows ? GROUND_RANK : a.rankLo();
        int256 aHi = from < windows ? GROUND_RANK : a.rankHi();
        int256 bLo = to < windows ? GROUND_RANK : b.rankLo();
        int256 bHi = to < windows ? GROUND_RANK : b.rankHi();
        if (a.lo() == b.lo()) {
            if (aLo < bLo) support.quality[to] |= uint8(ENERGY_LO);
            if (used && bLo < aLo) support.quality[from] |= uint8(ENERGY_LO);
        }
        if (a.hi() == b.hi()) {
            if (bHi < aHi) support.quality[from] |= uint8(ENERGY_HI);
            if (used && aHi < bHi) support.quality[to] |= uint8(ENERGY_HI);
        }
    }

    function _requireSupported(uint256[] calldata potentials, Support memory support, uint256 windows) private pure {
        for (uint256 w; w < windows; ++w) {
            if (support.energy[w] != BOTH) revert IClearing.EnergyUnsupported(w);
        }
        for (uint256 i = windows; i < support.quality.length; ++i) {
            Potential y = Potential.wrap(potentials[i - windows]);
            uint256 supported = support.quality[i];
            if (y.lo() == -OUTER) supported |= ENERGY_LO;
            if (y.hi() == 0) supported |= ENERGY_HI;
            if (supported != BOTH) revert IClearing.QualityUnsupported(i);
        }
    }

    /// @dev Net bought of each cell; over all qualities of a window they sum to the net import, which the root has none of.
    function _nets(uint256[] memory cells, uint256 windows) private pure returns (int256[] memory net) {
        net = new int256[](cells.length);
        int256[] memory imports = new int256[](windows);
        for (uint256 i; i < cells.length; ++i) {
            net[i] = Cell.wrap(cells[i]).net();
            imports[i % windows] += net[i];
        }
        for (uint256 w; w < windows; ++w) {
            if (imports[w] != 0) revert IClearing.EnergyUnbalanced(w, imports[w]);
        }
    }

    /// @dev The potential of a quality; the ground's is zero.
    function _quality(uint256[] calldata potentials, uint256 quality, uint256 window, uint256 windows)
        private
        pure
        returns (Potential)
    {
        return quality == 0 ? Potential.wrap(0) : Potential.wrap(potentials[(quality - 1) * windows + window]);
    }

    function _outside(int256 value, int256 low, int256 high) private pure returns (bool) {
        return value < low || value > high;
    }
}
