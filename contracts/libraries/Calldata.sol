// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../interfaces/IClearing.sol";

/// @title Calldata: a call of `clear` has the length that its arrays give, no more and no less
/// @dev The decoder of the ABI ignores what follows its arguments, and has no words for what ends early.
library Calldata {
    /// @dev Words of `clear` beside the contents of its arrays: five arguments, `Posted` with three arrays, `Carry` with one, the length of the records.
    uint256 private constant FIXED_WORDS = 5 + 6 + 26 + 1;

    /// @notice Reverts with `BadCalldata` unless the call is as long as its arrays and records make it.
    function requireExact() internal pure {
        uint256 expected;
        assembly ("memory-safe") {
            // The length of the array whose offset is word `field` of the tuple at `tuple`.
            function lengthOf(tuple, field) -> length {
                length := calldataload(add(tuple, calldataload(add(tuple, shl(5, field)))))
            }
            let arguments := 4
            let posted := add(arguments, calldataload(0x44))
            let words := add(lengthOf(posted, 0), add(lengthOf(posted, 1), lengthOf(posted, 2)))
            words := add(words, lengthOf(add(arguments, calldataload(0x64)), 0))
            words := add(words, div(add(lengthOf(arguments, 4), 31), 32))
            expected := add(arguments, shl(5, add(words, FIXED_WORDS)))
        }
        if (msg.data.length != expected) revert IClearing.BadCalldata(msg.data.length, expected);
    }
}
