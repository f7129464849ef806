// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../interfaces/IClearing.sol";

/// @title Fill: every fill follows from the price; every order bounds it
/// @dev The cells of a zone are unpacked once per call into a table of ten words each, quality-major:
///
///   0x00 above   0x20 below   0x40 price   0x60 net bought   0x80 marginal   0xa0 A of buys   0xc0 A of sells   0xe0 ub   0x100 lb   0x120 support
///
/// A cell travels from chunk to chunk in one word:
///
///   | 255..192 | 191..160 | 159..128 | 127..64 | 63..0  |
///   | net      | lb       | ub       | A sells | A buys |
///
/// `above` and `below` are the greater and the smaller of `e - y` in the highest and the lowest potentials; the price lies between. A limit beyond
/// them can neither bind nor be violated, so only limits between them are gathered into `ub` and `lb`.
/// Source: docs/clearing.md. Reference: settlement/reference/fill.py.
library Fill {
    uint256 internal constant STRIDE = 0x140;

    /// @dev Words of a cell.
    uint256 internal constant NET = 0x60;
    uint256 internal constant MARGINAL = 0x80;
    uint256 internal constant BUYS = 0xa0;
    uint256 internal constant SELLS = 0xc0;
    uint256 internal constant UB = 0xe0;
    uint256 internal constant LB = 0x100;
    uint256 internal constant SUPPORT = 0x120;

    /// @dev A carried cell that no order has touched: no bounds, nothing at the price.
    uint256 internal constant FRESH = uint256(type(uint32).max >> 1) << 128 | uint256(1 << 31) << 160;

    uint256 private constant BELOW = 0x20;
    uint256 private constant PRICE = 0x40;

    uint256 private constant LIMITS_BEHIND = 0x1000; // as in ScheduleCodec

    /// @notice Unpacks posted potentials, marginals and carried cells (none in a first chunk) into a fresh table.
    /// @dev The arrays' lengths have been checked.
    /// @return table where it starts
    function load(
        uint256[] calldata qualityPotentials,
        uint256[] calldata energyPotentials,
        uint256[] calldata marginals,
        uint256[] calldata cells
    ) internal pure returns (uint256 table) {
        assembly ("memory-safe") {
            table := mload(0x40)
            mstore(0x40, add(table, mul(marginals.length, STRIDE)))
        }
        uint256 windows = energyPotentials.length;
        uint256 at = table;
        unchecked {
            for (uint256 i; i < marginals.length;) {
                for (uint256 w; w < windows; ++w) {
                    uint256 y = i < windows ? 0 : _word(qualityPotentials, i - windows);
                    _putPrices(at, _word(energyPotentials, w), y);
                    if (!_putCell(at, _word(marginals, i), cells.length == 0 ? FRESH : _word(cells, i))) {
                        revert IClearing.MarginalOutOfRange(i);
                    }
                    at += STRIDE;
                    ++i;
                }
            }
        }
    }

    /// @notice Packs the table's cells again, to be carried to the next chunk.
    function store(uint256 table, uint256 count) internal pure returns (uint256[] memory cells) {
        cells = new uint256[](count);
        assembly ("memory-safe") {
            let to := add(cells, 0x20)
            for { let end := add(to, shl(5, count)) } lt(to, end) { to := add(to, 0x20) } {
                let word := or(mload(add(table, BUYS)), shl(64, mload(add(table, SELLS))))
                word := or(word, shl(128, and(mload(add(table, UB)), 0xffffffff)))
                word := or(word, shl(160, and(mload(add(table, LB)), 0xffffffff)))
                mstore(to, or(word, shl(192, mload(add(table, NET)))))
                table := add(table, STRIDE)
            }
        }
    }

    /// @notice Derives the fills of one schedule from the prices, and lets its entries bound their cells.
    /// @dev Strictly better than the price fills, strictly worse does not, at the price shares the marginal volume by cumulative rounding.
    /// The bounds of at-price orders are their group's: an order that rounds to zero bounds as the rest of its group does.
    /// @param cell table position of the schedule's first cell
    /// @param entries how many
    /// @param quantities where its quantities lie, Wh, a word each; its limits `ScheduleCodec.LIMITS_BEHIND` behind
    /// @param side 0 buys, 1 sells
    /// @param laneBits width of a lane
    /// @param shift where in its word the first window's lane begins
    /// @param lanes where to write the fills, packed in lanes
    /// @return costNano sum of fill x price, negative for a sell at a positive price
    /// @return exceeded true if an at-price quantity goes beyond the posted total
    function derive(
        uint256 cell,
        uint256 entries,
        uint256 quantities,
        uint256 side,
        uint256 laneBits,
        uint256 shift,
        uint256 lanes
    ) internal pure returns (int256 costNano, bool exceeded) {
        assembly ("memory-safe") {
            // A limit between `below` and `above`: it is at the price, or may bind.
            function nearPrice(at, quantity, limit, sells) -> fill {
                if iszero(quantity) { leave }
                let price := mload(add(at, PRICE))
                if eq(limit, price) {
                    fill := share(at, quantity, limit, sells)
                    leave
                }
                let better := sgt(limit, price)
                fill := mul(quantity, xor(better, sells))
                if better {
                    lower(add(at, UB), limit)
                    leave
                }
                raise(add(at, LB), limit)
            }
            // The at-price share, floor((A+q)R/M) - floor(AR/M), and the bounds of the group. Scratch space notes an excess.
            function share(at, quantity, limit, sells) -> fill {
                let marginal := shr(shl(7, sells), mload(add(at, MARGINAL)))
                let total := and(marginal, 0xffffffffffffffff)
                let part := and(shr(64, marginal), 0xffffffffffffffff)
                let sumAt := add(add(at, BUYS), shl(5, sells))
                let before := mload(sumAt)
                quantity := add(before, quantity)
                if gt(quantity, total) { mstore(0x00, 1) }
                mstore(sumAt, quantity)
                fill := sub(div(mul(quantity, part), total), div(mul(before, part), total))
                // Buys that fill and sells that do not bound from above; the others from below.
                if xor(sells, 1) {
                    if part { lower(add(at, UB), limit) }
                    if lt(part, total) { raise(add(at, LB), limit) }
                    leave
                }
                if lt(part, total) { lower(add(at, UB), limit) }
                if part { raise(add(at, LB), limit) }
            }
            function lower(at, bound) {
                if slt(bound, mload(at)) { mstore(at, bound) }
            }
            function raise(at, bound) {
                if sgt(bound, mload(at)) { mstore(at, bound) }
            }

            mstore(0x00, 0)
            let word := 0
            for { let end := add(quantities, shl(5, entries)) } lt(quantities, end) { quantities := add(quantities, 0x20) } {
                let limit := mload(add(quantities, LIMITS_BEHIND))
                let fill := sgt(limit, mload(cell))
                switch or(fill, slt(limit, mload(add(cell, BELOW))))
                case 0 { fill := nearPrice(cell, mload(quantities), limit, side) }
                default { fill := mul(mload(quantities), xor(fill, side)) }
                if fill {
                    word := or(word, shl(shift, fill))
                    if side { fill := sub(0, fill) }
                    costNano := add(costNano, mul(fill, mload(add(cell, PRICE))))
                    mstore(add(cell, NET), add(mload(add(cell, NET)), fill))
                }
                cell := add(cell, STRIDE)
                shift := add(shift, laneBits)
                if shr(8, shift) {
                    mstore(lanes, word)
                    lanes := add(lanes, 0x20)
                    word := 0
                    shift := 0
                }
            }
            if shift { mstore(lanes, word) }
            exceeded := mload(0x00)
        }
    }

    /// @dev The price of a cell, and the greater and the smaller difference of its two pairs of potentials.
    function _putPrices(uint256 at, uint256 e, uint256 y) private pure {
        assembly ("memory-safe") {
            let lo := sub(signextend(3, e), signextend(3, y))
            let hi := sub(signextend(3, shr(32, e)), signextend(3, shr(32, y)))
            let middle := sar(1, add(signextend(3, e), signextend(3, shr(32, e))))
            mstore(add(at, PRICE), sub(middle, sar(1, add(signextend(3, y), signextend(3, shr(32, y))))))
            let swapped := mul(xor(lo, hi), sgt(lo, hi))
            mstore(at, xor(hi, swapped))
            mstore(add(at, BELOW), xor(lo, swapped))
        }
    }

    /// @return fits true if no more fills at the price than there is
    function _putCell(uint256 at, uint256 marginal, uint256 cell) private pure returns (bool fits) {
        assembly ("memory-safe") {
            let mask := 0xffffffffffffffff
            mstore(add(at, NET), signextend(7, shr(192, cell)))
            mstore(add(at, MARGINAL), marginal)
            mstore(add(at, BUYS), and(cell, mask))
            mstore(add(at, SELLS), and(shr(64, cell), mask))
            mstore(add(at, UB), signextend(3, shr(128, cell)))
            mstore(add(at, LB), signextend(3, shr(160, cell)))
            fits := iszero(
                or(
                    gt(and(shr(64, marginal), mask), and(marginal, mask)),
                    gt(shr(192, marginal), and(shr(128, marginal), mask))
                )
            )
        }
    }

    function _word(uint256[] calldata array, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(array.offset, shl(5, index)))
        }
    }
}
