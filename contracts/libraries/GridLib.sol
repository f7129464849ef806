// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../interfaces/IAuction.sol";
import {Quality} from "./Quality.sol";

/// @title GridLib: what makes a grid well formed
/// @dev docs/formats.md, Grid.
library GridLib {
    uint32 internal constant NO_PARENT = type(uint32).max;

    function hash(Grid calldata grid) internal pure returns (bytes32) {
        return keccak256(abi.encode(grid));
    }

    /// @notice True if qualities ascend from 0, substitutions follow the lattice and let every quality reach 0, and zones form a tree
    /// (of one zone, so far: trees come with their proof).
    function isValid(Grid calldata grid) internal pure returns (bool) {
        uint256 count = grid.qualities.length;
        if (count == 0 || count > Quality.CODES || grid.qualities[0] != 0) return false;
        for (uint256 i = 1; i < count; ++i) {
            if (grid.qualities[i] <= grid.qualities[i - 1] || grid.qualities[i] >= Quality.CODES) {
                return false;
            }
        }
        return _isOneZone(grid) && _reachesGround(grid);
    }

    function _isOneZone(Grid calldata grid) private pure returns (bool) {
        return grid.parents.length == 1 && grid.charges.length == 1 && grid.capacities.length == 1
            && grid.parents[0] == NO_PARENT;
    }

    /// @dev A quality's substitutions go down the lattice, so that codes only fall along them and one pass upwards finds all that reach 0.
    function _reachesGround(Grid calldata grid) private pure returns (bool) {
        uint256 count = grid.qualities.length;
        uint256 reached = 1;
        if (grid.substitutions.length % 2 != 0) return false;
        for (uint256 i; i < grid.substitutions.length; i += 2) {
            (uint256 from, uint256 to) = (grid.substitutions[i], grid.substitutions[i + 1]);
            if (from >= count || to >= count || from == to) return false;
            if (!Quality.serves(grid.qualities[from], grid.qualities[to])) return false;
            for (uint256 j; j < i; j += 2) {
                if (grid.substitutions[j] == from && grid.substitutions[j + 1] == to) return false;
            }
        }
        for (uint256 quality = 1; quality < count; ++quality) {
            for (uint256 i; i < grid.substitutions.length; i += 2) {
                if (grid.substitutions[i] == quality && reached & (1 << grid.substitutions[i + 1]) != 0) {
                    reached |= 1 << quality;
                }
            }
        }
        return reached + 1 == 1 << count;
    }

    /// @notice The quality codes, one a byte from the highest byte on.
    function pack(uint8[] calldata qualities) internal pure returns (bytes16 packed) {
        for (uint256 i; i < qualities.length; ++i) {
            packed |= bytes16(uint128(qualities[i]) << uint128(120 - 8 * i));
        }
    }
}
