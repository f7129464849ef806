// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Filling} from "./Filling.sol";
import {Day, Gift, PendingWithdrawal} from "./Ledger.sol";
import {SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "./interfaces/IClearing.sol";
import {Cash} from "./libraries/Cash.sol";
import {Fill} from "./libraries/Fill.sol";
import {Flex, Flexible} from "./libraries/Flexible.sol";
import {KeyUse, KeyUseLib} from "./libraries/KeyUse.sol";
import {
    FLAG_SUSPENDED,
    FLAG_WITHDRAWING,
    Member,
    ROLE_NETWORK_OPERATOR,
    ROLE_NONE,
    ROLE_PROSUMER
} from "./libraries/Member.sol";
import {MerkleFrontier} from "./libraries/MerkleFrontier.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";
import {Record, ScheduleCodec, Totals} from "./libraries/ScheduleCodec.sol";
import {SessionKey, SessionKeyLib} from "./libraries/SessionKey.sol";

/// @title Clearing: fills derived from prices
/// @dev A chunk flows one way: read a record, check who signed it, judge its cover, derive its fills, write its account and lanes, tell it.
abstract contract Clearing is Filling {
    uint8 internal constant REASON_NEGATIVE = 1;
    uint8 internal constant REASON_UNCOVERED = 2;
    uint8 internal constant REASON_QUALITY = 3;
    uint8 internal constant REASON_QUANTITY = 4;
    uint8 internal constant REASON_ZONE = 5;
    uint8 internal constant REASON_SUSPENDED = 6;
    uint8 internal constant REASON_BENEFICIARY = 7;
    uint8 internal constant REASON_KEY = 8;
    uint8 internal constant REASON_SCOPE = 9;

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
            _cover(c, record, member);
            uint8 reason = _admit(c, record, member);
            if (reason == 0) {
                _fill(c, member, cell, flexible);
            } else {
                if (flexible && c.flex.total != 0) revert SplitOutOfRange(record.hash);
                emit ScheduleIneligible(c.epoch, record.trader, record.hash, reason);
            }
        }
    }

    /// @dev What the record locks. A sale that is paid when delivered reserves what it costs to deliver at the lowest price there is.
    function _cover(Context memory c, Record memory record, Member member) private pure {
        unchecked {
            (Totals memory totals, SessionParams memory session) = (c.totals, c.session);
            (bool defers, uint256 nano, uint256 valued) = (false, session.buyReserve, totals.valuedNano);
            if (record.side != 0) {
                nano = session.sellReserve;
                defers = session.kind == KIND_ENERGY && !Quality.isFirm(uint8(record.quality))
                    && member.role() == ROLE_PROSUMER;
                if (defers) {
                    valued = 0;
                    if (session.floor < 0) nano += uint256(-int256(session.floor));
                }
            }
            (c.defers, c.reserve, c.cover) = (defers, nano, valued + totals.quantityWh * nano);
        }
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

    /// @dev The trader, or a session key it ever granted, signed the order, and the trader may trade here.
    function _authenticate(Context memory c, Record memory record, Member member) private view {
        if (uint256(record.s) > HALF_ORDER) revert BadSignature(address(0), record.trader);
        address signer = ecrecover(record.hash, uint8(record.v), record.r, record.s);
        if (signer == address(0)) revert BadSignature(signer, record.trader);
        if (signer != record.trader) {
            bool known = _keys[record.trader][signer].knownAt(_sessions[c.epoch].gate);
            if (!known) revert BadSignature(signer, record.trader);
            record.hash = SessionKeyLib.orderHash(record.hash, signer);
        }
        c.signer = signer;
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
                if (_submitted[hash].epoch != c.epoch) revert NotSubmitted(hash);
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
        if (reason != 0) return reason;
        if (c.signer != record.trader) return _useKey(c, record);
        if (record.flags & ScheduleCodec.FLAG_DONATES != 0) return _nameBeneficiary(c, record);
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

    /// @dev Counts an order that a session key signed against the key's scope. It is the last that is looked at: what fills zero anyway uses nothing up.
    function _useKey(Context memory c, Record memory record) private returns (uint8) {
        unchecked {
            (address trader, uint256 gate) = (record.trader, _sessions[c.epoch].gate);
            SessionKey key = _keys[trader][c.signer];
            if (!key.countsAt(gate)) return REASON_KEY;
            bool donates = record.flags & ScheduleCodec.FLAG_DONATES != 0;
            if (donates || key.kinds() >> c.session.kind & 1 == 0) return REASON_SCOPE;
            KeyUse use = _keyUses[trader][c.signer];
            uint24 epoch = use.epoch();
            if (epoch != 0 && epoch != c.epoch) use = use.folded(_stageIn(c, epoch) == Stage.Proved);
            uint256 day = gate / 1 days;
            uint256 spent = use.day() == day ? use.spent() : 0;
            uint256 pending = use.pending() + c.totals.valuedNano;
            uint256 wh = use.wh() + _largest(c, record);
            if (wh > key.maxWh() || spent + pending > key.maxSpend()) return REASON_SCOPE;
            _keyUses[trader][c.signer] = KeyUseLib.pack(day, c.epoch, wh, pending, spent);
            return 0;
        }
    }

    /// @dev The largest quantity that the record asks for or offers in a window.
    function _largest(Context memory c, Record memory record) private pure returns (uint256) {
        if (record.flags & ScheduleCodec.FLAG_FLEXIBLE != 0) return c.flex.maxWh;
        return ScheduleCodec.largest(c.scratch, record);
    }

    /// @dev All that a trader donates in a session goes to the one whom its first order that counts has named.
    function _nameBeneficiary(Context memory c, Record memory record) private returns (uint8 reason) {
        (address trader, address named) = (record.trader, record.beneficiary);
        if (record.side == 0 || named == trader || !_members[named].mayTrade()) return REASON_BENEFICIARY;
        Gift storage gift = _gifts[c.epoch][trader];
        address earlier = gift.beneficiary;
        if (earlier == named) return 0;
        if (earlier != address(0)) return REASON_BENEFICIARY;
        gift.beneficiary = named;
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
