// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Line} from "../interfaces/IDays.sol";
import {ClosedZone, IProof} from "../interfaces/IProof.sol";
import {GridLib} from "./GridLib.sol";
import {Potential} from "./Posted.sol";

/// @title Lines: what a line demands of the potentials at its ends
/// @dev The flow over a line is not posted: it is what the zones below it bought net. With `a` the child's potential and `b` its parent's, room for more towards the
/// parent means `b <= a + charge`, a flow towards it `b >= a + charge`; and the same downwards with `a` and `b` exchanged. Source: docs/clearing.md.
library Lines {
    /// @dev No net import reaches this: what has no limit has always room.
    int256 private constant BEYOND = 1 << 100;

    /// @dev Words of a closed zone are read without bounds checks: the hash of each was stored when this contract made it, with arrays of a session's length.
    /// @param child with all of its own children joined, as its stored hash says
    /// @param zone the child's number
    function join(ClosedZone memory self, ClosedZone calldata child, uint32 zone, Line memory line)
        internal
        pure
    {
        uint256[] calldata potentials = child.energyPotentials;
        int256 charge = int256(uint256(line.charge));
        int256 capacity = line.capacityWh == GridLib.UNLIMITED ? BEYOND : int256(uint256(line.capacityWh));
        uint256 ownSupport = self.energySupport;
        uint256 support = child.energySupport;
        int256 rent = child.rentNano;
        unchecked {
            for (uint256 w; w < potentials.length; ++w) {
                int256 imported = _addNets(self.nets, child.nets, w, potentials.length);
                if (imported > capacity || -imported > capacity) revert IProof.LineOverCapacity(zone, w);
                (Potential a, Potential b) =
                    (Potential.wrap(potentials[w]), Potential.wrap(self.energyPotentials[w]));
                (bool within, uint256 supported) = check(a, b, imported, charge, capacity);
                if (!within) revert IProof.LineViolated(zone, w);
                support |= (supported & 3) << 2 * w;
                ownSupport |= (supported >> 2) << 2 * w;
                rent += (a.mid() - b.mid()) * imported;
            }
            requireSupported(support, potentials.length, zone);
            (self.energySupport, self.rentNano) = (ownSupport, self.rentNano + rent);
            for (uint256 q; q < child.qualitySupport.length; ++q) {
                self.qualitySupport[q] |= child.qualitySupport[q];
            }
        }
    }

    /// @notice Judges the potentials of one window at both ends of a line.
    /// @param a the child's, `b` its parent's
    /// @param imported Wh flowing from the parent to the child, negative the other way
    /// @return within whether both vectors satisfy what the line demands
    /// @return supported two bits of the child's potential, lowest and highest, above them two of the parent's
    function check(Potential a, Potential b, int256 imported, int256 charge, int256 capacity)
        internal
        pure
        returns (bool within, uint256 supported)
    {
        unchecked {
            (bool fits, bool parent, bool child) = _judge(b.lo() - a.lo(), imported, charge, capacity);
            // In lo the other end of a tight constraint is supported, if the one that it bounds ranks lower.
            if (parent && b.rankLo() < a.rankLo()) supported = 1;
            if (child && a.rankLo() < b.rankLo()) supported |= 4;
            within = fits;
            (fits, parent, child) = _judge(b.hi() - a.hi(), imported, charge, capacity);
            if (child && b.rankHi() < a.rankHi()) supported |= 2;
            if (parent && a.rankHi() < b.rankHi()) supported |= 8;
            within = within && fits;
        }
    }

    /// @dev The four constraints on `difference`, the parent's potential less the child's.
    /// @return fits whether those in force hold
    /// @return parent whether one that bounds the parent from above is tight
    /// @return child whether one that bounds the child from above is tight
    function _judge(int256 difference, int256 imported, int256 charge, int256 capacity)
        private
        pure
        returns (bool fits, bool parent, bool child)
    {
        unchecked {
            fits = (imported <= -capacity || difference <= charge) && (imported >= 0 || difference >= charge)
                && (imported >= capacity || difference >= -charge) && (imported <= 0 || difference <= -charge);
            bool up = difference == charge;
            bool down = difference == -charge;
            parent = (up && imported > -capacity) || (down && imported > 0);
            child = (up && imported < 0) || (down && imported < capacity);
        }
    }

    /// @dev Adds the child's net of every quality in a window to its parent's. A book has fewer than 2^20 orders a zone of less than 2^30 Wh each, and a grid
    /// at most 2^12 zones: no sum reaches 2^63.
    /// @return imported the child's net over all qualities, Wh
    function _addNets(uint256[] memory nets, uint256[] calldata childNets, uint256 w, uint256 windows)
        private
        pure
        returns (int256 imported)
    {
        unchecked {
            for (uint256 cell = w; cell < nets.length; cell += windows) {
                int256 net = int64(uint64(childNets[cell]));
                imported += net;
                nets[cell] = uint64(int64(int64(uint64(nets[cell])) + net));
            }
        }
    }

    /// @notice Refuses a zone of which some potential lacks support.
    /// @param support two bits a window
    function requireSupported(uint256 support, uint256 windows, uint32 zone) internal pure {
        uint256 missing = ~support & (type(uint256).max >> (256 - 2 * windows));
        if (missing == 0) return;
        uint256 w;
        while (missing >> (2 * w) & 3 == 0) ++w;
        revert IProof.EnergyUnsupported(zone, w);
    }
}
