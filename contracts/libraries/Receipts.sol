// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Receipts: what the operator promises and what a trader takes back, as EIP-712 digests
/// @dev docs/formats.md, EIP-712. The hash in a receipt is an order's or that of a cancel, which are digests themselves.
library Receipts {
    bytes32 internal constant RECEIPT_TYPE_HASH =
        keccak256("Receipt(bytes32 session,bytes32 hash,uint32 sequence)");
    bytes32 internal constant CANCEL_TYPE_HASH = keccak256("Cancel(bytes32 orderHash,bytes32 session)");

    /// @notice What the session's receipt signer signs for an order or a cancel that it accepts.
    /// @param separator the Exchange's EIP-712 domain separator
    function receiptDigest(bytes32 separator, bytes32 session, bytes32 hash, uint32 sequence)
        internal
        pure
        returns (bytes32)
    {
        return _digest(separator, keccak256(abi.encode(RECEIPT_TYPE_HASH, session, hash, uint256(sequence))));
    }

    /// @notice What a trader signs to take an order back.
    function cancelDigest(bytes32 separator, bytes32 orderHash, bytes32 session)
        internal
        pure
        returns (bytes32)
    {
        return _digest(separator, keccak256(abi.encode(CANCEL_TYPE_HASH, orderHash, session)));
    }

    function _digest(bytes32 separator, bytes32 structHash) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }
}
