// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "../interfaces/IMetering.sol";

/// @title Postings: what oracle nodes sign
/// @dev docs/formats.md, EIP-712 and Metering.
library Postings {
    bytes32 internal constant TYPE_HASH = keccak256(
        "Posting(uint32 zone,uint32 firstWindow,uint16 windows,uint32 sequence,uint32 accounts,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,bytes32[] parts)"
    );

    /// @notice The sequence of a posting that nobody signed: what was contracted counts as metered.
    uint32 internal constant BY_DEFAULT = type(uint32).max;

    /// @notice Whether there is a price for each window, and all of them are zero.
    function isFree(Posting calldata p) internal pure returns (bool) {
        if (p.surplusMicroPerKWh.length != p.windows || p.deficitMicroPerKWh.length != p.windows) {
            return false;
        }
        for (uint256 w; w < p.windows; ++w) {
            if (p.surplusMicroPerKWh[w] != 0 || p.deficitMicroPerKWh[w] != 0) return false;
        }
        return true;
    }

    /// @notice The EIP-712 struct hash.
    function hash(Posting calldata p) internal pure returns (bytes32) {
        int32[] calldata none = p.surplusMicroPerKWh[:0];
        bytes32 surplus = _hashPrices(p.surplusMicroPerKWh, none);
        bytes32 deficit = _hashPrices(p.deficitMicroPerKWh, none);
        bytes32 parts = keccak256(abi.encodePacked(p.parts));
        return keccak256(
            abi.encode(
                TYPE_HASH,
                p.zone,
                p.firstWindow,
                p.windows,
                p.sequence,
                p.accounts,
                p.commitments,
                surplus,
                deficit,
                parts
            )
        );
    }

    /// @notice What a later posting may not change: the prices, and the parts that are settled.
    function consumed(Posting calldata p, uint256 parts) internal pure returns (bytes32 chain) {
        chain = _hashPrices(p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        for (uint256 i; i < parts; ++i) {
            chain = keccak256(abi.encodePacked(chain, p.parts[i]));
        }
    }

    /// @dev keccak of the words of both, as they are in calldata: such as no int32 has give a hash that nobody signed.
    function _hashPrices(int32[] calldata first, int32[] calldata second)
        private
        pure
        returns (bytes32 hashed)
    {
        assembly ("memory-safe") {
            let at := mload(0x40)
            let size := shl(5, first.length)
            calldatacopy(at, first.offset, size)
            calldatacopy(add(at, size), second.offset, shl(5, second.length))
            hashed := keccak256(at, add(size, shl(5, second.length)))
        }
    }
}
