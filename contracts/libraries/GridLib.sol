// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../interfaces/IDays.sol";
import {Quality} from "./Quality.sol";

/// @title GridLib: what makes a grid well formed
/// @dev docs/formats.md, Grid.
library GridLib {
    uint32 internal constant NO_PARENT = type(uint32).max;
    uint32 internal constant UNLIMITED = type(uint32).max;
    uint256 internal constant MAX_ZONES = 4096;
    uint256 internal constant MAX_PAIRS = 32;

    /// @dev micro/kWh: a line that costs more never carries anything.
    uint256 internal constant MAX_CHARGE = 1 << 29;

    function hash(Grid calldata grid) internal pure returns (bytes32) {
        return keccak256(abi.encode(grid));
    }

    /// @notice True if zones form a tree that is numbered breadth-first, and lines charge.
    /// @dev Parents come before their children and do not fall: so the children of a zone follow each other, and nobody's are mixed with them.
    function areLines(Grid calldata grid) internal pure returns (bool) {
        uint256 zones = grid.parents.length;
        if (zones == 0 || zones > MAX_ZONES || grid.parents[0] != NO_PARENT) return false;
        if (grid.charges.length != zones || grid.capacities.length != zones) return false;
        for (uint256 zone = 1; zone < zones; ++zone) {
            uint256 parent = grid.parents[zone];
            if (parent >= zone || (zone != 1 && parent < grid.parents[zone - 1])) return false;
            if (grid.charges[zone] == 0 || grid.charges[zone] >= MAX_CHARGE) return false;
        }
        return true;
    }

    /// @notice The most that the lines from a zone up to the root charge together: fewer than 2^12 of less than 2^29.
    function deepestCharge(Grid calldata grid) internal pure returns (uint48 deepest) {
        uint256 zones = grid.parents.length;
        uint48[] memory charges = new uint48[](zones);
        for (uint256 zone = 1; zone < zones; ++zone) {
            charges[zone] = charges[grid.parents[zone]] + grid.charges[zone];
            if (charges[zone] > deepest) deepest = charges[zone];
        }
    }

    /// @notice True if qualities ascend from 0, and substitutions follow the lattice and let every quality reach 0.
    function isLattice(Grid calldata grid) internal pure returns (bool) {
        uint256 count = grid.qualities.length;
        if (count == 0 || count > Quality.CODES || grid.qualities[0] != 0) return false;
        for (uint256 i = 1; i < count; ++i) {
            if (grid.qualities[i] <= grid.qualities[i - 1] || grid.qualities[i] >= Quality.CODES) {
                return false;
            }
        }
        return grid.substitutions.length <= 2 * MAX_PAIRS && _reachesGround(grid);
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

    /// @notice The substitutions, one a byte from the highest byte on: `from << 4 | to`.
    function packPairs(uint8[] calldata substitutions) internal pure returns (bytes32 packed) {
        for (uint256 i; i < substitutions.length; i += 2) {
            uint256 pair = uint256(substitutions[i]) << 4 | substitutions[i + 1];
            packed |= bytes32(pair << (248 - 4 * i));
        }
    }

    /// @notice Substitution `s` of those packed: dense quality indices.
    function pairAt(bytes32 packed, uint256 s) internal pure returns (uint256 from, uint256 to) {
        uint256 pair = uint8(packed[s]);
        return (pair >> 4, pair & 15);
    }
}
