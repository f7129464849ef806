// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Chunks} from "./Chunks.sol";
import {SessionParams, Stage} from "./interfaces/IAuction.sol";
import {IClearing} from "./interfaces/IClearing.sol";
import {Cash, CashLib} from "./libraries/Cash.sol";
import {Fill, Frame, Table} from "./libraries/Fill.sol";
import {Flex, Flexible} from "./libraries/Flexible.sol";
import {FLAG_DONOR, Member} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {KIND_ENERGY, ProductIdLib} from "./libraries/ProductId.sol";
import {Record, ScheduleCodec, Scratch, Totals} from "./libraries/ScheduleCodec.sol";

/// @title Filling: what an order that counts is filled, pays and earns
abstract contract Filling is Chunks, IClearing {
    /// @dev What every record of a call shares.
    struct Context {
        uint24 epoch;
        uint32 zone;
        Table table;
        Frame frame;
        uint256 windows;
        bytes16 qualities;
        uint256 qualityCount;
        SessionParams session;
        Scratch scratch;
        Record record;
        address signer; // of the record
        Cash cash; // of the record's trader
        bool defers; // a metered account's sale as produced: paid when it is delivered
        uint256 reserve; // nano a Wh of the record that stays reserved
        uint256 cover; // of the record
        int256 before; // its free cash as stored
        Totals totals; // of the record
        Flex flex; // of a flexible record
        uint256 potentialsAt; // calldata offset of the zone's
        uint256[] lanes;
        uint256 lastWord; // of the buffer that fills are written to
        bytes32 lastHash;
        uint256 count;
        bytes32[20] frontier;
        uint256 support;
        uint256 submitted;
        uint24 endedEpoch;
        Stage endedStage;
    }

    /// @param cell the order's first
    function _fill(Context memory c, Member member, uint256 cell, bool flexible) internal {
        unchecked {
            bool wide = member.isWide();
            uint256 laneBytes = 32 / PackedWindows.lanesOf(wide);
            uint256 first = _wipeLanes(c, 32 / laneBytes);
            uint256 biasedWorth =
                flexible ? _split(c, cell, laneBytes, first) : _derive(c, cell, laneBytes, first);
            uint256 filledWh = _mint(c, member, wide, biasedWorth);
            _account(c, filledWh, int256(biasedWorth) - int256(filledWh * Fill.PRICE_BIAS));
        }
    }

    /// @dev Books what the order's fills are worth to its trader, or its beneficiary, and what they keep reserved.
    function _account(Context memory c, uint256 filledWh, int256 worth) private {
        unchecked {
            Record memory record = c.record;
            int256 net = -int256(filledWh * c.reserve);
            bool donates = worth > 0 && record.flags & ScheduleCodec.FLAG_DONATES != 0;
            if (record.side == 0) net -= worth;
            else if (donates) _donate(c, record, worth);
            else if (!c.defers) net += worth;
            (Cash cash, uint256 cover) = (c.cash, c.cover);
            int256 free = cash.free() - int256(cover);
            // Only what was donated to it can have brought an account back from what it owed.
            if (c.before < 0) _countDebt(record.trader, c.before, free);
            _cash[record.trader] = CashLib.pack(free, cash.reserved() + cover, cash.net() + net, c.epoch);
            emit ScheduleCleared(record.trader, record.hash, net, c.lanes);
        }
    }

    /// @dev What a beneficiary is given is its result of the session, as if it had sold itself; or noted, to be given when it is delivered.
    function _donate(Context memory c, Record memory record, int256 worth) private {
        if (c.defers) {
            // Below 2^96: what all lanes of an account can hold at the highest price is.
            _gifts[c.epoch][record.trader].nano += uint96(uint256(worth));
            return;
        }
        address beneficiary = record.beneficiary;
        Cash stored = _cash[beneficiary];
        Cash cash = _foldedIn(c, stored);
        _countDebt(beneficiary, stored.free(), cash.free());
        _cash[beneficiary] = CashLib.pack(cash.free(), cash.reserved(), cash.net() + worth, c.epoch);
        emit ProceedsDonated(beneficiary, record.hash, uint256(worth));
    }

    /// @dev Makes room for the lanes of the record's windows: fills of the record before must not show where this one writes no lane.
    /// @return first where the lane of its first window lies: its last byte is that of the word there, later lanes lie below
    function _wipeLanes(Context memory c, uint256 lanes) private pure returns (uint256 first) {
        unchecked {
            Record memory record = c.record;
            uint256 lane = record.firstWindow % lanes;
            uint256 words = (lane + record.entries + lanes - 1) / lanes;
            (uint256 last, uint256[] memory packed) = (c.lastWord, c.lanes);
            assembly ("memory-safe") {
                calldatacopy(sub(last, shl(5, sub(words, 1))), calldatasize(), shl(5, words))
                // One array for all records, made long enough for any.
                mstore(packed, words)
            }
            return last - lane * (32 / lanes);
        }
    }

    /// @dev Derives the fills. They are written from the last byte of a buffer downwards, as one long number: its last word holds the first lanes.
    /// @param cell the schedule's first
    /// @param first where to write the first fill
    /// @return biasedWorth sum of fill x (price + PRICE_BIAS)
    function _derive(Context memory c, uint256 cell, uint256 laneBytes, uint256 first)
        private
        pure
        returns (uint256 biasedWorth)
    {
        unchecked {
            Record memory record = c.record;
            Table memory table = c.table;
            Frame memory frame = c.frame;
            uint256 window = record.firstWindow - c.session.firstWindow;
            uint256 rows = Fill.rowsOf(table, cell / c.windows);
            frame.end = record.entriesAt + 8 * record.entries;
            frame.tail = 8 * record.entries % 32;
            frame.firstRow = rows + 8 * window;
            frame.firstCell = table.cells + Fill.STRIDE * cell;
            uint256 prices = Fill.pricesAt(table, rows, window);
            // Two calls on purpose: a function called once is inlined, and this one's loop would then not fit the stack.
            biasedWorth = record.side == 0
                ? Fill.derive(record.entriesAt, frame, table.rowBytes, prices, record.side, laneBytes, first)
                : Fill.derive(record.entriesAt, frame, table.rowBytes, prices, record.side, laneBytes, first);
            if (frame.exceeded != 0) revert MarginalExceeded(record.hash);
        }
    }

    /// @dev The same of a flexible order: takes its split as it was posted, if the prices could not better it.
    /// @param window the order's first, whose cell of quality 0 is of the same number
    function _split(Context memory c, uint256 window, uint256 laneBytes, uint256 first)
        private
        pure
        returns (uint256 biasedWorth)
    {
        unchecked {
            Flex memory flex = c.flex;
            uint256 potentialsAt = c.potentialsAt + 32 * window;
            if (!Flexible.fits(flex)) revert SplitOutOfRange(c.record.hash);
            (bool optimal, uint256 support) = Flexible.judge(flex, potentialsAt);
            if (!optimal) revert SplitNotOptimal(c.record.hash);
            c.support |= support << 2 * window;
            Table memory table = c.table;
            uint256 row = table.lanes + 8 * window + (2 + flex.side) * table.rowBytes;
            for (uint256 k; k < flex.windows; ++k) {
                uint256 share = Flexible.shareAt(flex, k);
                if (share != 0) {
                    assembly ("memory-safe") {
                        mstore(first, or(mload(first), share))
                        mstore(row, add(mload(row), shl(192, share)))
                    }
                    int256 price = Flexible.potentialAt(potentialsAt, k).mid();
                    biasedWorth += share * uint256(price + int256(Fill.PRICE_BIAS));
                }
                (first, row) = (first - laneBytes, row + 8);
            }
        }
    }

    /// @dev Turns the words of the fills round into `c.lanes` and adds them to the account's: claims of a buyer, obligations of a seller.
    function _mint(Context memory c, Member member, bool wide, uint256 biasedWorth)
        private
        returns (uint256 filledWh)
    {
        unchecked {
            Record memory record = c.record;
            (uint8 side, uint8 quality) = (uint8(record.side), uint8(record.quality));
            uint256 key = ProductIdLib.family(
                side, c.session.round, c.session.kind, quality, c.zone, windowLength
            ) + record.firstWindow / PackedWindows.lanesOf(wide);
            mapping(uint256 => uint256) storage slots = _lanes[record.trader];
            (uint256 from, uint256[] memory packed) = (c.lastWord, c.lanes);
            uint256 to;
            uint256 end;
            assembly ("memory-safe") {
                to := add(packed, 0x20)
                end := add(to, shl(5, mload(packed)))
            }
            for (; to < end; to += 32) {
                uint256 added;
                assembly ("memory-safe") {
                    added := mload(from)
                    mstore(to, added)
                    from := sub(from, 0x20)
                }
                if (added != 0) {
                    filledWh += PackedWindows.total(added, wide);
                    uint256 at;
                    uint256 word;
                    assembly ("memory-safe") {
                        // slots[key], found once for reading and writing
                        mstore(0x00, key)
                        mstore(0x20, slots.slot)
                        at := keccak256(0x00, 0x40)
                        word := sload(at)
                    }
                    word = PackedWindows.add(word, added, wide);
                    assembly ("memory-safe") {
                        sstore(at, word)
                    }
                }
                ++key;
            }
            if (filledWh != 0 && c.session.kind == KIND_ENERGY) {
                Member noted = member.withHeld(side, quality);
                bool donates = record.flags & ScheduleCodec.FLAG_DONATES != 0;
                if (donates && c.defers && biasedWorth > filledWh * Fill.PRICE_BIAS) {
                    noted = noted.withFlag(FLAG_DONOR, true);
                }
                if (Member.unwrap(noted) != Member.unwrap(member)) _members[record.trader] = noted;
            }
        }
    }

    /// @dev As `_folded`; accounts mostly come from the same session, whose end is looked up once.
    function _foldedIn(Context memory c, Cash cash) internal view returns (Cash) {
        uint24 epoch = cash.epoch();
        if (epoch == 0 || epoch == c.epoch) return cash;
        return _foldAt(cash, _stageIn(c, epoch));
    }

    function _stageIn(Context memory c, uint24 epoch) internal view returns (Stage) {
        if (epoch != c.endedEpoch) (c.endedEpoch, c.endedStage) = (epoch, _stageOf(epoch));
        return c.endedStage;
    }
}
