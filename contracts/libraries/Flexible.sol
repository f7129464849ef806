// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Potential} from "./Posted.sol";
import {Record, Scratch} from "./ScheduleCodec.sol";

/// @dev A flexible order's terms, and the split that the operator found.
struct Flex {
    uint256 energyWh; // over all its windows, at most
    uint256 maxWh; // in each of them, at most
    int256 limit; // micro/kWh
    uint256 side; // 0 buys, 1 sells
    uint256 windows;
    uint256 sharesAt; // calldata offset of the first share
    uint256 total; // of the shares, Wh
    uint256 most; // the largest of them, Wh
}

/// @title Flexible: so much energy in all, wherever in its windows it is cheapest, or dearest
/// @dev A flexible order is a node between its zone's windows and the ground, which needs no potential of its own: what it demands is said by its windows. Those
/// *below* are bounded from above by it, those *above* from below: a buy has windows it uses below and windows with room above, a sell the other way round. Source:
/// docs/clearing.md.
library Flexible {
    bytes32 internal constant TYPE_HASH = keccak256(
        "FlexibleSchedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint32 firstWindow,uint16 windows,uint64 nonce,"
        "bytes32 replaces,address beneficiary,uint32 energyWh,uint32 maxWhPerWindow,int32 limitMicroPerKWh)"
    );

    uint256 private constant STRUCT_BYTES = 14 * 32;

    /// @dev Beyond every potential.
    int256 private constant NOWHERE = 1 << 40;

    /// @dev Of one vector: the dearest of the windows below and the cheapest of those above, each with the lowest rank among its equals.
    struct Edge {
        int256 dearest;
        uint256 dearestRank;
        int256 cheapest;
        uint256 cheapestRank;
    }

    /// @notice Reads terms and split of a flexible order whose head has been read.
    function read(Record memory record, Flex memory flex) internal pure {
        unchecked {
            uint256 at = record.entriesAt;
            uint256 word;
            assembly ("memory-safe") {
                word := calldataload(at)
            }
            flex.energyWh = word >> 224;
            flex.maxWh = uint32(word >> 192);
            flex.limit = int32(uint32(word >> 160));
            (flex.side, flex.windows, flex.sharesAt) = (record.side, record.entries, at + 12);
            (uint256 total, uint256 most) = (0, 0);
            for (uint256 k; k < flex.windows; ++k) {
                uint256 share = shareAt(flex, k);
                total += share;
                if (share > most) most = share;
            }
            (flex.total, flex.most) = (total, most);
        }
    }

    /// @notice Whether a quantity is not below 2^30 Wh.
    function overflows(Flex memory flex) internal pure returns (bool) {
        return (flex.energyWh | flex.maxWh) >> 30 != 0;
    }

    /// @notice Whether each share is within the maximum and their sum within the energy.
    function fits(Flex memory flex) internal pure returns (bool) {
        return flex.most <= flex.maxWh && flex.total <= flex.energyWh;
    }

    /// @notice The order's EIP-712 digest, which is its order hash. The split is not signed.
    function digest(Scratch memory scratch, Record memory record, Flex memory flex)
        internal
        pure
        returns (bytes32 hash)
    {
        uint256 words = scratch.structWords;
        bytes32 separator = scratch.domainSeparator;
        (bytes32 typeHash, uint256 firstWindow) = (TYPE_HASH, record.firstWindow);
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            // trader, session, zone, side, kind
            for { let i := 0x20 } lt(i, 0xc0) { i := add(i, 0x20) } {
                mstore(add(free, i), mload(add(words, i)))
            }
            mstore(add(free, 0xc0), firstWindow)
            mstore(add(free, 0xe0), mload(add(flex, 0x80)))
            // nonce, replaces, beneficiary
            for { let i := 0x100 } lt(i, 0x160) { i := add(i, 0x20) } {
                mstore(add(free, i), mload(add(words, i)))
            }
            // energyWh, maxWh, limit
            for { let i := 0 } lt(i, 0x60) { i := add(i, 0x20) } {
                mstore(add(free, add(0x160, i)), mload(add(flex, i)))
            }
            let structHash := keccak256(free, STRUCT_BYTES)
            mstore(free, hex"1901")
            mstore(add(free, 0x02), separator)
            mstore(add(free, 0x22), structHash)
            hash := keccak256(free, 0x42)
        }
    }

    /// @notice Judges the split against the zone's potentials, in the lowest and in the highest alike, and finds what the order supports.
    /// @param potentialsAt calldata offset of the potential of the order's first window
    /// @return optimal whether no share would be better elsewhere, or be better not there
    /// @return support bit 2k the lowest potential of its window k, 2k+1 the highest
    function judge(Flex memory flex, uint256 potentialsAt)
        internal
        pure
        returns (bool optimal, uint256 support)
    {
        unchecked {
            (bool capped, bool floored) = _bounded(flex);
            Edge memory lo = _edge(flex, potentialsAt, 0);
            Edge memory hi = _edge(flex, potentialsAt, 32);
            optimal = _fits(lo, flex.limit, capped, floored) && _fits(hi, flex.limit, capped, floored);
            for (uint256 k; k < flex.windows; ++k) {
                Potential e = potentialAt(potentialsAt, k);
                (bool below, bool above) = _sides(flex, k);
                if (above) {
                    bool byLimit = floored && e.lo() == flex.limit;
                    bool byWindow = e.lo() == lo.dearest && lo.dearestRank < uint256(e.rankLo());
                    if (byLimit || byWindow) support |= 1 << 2 * k;
                }
                if (below) {
                    bool byLimit = capped && e.hi() == flex.limit;
                    bool byWindow = e.hi() == hi.cheapest && hi.cheapestRank < uint256(e.rankHi());
                    if (byLimit || byWindow) support |= 2 << 2 * k;
                }
            }
        }
    }

    function shareAt(Flex memory flex, uint256 k) internal pure returns (uint256 share) {
        uint256 at = flex.sharesAt;
        assembly ("memory-safe") {
            share := shr(224, calldataload(add(at, shl(2, k))))
        }
    }

    function potentialAt(uint256 potentialsAt, uint256 k) internal pure returns (Potential e) {
        assembly ("memory-safe") {
            e := calldataload(add(potentialsAt, shl(5, k)))
        }
    }

    /// @dev Whether the limit bounds the windows below from above, and those above from below.
    function _bounded(Flex memory flex) private pure returns (bool capped, bool floored) {
        (bool some, bool left) = (flex.total > 0, flex.total < flex.energyWh);
        return flex.side == 0 ? (some, left) : (left, some);
    }

    function _sides(Flex memory flex, uint256 k) private pure returns (bool below, bool above) {
        uint256 share = shareAt(flex, k);
        (bool used, bool room) = (share > 0, share < flex.maxWh);
        return flex.side == 0 ? (used, room) : (room, used);
    }

    /// @param shift of the vector in a potential: 0 the lowest, 32 the highest
    function _edge(Flex memory flex, uint256 potentialsAt, uint256 shift)
        private
        pure
        returns (Edge memory edge)
    {
        unchecked {
            (edge.dearest, edge.cheapest) = (-NOWHERE, NOWHERE);
            for (uint256 k; k < flex.windows; ++k) {
                uint256 word = Potential.unwrap(potentialAt(potentialsAt, k)) >> shift;
                (int256 price, uint256 rank) = (int32(uint32(word)), uint32(word >> 64));
                (bool below, bool above) = _sides(flex, k);
                if (below && (price > edge.dearest || (price == edge.dearest && rank < edge.dearestRank))) {
                    (edge.dearest, edge.dearestRank) = (price, rank);
                }
                if (above && (price < edge.cheapest || (price == edge.cheapest && rank < edge.cheapestRank)))
                {
                    (edge.cheapest, edge.cheapestRank) = (price, rank);
                }
            }
        }
    }

    /// @dev No window below is dearer than one above; the limit lies between, as far as it bounds.
    function _fits(Edge memory edge, int256 limit, bool capped, bool floored) private pure returns (bool) {
        return edge.dearest <= edge.cheapest && (!capped || edge.dearest <= limit)
            && (!floored || edge.cheapest >= limit);
    }
}
