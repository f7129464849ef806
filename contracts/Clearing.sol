// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Book, Ledger, PendingWithdrawal} from "./Ledger.sol";
import {Grid, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "./interfaces/IClearing.sol";
import {Cash, CashLib} from "./libraries/Cash.sol";
import {Fill, Frame, Table} from "./libraries/Fill.sol";
import {FLAG_SUSPENDED, FLAG_WITHDRAWING, Member, ROLE_NONE} from "./libraries/Member.sol";
import {MerkleFrontier} from "./libraries/MerkleFrontier.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {ProductIdLib} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";
import {Record, ScheduleCodec, Scratch, Totals} from "./libraries/ScheduleCodec.sol";
import {Slackness} from "./libraries/Slackness.sol";

/// @title Clearing: fills derived from prices, prices proved
/// @dev A chunk flows one way: read a record, check who signed it, judge its cover, derive its fills, write its account and lanes, tell it.
abstract contract Clearing is Ledger, IClearing {
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
        Cash cash; // of the record's trader
        uint256 cover; // of the record
        uint256[] lanes;
        uint256 lastWord; // of the buffer that fills are written to
        bytes32 lastHash;
        uint256 count;
        bytes32[20] frontier;
        uint24 endedEpoch;
        Stage endedStage;
    }

    uint8 internal constant REASON_NEGATIVE = 1;
    uint8 internal constant REASON_UNCOVERED = 2;
    uint8 internal constant REASON_QUALITY = 3;
    uint8 internal constant REASON_QUANTITY = 4;
    uint8 internal constant REASON_ZONE = 5;
    uint8 internal constant REASON_SUSPENDED = 6;

    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant MOST_WORDS = ScheduleCodec.MAX_ENTRIES / 8 + 1;
    /// @dev What a session may lock of one account: its result then fits the cash slot, whichever way it goes.
    uint256 private constant MOST_COVER = 1 << 70;
    uint256 private constant WIDE_BOUND = (1 << 30) - 1;

    /// @dev Stands for the carry hash of a zone that is done; before its first chunk it is zero.
    bytes32 private constant CLOSED = bytes32(uint256(1));

    /// @inheritdoc IClearing
    function postHeader(uint24 epoch, uint256[] calldata qualityPotentials, Grid calldata grid)
        external
        restricted
        whenNotPaused
    {
        _requireStage(epoch, Stage.Committed);
        SessionParams storage session = _params[epoch];
        _requireGrid(session.gridVersion, grid);
        uint256 windows = session.windows;
        _requireLength("qualityPotentials", qualityPotentials.length, (grid.qualities.length - 1) * windows);
        Slackness.requireHeader(qualityPotentials, grid.substitutions, windows);
        bytes32 header = keccak256(abi.encodePacked(qualityPotentials));
        _sessions[epoch].header = header;
        _sessions[epoch].stage = Stage.Posted;
        emit HeaderPosted(epoch, header);
    }

    /// @inheritdoc IClearing
    function clear(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        bytes calldata records
    ) external restricted whenNotPaused {
        bytes32 zoneHash = _requireProgress(epoch, zone, posted, carry);
        Context memory context;
        _prepare(context, epoch, zone, posted, carry);
        for (uint256 at; at < records.length;) {
            at = _clearRecord(context, records, at);
        }
        bytes32 carryHash = _carryHash(context, zoneHash);
        _progress[epoch][zone] = carryHash;
        emit ZoneAdvanced(epoch, zone, carryHash, context.count);
    }

    /// @inheritdoc IClearing
    function closeZone(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        uint256[] calldata substitutions,
        Grid calldata grid
    ) external restricted whenNotPaused {
        _requireProgress(epoch, zone, posted, carry);
        SessionParams storage session = _params[epoch];
        _requireGrid(session.gridVersion, grid);
        _requireLength("substitutions", substitutions.length, grid.substitutions.length / 2 * session.windows);
        Book storage book = _books[epoch][zone];
        bytes32[20] memory frontier = carry.frontier;
        if (book.count != carry.count || book.root != MerkleFrontier.root(frontier, carry.count)) {
            revert BookMismatch(epoch, zone);
        }
        Table memory table =
            Fill.load(posted.qualityPotentials, posted.energyPotentials, posted.marginals, carry.cells);
        Slackness.checkRoot(posted, table, grid.substitutions, substitutions);
        _progress[epoch][zone] = CLOSED;
        _sessions[epoch].stage = Stage.Proved;
        emit SessionProved(epoch);
    }

    // --- one record

    function _clearRecord(Context memory c, bytes calldata records, uint256 at)
        private
        returns (uint256 next)
    {
        unchecked {
            Record memory record = c.record;
            next = ScheduleCodec.readHead(c.scratch, record, records, at);
            Member member = _members[record.trader];
            (Totals memory totals, uint256 cell) = _readBody(c, record, member);
            _enterBook(c, record.hash);
            c.cover = totals.valuedNano + totals.quantityWh
                * (record.side == 0 ? c.session.buyReserve : c.session.sellReserve);
            c.cash = _foldedIn(c, _cash[record.trader]);
            uint8 reason = _ineligible(c, record, member, totals.overBound);
            if (reason != 0) emit ScheduleIneligible(c.epoch, record.trader, record.hash, reason);
            else _fill(c, member, cell);
        }
    }

    /// @dev As `_folded`; accounts mostly come from the same session, whose end is looked up once.
    function _foldedIn(Context memory c, Cash cash) private view returns (Cash) {
        uint24 epoch = cash.epoch();
        if (epoch == 0 || epoch == c.epoch) return cash;
        if (epoch != c.endedEpoch) (c.endedEpoch, c.endedStage) = (epoch, _stageOf(epoch));
        return _foldAt(cash, c.endedStage);
    }

    /// @dev Reads and authenticates the record. Only malformed input reverts: what a trader may not or cannot do is told by `_ineligible`.
    function _readBody(Context memory c, Record memory record, Member member)
        private
        pure
        returns (Totals memory totals, uint256 cell)
    {
        unchecked {
            bool sells = record.side == 1;
            uint256 widest = member.isWide() ? WIDE_BOUND : type(uint16).max;
            SessionParams memory session = c.session;
            totals = sells
                ? ScheduleCodec.readEntries(c.scratch, record, member.capacityWh())
                : ScheduleCodec.readEntries(c.scratch, record, widest);
            bytes32 hash = ScheduleCodec.digest(c.scratch, record);
            record.hash = hash;
            if (uint256(record.s) > HALF_ORDER) revert BadSignature(address(0), record.trader);
            address signer = ecrecover(hash, uint8(record.v), record.r, record.s);
            if (signer != record.trader || signer == address(0)) revert BadSignature(signer, record.trader);
            if (member.role() == ROLE_NONE) revert UnregisteredTrader(record.trader);
            if (!member.mayTrade()) revert OperatorMayNotTrade(record.trader);
            if (record.donates) revert BeneficiaryUnavailable(hash);
            if (totals.offLimits) revert LimitOutOfRange(hash);
            if (totals.overBound && !sells) revert QuantityOverflow(hash);
            if (
                record.firstWindow < session.firstWindow
                    || record.firstWindow + record.entries > uint256(session.firstWindow) + c.windows
            ) revert WindowOutOfSession(hash);
            uint256 window = record.firstWindow - session.firstWindow;
            cell = _denseQuality(c, record.quality) * c.windows + window;
        }
    }

    /// @dev Orders ascend strictly by hash, so that each is in once; the tree over them must end at the committed root.
    function _enterBook(Context memory c, bytes32 hash) private pure {
        unchecked {
            if (hash <= c.lastHash) revert NotAscending(c.lastHash, hash);
            MerkleFrontier.append(c.frontier, c.count++, MerkleFrontier.leafHash(hash));
            c.lastHash = hash;
        }
    }

    /// @dev Why a well-formed schedule fills zero and bounds nothing, or zero if it counts.
    function _ineligible(Context memory c, Record memory record, Member member, bool overCapacity)
        private
        view
        returns (uint8)
    {
        unchecked {
            (Cash cash, uint256 cover) = (c.cash, c.cover);
            if (member.has(FLAG_SUSPENDED)) return REASON_SUSPENDED;
            if (member.zone() != c.zone) return REASON_ZONE;
            if (record.side == 1) {
                if (!Quality.serves(member.maxQuality(), uint8(record.quality))) return REASON_QUALITY;
                if (overCapacity) return REASON_QUANTITY;
            }
            int256 free = cash.free();
            if (free < 0) return REASON_NEGATIVE;
            if (member.has(FLAG_WITHDRAWING)) {
                PendingWithdrawal memory pending = _withdrawals[record.trader];
                if (pending.afterEpoch < c.epoch) free -= int256(uint256(pending.amountNano));
            }
            if (free < int256(cover) || cash.reserved() + cover > MOST_COVER) return REASON_UNCOVERED;
            return 0;
        }
    }

    function _fill(Context memory c, Member member, uint256 cell) private {
        unchecked {
            Record memory record = c.record;
            bool wide = member.isWide();
            uint256 biasedWorth = _derive(c, cell, PackedWindows.lanesOf(wide));
            uint256 filledWh = _mint(c, member, wide);
            int256 worth = int256(biasedWorth) - int256(filledWh * Fill.PRICE_BIAS);
            int256 kept = int256(filledWh * (record.side == 0 ? c.session.buyReserve : c.session.sellReserve));
            int256 net = (record.side == 0 ? -worth : worth) - kept;
            (Cash cash, uint256 cover) = (c.cash, c.cover);
            _cash[record.trader] =
                CashLib.pack(cash.free() - int256(cover), cash.reserved() + cover, cash.net() + net, c.epoch);
            emit ScheduleCleared(record.trader, record.hash, net, c.lanes);
        }
    }

    /// @param cell the schedule's first
    /// @dev Derives the fills. They are written from the last byte of a buffer downwards, as one long number: its last word holds the first lanes.
    function _derive(Context memory c, uint256 cell, uint256 lanes)
        private
        pure
        returns (uint256 biasedWorth)
    {
        unchecked {
            Record memory record = c.record;
            Table memory table = c.table;
            Frame memory frame = c.frame;
            uint256 window = record.firstWindow - c.session.firstWindow;
            frame.end = record.entriesAt + 8 * record.entries;
            frame.tail = 8 * record.entries % 32;
            frame.firstRow = Fill.rowsOf(table, cell / c.windows) + 8 * window;
            frame.firstCell = table.cells + Fill.STRIDE * cell;
            uint256 prices = Fill.pricesAt(table, Fill.rowsOf(table, cell / c.windows), window);

            uint256 lane = record.firstWindow % lanes;
            uint256 laneBytes = 32 / lanes;
            uint256 words = (lane + record.entries + lanes - 1) / lanes;
            (uint256 last, uint256[] memory packed) = (c.lastWord, c.lanes);
            assembly ("memory-safe") {
                // Zeros: fills of the record before must not show where this one writes no lane.
                calldatacopy(sub(last, shl(5, sub(words, 1))), calldatasize(), shl(5, words))
                // One array for all records, made long enough for any.
                mstore(packed, words)
            }
            uint256 first = last - lane * laneBytes;
            // Two calls on purpose: a function called once is inlined, and this one's loop would then not fit the stack.
            biasedWorth = record.side == 0
                ? Fill.derive(record.entriesAt, frame, table.rowBytes, prices, record.side, laneBytes, first)
                : Fill.derive(record.entriesAt, frame, table.rowBytes, prices, record.side, laneBytes, first);
            if (frame.exceeded != 0) revert MarginalExceeded(record.hash);
        }
    }

    /// @dev Turns the words of the fills round into `c.lanes` and adds them to the account's: claims of a buyer, obligations of a seller.
    function _mint(Context memory c, Member member, bool wide) private returns (uint256 filledWh) {
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
            if (filledWh != 0 && !member.holds(side, quality)) {
                _members[record.trader] = member.withHeld(side, quality);
            }
        }
    }

    // --- around the records

    function _prepare(
        Context memory c,
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry
    ) private view {
        SessionParams memory session = _params[epoch];
        c.epoch = epoch;
        c.zone = zone;
        c.session = session;
        c.windows = session.windows;
        c.qualities = _dayInfo[session.day].qualities;
        c.qualityCount = _dayInfo[session.day].qualityCount;
        c.scratch = ScheduleCodec.prepare(
            _domainSeparatorV4(), _sessions[epoch].id, zone, session.kind, session.floor, session.cap
        );
        c.lanes = new uint256[](MOST_WORDS);
        c.lastWord = _buffer();
        c.lastHash = carry.lastHash;
        c.count = carry.count;
        c.frontier = carry.frontier;
        c.table = Fill.load(posted.qualityPotentials, posted.energyPotentials, posted.marginals, carry.cells);
    }

    /// @dev keccak(zoneHash . cells . lastHash . count . frontier), laid out in place.
    function _carryHash(Context memory c, bytes32 zoneHash) private pure returns (bytes32 hash) {
        uint256 at;
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(at, zoneHash)
        }
        Fill.store(c.table, at + 0x20);
        uint256 rest = at + 0x20 + c.table.count * 32;
        (bytes32 lastHash, uint256 count, bytes32[20] memory frontier) = (c.lastHash, c.count, c.frontier);
        assembly ("memory-safe") {
            mstore(rest, lastHash)
            mstore(add(rest, 0x20), count)
            for { let i := 0 } lt(i, 0x280) { i := add(i, 0x20) } {
                mstore(add(add(rest, 0x40), i), mload(add(frontier, i)))
            }
            hash := keccak256(at, sub(add(rest, 0x2c0), at))
        }
    }

    function _buffer() private pure returns (uint256 lastWord) {
        uint256[] memory buffer = new uint256[](MOST_WORDS + 1);
        assembly ("memory-safe") {
            lastWord := add(buffer, shl(5, mload(buffer)))
        }
    }

    /// @dev Posted and carried data are those of the session's header and of the chunk before.
    function _requireProgress(uint24 epoch, uint32 zone, Posted calldata posted, Carry calldata carry)
        private
        view
        returns (bytes32 zoneHash)
    {
        _requireStage(epoch, Stage.Posted);
        if (_sessions[epoch].header != keccak256(abi.encodePacked(posted.qualityPotentials))) {
            revert WrongHeader(epoch);
        }
        if (zone != 0) revert ZoneClosed(epoch, zone);
        uint256 windows = _params[epoch].windows;
        uint256 cells = _dayInfo[_params[epoch].day].qualityCount * windows;
        _requireLength("energyPotentials", posted.energyPotentials.length, windows);
        _requireLength("marginals", posted.marginals.length, cells);
        // slither-disable-next-line encode-packed-collision (both lengths are checked)
        zoneHash = keccak256(abi.encodePacked(posted.energyPotentials, posted.marginals));
        bytes32 progress = _progress[epoch][zone];
        if (progress == 0) return _requireFresh(epoch, zone, carry, zoneHash);
        if (progress == CLOSED) revert ZoneClosed(epoch, zone);
        _requireLength("cells", carry.cells.length, cells);
        bytes32 carryHash =
            keccak256(abi.encodePacked(zoneHash, carry.cells, carry.lastHash, carry.count, carry.frontier));
        if (carryHash != progress) revert WrongCarry(epoch, zone);
    }

    function _requireFresh(uint24 epoch, uint32 zone, Carry calldata carry, bytes32 zoneHash)
        private
        pure
        returns (bytes32)
    {
        bool fresh = carry.cells.length == 0 && carry.lastHash == 0 && carry.count == 0;
        for (uint256 i; i < MerkleFrontier.DEPTH; ++i) {
            if (carry.frontier[i] != 0) fresh = false;
        }
        if (!fresh) revert WrongCarry(epoch, zone);
        return zoneHash;
    }

    function _denseQuality(Context memory c, uint256 code) private pure returns (uint256) {
        for (uint256 i; i < c.qualityCount; ++i) {
            if (uint8(c.qualities[i]) == code) return i;
        }
        revert UnknownQuality(uint8(code));
    }

    function _requireGrid(uint32 version, Grid calldata grid) private view {
        if (_grids[version] != keccak256(abi.encode(grid))) revert WrongGrid(version);
    }

    function _requireLength(string memory array, uint256 length, uint256 expected) private pure {
        if (length != expected) revert WrongLength(array, length, expected);
    }
}
