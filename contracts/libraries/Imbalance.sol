// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Imbalance: contracted against metered, window by window
/// @dev Arrays are word pointers, one word a window: these loops run once for every home and window. A tally word has claims in bits 0..63,
/// obligations in 64..127, delivered in 128..191 and, while certifying, claims gone over in 192..255.
/// Reference: settlement/reference/settlement.py. Source: docs/formats.md, Settlement.
library Imbalance {
    /// @notice Unpacks one account's metered energy, int32 each, from calldata.
    /// @return fits false if a window has 2^30 Wh or more
    function readMetered(uint256 source, uint256 windows, uint256 metered) internal pure returns (bool fits) {
        uint256 beyond;
        assembly ("memory-safe") {
            for { let end := add(metered, shl(5, windows)) } lt(metered, end) {} {
                let wh := sar(224, calldataload(source))
                mstore(metered, wh)
                beyond := or(beyond, gt(add(wh, 0x3fffffff), 0x7ffffffe))
                source := add(source, 4)
                metered := add(metered, 0x20)
            }
        }
        fits = beyond == 0;
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

    /// @notice What the account delivered and has not allotted to an obligation yet: its injection.
    function readInjected(uint256 metered, uint256 windows, uint256 injected) internal pure {
        assembly ("memory-safe") {
            for { let end := add(metered, shl(5, windows)) } lt(metered, end) {} {
                let wh := mload(metered)
                mstore(injected, mul(wh, sgt(wh, 0)))
                metered := add(metered, 0x20)
                injected := add(injected, 0x20)
            }
        }
    }

    /// @notice Counts the claims in `count` lanes of `word`, the first in its lowest bits.
    function takeClaims(uint256 word, uint256 count, uint256 bits, uint256 contracted, uint256 tally)
        internal
        pure
        returns (uint256 total)
    {
        assembly ("memory-safe") {
            let mask := sub(shl(bits, 1), 1)
            for { let end := add(contracted, shl(5, count)) } lt(contracted, end) {} {
                let wh := and(word, mask)
                if wh {
                    total := add(total, wh)
                    mstore(contracted, sub(mload(contracted), wh))
                    mstore(tally, add(mload(tally), wh))
                }
                word := shr(bits, word)
                contracted := add(contracted, 0x20)
                tally := add(tally, 0x20)
            }
        }
    }

    /// @notice Counts the obligations in `count` lanes of `word`, and allots to each what is left of the injection.
    function takeObligations(
        uint256 word,
        uint256 count,
        uint256 bits,
        uint256 contracted,
        uint256 injected,
        uint256 tally
    ) internal pure returns (uint256 total) {
        assembly ("memory-safe") {
            let mask := sub(shl(bits, 1), 1)
            for { let end := add(contracted, shl(5, count)) } lt(contracted, end) {} {
                let wh := and(word, mask)
                if wh {
                    total := add(total, wh)
                    mstore(contracted, add(mload(contracted), wh))
                    let left := mload(injected)
                    let delivered := xor(wh, mul(xor(wh, left), lt(left, wh)))
                    mstore(injected, sub(left, delivered))
                    mstore(tally, add(mload(tally), or(shl(64, wh), shl(128, delivered))))
                }
                word := shr(bits, word)
                contracted := add(contracted, 0x20)
                injected := add(injected, 0x20)
                tally := add(tally, 0x20)
            }
        }
    }

    /// @notice Values the imbalances of one account and adds them to the zone's sums; clears `contracted` for the next.
    /// @return imbalanceWh their sum
    /// @return cashNano what they earn: the surplus price if positive, the deficit price if negative
    function price(
        uint256 windows,
        uint256 metered,
        uint256 contracted,
        uint256 surplus,
        uint256 deficit,
        uint256 meteredSums,
        uint256 imbalanceSums
    ) internal pure returns (int256 imbalanceWh, int256 cashNano) {
        assembly ("memory-safe") {
            for {
                let end := add(metered, shl(5, windows))
            } lt(metered, end) {} {
                let wh := mload(metered)
                if wh { mstore(meteredSums, add(mload(meteredSums), wh)) }
                wh := sub(wh, mload(contracted))
                mstore(contracted, 0)
                if wh {
                    imbalanceWh := add(imbalanceWh, wh)
                    mstore(imbalanceSums, add(mload(imbalanceSums), wh))
                    switch slt(wh, 0)
                    case 0 { cashNano := add(cashNano, mul(wh, mload(surplus))) }
                    default { cashNano := add(cashNano, mul(wh, mload(deficit))) }
                }
                metered := add(metered, 0x20)
                contracted := add(contracted, 0x20)
                surplus := add(surplus, 0x20)
                deficit := add(deficit, 0x20)
                meteredSums := add(meteredSums, 0x20)
                imbalanceSums := add(imbalanceSums, 0x20)
            }
        }
    }
}
