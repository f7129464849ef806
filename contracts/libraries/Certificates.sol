// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Quality} from "./Quality.sol";

/// @title Certificates: claims that were delivered
/// @dev Reference: settlement/reference/settlement.py. Source: docs/formats.md, Settlement.
library Certificates {
    /// @dev A round of the day: its cells are `cells + q * windows + w`, those of its session from window `first` up to `end`.
    struct Round {
        uint256 cells;
        uint256 windows; // of the day
        uint256 first;
        uint256 end;
        bytes16 codes; // of its qualities, one a byte from the highest byte on
        uint256[] order; // dense indices of them, from the best to the least
    }

    /// @dev What is shared among the claims of a cell.
    struct Shares {
        uint256[] short; // not delivered: no longer contracted, Wh
        uint256[] certified; // Wh
        uint256[] refunds; // what sellers were not paid for what is short, nano
    }

    /// @dev A claim's parts, Wh, and what is paid back.
    struct Share {
        uint256 short;
        uint256 certified;
        uint256 uncertified; // neither of both
        uint256 refund; // of the cell's `refunds`
    }

    /// @notice What of a round's claims is not delivered: of sales as produced what each quality lacks, the best first; what a quality does not claim is missed by
    /// the next, and the money with it.
    /// @param pots what was not paid for what is not delivered, of each cell
    /// @param shares where to write what is short, and its refunds
    function shortfalls(
        uint256[] memory tallies,
        uint256[] memory pots,
        Shares memory shares,
        Round memory round
    ) internal pure {
        for (uint256 w = round.first; w < round.end; ++w) {
            uint256 loss;
            uint256 money;
            for (uint256 k; k < round.order.length; ++k) {
                if (Quality.isFirm(uint8(round.codes[round.order[k]]))) continue;
                uint256 cell = _cellOf(round, k, w);
                uint256 tally = tallies[cell];
                loss += uint64(tally >> 64) - uint64(tally >> 128);
                if (loss == 0) continue;
                money += pots[cell];
                uint256 claims = uint64(tally);
                uint256 amount = claims < loss ? claims : loss;
                uint256 refund = money * amount / loss;
                (shares.short[cell], shares.refunds[cell]) = (amount, refund);
                (loss, money) = (loss - amount, money - refund);
            }
        }
    }

    /// @notice How much of each quality's claims, less its shortfall, was delivered: the best first, each from what its band or a greener one delivered.
    /// @param shares what `shortfalls` wrote of the same, and where to write what is certified
    function certify(uint256[] memory tallies, Shares memory shares, Round memory round) internal pure {
        for (uint256 w = round.first; w < round.end; ++w) {
            uint256 pool;
            uint256 band = type(uint256).max;
            for (uint256 k; k < round.order.length; ++k) {
                uint8 code = uint8(round.codes[round.order[k]]);
                if (Quality.band(code) == 0) break;
                if (Quality.band(code) != band) {
                    band = Quality.band(code);
                    pool += _deliveredOf(tallies, round, w, band);
                }
                uint256 cell = _cellOf(round, k, w);
                uint256 claims = uint64(tallies[cell]) - shares.short[cell];
                uint256 amount = claims < pool ? claims : pool;
                shares.certified[cell] = amount;
                pool -= amount;
            }
        }
    }

    /// @notice The parts of a claim, by cumulative rounding; notes it as gone over in the tallies.
    /// @param parts where to write them
    function share(
        uint256[] memory tallies,
        Shares memory shares,
        uint256 cell,
        uint256 claim,
        Share memory parts
    ) internal pure {
        unchecked {
            uint256 tally = _at(tallies, cell);
            (uint256 claims, uint256 before) = (uint64(tally), tally >> 192);
            (uint256 short, uint256 amount) = (_at(shares.short, cell), _at(shares.certified, cell));
            tallies[cell] = tally + (claim << 192);
            uint256 then = before + claim;
            (uint256 mine, uint256 refund, uint256 certifiedWh) = (0, 0, 0);
            if (short != 0) {
                (uint256 shortBefore, uint256 shortThen) = (before * short / claims, then * short / claims);
                mine = shortThen - shortBefore;
                (before, then) = (before - shortBefore, then - shortThen);
                if (mine != 0) {
                    uint256 refunds = _at(shares.refunds, cell);
                    refund = shortThen * refunds / short - shortBefore * refunds / short;
                }
            }
            if (amount != 0) {
                claims -= short;
                certifiedWh = then * amount / claims - before * amount / claims;
            }
            (parts.short, parts.refund, parts.certified) = (mine, refund, certifiedWh);
            parts.uncertified = claim - mine - certifiedWh;
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

    /// @dev Of a place that there is.
    function _at(uint256[] memory list, uint256 place) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(list, shl(5, add(place, 1))))
        }
    }

    function _deliveredOf(uint256[] memory tallies, Round memory round, uint256 w, uint256 band)
        private
        pure
        returns (uint256 delivered)
    {
        for (uint256 k; k < round.order.length; ++k) {
            if (Quality.band(uint8(round.codes[round.order[k]])) == band) {
                delivered += uint64(tallies[_cellOf(round, k, w)] >> 128);
            }
        }
    }

    /// @param k a quality's place in the order of merit
    function _cellOf(Round memory round, uint256 k, uint256 w) private pure returns (uint256) {
        return round.cells + round.order[k] * round.windows + w;
    }
}
