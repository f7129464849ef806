// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Imbalance: contracted against metered, four windows at a time
/// @dev Rows hold 8 bytes a window, the first window in the highest 64-bit lane of a word, and 32 bytes behind the last so that whole words are read and
/// written. What lies behind the last window is kept at nothing metered, nothing contracted. No lane ever borrows from or carries into another: metered
/// energy is kept 2^31 too high and imbalances 2^40 too high, so that both stay positive.
/// Reference: settlement/reference/settlement.py. Source: docs/settlement.md.
library Imbalance {
    /// @notice Added to metered energy, to an imbalance, and to a price to keep it positive.
    uint256 internal constant METERED_BIAS = 1 << 31;
    uint256 internal constant IMBALANCE_BIAS = 1 << 40;
    uint256 internal constant PRICE_BIAS = 0x20000000; // 2^29

    uint256 private constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant TOPS = 0x8000000000000000800000000000000080000000000000008000000000000000;
    uint256 private constant NOT_TOPS = 0x7fffffffffffffff7fffffffffffffff7fffffffffffffff7fffffffffffffff;
    uint256 private constant LOWS_31 = 0x000000007fffffff000000007fffffff000000007fffffff000000007fffffff;
    uint256 private constant LOWS_16 = 0x000000000000ffff000000000000ffff000000000000ffff000000000000ffff;
    uint256 private constant SIGNS = 0x0000000080000000000000008000000000000000800000000000000080000000;
    uint256 private constant ABOVE_32 = 0xffffffff00000000ffffffff00000000ffffffff00000000ffffffff00000000;

    /// @dev 2^63 less, and more, than the ends of what may be metered: above -2^30 and below 2^30.
    uint256 private constant LEAST = 0x7fffffffbfffffff7fffffffbfffffff7fffffffbfffffff7fffffffbfffffff;
    uint256 private constant MOST = 0x80000000bfffffff80000000bfffffff80000000bfffffff80000000bfffffff;

    /// @dev 2^40, 2^40 - 2^31 and 2^63 - 2^40 in each lane.
    uint256 private constant ZERO = 0x0000010000000000000001000000000000000100000000000000010000000000;
    uint256 private constant FROM_METERED =
        0x000000ff80000000000000ff80000000000000ff80000000000000ff80000000;
    uint256 private constant TO_TOP = 0x7fffff00000000007fffff00000000007fffff00000000007fffff0000000000;

    /// @dev Multiplied by four lanes of 16 bits and shifted by 48, it has them in the low ends of four lanes of 64, the lowest first.
    uint256 private constant SPREAD_16 = 0x0001000000000000000000010000000000000000000100000000000000000001;

    /// @notice Unpacks one account's metered energy, int32 each, from calldata into a row.
    /// @return fits false if a window has 2^30 Wh or more
    function readMetered(uint256 source, uint256 windows, uint256 row) internal pure returns (bool fits) {
        uint256 fit = TOPS;
        assembly ("memory-safe") {
            for { let end := add(row, shl(3, windows)) } lt(row, end) { row := add(row, 0x20) } {
                let four := shr(128, calldataload(source))
                source := add(source, 0x10)
                if gt(add(row, 0x20), end) {
                    let missing := sub(128, shl(2, sub(end, row)))
                    four := shl(missing, shr(missing, four))
                }
                four := or(
                    shl(64, and(four, 0xffffffffffffffff0000000000000000)),
                    and(four, 0xffffffffffffffff)
                )
                four := or(
                    and(four, 0xffffffff000000000000000000000000ffffffff),
                    shl(32, and(four, 0xffffffff000000000000000000000000ffffffff00000000))
                )
                four := xor(four, SIGNS)
                fit := and(fit, and(add(four, LEAST), sub(MOST, four)))
                mstore(row, four)
            }
        }
        fits = fit & TOPS == TOPS;
    }

    /// @notice True if the flags from `source` on are 0, 1 or 2 in each window, and unused bits are zero.
    function flagsFit(uint256 source, uint256 windows) internal pure returns (bool fits) {
        uint256 word;
        assembly ("memory-safe") {
            word := shr(sub(256, shl(1, windows)), calldataload(source))
        }
        uint256 both = word & (word >> 1);
        uint256 padding = 2 * (3 - (windows + 3) % 4);
        uint256 unused;
        assembly ("memory-safe") {
            unused := shl(shl(1, windows), calldataload(source))
            unused := shr(sub(256, padding), unused)
        }
        fits = both & 0x5555555555555555555555555555555555555555555555555555555555555555 == 0
            && (padding == 0 || unused == 0);
    }

    /// @notice What the account injected and has not allotted to an obligation yet.
    function readInjected(uint256 metered, uint256 windows, uint256 injected) internal pure {
        assembly ("memory-safe") {
            for { let end := add(metered, shl(3, windows)) } lt(metered, end) {
                metered := add(metered, 0x20)
            } {
                let four := mload(metered)
                mstore(injected, and(and(four, LOWS_31), mul(and(shr(31, four), ONES), 0x7fffffff)))
                injected := add(injected, 0x20)
            }
        }
    }

    /// @notice Adds the claims in the lanes of `word`, lowest first, to two rows.
    function takeClaims(uint256 word, bool wide, uint256 claims, uint256 tally) internal pure {
        while (word != 0) {
            uint256 four;
            (four, word) = _spread(word, wide);
            assembly ("memory-safe") {
                mstore(claims, add(mload(claims), four))
                mstore(tally, add(mload(tally), four))
                claims := add(claims, 0x20)
                tally := add(tally, 0x20)
            }
        }
    }

    /// @notice Adds the obligations in the lanes of `word` to two rows, and allots to each what is left of the injection, which goes to the row
    /// `rowBytes` behind the tally's.
    function takeObligations(
        uint256 word,
        bool wide,
        uint256 obligations,
        uint256 injected,
        uint256 tally,
        uint256 rowBytes
    ) internal pure {
        while (word != 0) {
            uint256 four;
            (four, word) = _spread(word, wide);
            assembly ("memory-safe") {
                mstore(obligations, add(mload(obligations), four))
                mstore(tally, add(mload(tally), four))
                let left := mload(injected)
                let enough := and(sub(add(left, TOPS), four), TOPS)
                let delivered := xor(left, and(xor(left, four), sub(enough, shr(63, enough))))
                mstore(injected, sub(left, delivered))
                let to := add(tally, rowBytes)
                mstore(to, add(mload(to), delivered))
                obligations := add(obligations, 0x20)
                injected := add(injected, 0x20)
                tally := add(tally, 0x20)
            }
        }
    }

    /// @dev What the valuation of one account reads and writes: rows, and the lanes of prices of the first four windows.
    struct Rows {
        uint256 metered;
        uint256 claims;
        uint256 obligations;
        uint256 meteredSums;
        uint256 imbalanceSums;
        uint256 surplus;
        uint256 deficit;
    }

    /// @notice Values the imbalances of one account and adds them to the zone's sums; clears its claims and obligations for the next.
    /// @dev One product values four windows: prices lie the last window first, so that the highest lane of the product has the sum.
    /// @return imbalanceWh their sum
    /// @return cashNano what they earn: the surplus price if positive, the deficit price if negative
    function price(Rows memory rows, uint256 windows)
        internal
        pure
        returns (int256 imbalanceWh, int256 cashNano)
    {
        uint256 long;
        uint256 short;
        uint256 earned;
        uint256 owed;
        assembly ("memory-safe") {
            for { let at := 0 } lt(at, shl(3, windows)) { at := add(at, 0x20) } {
                let place := add(mload(rows), at)
                let four := mload(place)
                let sums := add(mload(add(rows, 0x60)), at)
                mstore(sums, add(mload(sums), four))
                four := add(four, FROM_METERED)
                sums := add(mload(add(rows, 0x20)), at)
                four := add(four, mload(sums))
                mstore(sums, 0)
                sums := add(mload(add(rows, 0x40)), at)
                four := sub(four, mload(sums))
                mstore(sums, 0)
                sums := add(mload(add(rows, 0x80)), at)
                mstore(sums, add(mload(sums), four))
                mstore(place, four)
                // Masks of the lanes that are not negative, and of the others.
                let mask := and(add(four, TO_TOP), TOPS)
                mask := sub(mask, shr(63, mask))
                sums := sub(and(four, mask), and(ZERO, mask))
                mask := xor(mask, NOT_TOPS)
                four := sub(and(ZERO, mask), and(four, mask))
                long := add(long, sums)
                short := add(short, four)
                earned := add(earned, shr(192, mul(sums, mload(sub(mload(add(rows, 0xa0)), at)))))
                owed := add(owed, shr(192, mul(four, mload(sub(mload(add(rows, 0xc0)), at)))))
            }
        }
        // Exact while no lane had 2^32 Wh, which their sums tell.
        if ((long | short) & ABOVE_32 != 0) return _priceEach(rows, windows);
        unchecked {
            long = (long * ONES) >> 192;
            short = (short * ONES) >> 192;
            imbalanceWh = int256(long) - int256(short);
            cashNano = int256(earned) - int256(owed) - imbalanceWh * int256(PRICE_BIAS);
        }
    }

    /// @dev The same one window after the other, for imbalances of any size; they lie where metered energy was.
    function _priceEach(Rows memory rows, uint256 windows)
        private
        pure
        returns (int256 imbalanceWh, int256 cashNano)
    {
        for (uint256 w; w < windows; ++w) {
            int256 wh = int256(laneAt(rows.metered, w)) - int256(IMBALANCE_BIAS);
            uint256 prices = wh < 0 ? rows.deficit : rows.surplus;
            imbalanceWh += wh;
            cashNano += wh * (int256(laneAt(prices + 24 - 16 * w, w)) - int256(PRICE_BIAS));
        }
    }

    /// @notice Writes prices of a day into a row, each PRICE_BIAS too high, the last window first.
    /// @return first where the lanes of the first four windows lie
    function writePrices(uint256 row, uint256 rowBytes, int32[] calldata prices)
        internal
        pure
        returns (uint256 first)
    {
        first = row + rowBytes - 32;
        assembly ("memory-safe") {
            let from := prices.offset
            let to := first
            for { let end := add(from, shl(5, prices.length)) } lt(from, end) { from := add(from, 0x20) } {
                mstore(to, add(signextend(3, calldataload(from)), PRICE_BIAS))
                to := sub(to, 8)
            }
        }
    }

    /// @notice Fresh memory, zeroed: what lies behind the end of calldata reads as zeros.
    function zeros(uint256 size) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, size))
            calldatacopy(at, calldatasize(), size)
        }
    }

    /// @notice The lane of a window in a row.
    function laneAt(uint256 row, uint256 window) internal pure returns (uint256 lane) {
        assembly ("memory-safe") {
            lane := shr(192, mload(add(row, shl(3, window))))
        }
    }

    /// @dev The next four lanes of a packed word, each in a lane of 64 bits, the lowest in the highest; and the rest of the word.
    function _spread(uint256 word, bool wide) private pure returns (uint256 four, uint256 rest) {
        assembly ("memory-safe") {
            switch wide
            case 0 {
                four := and(shr(48, mul(and(word, 0xffffffffffffffff), SPREAD_16)), LOWS_16)
                rest := shr(64, word)
            }
            default {
                let even := or(shl(192, and(word, 0xffffffff)), and(word, 0xffffffff0000000000000000))
                let odd := or(shl(96, and(word, 0xffffffff00000000)), and(shr(96, word), 0xffffffff))
                four := or(even, odd)
                rest := shr(128, word)
            }
        }
    }
}
