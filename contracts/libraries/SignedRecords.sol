// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../interfaces/IClearing.sol";
import {Flex, Flexible} from "./Flexible.sol";
import {Record, ScheduleCodec, Scratch, Totals} from "./ScheduleCodec.sol";
import {SessionKeyLib} from "./SessionKey.sol";

/// @dev An order that somebody signed, schedule or flexible. Whether it was the trader, or one who may sign for it, is for the reader to say.
struct SignedOrder {
    bytes32 hash;
    address trader;
    address signer;
    bytes32 replaces;
    uint256 side;
    uint256 quality;
    uint256 firstWindow;
    uint256 windows;
    uint256 flags;
    bool tooMuch; // a quantity is above the bound given
    bool offLimits; // a limit is below the floor or above the cap
    uint256 shares; // of a flexible order's split, Wh
}

/// @title SignedRecords: orders by their records, one at a time, outside of clearing
/// @dev Clearing reads the same records, in memory of its own: there every word counts. Here as there the signature is looked at before anything else the
/// record says is believed.
library SignedRecords {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant REPLACES_AT = 0x120;

    /// @notice Reads the record at `at` of `data`. `BadSignature` if nobody can be told to have signed it.
    /// @param bound the largest quantity of a window that is not too much, Wh
    /// @param floor the lowest limit allowed of a flexible order, micro/kWh; those of schedules are the scratch's
    /// @param cap the highest
    /// @return order who signed what
    /// @return next the offset behind it
    function read(
        Scratch memory scratch,
        bytes calldata data,
        uint256 at,
        uint256 bound,
        int256 floor,
        int256 cap
    ) internal pure returns (SignedOrder memory order, uint256 next) {
        Record memory record;
        next = ScheduleCodec.readHead(scratch, record, data, at);
        if (record.flags & ScheduleCodec.FLAG_FLEXIBLE != 0) {
            Flex memory flex;
            Flexible.read(record, flex);
            record.hash = Flexible.digest(scratch, record, flex);
            (order.shares, order.tooMuch) = (flex.total, flex.maxWh > bound || Flexible.overflows(flex));
            order.offLimits = flex.limit < floor || flex.limit > cap;
        } else {
            Totals memory totals;
            ScheduleCodec.readEntries(scratch, record, bound, totals);
            record.hash = ScheduleCodec.digest(scratch, record);
            (order.tooMuch, order.offLimits) = (totals.overBound, totals.offLimits);
        }
        (order.trader, order.signer, order.flags) = (record.trader, _signerOf(record), record.flags);
        bool byKey = order.signer != order.trader;
        order.hash = byKey ? SessionKeyLib.orderHash(record.hash, order.signer) : record.hash;
        (order.side, order.quality) = (record.side, record.quality);
        (order.firstWindow, order.windows) = (record.firstWindow, record.entries);
        order.replaces = _replaces(scratch);
    }

    function _signerOf(Record memory record) private pure returns (address signer) {
        if (uint256(record.s) <= HALF_ORDER) {
            signer = ecrecover(record.hash, uint8(record.v), record.r, record.s);
        }
        if (signer == address(0)) revert IClearing.BadSignature(signer, record.trader);
    }

    /// @dev What the last head read says, or zero.
    function _replaces(Scratch memory scratch) private pure returns (bytes32 replaces) {
        uint256 words = scratch.structWords;
        assembly ("memory-safe") {
            replaces := mload(add(words, REPLACES_AT))
        }
    }
}
