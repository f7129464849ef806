// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev One schedule as read from calldata, and where its parts lie. Reused from record to record.
struct Record {
    address trader;
    uint256 side;
    uint256 quality;
    uint256 firstWindow;
    uint256 entries; // how many
    uint256 entriesAt; // calldata offset of the first
    bytes32 r;
    bytes32 s;
    uint256 v;
    bytes32 hash;
    bool donates; // names a beneficiary
}

/// @dev Memory the codec reuses for every record: 13 words of the struct to hash, and one array for each signed array.
struct Scratch {
    uint256 structWords;
    uint256 quantities;
    uint256 limits;
    bytes32 domainSeparator;
}

/// @dev What one pass over the entries of a schedule finds.
struct Totals {
    uint256 quantityWh;
    uint256 valuedNano; // sum of quantity x max(0, limit) of a buy, quantity x max(0, -limit) of a sell
    bool overBound; // a quantity exceeds the bound given
    bool offLimits; // a limit is below the floor or above the cap
}

/// @title ScheduleCodec: the packed record of a schedule, and its EIP-712 digest
/// @dev docs/formats.md, Schedule record. There is exactly one record for a signed schedule.
library ScheduleCodec {
    /// @notice The record ends early, has unknown flags, no entries or more than 128, or a flagged field that is zero.
    error MalformedRecord(uint256 offset);

    bytes32 internal constant TYPE_HASH = keccak256(
        "Schedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint8 quality,uint32 firstWindow,uint64 nonce,"
        "bytes32 replaces,address beneficiary,uint32[] quantityWh,int32[] limitMicroPerKWh)"
    );

    uint256 internal constant MAX_ENTRIES = 128;

    uint256 private constant HEAD_BYTES = 99;
    uint256 private constant ENTRY_BYTES = 8;
    uint256 private constant STRUCT_BYTES = 13 * 32;

    /// @notice Prepares the memory that every record of a call shares.
    function prepare(bytes32 domainSeparator, bytes32 session, uint256 zone, uint256 kind)
        internal
        pure
        returns (Scratch memory scratch)
    {
        bytes32 typeHash = TYPE_HASH;
        uint256 at;
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, add(STRUCT_BYTES, mul(0x40, MAX_ENTRIES))))
            mstore(at, typeHash)
            mstore(add(at, 0x40), session)
            mstore(add(at, 0x60), zone)
            mstore(add(at, 0xa0), kind)
        }
        scratch.structWords = at;
        scratch.quantities = at + STRUCT_BYTES;
        scratch.limits = at + STRUCT_BYTES + 32 * MAX_ENTRIES;
        scratch.domainSeparator = domainSeparator;
    }

    /// @notice Reads the fixed part of the record at `offset` of `data` into `record` and the struct words.
    /// @return next the offset behind the record
    function readHead(Scratch memory scratch, Record memory record, bytes calldata data, uint256 offset)
        internal
        pure
        returns (uint256 next)
    {
        if (offset + HEAD_BYTES > data.length) revert MalformedRecord(offset);
        uint256 head;
        uint256 at;
        uint256 rest;
        assembly ("memory-safe") {
            at := add(data.offset, offset)
            head := calldataload(at)
            rest := calldataload(add(at, 0x03))
            mstore(add(record, 0xc0), calldataload(add(at, 35)))
            mstore(add(record, 0xe0), calldataload(add(at, 67)))
        }
        uint256 flags = (head >> 88) & 0xff;
        record.trader = address(uint160(head >> 96));
        record.side = flags & 1;
        record.v = 27 + ((flags >> 1) & 1);
        record.quality = (head >> 80) & 0xff;
        record.firstWindow = (head >> 48) & 0xffffffff;
        uint256 n = (head >> 40) & 0xff;
        record.donates = flags & 8 != 0;
        bytes32 replaces;
        uint256 beneficiary;
        uint256 entriesAt = offset + HEAD_BYTES;
        if (flags & 4 != 0) {
            assembly ("memory-safe") {
                replaces := calldataload(add(data.offset, entriesAt))
            }
            if (replaces == 0) revert MalformedRecord(offset);
            entriesAt += 32;
        }
        if (record.donates) {
            assembly ("memory-safe") {
                beneficiary := shr(96, calldataload(add(data.offset, entriesAt)))
            }
            if (beneficiary == 0) revert MalformedRecord(offset);
            entriesAt += 20;
        }
        next = entriesAt + n * ENTRY_BYTES;
        if (flags >> 4 != 0 || n == 0 || n > MAX_ENTRIES || next > data.length) revert MalformedRecord(offset);
        record.entries = n;
        uint256 words = scratch.structWords;
        assembly ("memory-safe") {
            mstore(add(record, 0xa0), add(data.offset, entriesAt))
            mstore(add(words, 0x20), shr(96, head))
            mstore(add(words, 0x80), and(flags, 1))
            mstore(add(words, 0xc0), and(shr(80, head), 0xff))
            mstore(add(words, 0xe0), and(shr(48, head), 0xffffffff))
            mstore(add(words, 0x100), and(rest, 0xffffffffffffffff))
            mstore(add(words, 0x120), replaces)
            mstore(add(words, 0x140), beneficiary)
        }
    }

    /// @notice Unpacks the entries into the scratch arrays, and sums and checks them on the way.
    /// @param bound the largest quantity allowed, Wh
    /// @param floor the lowest limit allowed, micro/kWh
    /// @param cap the highest limit allowed, micro/kWh
    function readEntries(Scratch memory scratch, Record memory record, uint256 bound, int256 floor, int256 cap)
        internal
        pure
        returns (Totals memory totals)
    {
        uint256 at = record.entriesAt;
        uint256 end = at + record.entries * ENTRY_BYTES;
        uint256 quantityAt = scratch.quantities;
        uint256 limitAt = scratch.limits;
        uint256 sign = record.side == 0 ? 1 : type(uint256).max;
        uint256 sum;
        uint256 valued;
        uint256 over;
        uint256 off;
        assembly ("memory-safe") {
            for {} lt(at, end) {} {
                let entry := calldataload(at)
                let quantity := shr(224, entry)
                let limit := sar(224, shl(32, entry))
                mstore(quantityAt, quantity)
                mstore(limitAt, limit)
                sum := add(sum, quantity)
                let value := mul(limit, sign)
                if sgt(value, 0) { valued := add(valued, mul(quantity, value)) }
                over := or(over, gt(quantity, bound))
                off := or(off, or(slt(limit, floor), sgt(limit, cap)))
                at := add(at, 8)
                quantityAt := add(quantityAt, 0x20)
                limitAt := add(limitAt, 0x20)
            }
        }
        (totals.quantityWh, totals.valuedNano, totals.overBound, totals.offLimits) = (sum, valued, over != 0, off != 0);
    }

    /// @notice The schedule's EIP-712 digest, which is its order hash. The entries have been read.
    function digest(Scratch memory scratch, Record memory record) internal pure returns (bytes32 hash) {
        uint256 words = scratch.structWords;
        uint256 bytesOfArray = record.entries * 32;
        uint256 quantities = scratch.quantities;
        uint256 limits = scratch.limits;
        bytes32 separator = scratch.domainSeparator;
        assembly ("memory-safe") {
            mstore(add(words, 0x160), keccak256(quantities, bytesOfArray))
            mstore(add(words, 0x180), keccak256(limits, bytesOfArray))
            let free := mload(0x40)
            mstore(free, hex"1901")
            mstore(add(free, 0x02), separator)
            mstore(add(free, 0x22), keccak256(words, STRUCT_BYTES))
            hash := keccak256(free, 0x42)
        }
    }
}
