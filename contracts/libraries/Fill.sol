// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../interfaces/IClearing.sol";
import {Marginal} from "./Posted.sol";

/// @dev Where a zone's cells lie in memory while a call works on them; cells are quality-major, `q * windows + w`.
///
/// Lanes, for what is compared and summed four windows at a time: per quality five rows of 8 bytes a window, `rowBytes` apart:
///   above    2^63 - 1 - a    so that adding a limit sets the top bit where it is above a
///   below    2^63 - 1 + b    so that taking a limit off leaves the top bit where it is below b
///   bought   Wh
///   sold     Wh
///   prices   2^29 more than the price, the last window first: one product then values four fills
/// where a and b are the greater and the smaller of `e - y` in the highest and the lowest potentials, and limits have their sign bit flipped.
/// The price lies between: a limit beyond a or b is certainly filled or left, and can neither bind the potentials nor be violated by them.
///
/// Cells: seven words each, for the few limits between a and b, and to be carried to the next chunk.
struct Table {
    uint256 windows;
    uint256 count; // of cells
    uint256 rowBytes;
    uint256 lanes;
    uint256 cells;
}

/// @dev What the derivation of one schedule needs, in memory, where it does not crowd the stack.
struct Frame {
    uint256 end; // of the entries in calldata
    uint256 tail; // bytes of entries in the last word, zero if it is full
    uint256 firstRow; // where the lanes of its first window lie
    uint256 firstCell;
    uint256 exceeded; // not zero once an at-price quantity went beyond the posted total
}

