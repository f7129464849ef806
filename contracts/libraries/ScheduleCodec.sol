// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev One order as read from calldata, and where its parts lie. Reused from record to record.
struct Record {
    address trader;
    uint256 side;
    uint256 quality;
    uint256 firstWindow;
    uint256 entries; // how many, or windows of a flexible order
    uint256 entriesAt; // calldata offset of the first, or of a flexible order's terms
    bytes32 r;
    bytes32 s;
    uint256 v;
    bytes32 hash;
    uint256 flags;
    address beneficiary; // zero if none is named
}

/// @dev Memory the codec reuses for every record: 13 words of the struct to hash, and one array for each signed array.
struct Scratch {
    uint256 structWords;
    uint256 quantities; // the limits lie LIMITS_BEHIND behind
    bool dirty; // a limit's upper bytes may not be zero
    uint256 floors; // the limits allowed, in the lanes that four entries are compared in
    uint256 caps;
    bytes32 domainSeparator;
}

/// @dev What one pass over the entries of a schedule finds.
struct Totals {
    uint256 quantityWh;
    uint256 valuedNano; // sum of quantity x max(0, limit) of a buy, quantity x max(0, -limit) of a sell
    bool overBound; // a quantity exceeds the bound given
    bool offLimits; // a limit is below the floor or above the cap
}

