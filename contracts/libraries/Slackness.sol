// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing, Posted} from "../interfaces/IClearing.sol";
import {ClosedZone, IProof} from "../interfaces/IProof.sol";
import {Fill, Table} from "./Fill.sol";
import {GridLib} from "./GridLib.sol";
import {Lines} from "./Lines.sol";
import {Potential} from "./Posted.sol";

/// @title Slackness: optimal, extreme and balanced
/// @notice Constraints read `y_b <= y_a + c`. Both posted vectors must satisfy every one, and each entry must be supported: it is at its outer bound, or
/// a tight constraint reaches it from an entry of lower rank (in `hi` b from a, in `lo` a from b). Then the vectors are the highest and the lowest.
/// @dev The argument: docs/clearing.md. Reference: settlement/reference/slackness.py. Cells lie in the table of `Fill`, quality-major. Lengths have been checked, so that words are read without bounds checks.
library Slackness {
    int256 internal constant OUTER = 1 << 29;

    /// @dev The ground as a potential: zero in both vectors. It ranks below every other.
    uint256 private constant GROUND = 0;

    /// @dev How an entry is supported: in the lowest vector, in the highest, in both.
    uint256 private constant IN_LO = 1;
    uint256 private constant IN_HI = 2;
    uint256 private constant IN_BOTH = 3;

    /// @notice Refuses potentials of qualities out of range or against a substitution.
    /// @param substitutions as `GridLib.pairAt` reads them, `pairs` of them
    function requireHeader(
        uint256[] calldata potentials,
        bytes32 substitutions,
        uint256 pairs,
        uint256 windows
    ) internal pure {
        unchecked {
            for (uint256 i; i < potentials.length; ++i) {
                Potential y = Potential.wrap(_word(potentials, i));
                if (!y.isCanonical()) revert IClearing.NotCanonical("qualityPotentials", i);
                if (y.lo() < -OUTER || y.lo() > 0 || y.hi() < -OUTER || y.hi() > 0) {
                    revert IProof.PotentialOutOfRange(i);
                }
            }
            for (uint256 s; s < pairs; ++s) {
                (uint256 from, uint256 to) = GridLib.pairAt(substitutions, s);
                for (uint256 w; w < windows; ++w) {
                    Potential a = _quality(potentials, from * windows + w, windows);
                    Potential b = _quality(potentials, to * windows + w, windows);
                    if (a.lo() > b.lo() || a.hi() > b.hi()) revert IProof.SubstitutionViolated(s, w);
                }
            }
        }
    }

    /// @notice Judges a zone by itself: at-price totals as posted, every cell within its bounds in both vectors.
    /// @param table the zone's cells, all orders read
    /// @param flexible what flexible orders support of the zone's potentials
    /// @return closed the zone with no children joined
    function checkZone(Posted calldata posted, Table memory table, uint256 flexible)
        internal
        pure
        returns (ClosedZone memory closed)
    {
        unchecked {
            uint256[] calldata energy = posted.energyPotentials;
            closed.energyPotentials = energy;
            closed.nets = new uint256[](posted.marginals.length);
            closed.qualitySupport = new uint256[](posted.marginals.length / energy.length - 1);
            for (uint256 w; w < energy.length; ++w) {
                flexible |= _checkWindow(energy, posted.qualityPotentials, table, w, closed) << 2 * w;
            }
            closed.energySupport = flexible;
        }
    }

    /// @notice Proves a session at its root: energy and qualities balanced over all zones with the substitutions used, every entry supported.
    /// @param root with all zones joined; its nets are used up
    /// @param substitutions as `GridLib.pairAt` reads them, `pairs` of them
    /// @param flows Wh used of each in each window
    function checkRoot(
        ClosedZone memory root,
        uint256[] calldata qualities,
        bytes32 substitutions,
        uint256 pairs,
        uint256[] calldata flows
    ) internal pure {
        unchecked {
            uint256 windows = root.energyPotentials.length;
            Lines.requireSupported(root.energySupport, windows, 0);
            uint256[] memory served = new uint256[](root.nets.length);
            for (uint256 s; s < pairs; ++s) {
                (uint256 from, uint256 to) = GridLib.pairAt(substitutions, s);
                _checkSubstitution(qualities, from, to, s, flows, served, root.qualitySupport);
            }
            _requireBalance(root.nets, served, windows);
            _requireQualities(qualities, windows, root.qualitySupport);
        }
    }

    /// @dev All cells of one window against the zone's potential, and what they support.
    /// @return supported two bits of the zone's potential
    function _checkWindow(
        uint256[] calldata energy,
        uint256[] calldata qualities,
        Table memory table,
        uint256 w,
        ClosedZone memory closed
    ) private pure returns (uint256 supported) {
        uint256 e = _word(energy, w);
        supported = _requireEnergy(e, w);
        unchecked {
            uint256 row = table.lanes + 8 * w;
            uint256 cell = table.cells + w * Fill.STRIDE;
            uint256 supportAt;
            uint256[] memory support = closed.qualitySupport;
            assembly ("memory-safe") {
                supportAt := support // the ground's would be the length, and stays as it is
            }
            for (uint256 i = w; i < table.count; i += energy.length) {
                if (!_isAsPosted(cell)) revert IProof.MarginalMismatch(i);
                if (_isBounded(cell)) {
                    uint256 y = Potential.unwrap(_quality(qualities, i, energy.length));
                    (bool within, uint256 byCell) = _checkCell(cell, e, y, i < energy.length);
                    if (!within) revert IProof.CellViolated(i);
                    supported |= byCell & IN_BOTH;
                    assembly ("memory-safe") {
                        mstore(supportAt, or(mload(supportAt), shl(shl(1, w), shr(2, byCell))))
                    }
                }
                _set(closed.nets, i, uint64(uint256(Fill.netOf(row, table.rowBytes, cell))));
                row += Fill.ROWS * table.rowBytes;
                cell += energy.length * Fill.STRIDE;
                supportAt += 32;
            }
        }
    }

    /// @dev Over all qualities, what is bought in a window is sold in it; and of each, with what serves others and what others serve of it.
    /// @param served what each cell gives to other qualities, less what it is given
    function _requireBalance(uint256[] memory nets, uint256[] memory served, uint256 windows) private pure {
        unchecked {
            for (uint256 w; w < windows; ++w) {
                (int256 total, uint256 open) = (0, 0);
                for (uint256 i = w; i < nets.length; i += windows) {
                    int256 net = int64(uint64(_get(nets, i)));
                    total += net;
                    open |= uint256(net) + _get(served, i);
                }
                if (total != 0) revert IProof.EnergyUnbalanced(w, total);
                if (open != 0) _refuseQuality(nets, served, w, windows);
            }
        }
    }

    /// @dev Names the first quality that does not balance in a window.
    function _refuseQuality(uint256[] memory nets, uint256[] memory served, uint256 w, uint256 windows)
        private
        pure
    {
        unchecked {
            for (uint256 i = w; i < nets.length; i += windows) {
                int256 net = int64(uint64(nets[i]));
                net += int256(served[i]);
                if (net != 0) revert IProof.QualityUnbalanced(i, net);
            }
        }
    }

    /// @dev A zone's potential is within the outer bounds, and supported where it is at one.
    function _requireEnergy(uint256 e, uint256 w) private pure returns (uint256 supported) {
        (int256 lo, int256 hi) = (Potential.wrap(e).lo(), Potential.wrap(e).hi());
        if (!Potential.wrap(e).isCanonical()) revert IClearing.NotCanonical("energyPotentials", w);
        if (lo < -OUTER || lo > OUTER || hi < -OUTER || hi > OUTER) revert IProof.PotentialOutOfRange(w);
        if (lo == -OUTER) supported = IN_LO;
        if (hi == OUTER) supported |= IN_HI;
    }

    /// @dev `lb <= e - y <= ub` in both vectors. `e - y <= ub` supports e in hi and y in lo; `e - y >= lb` supports e in lo and y in hi.
    /// @return within whether both hold
    /// @return supported two bits of the zone's potential, above them two of the quality's
    function _checkCell(uint256 cell, uint256 e, uint256 y, bool ground)
        private
        pure
        returns (bool within, uint256 supported)
    {
        (uint256 ubAt, uint256 lbAt) = (cell + Fill.UB, cell + Fill.LB);
        assembly ("memory-safe") {
            let ub := mload(ubAt)
            let lb := mload(lbAt)
            let difference := sub(signextend(3, e), signextend(3, y))
            within := iszero(or(slt(difference, lb), sgt(difference, ub)))
            // The ground ranks below all, so it may support and needs none.
            let rankE := and(shr(64, e), 0xffffffff)
            let rankY := and(shr(64, y), 0xffffffff)
            let yFirst := or(ground, lt(rankY, rankE))
            let eFirst := and(iszero(ground), lt(rankE, rankY))
            supported := or(and(eq(difference, lb), yFirst), shl(2, and(eq(difference, ub), eFirst)))

            difference := sub(signextend(3, shr(32, e)), signextend(3, shr(32, y)))
            within := and(within, iszero(or(slt(difference, lb), sgt(difference, ub))))
            rankE := shr(96, e)
            rankY := shr(96, y)
            yFirst := or(ground, lt(rankY, rankE))
            eFirst := and(iszero(ground), lt(rankE, rankY))
            supported := or(supported, shl(1, and(eq(difference, ub), yFirst)))
            supported := or(supported, shl(3, and(eq(difference, lb), eFirst)))
        }
    }

    /// @dev Whether an order was near enough to the potentials to bind them.
    function _isBounded(uint256 cell) private pure returns (bool bounded) {
        (uint256 ub, uint256 lb) = (cell + Fill.UB, cell + Fill.LB);
        assembly ("memory-safe") {
            bounded := or(slt(mload(ub), 0x7fffffff), sgt(mload(lb), sub(0, 0x80000000)))
        }
    }

    /// @dev Whether the cell's at-price totals are those posted.
    function _isAsPosted(uint256 cell) private pure returns (bool asPosted) {
        (uint256 buys, uint256 sells, uint256 marginal) =
            (cell + Fill.BUYS, cell + Fill.SELLS, cell + Fill.MARGINAL);
        assembly ("memory-safe") {
            marginal := mload(marginal)
            let same := eq(mload(buys), and(marginal, 0xffffffffffffffff))
            asPosted := and(same, eq(mload(sells), and(shr(128, marginal), 0xffffffffffffffff)))
        }
    }

    /// @dev `y_from <= y_to` always (the header has it); where the substitution is used, also `y_to <= y_from`.
    /// @param from the better quality, `to` the one it serves
    function _checkSubstitution(
        uint256[] calldata potentials,
        uint256 from,
        uint256 to,
        uint256 s,
        uint256[] calldata flows,
        uint256[] memory served,
        uint256[] memory support
    ) private pure {
        unchecked {
            uint256 windows = served.length - potentials.length;
            (uint256 byFrom, uint256 byTo) = (0, 0);
            for (uint256 w; w < windows; ++w) {
                uint256 a = Potential.unwrap(_quality(potentials, from * windows + w, windows));
                uint256 b = Potential.unwrap(_quality(potentials, to * windows + w, windows));
                uint256 flow = _word(flows, s * windows + w);
                if (flow != 0) {
                    if (flow >> 64 != 0 || uint64(a) != uint64(b)) revert IProof.SubstitutionViolated(s, w);
                    _set(served, from * windows + w, _get(served, from * windows + w) + flow);
                    _set(served, to * windows + w, _get(served, to * windows + w) - flow);
                }
                uint256 supported = _supportBySubstitution(a, b, to == 0, flow != 0);
                byFrom |= (supported & IN_BOTH) << 2 * w;
                byTo |= (supported >> 2) << 2 * w;
            }
            support[from - 1] |= byFrom;
            if (to != 0) support[to - 1] |= byTo;
        }
    }

    /// @dev `y_a <= y_b` supports a in hi and b in lo where it is tight; in use, also the reverse. Only `b` may be the ground: codes fall along substitutions.
    /// @return supported two bits of a's potential, above them two of b's
    function _supportBySubstitution(uint256 a, uint256 b, bool ground, bool used)
        private
        pure
        returns (uint256 supported)
    {
        assembly ("memory-safe") {
            let bFirst := or(ground, lt(shr(96, b), shr(96, a)))
            let aFirst := and(iszero(ground), lt(shr(96, a), shr(96, b)))
            let tight := eq(and(shr(32, a), 0xffffffff), and(shr(32, b), 0xffffffff))
            supported := mul(tight, or(shl(1, bFirst), shl(3, and(used, aFirst))))
            let rankA := and(shr(64, a), 0xffffffff)
            let rankB := and(shr(64, b), 0xffffffff)
            bFirst := or(ground, lt(rankB, rankA))
            aFirst := and(iszero(ground), lt(rankA, rankB))
            tight := eq(and(a, 0xffffffff), and(b, 0xffffffff))
            supported := or(supported, mul(tight, or(and(used, bFirst), shl(2, aFirst))))
        }
    }

    /// @dev Every quality but the ground is supported, or at its outer bounds.
    function _requireQualities(uint256[] calldata potentials, uint256 windows, uint256[] memory support)
        private
        pure
    {
        unchecked {
            uint256 all = type(uint256).max >> (256 - 2 * windows);
            for (uint256 k; k < support.length; ++k) {
                uint256 missing = ~support[k] & all;
                for (uint256 w; missing != 0; ++w) {
                    uint256 cell = k * windows + w; // of those above the ground
                    Potential y = Potential.wrap(_word(potentials, cell));
                    if (missing & IN_LO != 0 && y.lo() != -OUTER) {
                        revert IProof.QualityUnsupported(cell + windows);
                    }
                    if (missing & IN_HI != 0 && y.hi() != 0) {
                        revert IProof.QualityUnsupported(cell + windows);
                    }
                    missing >>= 2;
                }
            }
        }
    }

    /// @dev The potential of the quality of a cell.
    function _quality(uint256[] calldata potentials, uint256 cell, uint256 windows)
        private
        pure
        returns (Potential)
    {
        return Potential.wrap(cell < windows ? GROUND : _word(potentials, cell - windows));
    }

    function _word(uint256[] calldata array, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(array.offset, shl(5, index)))
        }
    }

    function _get(uint256[] memory array, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(array, shl(5, add(index, 1))))
        }
    }

    function _set(uint256[] memory array, uint256 index, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(add(array, shl(5, add(index, 1))), word)
        }
    }
}
