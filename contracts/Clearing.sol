// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Chunks} from "./Chunks.sol";
import {Day, PendingWithdrawal} from "./Ledger.sol";
import {SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "./interfaces/IClearing.sol";
import {Cash, CashLib} from "./libraries/Cash.sol";
import {Fill, Frame, Table} from "./libraries/Fill.sol";
import {Flex, Flexible} from "./libraries/Flexible.sol";
import {
    FLAG_SUSPENDED,
    FLAG_WITHDRAWING,
    Member,
    ROLE_NETWORK_OPERATOR,
    ROLE_NONE
} from "./libraries/Member.sol";
import {MerkleFrontier} from "./libraries/MerkleFrontier.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {Potential} from "./libraries/Posted.sol";
import {KIND_ENERGY, ProductIdLib} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";
import {Record, ScheduleCodec, Scratch, Totals} from "./libraries/ScheduleCodec.sol";

/// @title Clearing: fills derived from prices
/// @dev A chunk flows one way: read a record, check who signed it, judge its cover, derive its fills, write its account and lanes, tell it.
abstract contract Clearing is Chunks, IClearing {
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

    uint8 internal constant REASON_NEGATIVE = 1;
    uint8 internal constant REASON_UNCOVERED = 2;
    uint8 internal constant REASON_QUALITY = 3;
    uint8 internal constant REASON_QUANTITY = 4;
    uint8 internal constant REASON_ZONE = 5;
    uint8 internal constant REASON_SUSPENDED = 6;
    uint8 internal constant REASON_BENEFICIARY = 7;

    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant MOST_WORDS = ScheduleCodec.MAX_ENTRIES / 8 + 1;
    /// @dev What a session may lock of one account: its result then fits the cash slot, whichever way it goes.
    uint256 private constant MOST_COVER = 1 << 70;
    uint256 private constant WIDE_BOUND = (1 << 30) - 1;

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

    // --- one record

    function _clearRecord(Context memory c, bytes calldata records, uint256 at)
        private
        returns (uint256 next)
    {
        unchecked {
            Record memory record = c.record;
            next = ScheduleCodec.readHead(c.scratch, record, records, at);
            Member member = _members[record.trader];
            bool flexible = record.flags & ScheduleCodec.FLAG_FLEXIBLE != 0;
            record.hash = flexible ? _readFlexible(c, record, member) : _readSchedule(c, record, member);
            _authenticate(c, record, member);
            uint256 cell = _requireFits(c, record, flexible);
            _enterBook(c, record);
            c.cover = c.totals.valuedNano + c.totals.quantityWh * _reserve(c, record.side);
            uint8 reason = _admit(c, record, member);
            if (reason == 0) {
                _fill(c, member, cell, flexible);
            } else {
                if (flexible && c.flex.total != 0) revert SplitOutOfRange(record.hash);
                emit ScheduleIneligible(c.epoch, record.trader, record.hash, reason);
            }
        }
    }

    /// @return nano a Wh that stays reserved when it is bought or sold
    function _reserve(Context memory c, uint256 side) private pure returns (uint256) {
        return side == 0 ? c.session.buyReserve : c.session.sellReserve;
    }

    /// @dev As `_folded`; accounts mostly come from the same session, whose end is looked up once.
    function _foldedIn(Context memory c, Cash cash) private view returns (Cash) {
        uint24 epoch = cash.epoch();
        if (epoch == 0 || epoch == c.epoch) return cash;
        if (epoch != c.endedEpoch) (c.endedEpoch, c.endedStage) = (epoch, _stageOf(epoch));
        return _foldAt(cash, c.endedStage);
    }

    /// @return hash the schedule's; what it asks for is in `c.totals`
    function _readSchedule(Context memory c, Record memory record, Member member)
        private
        pure
        returns (bytes32 hash)
    {
        uint256 bound = record.side == 1 ? member.capacityWh() : _widest(member);
        ScheduleCodec.readEntries(c.scratch, record, bound, c.totals);
        return ScheduleCodec.digest(c.scratch, record);
    }

    /// @return hash the flexible order's; what it asks for is in `c.totals`, as if it were all in one entry, its split in `c.flex`
    function _readFlexible(Context memory c, Record memory record, Member member)
        private
        pure
        returns (bytes32 hash)
    {
        unchecked {
            (Flex memory flex, Totals memory totals) = (c.flex, c.totals);
            Flexible.read(record, flex);
            int256 risk = record.side == 0 ? flex.limit : -flex.limit;
            totals.quantityWh = flex.energyWh;
            totals.valuedNano = risk > 0 ? flex.energyWh * uint256(risk) : 0;
            totals.overBound = flex.maxWh > (record.side == 1 ? member.capacityWh() : _widest(member));
            totals.offLimits = flex.limit < c.session.floor || flex.limit > c.session.cap;
            return Flexible.digest(c.scratch, record, flex);
        }
    }

    /// @dev The trader signed the order, and may trade here.
    function _authenticate(Context memory c, Record memory record, Member member) private pure {
        if (uint256(record.s) > HALF_ORDER) revert BadSignature(address(0), record.trader);
        address signer = ecrecover(record.hash, uint8(record.v), record.r, record.s);
        if (signer != record.trader || signer == address(0)) revert BadSignature(signer, record.trader);
        if (!member.mayTrade()) _requireTrader(c, record, member);
    }

    /// @dev Only malformed input reverts: what a trader may not or cannot do is told by `_ineligible`.
    /// @return cell of the order's first window
    function _requireFits(Context memory c, Record memory record, bool flexible)
        private
        pure
        returns (uint256 cell)
    {
        unchecked {
            Totals memory totals = c.totals;
            if (totals.offLimits) revert LimitOutOfRange(record.hash);
            bool overflows = totals.overBound && record.side == 0;
            if (flexible) overflows = overflows || Flexible.overflows(c.flex);
            if (overflows) revert QuantityOverflow(record.hash);
            uint256 first = c.session.firstWindow;
            if (record.firstWindow < first || record.firstWindow + record.entries > first + c.windows) {
                revert WindowOutOfSession(record.hash);
            }
            return _denseQuality(c, record.quality) * c.windows + record.firstWindow - first;
        }
    }

    /// @dev Beside those who always trade, the network operator buys flexibility.
    function _requireTrader(Context memory c, Record memory record, Member member) private pure {
        if (member.role() == ROLE_NONE) revert UnregisteredTrader(record.trader);
        bool buysFlexibility =
            member.role() == ROLE_NETWORK_OPERATOR && c.session.kind != KIND_ENERGY && record.side == 0;
        if (!buysFlexibility) revert OperatorMayNotTrade(record.trader);
    }

    function _widest(Member member) private pure returns (uint256) {
        return member.isWide() ? WIDE_BOUND : type(uint16).max;
    }

    /// @dev Orders ascend strictly by hash, so that each is in once; the tree over them must end at the committed root.
    function _enterBook(Context memory c, Record memory record) private view {
        unchecked {
            bytes32 hash = record.hash;
            if (hash <= c.lastHash) revert NotAscending(c.lastHash, hash);
            MerkleFrontier.append(c.frontier, c.count++, MerkleFrontier.leafHash(hash));
            c.lastHash = hash;
            if (record.flags & ScheduleCodec.FLAG_SUBMITTED != 0) {
                if (_submitted[hash] != c.epoch) revert NotSubmitted(hash);
                ++c.submitted;
            }
        }
    }

    /// @dev Looks at the trader's account, given the order's cover.
    /// @return reason as of `_ineligible`
    function _admit(Context memory c, Record memory record, Member member) private returns (uint8 reason) {
        Cash stored = _cash[record.trader];
        c.before = stored.free();
        c.cash = _foldedIn(c, stored);
        reason = _ineligible(c, record, member);
        if (reason == 0 && record.flags & ScheduleCodec.FLAG_DONATES != 0) {
            reason = _nameBeneficiary(c, record);
        }
    }

    /// @dev Why a well-formed order fills zero and bounds nothing, or zero if it counts.
    function _ineligible(Context memory c, Record memory record, Member member) private view returns (uint8) {
        unchecked {
            (Cash cash, uint256 cover) = (c.cash, c.cover);
            if (member.has(FLAG_SUSPENDED)) return REASON_SUSPENDED;
            if (member.zone() != c.zone) return REASON_ZONE;
            if (record.side == 1) {
                if (!Quality.serves(member.maxQuality(), uint8(record.quality))) return REASON_QUALITY;
                if (c.totals.overBound) return REASON_QUANTITY;
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

    /// @dev All that a trader donates in a session goes to the one whom its first order that counts has named.
    function _nameBeneficiary(Context memory c, Record memory record) private returns (uint8 reason) {
        (address trader, address named) = (record.trader, record.beneficiary);
        if (record.side == 0 || named == trader || !_members[named].mayTrade()) return REASON_BENEFICIARY;
        address earlier = _beneficiaries[c.epoch][trader];
        if (earlier == named) return 0;
        if (earlier != address(0)) return REASON_BENEFICIARY;
        _beneficiaries[c.epoch][trader] = named;
    }

    // --- fills

    /// @param cell the order's first
    function _fill(Context memory c, Member member, uint256 cell, bool flexible) private {
        unchecked {
            bool wide = member.isWide();
            uint256 laneBytes = 32 / PackedWindows.lanesOf(wide);
            uint256 first = _wipeLanes(c, 32 / laneBytes);
            uint256 biasedWorth =
                flexible ? _split(c, cell, laneBytes, first) : _derive(c, cell, laneBytes, first);
            uint256 filledWh = _mint(c, member, wide);
            _account(c, filledWh, int256(biasedWorth) - int256(filledWh * Fill.PRICE_BIAS));
        }
    }

    /// @dev Books what the order's fills are worth to its trader, or its beneficiary, and what they keep reserved.
    function _account(Context memory c, uint256 filledWh, int256 worth) private {
        unchecked {
            Record memory record = c.record;
            int256 net = -int256(filledWh * _reserve(c, record.side));
            if (record.side == 0) net -= worth;
            else if (worth > 0 && record.flags & ScheduleCodec.FLAG_DONATES != 0) _donate(c, record, worth);
            else net += worth;
            (Cash cash, uint256 cover) = (c.cash, c.cover);
            int256 free = cash.free() - int256(cover);
            // Only what was donated to it can have brought an account back from what it owed.
            if (c.before < 0) _countDebt(record.trader, c.before, free);
            _cash[record.trader] = CashLib.pack(free, cash.reserved() + cover, cash.net() + net, c.epoch);
            emit ScheduleCleared(record.trader, record.hash, net, c.lanes);
        }
    }

    /// @dev What a beneficiary is given is its result of the session, as if it had sold itself.
    function _donate(Context memory c, Record memory record, int256 worth) private {
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
            if (filledWh != 0 && !member.holds(side, quality) && c.session.kind == KIND_ENERGY) {
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
        SessionParams storage params = _params[epoch];
        SessionParams memory session = c.session;
        c.epoch = epoch;
        c.zone = zone;
        // What clearing needs lies in two slots of the parameters'.
        (session.kind, session.round) = (params.kind, params.round);
        (session.firstWindow, c.windows) = (params.firstWindow, params.windows);
        (session.floor, session.cap) = (params.floor, params.cap);
        (session.buyReserve, session.sellReserve) = (params.buyReserve, params.sellReserve);
        Day storage day = _dayInfo[params.day];
        (c.qualities, c.qualityCount) = (day.qualities, day.qualityCount);
        c.scratch = ScheduleCodec.prepare(
            _domainSeparatorV4(), _sessions[epoch].id, zone, session.kind, session.floor, session.cap
        );
        c.lanes = new uint256[](MOST_WORDS);
        c.lastWord = _buffer();
        uint256[] calldata potentials = posted.energyPotentials;
        uint256 potentialsAt;
        assembly ("memory-safe") {
            potentialsAt := potentials.offset
        }
        c.potentialsAt = potentialsAt;
        c.lastHash = carry.lastHash;
        c.count = carry.count;
        c.frontier = carry.frontier;
        (c.support, c.submitted) = (carry.support, carry.submitted);
        c.table = Fill.load(posted.qualityPotentials, posted.energyPotentials, posted.marginals, carry.cells);
    }

    /// @dev keccak(zoneHash . cells . lastHash . count . frontier . support . submitted), laid out in place.
    function _carryHash(Context memory c, bytes32 zoneHash) private pure returns (bytes32 hash) {
        uint256 at;
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(at, zoneHash)
        }
        Fill.store(c.table, at + 0x20);
        uint256 rest = at + 0x20 + c.table.count * 32;
        (bytes32 lastHash, uint256 count, bytes32[20] memory frontier) = (c.lastHash, c.count, c.frontier);
        (uint256 support, uint256 submitted) = (c.support, c.submitted);
        assembly ("memory-safe") {
            mstore(rest, lastHash)
            mstore(add(rest, 0x20), count)
            for { let i := 0 } lt(i, 0x280) { i := add(i, 0x20) } {
                mstore(add(add(rest, 0x40), i), mload(add(frontier, i)))
            }
            mstore(add(rest, 0x2c0), support)
            mstore(add(rest, 0x2e0), submitted)
            hash := keccak256(at, sub(add(rest, 0x300), at))
        }
    }

    function _buffer() private pure returns (uint256 lastWord) {
        uint256[] memory buffer = new uint256[](MOST_WORDS + 1);
        assembly ("memory-safe") {
            lastWord := add(buffer, shl(5, mload(buffer)))
        }
    }

    function _denseQuality(Context memory c, uint256 code) private pure returns (uint256) {
        for (uint256 i; i < c.qualityCount; ++i) {
            if (uint8(c.qualities[i]) == code) return i;
        }
        revert UnknownQuality(uint8(code));
    }
}
