// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title PackedWindows: balances of neighbouring windows in one word
/// @dev 16 lanes of 16 bits (home) or 8 lanes of 32 bits (wide), lane `windowIndex % lanes`, lane 0 lowest. docs/formats.md, Packed windows.
library PackedWindows {
    /// @notice A lane would exceed its width.
    error LaneOverflow(uint256 word, uint256 added);
    /// @notice A lane holds less than is taken from it.
    error LaneUnderflow(uint256 word, uint256 lane, uint256 taken);

    /// @dev The top bit of each lane.
    uint256 private constant TOP_16 = 0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant TOP_32 = 0x8000000080000000800000008000000080000000800000008000000080000000;

    uint256 private constant EVEN_16 = 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF;
    uint256 private constant EVEN_32 = 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
    uint256 private constant ONES_32 = 0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant ONES_64 = 0x0000000000000001000000000000000100000000000000010000000000000001;

    function lanesOf(bool wide) internal pure returns (uint256) {
        return wide ? 8 : 16;
    }

    function bitsOf(bool wide) internal pure returns (uint256) {
        return wide ? 32 : 16;
    }

    /// @notice Adds two words lane by lane.
    /// @dev A carry out of a lane shows in its top bit: set in both, or in one of them and not in the sum. No carry means no bleeding into the next.
    function add(uint256 word, uint256 added, bool wide) internal pure returns (uint256 sum) {
        unchecked {
            sum = word + added;
        }
        uint256 carries = (word & added) | ((word | added) & ~sum);
        if (carries & (wide ? TOP_32 : TOP_16) != 0) revert LaneOverflow(word, added);
    }

    /// @notice The sum of all lanes.
    function total(uint256 word, bool wide) internal pure returns (uint256 sum) {
        unchecked {
            if (!wide) {
                // Neighbours add up to 8 lanes of 32 bits; the top lane of the product is the sum of all.
                word = (word & EVEN_16) + ((word >> 16) & EVEN_16);
                return (word * ONES_32) >> 224;
            }
            word = (word & EVEN_32) + ((word >> 32) & EVEN_32);
            return (word * ONES_64) >> 192;
        }
    }

    function get(uint256 word, uint256 lane, bool wide) internal pure returns (uint256) {
        uint256 bits = bitsOf(wide);
        return (word >> (lane * bits)) & ((1 << bits) - 1);
    }

    function sub(uint256 word, uint256 lane, uint256 amount, bool wide) internal pure returns (uint256) {
        if (get(word, lane, wide) < amount) revert LaneUnderflow(word, lane, amount);
        return word - (amount << (lane * bitsOf(wide)));
    }

    /// @notice `amount` in its lane, zero elsewhere.
    function at(uint256 lane, uint256 amount, bool wide) internal pure returns (uint256) {
        uint256 bits = bitsOf(wide);
        if (amount >> bits != 0) revert LaneOverflow(0, amount);
        return amount << (lane * bits);
    }
}
