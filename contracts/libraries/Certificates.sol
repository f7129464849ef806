// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Quality} from "./Quality.sol";

/// @title Certificates: claims that were delivered
/// @dev Reference: settlement/reference/settlement.py. Source: docs/formats.md, Settlement.
library Certificates {
    /// @dev What is shared among the claims of a quality in a window, Wh.
    struct Shares {
        uint256[] short; // not delivered: no longer contracted
        uint256[] certified;
    }

    /// @dev A claim's parts, Wh.
    struct Share {
        uint256 short;
        uint256 certified;
        uint256 uncertified; // neither of both
    }

    /// @notice What of each quality's claims is not delivered: of sales as produced what each lacks, the best first; what a quality does not claim is missed by the next.
    /// @param tallies quality-major, `q * windows + w`
    /// @param codes the quality codes, one a byte from the highest byte on
    /// @param order dense quality indices from the best to the least
    /// @return amounts Wh of each cell
    function shortfalls(uint256[] memory tallies, uint256 windows, bytes16 codes, uint256[] memory order)
        internal
        pure
        returns (uint256[] memory amounts)
    {
        amounts = new uint256[](tallies.length);
        for (uint256 w; w < windows; ++w) {
            uint256 loss;
            for (uint256 k; k < order.length; ++k) {
                if (Quality.isFirm(uint8(codes[order[k]]))) continue;
                uint256 tally = tallies[order[k] * windows + w];
                loss += uint64(tally >> 64) - uint64(tally >> 128);
                uint256 claims = uint64(tally);
                uint256 amount = claims < loss ? claims : loss;
                amounts[order[k] * windows + w] = amount;
                loss -= amount;
            }
        }
    }

    /// @notice How much of each quality's claims, less its shortfall, was delivered: the best first, each from what its band or a greener one delivered.
    /// @param short `shortfalls` of the same
    /// @return amounts Wh certified of each cell
    function certified(
        uint256[] memory tallies,
        uint256[] memory short,
        uint256 windows,
        bytes16 codes,
        uint256[] memory order
    ) internal pure returns (uint256[] memory amounts) {
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
                uint256 claims = uint64(tallies[cell]) - short[cell];
                uint256 amount = claims < pool ? claims : pool;
                amounts[cell] = amount;
                pool -= amount;
            }
        }
    }

    /// @notice The parts of a claim, by cumulative rounding; notes it as gone over in the tallies.
    function share(uint256[] memory tallies, Shares memory shares, uint256 cell, uint256 claim)
        internal
        pure
        returns (Share memory parts)
    {
        uint256 tally = tallies[cell];
        (uint256 claims, uint256 before) = (uint64(tally), tally >> 192);
        (uint256 short, uint256 amount) = (shares.short[cell], shares.certified[cell]);
        tallies[cell] = tally + (claim << 192);
        uint256 shortBefore = before * short / claims;
        parts.short = (before + claim) * short / claims - shortBefore;
        if (amount != 0) {
            uint256 left = claims - short;
            before -= shortBefore;
            parts.certified = (before + claim - parts.short) * amount / left - before * amount / left;
        }
        parts.uncertified = claim - parts.short - parts.certified;
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
