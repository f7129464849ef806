// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev Lowest and highest potential of one node, micro/kWh, with the ranks that order their support (proof: docs/clearing.md):
///
///   | 127..96 | 95..64 | 63..32 | 31..0 |
///   | rankHi  | rankLo | hi     | lo    |
type Potential is uint256;

/// @dev At-price quantity `M` of a cell and how much of it fills, `R`, Wh:
///
///   | 255..192 | 191..128 | 127..64 | 63..0  |
///   | R sells  | M sells  | R buys  | M buys |
type Marginal is uint256;

using PotentialLib for Potential global;
using MarginalLib for Marginal global;

library PotentialLib {
    function lo(Potential p) internal pure returns (int256) {
        return int32(uint32(Potential.unwrap(p)));
    }

    function hi(Potential p) internal pure returns (int256) {
        return int32(uint32(Potential.unwrap(p) >> 32));
    }

    /// @notice The clearing potential: the floor of the average.
    function mid(Potential p) internal pure returns (int256) {
        return (lo(p) + hi(p)) >> 1;
    }

    function rankLo(Potential p) internal pure returns (int256) {
        return int256(uint256(uint32(Potential.unwrap(p) >> 64)));
    }

    function rankHi(Potential p) internal pure returns (int256) {
        return int256(uint256(uint32(Potential.unwrap(p) >> 96)));
    }

    function isCanonical(Potential p) internal pure returns (bool) {
        return Potential.unwrap(p) >> 128 == 0;
    }
}

library MarginalLib {
    function total(Marginal m, uint256 side) internal pure returns (uint256) {
        return uint64(Marginal.unwrap(m) >> (side * 128));
    }

    function filled(Marginal m, uint256 side) internal pure returns (uint256) {
        return uint64(Marginal.unwrap(m) >> (side * 128 + 64));
    }
}