/// @title Fill: every fill follows from the price; every order bounds it
/// @dev A carried cell is one word:
///
///   | 255..192 | 191..160 | 159..128 | 127..64 | 63..0  |
///   | net      | lb       | ub       | A sells | A buys |
///
/// Source: docs/clearing.md. Reference: settlement/reference/fill.py.
library Fill {
    /// @dev A cell in memory: at-price totals so far, bounds gathered, net bought in earlier chunks, marginal, price.
    uint256 internal constant STRIDE = 0xe0;
    uint256 internal constant BUYS = 0x00;
    uint256 internal constant SELLS = 0x20;
    uint256 internal constant UB = 0x40;
    uint256 internal constant LB = 0x60;
    uint256 internal constant NET = 0x80;
    uint256 internal constant MARGINAL = 0xa0;
    uint256 private constant PRICE = 0xc0;

    /// @notice Added to a price to make it positive: potentials are within 2^29 of zero, those of qualities not above it.
    uint256 internal constant PRICE_BIAS = 1 << 29;

    uint256 internal constant ROWS = 5;

    /// @dev A carried cell that no order has touched: no bounds, nothing at the price.
    uint256 private constant FRESH = 0x800000007fffffff00000000000000000000000000000000;

    uint256 private constant MASK_64 = 0xffffffffffffffff;

    /// @dev Over the four 64-bit lanes of a word: the top bits, the sign bits of limits, the lower halves.
    uint256 private constant TOPS = 0x8000000000000000800000000000000080000000000000008000000000000000;
    uint256 private constant SIGNS = 0x0000000080000000000000008000000000000000800000000000000080000000;
    /// @dev Multiplied by four lanes below 2^16, it has them side by side in its top 64 bits, the first lowest.
    uint256 private constant GATHER_16 = 0x0001000000000000000000010000000000000000000100000000000000000001;
    uint256 private constant LOWS = 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;

    /// @notice Unpacks posted potentials, marginals and carried cells (none in a first chunk).
    /// @dev The arrays' lengths have been checked.
    function load(
        uint256[] calldata qualityPotentials,
        uint256[] calldata energyPotentials,
        uint256[] calldata marginals,
        uint256[] calldata cells
    ) internal pure returns (Table memory table) {
        uint256 windows = energyPotentials.length;
        table.windows = windows;
        table.count = marginals.length;
        table.rowBytes = 8 * windows + 32;
        table.lanes = _zeros(ROWS * table.rowBytes * (marginals.length / windows));
        table.cells = _zeros(STRIDE * marginals.length);
        for (uint256 first; first < marginals.length; first += windows) {
            uint256 rows = rowsOf(table, first / windows);
            _loadPrices(
                rows, table.rowBytes, table.cells + STRIDE * first, qualityPotentials, energyPotentials, first
            );
        }
        _loadCells(table.cells, marginals, cells);
    }

    /// @notice Where the rows of a quality begin.
    function rowsOf(Table memory table, uint256 quality) internal pure returns (uint256) {
        return table.lanes + ROWS * table.rowBytes * quality;
    }

    /// @notice Net bought of a cell, Wh, given where its lanes lie.
    function netOf(uint256 row, uint256 rowBytes, uint256 cell) internal pure returns (int256 net) {
        assembly ("memory-safe") {
            let bought := shr(192, mload(add(row, shl(1, rowBytes))))
            let sold := shr(192, mload(add(row, mul(3, rowBytes))))
            net := add(mload(add(cell, NET)), sub(bought, sold))
        }
    }

    /// @notice Packs the cells again, to be carried to the next chunk, as words from `to` on.
    function store(Table memory table, uint256 to) internal pure {
        (uint256 windows, uint256 rowBytes, uint256 cell) = (table.windows, table.rowBytes, table.cells);
        unchecked {
            for (uint256 quality; quality < table.count / windows; ++quality) {
                uint256 row = rowsOf(table, quality);
                for (uint256 w; w < windows; ++w) {
                    int256 net = netOf(row, rowBytes, cell);
                    assembly ("memory-safe") {
                        let word := or(mload(add(cell, BUYS)), shl(64, mload(add(cell, SELLS))))
                        word := or(word, shl(128, and(mload(add(cell, UB)), 0xffffffff)))
                        word := or(word, shl(160, and(mload(add(cell, LB)), 0xffffffff)))
                        mstore(to, or(word, shl(192, net)))
                    }
                    (to, row, cell) = (to + 32, row + 8, cell + STRIDE);
                }
            }
        }
    }

    /// @notice Derives the fills of one schedule from the prices, and lets its entries bound their cells.
    /// @dev Strictly better than the price fills, strictly worse does not, at the price shares the marginal volume by cumulative rounding.
    /// The bounds of at-price orders are their group's: an order that rounds to zero bounds as the rest of its group does.
    /// Four entries a round, in 64-bit lanes of quantity above limit, the first in the highest.
    /// @param at where the entries begin in calldata
    /// @param frame the rest of what is read
    /// @param rowBytes between rows of lanes
    /// @param price where the lanes of prices of the first four windows lie
    /// @param side 0 buys, 1 sells
    /// @param laneBytes width of a lane of the account
    /// @param lane where to write the first fill: its last byte is that of the word at `lane`, later lanes lie below
    /// @return worthNano sum of fill x (price + PRICE_BIAS)
    function derive(
        uint256 at,
        Frame memory frame,
        uint256 rowBytes,
        uint256 price,
        uint256 side,
        uint256 laneBytes,
        uint256 lane
    ) internal pure returns (uint256 worthNano) {
        assembly ("memory-safe") {
            // The fills of those of four entries whose limits lie between the two differences.
            function nearPrices(lanes, word, quantities, context, row, sells) -> fills {
                let cell :=
                    add(mload(add(context, 0x60)), mul(div(sub(row, mload(add(context, 0x40))), 8), STRIDE))
                for { let shift := 192 } 1 { shift := sub(shift, 64) } {
                    let quantity := and(shr(shift, quantities), 0xffffffff)
                    if quantity {
                        if and(shr(add(shift, 63), lanes), 1) {
                            let fill :=
                                nearPrice(cell, quantity, signextend(3, shr(shift, word)), sells, context)
                            fills := or(fills, shl(shift, fill))
                        }
                    }
                    if iszero(shift) { leave }
                    cell := add(cell, STRIDE)
                }
            }
            // A limit at the price shares; another fills or not, and may bind.
            // slither-disable-next-line write-after-write (it leaves in between)
            function nearPrice(cell, quantity, limit, sells, context) -> fill {
                if eq(limit, mload(add(cell, PRICE))) {
                    fill := share(cell, quantity, limit, sells, context)
                    leave
                }
                let better := sgt(limit, mload(add(cell, PRICE)))
                fill := mul(quantity, xor(better, sells))
                if better {
                    lower(add(cell, UB), limit)
                    leave
                }
                raise(add(cell, LB), limit)
            }
            // floor((A+q)R/M) - floor(AR/M), and the bounds of the group.
            function share(cell, quantity, limit, sells, context) -> fill {
                let marginal := shr(shl(7, sells), mload(add(cell, MARGINAL)))
                let total := and(marginal, MASK_64)
                let part := and(shr(64, marginal), MASK_64)
                let sumAt := add(add(cell, BUYS), shl(5, sells))
                let before := mload(sumAt)
                quantity := add(before, quantity)
                if gt(quantity, total) {
                    mstore(add(context, 0x80), 1)
                    leave
                }
                mstore(sumAt, quantity)
                fill := sub(div(mul(quantity, part), total), div(mul(before, part), total))
                // Buys that fill and sells that do not bound from above; the others from below.
                if iszero(sells) {
                    if part { lower(add(cell, UB), limit) }
                    if lt(part, total) { raise(add(cell, LB), limit) }
                    leave
                }
                if lt(part, total) { lower(add(cell, UB), limit) }
                if part { raise(add(cell, LB), limit) }
            }
            function lower(place, bound) {
                if slt(bound, mload(place)) { mstore(place, bound) }
            }
            function raise(place, bound) {
                if sgt(bound, mload(place)) { mstore(place, bound) }
            }

            for { let row := mload(add(frame, 0x40)) } lt(at, mload(frame)) {} {
                let word := calldataload(at)
                at := add(at, 0x20)
                let quantities := and(shr(32, word), LOWS)
                let limits := and(xor(word, SIGNS), LOWS)
                if gt(at, mload(frame)) {
                    // Behind the last entry: no quantity, and nothing that would borrow from the lane before.
                    let kept := not(shr(shl(3, mload(add(frame, 0x20))), not(0)))
                    quantities := and(quantities, kept)
                    limits := and(limits, kept)
                }
                let beyond := and(add(limits, mload(row)), TOPS)
                limits := and(sub(mload(add(row, rowBytes)), limits), TOPS)
                // The lanes that are neither above nor below.
                let near := xor(TOPS, or(beyond, limits))
                if side { beyond := limits }
                let fills := and(quantities, sub(beyond, shr(63, beyond)))
                if near { fills := or(fills, nearPrices(near, word, quantities, frame, row, side)) }
                if fills {
                    let total := add(row, mul(add(2, side), rowBytes))
                    mstore(total, add(mload(total), fills))
                    worthNano := add(worthNano, shr(192, mul(fills, mload(price))))
                    switch laneBytes
                    case 2 { fills := shr(192, mul(fills, GATHER_16)) }
                    default {
                        let even := or(shr(192, fills), and(fills, 0xffffffff0000000000000000))
                        fills := or(
                            even,
                            or(and(shr(96, fills), 0xffffffff00000000), shl(96, and(fills, 0xffffffff)))
                        )
                    }
                }
                // Writing lanes wipes the ones below them, which come later.
                mstore(lane, fills)
                lane := sub(lane, shl(2, laneBytes))
                price := sub(price, 0x20)
                row := add(row, 0x20)
            }
        }
    }

    /// @notice Where the lanes of prices of four windows lie, from window `w` of the quality with these rows on.
    function pricesAt(Table memory table, uint256 rows, uint256 w) internal pure returns (uint256) {
        return rows + 5 * table.rowBytes - 32 - 8 * w;
    }

    /// @dev Prices and comparison lanes of the cells of one quality, `first` on.
    function _loadPrices(
        uint256 rows,
        uint256 rowBytes,
        uint256 cell,
        uint256[] calldata qualityPotentials,
        uint256[] calldata energyPotentials,
        uint256 first
    ) private pure {
        assembly ("memory-safe") {
            let from := energyPotentials.offset
            let prices := add(rows, sub(mul(5, rowBytes), 0x20))
            let size := shl(5, energyPotentials.length)
            // From an energy potential to the quality's of the same window; the ground has none.
            let quality := sub(add(qualityPotentials.offset, sub(shl(5, first), size)), from)
            for { let end := add(from, size) } lt(from, end) { from := add(from, 0x20) } {
                let e := calldataload(from)
                let y := 0
                if first { y := calldataload(add(from, quality)) }
                let lo := signextend(3, e)
                let hi := signextend(3, shr(32, e))
                let price := sar(1, add(lo, hi))
                e := signextend(3, y)
                y := signextend(3, shr(32, y))
                price := sub(price, sar(1, add(e, y)))
                mstore(add(cell, PRICE), price)
                // Written from the end of the row backwards, each as the last lane of a word, the later ones above it.
                mstore(prices, add(price, PRICE_BIAS))
                lo := sub(lo, e)
                hi := sub(hi, y)
                let swapped := mul(xor(lo, hi), sgt(lo, hi))
                // The sign bit flipped is 2^31 more; a lane is written at the top of its word, over what comes later.
                mstore(rows, shl(192, sub(0x7fffffff7fffffff, xor(hi, swapped))))
                mstore(add(rows, rowBytes), shl(192, add(0x800000007fffffff, xor(lo, swapped))))
                prices := sub(prices, 8)
                cell := add(cell, STRIDE)
                rows := add(rows, 8)
            }
        }
    }

    /// @dev What the cells carry, and their marginals, of which no more fills than there is.
    function _loadCells(uint256 at, uint256[] calldata marginals, uint256[] calldata cells) private pure {
        uint256 beyond;
        assembly ("memory-safe") {
            let from := marginals.offset
            let carried := sub(cells.offset, from)
            for { let end := add(from, shl(5, marginals.length)) } lt(from, end) { from := add(from, 0x20) } {
                let word := calldataload(from)
                mstore(add(at, MARGINAL), word)
                beyond := or(beyond, gt(and(shr(64, word), MASK_64), and(word, MASK_64)))
                beyond := or(beyond, gt(shr(192, word), and(shr(128, word), MASK_64)))
                word := FRESH
                if cells.length { word := calldataload(add(from, carried)) }
                mstore(add(at, NET), sar(192, word))
                mstore(add(at, BUYS), and(word, MASK_64))
                mstore(add(at, SELLS), and(shr(64, word), MASK_64))
                mstore(add(at, UB), signextend(3, shr(128, word)))
                mstore(add(at, LB), signextend(3, shr(160, word)))
                at := add(at, STRIDE)
            }
        }
        if (beyond != 0) _refuseMarginal(marginals);
    }

    /// @dev Names the first cell of which more fills at the price than there is.
    function _refuseMarginal(uint256[] calldata marginals) private pure {
        for (uint256 i; i < marginals.length; ++i) {
            Marginal m = Marginal.wrap(marginals[i]);
            if (m.filled(0) > m.total(0) || m.filled(1) > m.total(1)) revert IClearing.MarginalOutOfRange(i);
        }
    }

    /// @dev Fresh memory, zeroed: what lies behind the end of calldata reads as zeros.
    function _zeros(uint256 size) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, size))
            calldatacopy(at, calldatasize(), size)
        }
    }
}
