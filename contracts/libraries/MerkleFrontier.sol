// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title MerkleFrontier: a positional Merkle tree of depth 20, grown leaf by leaf
/// @dev `leaf = keccak(0x00 . hash)`, `node = keccak(0x01 . left . right)`, empty leaves are the zero word. Neighbouring positions of a sorted
/// list prove absence. docs/formats.md, Book commitment.
library MerkleFrontier {
    uint256 internal constant DEPTH = 20;

    /// @notice The tree is full.
    error TooManyLeaves(uint256 count);

    function leafHash(bytes32 hash) internal pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            mstore8(0x00, 0x00)
            mstore(0x01, hash)
            leaf := keccak256(0x00, 0x21)
        }
    }

    function nodeHash(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 0x01)
            mstore(add(free, 0x01), left)
            mstore(add(free, 0x21), right)
            node := keccak256(free, 0x41)
        }
    }

    /// @notice Appends a leaf; `count` leaves are in already.
    function append(bytes32[DEPTH] memory frontier, uint256 count, bytes32 leaf) internal pure {
        if (count + 1 >> DEPTH != 0) revert TooManyLeaves(count);
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore8(free, 0x01)
            for {} and(count, 1) { count := shr(1, count) } {
                mstore(add(free, 0x01), mload(frontier))
                mstore(add(free, 0x21), leaf)
                leaf := keccak256(free, 0x41)
                mstore(frontier, 0)
                frontier := add(frontier, 0x20)
            }
            mstore(frontier, leaf)
        }
    }

    function root(bytes32[DEPTH] memory frontier, uint256 count) internal pure returns (bytes32 node) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            let left := add(free, 0x01)
            let right := add(free, 0x21)
            mstore8(free, 0x01)
            let zero := 0
            for { let end := add(frontier, shl(5, DEPTH)) } lt(frontier, end) {
                frontier := add(frontier, 0x20)
            } {
                switch and(count, 1)
                case 0 {
                    mstore(left, node)
                    mstore(right, zero)
                }
                default {
                    mstore(left, mload(frontier))
                    mstore(right, node)
                }
                node := keccak256(free, 0x41)
                mstore(left, zero)
                mstore(right, zero)
                zero := keccak256(free, 0x41)
                count := shr(1, count)
            }
        }
    }
}
