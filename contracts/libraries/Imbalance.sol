// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Imbalance: contracted against metered, four windows at a time
/// @dev Rows hold 8 bytes a window, the first window in the highest 64-bit lane of a word, and 32 bytes behind the last so that whole words are read and
/// written at any window. The rows of a run lie at constant distances; behind them come those of its qualities. No lane ever borrows from or carries into
/// another: what is open is kept 2^40 too high and metered energy 2^31, so that both stay positive.
/// Reference: settlement/reference/settlement.py. Source: docs/settlement.md.
library Imbalance {
    /// @notice Bytes of a row: as many windows as a day may have, and a word.
    uint256 internal constant ROW = 0x420;

    /// @notice Where rows lie, from the first on. That one is what is open: claims less obligations of the account.
    uint256 internal constant INJECTED = 0x420;
    uint256 internal constant SURPLUS = 0x840;
    uint256 internal constant DEFICIT = 0xc60;
    uint256 internal constant INSIDE = 0x1080;
    /// @notice What is spread of a holding: it may reach behind the last window by as many as a slot has.
    uint256 internal constant LANES = 0x14a0;
    /// @notice What the last account's imbalances came to, 2^40 + 2^31 too high: its row in a statement.
    uint256 internal constant STATED = 0x1940;
    uint256 internal constant QUALITIES = 0x1d60;

    /// @notice The rows of a quality: claims, and behind them obligations and what was delivered of them.
    uint256 internal constant QUALITY = 0xc60;
    uint256 internal constant OBLIGATIONS = 0x420;
    uint256 internal constant DELIVERED = 0x840;

    /// @notice Added to what is open, and to a price, to keep it positive.
    uint256 internal constant OPEN_BIAS = 1 << 40;
    uint256 internal constant PRICE_BIAS = 0x20000000; // 2^29

    /// @notice Below so much contracted in all, `price` is exact; else `priceEach` is called for.
    uint256 internal constant MOST_AT_ONCE = 1 << 30;

    uint256 private constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant TOPS = 0x8000000000000000800000000000000080000000000000008000000000000000;
    uint256 private constant LOWS_16 = 0x000000000000ffff000000000000ffff000000000000ffff000000000000ffff;
    uint256 private constant LOWS_32 = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant SIGNS = 0x0000000080000000000000008000000000000000800000000000000080000000;
    uint256 private constant PAIRS = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;

    /// @dev 2^63 less, and more, than the ends of what may be metered: above -2^30 and below 2^30.
    uint256 private constant LEAST = 0x7fffffffbfffffff7fffffffbfffffff7fffffffbfffffff7fffffffbfffffff;
    uint256 private constant MOST = 0x80000000bfffffff80000000bfffffff80000000bfffffff80000000bfffffff;

    /// @dev OPEN_BIAS in each lane, the same and 2^31, and half of what the highest lane counts.
    uint256 private constant NOTHING = 0x0000010080000000000001008000000000000100800000000000010080000000;
    uint256 private constant OPEN = 0x0000010000000000000001000000000000000100000000000000010000000000;
    uint256 private constant HALF = 0x0000000000000000800000000000000000000000000000000000000000000000;

    /// @dev Bytes behind the last row: whole words are read and written at any window.
    uint256 private constant BEHIND = 0x80;

    uint256 private constant LOW_64 = 0xffffffffffffffff;

    /// @dev Multiplied by four lanes of 16 bits and shifted by 48, it has them in the low ends of four lanes of 64, the lowest first.
    uint256 private constant SPREAD_16 = 0x0001000000000000000000010000000000000000000100000000000000000001;

    /// @notice Fresh rows: nothing open, nothing summed, no prices.
    function prepare(uint256 windows, uint256 qualities) internal pure returns (uint256 rows) {
        uint256 size = QUALITIES + qualities * QUALITY + BEHIND;
        uint256 behind = windows % 4;
        rows = allocate(size);
        assembly ("memory-safe") {
            let to := add(rows, INSIDE)
            for { let end := add(to, shl(3, sub(windows, behind))) } lt(to, end) { to := add(to, 0x20) } {
                mstore(to, LOWS_32)
            }
            mstore(to, and(LOWS_32, not(shr(shl(6, behind), not(0)))))
        }
        reset(rows, windows);
    }

    /// @notice Memory of zeros.
    function allocate(uint256 size) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, size))
            calldatacopy(at, calldatasize(), size) // zeros: calldata has ended
        }
    }

    /// @notice Writes the prices of a day's windows, each PRICE_BIAS too high, every four windows the last first.
    function writePrices(uint256 row, int32[] calldata microPerKWh) internal pure {
        assembly ("memory-safe") {
            for { let w := 0 } lt(w, microPerKWh.length) { w := add(w, 1) } {
                let biased := add(signextend(3, calldataload(add(microPerKWh.offset, shl(5, w)))), PRICE_BIAS)
                let to := add(row, shl(5, shr(2, w)))
                mstore(to, or(mload(to), shl(shl(6, and(w, 3)), biased)))
            }
        }
    }

    /// @notice Writes the value of a Wh in a window, of a row that is written from its end on backwards.
    function putValue(uint256 end, uint256 window, uint256 value) internal pure {
        assembly ("memory-safe") {
            // The last lane of a word, over what later windows write.
            mstore(sub(end, add(shl(3, window), 0x20)), value)
        }
    }

    /// @notice What `putValue` wrote.
    function valueAt(uint256 end, uint256 window) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(192, mload(sub(end, add(shl(3, window), 8))))
        }
    }

    /// @notice Nothing open.
    function reset(uint256 rows, uint256 windows) internal pure {
        for (uint256 at = rows; at < rows + 8 * windows; at += 32) {
            assembly ("memory-safe") {
                mstore(at, OPEN)
            }
        }
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

    /// @notice What an account injected, of its metered energy, int32 each, in calldata; `takeObligations` allots it.
    function readInjected(uint256 rows, uint256 source, uint256 windows) internal pure {
        assembly ("memory-safe") {
            for { let end := add(rows, shl(3, windows)) } lt(rows, end) {
                rows := add(rows, 0x20)
                source := add(source, 0x10)
            } {
                let four := shr(128, calldataload(source))
                four := and(or(shl(64, four), four), PAIRS)
                four := and(or(shl(32, four), four), LOWS_32)
                let negative := and(shr(31, four), ONES)
                mstore(add(rows, INJECTED), and(four, mul(xor(negative, ONES), 0x7fffffff)))
            }
        }
    }

    /// @notice An account that delivers whatever it sold.
    function injectAll(uint256 rows, uint256 windows) internal pure {
        reset(rows + INJECTED, windows);
    }

    /// @notice No claims of any quality.
    function clearClaims(uint256 rows, uint256 windows, uint256 qualities) internal pure {
        for (uint256 q; q < qualities; ++q) {
            uint256 row = rows + QUALITIES + QUALITY * q;
            assembly ("memory-safe") {
                calldatacopy(row, calldatasize(), shl(3, windows))
            }
        }
    }

    /// @notice The account is balanced in every window.
    function stateNothing(uint256 rows, uint256 windows) internal pure {
        for (uint256 at = rows + STATED; at < rows + STATED + 8 * windows; at += 32) {
            assembly ("memory-safe") {
                mstore(at, NOTHING)
            }
        }
    }

    /// @notice The hash of the row that was stated last.
    function leaf(uint256 rows, uint256 windows) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            hash := keccak256(add(rows, STATED), shl(5, shr(2, add(windows, 3))))
        }
    }

    /// @notice Writes the lanes of a packed word, lowest first, into lanes of 64 bits.
    function spread(uint256 lanes, uint256 word, bool wide) internal pure {
        if (wide) {
            _spreadWide(lanes, word);
            unchecked {
                _spreadWide(lanes + 0x20, word >> 128);
            }
            return;
        }
        assembly ("memory-safe") {
            mstore(lanes, and(shr(48, mul(and(word, LOW_64), SPREAD_16)), LOWS_16))
            word := shr(64, word)
            mstore(add(lanes, 0x20), and(shr(48, mul(and(word, LOW_64), SPREAD_16)), LOWS_16))
            word := shr(64, word)
            mstore(add(lanes, 0x40), and(shr(48, mul(and(word, LOW_64), SPREAD_16)), LOWS_16))
            mstore(add(lanes, 0x60), and(shr(48, mul(shr(64, word), SPREAD_16)), LOWS_16))
        }
    }

    /// @notice Adds claims to what is open and to the quality's.
    /// @param lanes where they are, up to `end`
    /// @param open what is open in the window of the first
    /// @param quality the quality's rows, at the same window
    /// @return wh all of them
    function takeClaims(uint256 lanes, uint256 end, uint256 open, uint256 quality)
        internal
        pure
        returns (uint256 wh)
    {
        assembly ("memory-safe") {
            for {} lt(lanes, end) { lanes := add(lanes, 0x20) } {
                let four := mload(lanes)
                wh := add(wh, four)
                mstore(open, add(mload(open), four))
                mstore(quality, add(mload(quality), four))
                open := add(open, 0x20)
                quality := add(quality, 0x20)
            }
            wh := shr(192, mul(wh, ONES))
        }
    }

    /// @notice The same with obligations, which close what is open; allots to each what is left of the injection.
    /// @param values where the values of the four windows behind the first one lie, see `putValue`
    /// @return wh all of them
    /// @return missed what is not delivered, Wh
    /// @return worth of that
    function takeObligations(uint256 lanes, uint256 end, uint256 open, uint256 quality, uint256 values)
        internal
        pure
        returns (uint256 wh, uint256 missed, uint256 worth)
    {
        assembly ("memory-safe") {
            for {} lt(lanes, end) { lanes := add(lanes, 0x20) } {
                let four := mload(lanes)
                let left := mload(add(open, INJECTED))
                let enough := and(sub(add(left, TOPS), four), TOPS)
                let delivered := xor(left, and(xor(left, four), sub(enough, shr(63, enough))))
                mstore(add(open, INJECTED), sub(left, delivered))
                mstore(open, sub(mload(open), four))
                wh := add(wh, four)
                let missing := sub(four, delivered)
                missed := add(missed, missing)
                worth := add(worth, shr(192, mul(missing, mload(values))))
                let to := add(quality, OBLIGATIONS)
                mstore(to, add(mload(to), four))
                to := add(quality, DELIVERED)
                mstore(to, add(mload(to), delivered))
                open := add(open, 0x20)
                quality := add(quality, 0x20)
                values := sub(values, 0x20)
            }
            wh := shr(192, mul(wh, ONES))
            missed := shr(192, mul(missed, ONES))
        }
    }

    /// @notice The same with obligations as produced: they close what of them is delivered, and that is valued.
    /// @dev Exact while four windows deliver less than 2^33 Wh at values below 2^31.
    /// @return wh all of them
    /// @return worth of what is delivered
    function takeProduced(uint256 lanes, uint256 end, uint256 open, uint256 quality, uint256 values)
        internal
        pure
        returns (uint256 wh, uint256 worth)
    {
        assembly ("memory-safe") {
            for {} lt(lanes, end) { lanes := add(lanes, 0x20) } {
                let four := mload(lanes)
                let left := mload(add(open, INJECTED))
                let to := add(quality, OBLIGATIONS)
                mstore(to, add(mload(to), four))
                wh := add(wh, four)
                let enough := and(sub(add(left, TOPS), four), TOPS)
                four := xor(left, and(xor(left, four), sub(enough, shr(63, enough))))
                mstore(add(open, INJECTED), sub(left, four))
                mstore(open, sub(mload(open), four))
                worth := add(worth, shr(192, mul(four, mload(values))))
                to := add(quality, DELIVERED)
                mstore(to, add(mload(to), four))
                open := add(open, 0x20)
                quality := add(quality, 0x20)
                values := sub(values, 0x20)
            }
            wh := shr(192, mul(wh, ONES))
        }
    }

    /// @notice What lanes are worth, one window after the other, whatever they hold.
    function worthEach(uint256 lanes, uint256 end, uint256 values) internal pure returns (uint256 worth) {
        assembly ("memory-safe") {
            values := add(values, 0x18)
            for {} lt(lanes, end) { lanes := add(lanes, 8) } {
                worth := add(worth, mul(shr(192, mload(lanes)), shr(192, mload(values))))
                values := sub(values, 8)
            }
        }
    }

    /// @notice Values the imbalances of one account; nothing is open any more.
    /// @dev Signed lanes as one number: products by the row of prices, the last window first, have the sum of four in the highest lane, once what the lower
    /// ones borrow is rounded away. Exact while no imbalance reaches 2^31 and no biased price exceeds 2^30.
    /// @param source where the account's metered energy is in calldata, int32 each
    /// @return fits false if a window has 2^30 Wh or more
    /// @return imbalanceWh their sum
    /// @return cashNano what they earn: the surplus price if positive, the deficit price if negative
    function price(uint256 rows, uint256 source, uint256 windows)
        internal
        pure
        returns (bool fits, int256 imbalanceWh, int256 cashNano)
    {
        uint256 fit = TOPS;
        uint256 total;
        assembly ("memory-safe") {
            for { let end := add(rows, shl(3, windows)) } lt(rows, end) {
                rows := add(rows, 0x20)
                source := add(source, 0x10)
            } {
                let four := shr(128, calldataload(source))
                four := and(or(shl(64, four), four), PAIRS)
                four := xor(and(or(shl(32, four), four), mload(add(rows, INSIDE))), SIGNS)
                fit := and(fit, and(add(four, LEAST), sub(MOST, four)))
                four := add(four, mload(rows))
                mstore(rows, OPEN)
                mstore(add(rows, STATED), four)
                total := add(total, four)
                // Bit 31 tells what is not negative.
                let long := and(shr(31, four), ONES)
                long := and(four, sub(shl(31, long), long))
                let short := sub(sub(four, NOTHING), long)
                let cash := add(mul(long, mload(add(rows, SURPLUS))), mul(short, mload(add(rows, DEFICIT))))
                cashNano := add(cashNano, sar(192, add(cash, HALF)))
            }
        }
        unchecked {
            imbalanceWh =
                int256((total * ONES) >> 192) - int256((windows + 3) / 4 * 4 * (OPEN_BIAS + (1 << 31)));
            cashNano -= imbalanceWh * int256(PRICE_BIAS);
            fits = fit & TOPS == TOPS;
        }
    }

    /// @notice As `price`, one window after the other, for imbalances of any size.
    function priceEach(uint256 rows, uint256 source, uint256 windows)
        internal
        pure
        returns (bool fits, int256 imbalanceWh, int256 cashNano)
    {
        fits = true;
        for (uint256 w; w < windows; ++w) {
            int256 wh;
            assembly ("memory-safe") {
                wh := signextend(3, shr(224, calldataload(add(source, shl(2, w)))))
            }
            if (wh <= -(1 << 30) || wh >= 1 << 30) fits = false;
            wh += openAt(rows, w);
            uint256 prices = (w / 4 * 4) + 3 - w % 4;
            int256 micro = int256(laneAt(rows + (wh < 0 ? DEFICIT : SURPLUS), prices));
            imbalanceWh += wh;
            cashNano += wh * (micro - int256(PRICE_BIAS));
            _stateAt(rows, w, wh);
        }
        reset(rows, windows);
    }

    /// @notice Claims less obligations of the account in a window.
    function openAt(uint256 rows, uint256 window) internal pure returns (int256 wh) {
        return int256(laneAt(rows, window)) - int256(OPEN_BIAS);
    }

    /// @notice The lane of a window in a row.
    function laneAt(uint256 row, uint256 window) internal pure returns (uint256 lane) {
        assembly ("memory-safe") {
            lane := shr(192, mload(add(row, shl(3, window))))
        }
    }

    /// @notice Adds a quality's claims, obligations and delivered to its tallies, the first of which is at `cell`.
    function addTallies(uint256[] memory tallies, uint256 cell, uint256 quality, uint256 windows)
        internal
        pure
    {
        assembly ("memory-safe") {
            let to := add(tallies, shl(5, add(cell, 1)))
            for { let end := add(to, shl(5, windows)) } lt(to, end) { to := add(to, 0x20) } {
                let tally := shr(192, mload(quality))
                tally := or(tally, shl(64, shr(192, mload(add(quality, OBLIGATIONS)))))
                tally := or(tally, shl(128, shr(192, mload(add(quality, DELIVERED)))))
                mstore(to, add(mload(to), tally))
                quality := add(quality, 8)
            }
        }
    }

    /// @notice Adds what a quality's obligations were not delivered to its pots, the first of which is at `cell`, each Wh at its value.
    /// @param quality the quality's rows, at the window of that cell
    /// @param values the end of the row of values less what lies before that window
    function addPots(uint256[] memory pots, uint256 cell, uint256 quality, uint256 windows, uint256 values)
        internal
        pure
    {
        assembly ("memory-safe") {
            let to := add(pots, shl(5, add(cell, 1)))
            for { let end := add(to, shl(5, windows)) } lt(to, end) { to := add(to, 0x20) } {
                values := sub(values, 8)
                let missed :=
                    sub(shr(192, mload(add(quality, OBLIGATIONS))), shr(192, mload(add(quality, DELIVERED))))
                if missed { mstore(to, add(mload(to), mul(missed, shr(192, mload(values))))) }
                quality := add(quality, 8)
            }
        }
    }

    /// @dev States a window's imbalance, and none in those behind it of the same word.
    function _stateAt(uint256 rows, uint256 window, int256 wh) private pure {
        assembly ("memory-safe") {
            let to := add(add(rows, STATED), shl(5, shr(2, window)))
            let place := sub(192, shl(6, and(window, 3)))
            if iszero(and(window, 3)) { mstore(to, NOTHING) }
            mstore(to, add(mload(to), shl(place, wh)))
        }
    }

    function _spreadWide(uint256 lanes, uint256 word) private pure {
        assembly ("memory-safe") {
            let even := or(shl(192, and(word, 0xffffffff)), and(word, 0xffffffff0000000000000000))
            let odd := or(shl(96, and(word, 0xffffffff00000000)), and(shr(96, word), 0xffffffff))
            mstore(lanes, or(even, odd))
        }
    }
}
