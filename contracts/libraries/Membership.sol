// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {MerkleFrontier} from "./MerkleFrontier.sol";

/// @dev Where an order is in a book. docs/formats.md, Proofs of membership.
struct Inclusion {
    /// @notice Its position, from 0.
    uint256 index;
    /// @notice The other nodes on its way to the root, lowest first.
    bytes32[20] siblings;
}

/// @dev An order of the book, and its way to the root.
struct Neighbour {
    bytes32 hash;
    bytes32[20] siblings;
}

/// @dev Between which orders of a book another would be. What is before the first or behind the last position is not read.
struct Absence {
    /// @notice How many orders of the book have lower hashes.
    uint256 index;
    /// @notice The order at position `index - 1`.
    Neighbour left;
    /// @notice The order at position `index`.
    Neighbour right;
}

/// @title Membership: whether an order is in a committed book
/// @dev Leaves and nodes are hashed under different first bytes, every path has 20 steps, and positions are below the book's count: neither a node nor an
/// empty leaf passes for an order. Absence holds for books in strictly ascending order only, which is what clearing proves of them.
library Membership {
    /// @notice Whether `hash` is at the given position of the book.
    function includes(uint256 count, bytes32 root, bytes32 hash, Inclusion calldata proof)
        internal
        pure
        returns (bool)
    {
        return _isAt(count, root, hash, proof.index, proof.siblings);
    }

    /// @notice Whether the neighbours show that `hash` is not in the book.
    function lacks(uint256 count, bytes32 root, bytes32 hash, Absence calldata proof)
        internal
        pure
        returns (bool)
    {
        uint256 index = proof.index;
        if (index > count) return false;
        if (index != 0) {
            if (proof.left.hash >= hash) return false;
            if (!_isAt(count, root, proof.left.hash, index - 1, proof.left.siblings)) return false;
        }
        if (index == count) return true;
        return hash < proof.right.hash && _isAt(count, root, proof.right.hash, index, proof.right.siblings);
    }

    /// @notice Whether a leaf, as it stands in the tree, is at the given position under `root`.
    function isUnder(bytes32 root, bytes32 node, uint256 index, bytes32[20] calldata siblings)
        internal
        pure
        returns (bool)
    {
        if (index >> MerkleFrontier.DEPTH != 0) return false;
        for (uint256 level; level < MerkleFrontier.DEPTH; ++level) {
            bytes32 sibling = siblings[level];
            node = (index >> level) & 1 != 0
                ? MerkleFrontier.nodeHash(sibling, node)
                : MerkleFrontier.nodeHash(node, sibling);
        }
        return node == root;
    }

    function _isAt(uint256 count, bytes32 root, bytes32 hash, uint256 index, bytes32[20] calldata siblings)
        private
        pure
        returns (bool)
    {
        return index < count && isUnder(root, MerkleFrontier.leafHash(hash), index, siblings);
    }
}
