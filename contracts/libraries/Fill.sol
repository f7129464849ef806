// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../interfaces/IClearing.sol";
import {Cell, CellLib, Marginal, Potential} from "./Posted.sol";

/// @title Fill: every fill follows from the price; every order bounds it
/// @dev The cells of a zone are unpacked once per call into a table of eight words each, quality-major:
///
///   0x00 price   0x20 ub   0x40 lb   0x60 net bought   0x80 marginal   0xa0 A of buys   0xc0 A of sells   0xe0 unused
///
/// Source: docs/clearing.md. Reference: settlement/reference/fill.py.
library Fill {
    uint256 internal constant STRIDE = 0x100;

    /// @notice Unpacks posted potentials, marginals and carried cells (none in a first chunk) into a fresh table.
    /// @return table where it starts
    function load(
        uint256[] calldata qualityPotentials,
        uint256[] calldata energyPotentials,
        uint256[] calldata marginals,
        uint256[] calldata cells
    ) internal pure returns (uint256 table) {
        uint256 windows = energyPotentials.length;
        bool fresh = cells.length == 0;
        uint256 at;
        assembly ("memory-safe") {
            table := mload(0x40)
            mstore(0x40, add(table, mul(marginals.length, STRIDE)))
            at := table
        }
        unchecked {
            for (uint256 i; i < marginals.length; ++i) {
                Marginal m = Marginal.wrap(marginals[i]);
                if (m.filled(0) > m.total(0) || m.filled(1) > m.total(1)) revert IClearing.MarginalOutOfRange(i);
                int256 price = Potential.wrap(energyPotentials[i % windows]).mid();
                if (i >= windows) price -= Potential.wrap(qualityPotentials[i - windows]).mid();
                Cell cell = fresh ? CellLib.pack(0, 0, CellLib.NO_UB, CellLib.NO_LB, 0) : Cell.wrap(cells[i]);
                (int256 ub, int256 lb, int256 net) = (cell.ub(), cell.lb(), cell.net());
                (uint256 buys, uint256 sells) = (cell.atPrice(0), cell.atPrice(1));
                assembly ("memory-safe") {
                    mstore(at, price)
                    mstore(add(at, 0x20), ub)
                    mstore(add(at, 0x40), lb)
                    mstore(add(at, 0x60), net)
                    mstore(add(at, 0x80), m)
                    mstore(add(at, 0xa0), buys)
                    mstore(add(at, 0xc0), sells)
                    at := add(at, STRIDE)
                }
            }
        }
    }

    /// @notice The packed cells of an empty book.
    function empty(uint256 count) internal pure returns (uint256[] memory cells) {
        cells = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            cells[i] = Cell.unwrap(CellLib.pack(0, 0, CellLib.NO_UB, CellLib.NO_LB, 0));
        }
    }

    /// @notice Packs the table's cells again, to be carried to the next chunk.
    function store(uint256 table, uint256 count) internal pure returns (uint256[] memory cells) {
        cells = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            uint256 buys;
            uint256 sells;
            int256 ub;
            int256 lb;
            int256 net;
            assembly ("memory-safe") {
                ub := mload(add(table, 0x20))
                lb := mload(add(table, 0x40))
                net := mload(add(table, 0x60))
                buys := mload(add(table, 0xa0))
                sells := mload(add(table, 0xc0))
                table := add(table, STRIDE)
            }
            cells[i] = Cell.unwrap(CellLib.pack(buys, sells, ub, lb, net));
        }
    }

    /// @notice Derives the fills of one schedule from the prices, and lets its entries bound their cells.
    /// @dev Strictly better than the price fills, strictly worse does not, at the price shares the marginal volume by cumulative rounding.
    /// The bounds of at-price orders are their group's: an order that rounds to zero bounds as the rest of its group does.
    /// @param cell table position of the schedule's first cell
    /// @param entries how many
    /// @param quantities where its quantities lie, Wh, a word each; `limits` likewise, micro/kWh
    /// @param side 0 buys, 1 sells
    /// @param laneBits width of a lane
    /// @param shift where in its word the first window's lane begins
    /// @param lanes where to write the fills, packed in lanes
    /// @return filledWh sum of fills
    /// @return worthNano sum of fill x price
    /// @return exceeded true if an at-price quantity goes beyond the posted total
    function derive(
        uint256 cell,
        uint256 entries,
        uint256 quantities,
        uint256 limits,
        uint256 side,
        uint256 laneBits,
        uint256 shift,
        uint256 lanes
    ) internal pure returns (uint256 filledWh, int256 worthNano, bool exceeded) {
        assembly ("memory-safe") {
            function lower(at, bound) {
                if slt(bound, mload(at)) { mstore(at, bound) }
            }
            function raise(at, bound) {
                if sgt(bound, mload(at)) { mstore(at, bound) }
            }
            // The at-price share, floor((A+q)R/M) - floor(AR/M), and the bounds of the group.
            function share(at, quantity, limit, sells) -> fill, beyond {
                let marginal := shr(shl(7, sells), mload(add(at, 0x80)))
                let total := and(marginal, 0xffffffffffffffff)
                let part := and(shr(64, marginal), 0xffffffffffffffff)
                let sumAt := add(add(at, 0xa0), shl(5, sells))
                let before := mload(sumAt)
                let after_ := add(before, quantity)
                beyond := gt(after_, total)
                mstore(sumAt, after_)
                fill := sub(div(mul(after_, part), total), div(mul(before, part), total))
                let some := gt(part, 0)
                let notAll := lt(part, total)
                switch sells
                case 0 {
                    if some { lower(add(at, 0x20), limit) }
                    if notAll { raise(add(at, 0x40), limit) }
                }
                default {
                    if notAll { lower(add(at, 0x20), limit) }
                    if some { raise(add(at, 0x40), limit) }
                }
            }

            let buys := iszero(side)
            let word := 0
            for { let end := add(quantities, shl(5, entries)) } lt(quantities, end) {} {
                let quantity := mload(quantities)
                if quantity {
                    let limit := mload(limits)
                    let price := mload(cell)
                    let fill := 0
                    switch eq(limit, price)
                    case 0 {
                        switch sgt(limit, price)
                        case 1 {
                            if slt(limit, mload(add(cell, 0x20))) { mstore(add(cell, 0x20), limit) }
                            fill := mul(quantity, buys)
                        }
                        default {
                            if sgt(limit, mload(add(cell, 0x40))) { mstore(add(cell, 0x40), limit) }
                            fill := mul(quantity, side)
                        }
                    }
                    default {
                        let beyond
                        fill, beyond := share(cell, quantity, limit, side)
                        exceeded := or(exceeded, beyond)
                    }
                    if fill {
                        filledWh := add(filledWh, fill)
                        worthNano := add(worthNano, mul(fill, price))
                        word := or(word, shl(shift, fill))
                        let netAt := add(cell, 0x60)
                        switch side
                        case 0 { mstore(netAt, add(mload(netAt), fill)) }
                        default { mstore(netAt, sub(mload(netAt), fill)) }
                    }
                }
                shift := add(shift, laneBits)
                if eq(shift, 256) {
                    mstore(lanes, word)
                    lanes := add(lanes, 0x20)
                    word := 0
                    shift := 0
                }
                quantities := add(quantities, 0x20)
                limits := add(limits, 0x20)
                cell := add(cell, STRIDE)
            }
            if shift { mstore(lanes, word) }
        }
    }
}
