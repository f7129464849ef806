// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IStatements, Statement} from "../interfaces/IStatements.sol";

/// @title Statements: hashed rows of imbalances, opened one at a time
/// @dev A row has a lane of 8 bytes a window, in order, and more up to a multiple of four windows; a lane is the imbalance, BIAS too high. It is what the
/// valuing loop of `Imbalance` leaves. Reference: settlement/reference/statement.py. Source: docs/formats.md, Statements.
library Statements {
    /// @dev 2^40 + 2^31, see `Imbalance`.
    int256 private constant BIAS = 0x10080000000;
    int256 private constant BOUND = 1 << 31;

    /// @notice Bytes of a row.
    function rowBytes(uint256 windows) internal pure returns (uint256) {
        return (windows + 3) / 4 * 32;
    }

    /// @notice What is stored of a part.
    function hash(address[] calldata accounts, bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes memory words = new bytes(64 * accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            (address account, bytes32 leaf) = (accounts[i], leaves[i]);
            assembly ("memory-safe") {
                let to := add(add(words, 0x20), shl(6, i))
                mstore(to, account)
                mstore(add(to, 0x20), leaf)
            }
        }
        return keccak256(words);
    }

    /// @notice The imbalances of the row at `at`, if it has the given leaf.
    function open(Statement calldata statement, uint256 at, uint256 windows, bytes32 leaf)
        internal
        pure
        returns (int256[] memory imbalances)
    {
        uint256 size = rowBytes(windows);
        if (at + size > statement.rows.length) revert IStatements.WrongRows();
        bytes calldata row = statement.rows[at:at + size];
        if (keccak256(row) != leaf) revert IStatements.WrongRows();
        imbalances = new int256[](windows);
        assembly ("memory-safe") {
            let from := row.offset
            let to := add(imbalances, 0x20)
            for { let end := add(to, shl(5, windows)) } lt(to, end) { to := add(to, 0x20) } {
                mstore(to, sub(shr(192, calldataload(from)), BIAS))
                from := add(from, 8)
            }
        }
    }

    /// @notice The leaf of these imbalances.
    function leafOf(int256[] memory imbalances) internal pure returns (bytes32) {
        uint256 size = rowBytes(imbalances.length);
        bytes memory row = new bytes(size + 32); // whole words are written, of which the first 8 bytes stay
        bytes32 hashed;
        assembly ("memory-safe") {
            let to := add(row, 0x20)
            let end := add(to, size)
            let from := add(imbalances, 0x20)
            for { let last := add(from, shl(5, mload(imbalances))) } lt(from, last) {
                from := add(from, 0x20)
            } {
                mstore(to, shl(192, add(mload(from), BIAS)))
                to := add(to, 8)
            }
            for {} lt(to, end) { to := add(to, 8) } { mstore(to, shl(192, BIAS)) }
            hashed := keccak256(add(row, 0x20), size)
        }
        return hashed;
    }

    /// @notice What an imbalance earns: the surplus price if positive, the deficit price if negative.
    function cash(int256 imbalance, int32 surplus, int32 deficit) internal pure returns (int256) {
        unchecked {
            return imbalance * (imbalance > 0 ? surplus : deficit);
        }
    }

    /// @notice Whether an imbalance fits 32 bits.
    function fits(int256 imbalance) internal pure returns (bool) {
        return imbalance > -BOUND && imbalance < BOUND;
    }
}
