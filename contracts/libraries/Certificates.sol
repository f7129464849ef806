// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Quality} from "./Quality.sol";

/// @title Certificates: claims that were delivered
/// @dev Reference: settlement/reference/settlement.py. Source: docs/formats.md, Settlement.
library Certificates {
    /// @notice How much of each quality's claims was delivered: the best first, each from what its band or a greener one delivered.
    /// @param tallies quality-major, `q * windows + w`
    /// @param codes the quality codes, one a byte from the highest byte on
    /// @param order dense quality indices from the best to the least
    /// @return amounts Wh certified of each cell
    function certified(uint256[] memory tallies, uint256 windows, bytes16 codes, uint256[] memory order)
        internal
        pure
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](tallies.length);
        for (uint256 w; w < windows; ++w) {
            uint256 pool;
            uint256 band = type(uint256).max;
            for (uint256 k; k < order.length; ++k) {
                uint8 code = uint8(codes[order[k]]);
                if (Quality.band(code) == 0) break;
                if (Quality.band(code) != band) {
                    band = Quality.band(code);
                    pool += _deliveredOf(tallies, windows, w, codes, order, band);
                }
                uint256 cell = order[k] * windows + w;
                uint256 claims = uint64(tallies[cell]);
                uint256 amount = claims < pool ? claims : pool;
                amounts[cell] = amount;
                pool -= amount;
            }
        }
    }

    /// @notice The certified part of each lane of `word`, by cumulative rounding; notes the claims gone over in the tallies.
    /// @param cell the cell of the first lane
    function share(
        uint256 word,
        uint256 bits,
        uint256 cell,
        uint256[] memory tallies,
        uint256[] memory amounts
    ) internal pure returns (uint256 kept, uint256 total) {
        uint256 mask = (1 << bits) - 1;
        for (uint256 i; word != 0; ++i) {
            uint256 claim = word & mask;
            word >>= bits;
            if (claim == 0) continue;
            uint256 tally = tallies[cell + i];
            uint256 claims = uint64(tally);
            uint256 before = tally >> 192;
            uint256 part = (before + claim) * amounts[cell + i] / claims - before * amounts[cell + i] / claims;
            tallies[cell + i] = tally + (claim << 192);
            kept |= part << (i * bits);
            total += part;
        }
    }

    /// @notice Dense quality indices from the best to the least.
    function byMerit(bytes16 codes, uint256 count) internal pure returns (uint256[] memory order) {
        order = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            uint256 at = i;
            for (
                ;
                at != 0 && Quality.merit(uint8(codes[order[at - 1]])) < Quality.merit(uint8(codes[i]));
                --at
            ) {
                order[at] = order[at - 1];
            }
            order[at] = i;
        }
    }

    function _deliveredOf(
        uint256[] memory tallies,
        uint256 windows,
        uint256 w,
        bytes16 codes,
        uint256[] memory order,
        uint256 band
    ) private pure returns (uint256 delivered) {
        for (uint256 k; k < order.length; ++k) {
            if (Quality.band(uint8(codes[order[k]])) == band) {
                delivered += uint64(tallies[order[k] * windows + w] >> 128);
            }
        }
    }
}