/// @title ScheduleCodec: the packed record of an order, and the EIP-712 digest of a schedule
/// @dev docs/formats.md, Schedule record. There is exactly one record for a signed schedule. What is particular to flexible orders: `Flexible`.
library ScheduleCodec {
    /// @notice The record ends early, has unknown flags, no entries or more than 128, or a flagged field that is zero; or a flexible order names a quality.
    error MalformedRecord(uint256 offset);

    bytes32 internal constant TYPE_HASH = keccak256(
        "Schedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint8 quality,uint32 firstWindow,uint64 nonce,"
        "bytes32 replaces,address beneficiary,uint32[] quantityWh,int32[] limitMicroPerKWh)"
    );

    uint256 internal constant MAX_ENTRIES = 128;

    uint256 internal constant FLAG_REPLACES = 4;
    uint256 internal constant FLAG_DONATES = 8;
    uint256 internal constant FLAG_FLEXIBLE = 16;
    uint256 internal constant FLAG_SUBMITTED = 32;

    /// @dev From an entry's quantity to its limit in the scratch arrays.
    uint256 internal constant LIMITS_BEHIND = 0x1000; // 32 * MAX_ENTRIES

    /// @dev Constants over the four 64-bit lanes of a word: one, the top bit, the sign bit of a limit, the lower half.
    uint256 private constant ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;
    uint256 private constant TOPS = 0x8000000000000000800000000000000080000000000000008000000000000000;
    uint256 private constant SIGNS = 0x0000000080000000000000008000000000000000800000000000000080000000;
    uint256 private constant LOWS = 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
    int256 private constant SIGN = 1 << 31;

    uint256 private constant HEAD_BYTES = 99;
    uint256 private constant ENTRY_BYTES = 8;
    uint256 private constant SHARE_BYTES = 4;
    uint256 private constant TERMS_BYTES = 12;
    uint256 private constant STRUCT_BYTES = 13 * 32;

    /// @notice Prepares the memory that every record of a call shares.
    /// @param floor the lowest limit allowed, micro/kWh; `cap` the highest
    function prepare(
        bytes32 domainSeparator,
        bytes32 session,
        uint256 zone,
        uint256 kind,
        int256 floor,
        int256 cap
    ) internal pure returns (Scratch memory scratch) {
        bytes32 typeHash = TYPE_HASH;
        uint256 at;
        assembly ("memory-safe") {
            at := mload(0x40)
            let size := add(STRUCT_BYTES, mul(0x40, MAX_ENTRIES))
            mstore(0x40, add(at, size))
            calldatacopy(at, calldatasize(), size) // zeros
            mstore(at, typeHash)
            mstore(add(at, 0x40), session)
            mstore(add(at, 0x60), zone)
            mstore(add(at, 0xa0), kind)
        }
        scratch.structWords = at;
        scratch.quantities = at + STRUCT_BYTES;
        scratch.domainSeparator = domainSeparator;
        scratch.floors = uint256((1 << 63) - (floor + SIGN)) * ONES;
        scratch.caps = uint256((1 << 63) + cap + SIGN) * ONES;
    }

    /// @notice Reads the fixed part of the record at `offset` of `data` into `record` and the struct words.
    /// @return next the offset behind the record
    function readHead(Scratch memory scratch, Record memory record, bytes calldata data, uint256 offset)
        internal
        pure
        returns (uint256 next)
    {
        unchecked {
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
            bytes32 replaces;
            uint256 beneficiary;
            uint256 entriesAt = offset + HEAD_BYTES;
            uint256 size = n * ENTRY_BYTES;
            if (flags > 3) {
                (entriesAt, size, replaces, beneficiary) = _readOptions(data, offset, flags, n);
                if (flags & FLAG_FLEXIBLE != 0 && record.quality != 0) revert MalformedRecord(offset);
            }
            next = entriesAt + size;
            if (n == 0 || n > MAX_ENTRIES || next > data.length) revert MalformedRecord(offset);
            record.flags = flags;
            record.beneficiary = address(uint160(beneficiary));
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
    }

    /// @dev What the flags announce beyond a side and a signature.
    function _readOptions(bytes calldata data, uint256 offset, uint256 flags, uint256 n)
        private
        pure
        returns (uint256 entriesAt, uint256 size, bytes32 replaces, uint256 beneficiary)
    {
        unchecked {
            entriesAt = offset + HEAD_BYTES;
            if (flags & FLAG_REPLACES != 0) {
                assembly ("memory-safe") {
                    replaces := calldataload(add(data.offset, entriesAt))
                }
                if (replaces == 0) revert MalformedRecord(offset);
                entriesAt += 32;
            }
            if (flags & FLAG_DONATES != 0) {
                assembly ("memory-safe") {
                    beneficiary := shr(96, calldataload(add(data.offset, entriesAt)))
                }
                if (beneficiary == 0) revert MalformedRecord(offset);
                entriesAt += 20;
            }
            if (flags >> 6 != 0) revert MalformedRecord(offset);
            size = flags & FLAG_FLEXIBLE != 0 ? TERMS_BYTES + n * SHARE_BYTES : n * ENTRY_BYTES;
        }
    }

    /// @notice Unpacks the entries into the scratch arrays, and sums and checks them.
    /// @param bound the largest quantity allowed, Wh
    /// @param totals where to write what is found
    function readEntries(Scratch memory scratch, Record memory record, uint256 bound, Totals memory totals)
        internal
        pure
    {
        unchecked {
            (uint256 at, uint256 end) = (record.entriesAt, record.entriesAt + record.entries * ENTRY_BYTES);
            uint256 array = scratch.quantities;
            bool someNegative;
            (totals.quantityWh, someNegative, totals.overBound, totals.offLimits) =
                _check(scratch, at, end, bound);
            if (scratch.dirty) _wipe(scratch);
            if (someNegative) {
                _unpackSigned(at, end, array);
                scratch.dirty = true;
                totals.valuedNano = _valued(array, record.entries, record.side);
            } else {
                _unpack(at, end, array);
                totals.valuedNano = record.side == 0 ? _product(array, record.entries) : 0;
            }
        }
    }

    /// @dev Four entries at a time: in each 64-bit lane of a word a quantity above a limit. A comparison `x <= y` of lanes is the top bit of
    /// `2^63 + y - x`; limits compare with their sign bit flipped.
    function _check(Scratch memory scratch, uint256 at, uint256 end, uint256 bound)
        private
        pure
        returns (uint256 sum, bool someNegative, bool overBound, bool offLimits)
    {
        unchecked {
            uint256 sums;
            uint256 signs;
            uint256 fit = TOPS;
            (uint256 floors, uint256 caps) = (scratch.floors, scratch.caps);
            bound = (1 << 63 | bound) * ONES;
            uint256 fitQuantities = TOPS;
            assembly ("memory-safe") {
                function compare(word, low, high) -> within {
                    word := and(xor(word, SIGNS), LOWS)
                    within := and(sub(high, word), add(low, word))
                }
                let tail := and(sub(end, at), 0x1f)
                for { end := sub(end, tail) } lt(at, end) { at := add(at, 0x20) } {
                    let word := calldataload(at)
                    signs := or(signs, word)
                    fit := and(fit, compare(word, floors, caps))
                    word := and(shr(32, word), LOWS)
                    sums := add(sums, word)
                    fitQuantities := and(fitQuantities, sub(bound, word))
                }
                if tail {
                    // Behind the last entry: no quantity, at the floor.
                    let kept := not(shr(shl(3, tail), not(0)))
                    let word :=
                        or(
                            and(calldataload(at), kept),
                            and(xor(sub(TOPS, floors), SIGNS), and(LOWS, not(kept)))
                        )
                    signs := or(signs, word)
                    fit := and(fit, compare(word, floors, caps))
                    word := and(shr(32, word), LOWS)
                    sums := add(sums, word)
                    fitQuantities := and(fitQuantities, sub(bound, word))
                }
            }
            sum = uint64(sums) + uint64(sums >> 64) + uint64(sums >> 128) + (sums >> 192);
            someNegative = signs & SIGNS != 0;
            overBound = fitQuantities & TOPS != TOPS;
            offLimits = fit & TOPS != TOPS;
        }
    }

    /// @dev Writes quantities and limits as words, four entries a round. Their upper bytes are zero already: four bytes of each are copied.
    /// What is copied from behind the last entry is not read.
    function _unpack(uint256 at, uint256 end, uint256 array) private pure {
        assembly ("memory-safe") {
            array := add(array, 28)
            for {} lt(at, end) { at := add(at, 0x20) } {
                calldatacopy(array, at, 4)
                calldatacopy(add(array, LIMITS_BEHIND), add(at, 4), 4)
                calldatacopy(add(array, 0x20), add(at, 8), 4)
                calldatacopy(add(array, add(LIMITS_BEHIND, 0x20)), add(at, 12), 4)
                calldatacopy(add(array, 0x40), add(at, 16), 4)
                calldatacopy(add(array, add(LIMITS_BEHIND, 0x40)), add(at, 20), 4)
                calldatacopy(add(array, 0x60), add(at, 24), 4)
                calldatacopy(add(array, add(LIMITS_BEHIND, 0x60)), add(at, 28), 4)
                array := add(array, 0x80)
            }
        }
    }

    /// @dev The same where limits are negative and fill their words.
    function _unpackSigned(uint256 at, uint256 end, uint256 array) private pure {
        assembly ("memory-safe") {
            for {} lt(at, end) { at := add(at, 8) } {
                let entry := calldataload(at)
                mstore(array, shr(224, entry))
                mstore(add(array, LIMITS_BEHIND), sar(224, shl(32, entry)))
                array := add(array, 0x20)
            }
        }
    }

    function _wipe(Scratch memory scratch) private pure {
        uint256 limits = scratch.quantities + LIMITS_BEHIND;
        assembly ("memory-safe") {
            calldatacopy(limits, calldatasize(), LIMITS_BEHIND)
        }
        scratch.dirty = false;
    }

    /// @dev Sum of quantity x limit where no limit is negative, two entries a round: behind an odd last one a quantity of zero is put.
    function _product(uint256 array, uint256 entries) private pure returns (uint256 product) {
        assembly ("memory-safe") {
            let end := add(array, shl(5, entries))
            if and(entries, 1) { mstore(end, 0) }
            for {} lt(array, end) { array := add(array, 0x40) } {
                product := add(product, mul(mload(array), mload(add(array, LIMITS_BEHIND))))
                product := add(
                    product,
                    mul(mload(add(array, 0x20)), mload(add(array, add(LIMITS_BEHIND, 0x20))))
                )
            }
        }
    }

    /// @dev A buy risks a positive limit, a sell a negative one.
    function _valued(uint256 array, uint256 entries, uint256 side) private pure returns (uint256) {
        int256 valued;
        assembly ("memory-safe") {
            for { let end := add(array, shl(5, entries)) } lt(array, end) { array := add(array, 0x20) } {
                let limit := mload(add(array, LIMITS_BEHIND))
                if eq(slt(limit, 0), side) { valued := add(valued, mul(mload(array), limit)) }
            }
        }
        return uint256(side == 0 ? valued : -valued);
    }

    /// @notice The largest quantity, Wh. The entries have been read.
    function largest(Scratch memory scratch, Record memory record) internal pure returns (uint256 wh) {
        uint256 array = scratch.quantities;
        uint256 entries = record.entries;
        assembly ("memory-safe") {
            for { let end := add(array, shl(5, entries)) } lt(array, end) { array := add(array, 0x20) } {
                let quantity := mload(array)
                if gt(quantity, wh) { wh := quantity }
            }
        }
    }

    /// @notice The schedule's EIP-712 digest, which is its order hash. The entries have been read.
    function digest(Scratch memory scratch, Record memory record) internal pure returns (bytes32 hash) {
        uint256 words = scratch.structWords;
        uint256 bytesOfArray = record.entries * 32;
        uint256 quantities = scratch.quantities;
        bytes32 separator = scratch.domainSeparator;
        assembly ("memory-safe") {
            mstore(add(words, 0x160), keccak256(quantities, bytesOfArray))
            mstore(add(words, 0x180), keccak256(add(quantities, LIMITS_BEHIND), bytesOfArray))
            let free := mload(0x40)
            mstore(free, hex"1901")
            mstore(add(free, 0x02), separator)
            mstore(add(free, 0x22), keccak256(words, STRUCT_BYTES))
            hash := keccak256(free, 0x42)
        }
    }
}
