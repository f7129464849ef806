// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Run} from "./Ledger.sol";
import {Holdings} from "./Holdings.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry, RunStage} from "./interfaces/ISettlement.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Member, ROLE_PROSUMER} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {Postings} from "./libraries/Postings.sol";
import {ProductIdLib, SIDE_CLAIM} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Settlement: contracted against metered, to the last nano
/// @dev A part flows one way: entry, tokens, imbalance, cash, statement, event. What the accounts of all parts have in common is carried as a hash.
abstract contract Settlement is Holdings, ISettlement {
    /// @dev What a part's entries share.
    struct Part {
        uint256 entryBytes; // an account, two flag bits a window, and four bytes a window; by default an account
        uint256 rows; // `Imbalance`
        uint256 accounts; // settled in the call
        uint256 statement; // where the next account's words are written
    }

    /// @inheritdoc ISettlement
    function settle(
        Posting calldata posting,
        bytes calldata entries,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) external restricted whenNotPaused whenNotClearing {
        Run storage run = _runs[posting.firstWindow];
        if (run.stage == RunStage.Posted) {
            run.zone = _nextMetered(posting.firstWindow, 0);
            run.shares = _sharing;
        }
        _requireRun(run, posting, carry);
        if (run.stage > RunStage.Settling) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        DayContext memory c;
        _prepare(c, posting, carry, prices);
        _requirePart(c, posting, entries, run.parts);
        Part memory p;
        p.entryBytes = c.byDefault ? ACCOUNT_BYTES : ACCOUNT_BYTES + (c.windows + 3) / 4 + 4 * c.windows;
        p.rows = Imbalance.prepare(c.windows, c.byMerit.length);
        Imbalance.writePrices(p.rows + Imbalance.SURPLUS, posting.surplusMicroPerKWh);
        Imbalance.writePrices(p.rows + Imbalance.DEFICIT, posting.deficitMicroPerKWh);
        _settleEntries(c, p, entries, run.parts);
        _gather(c, p);
        uint256 part = run.parts + 1;
        uint256 accounts = run.accounts + p.accounts;
        run.stage = RunStage.Settling;
        if (c.byDefault ? accounts >= posting.accounts : part == posting.parts.length) {
            if (accounts != posting.accounts) revert IncompleteRun(accounts, posting.accounts);
            if (c.byDefault) _defaultParts[c.zone][c.day] = uint16(part);
            // What follows goes over parts, and accounts, from the first again.
            (part, accounts, c.lastAccount) = (0, 0, address(0));
            _endZone(c, p, run);
        } else {
            if (!c.byDefault) run.consumed = Postings.consumed(posting, part);
        }
        bytes32 carried = _hashCarry(c, part);
        (run.parts, run.accounts, run.carry) = (uint16(part), uint32(accounts), carried);
        emit PartSettled(posting.zone, posting.firstWindow, carried);
    }

    /// @inheritdoc ISettlement
    function runOf(uint32 zone, uint32 day)
        external
        view
        returns (RunStage stage, uint32 sequence, bytes32 carryHash)
    {
        Run storage run = _runs[day];
        return (run.stage, _metered[zone][day].sequence, run.carry);
    }

    /// @inheritdoc ISettlement
    function zoneUnderWay(uint32 day) external view returns (uint32 zone, uint16 parts) {
        Run storage run = _runs[day];
        zone = run.stage < RunStage.Settling ? _nextMetered(day, 0) : run.zone;
        parts = run.parts;
    }

    /// @inheritdoc ISettlement
    function sharesOf(uint32 day) external view returns (bool) {
        Run storage run = _runs[day];
        return run.stage < RunStage.Settling ? _sharing : run.shares;
    }

    /// @inheritdoc ISettlement
    function statementOf(uint32 zone, uint32 day, uint256 part) external view returns (bytes32) {
        return _statements[zone][day][part];
    }

    // --- zones

    /// @dev The zone's last part is settled: goes on to the next zone with metered members, or ends the run.
    function _endZone(DayContext memory c, Part memory p, Run storage run) private {
        uint32 next = _nextMetered(c.day, c.zone + 1);
        if (next == _dayInfo[c.day].zones) {
            _settleBalancingParty(c, p.rows);
            (run.stage, run.settledAt) = (RunStage.Settled, uint48(block.timestamp));
            _keepChallengeable();
            // `certify` begins with the first zone again.
            next = _nextPosted(c.day, 0);
        }
        run.zone = next;
    }

    /// @dev The first zone from `zone` on that has metered members, or the number of zones.
    function _nextMetered(uint32 day, uint32 zone) private view returns (uint32) {
        uint32 zones = _dayInfo[day].zones;
        while (zone < zones && _meteredIn[zone] == 0) ++zone;
        return zone;
    }

    // --- one account

    /// @dev Settles the entries and states what became of them.
    function _settleEntries(DayContext memory c, Part memory p, bytes calldata entries, uint256 part)
        private
    {
        uint256 words;
        assembly ("memory-safe") {
            words := mload(0x40)
        }
        p.statement = words;
        uint256 end = words + 64 * (entries.length / p.entryBytes);
        assembly ("memory-safe") {
            mstore(0x40, end)
        }
        for (uint256 at; at < entries.length; at += p.entryBytes) {
            _settleEntry(c, p, entries, at);
        }
        bytes32 hash;
        assembly ("memory-safe") {
            hash := keccak256(words, sub(end, words))
        }
        _statements[c.zone][c.day][part] = hash;
    }

    function _settleEntry(DayContext memory c, Part memory p, bytes calldata entries, uint256 at) private {
        unchecked {
            if (at + p.entryBytes > entries.length) revert BadEntry(address(0));
            uint256 source;
            assembly ("memory-safe") {
                source := add(entries.offset, at)
            }
            address account = address(bytes20(entries[at:at + ACCOUNT_BYTES]));
            Member member = _members[account];
            if (account <= c.lastAccount || member.role() != ROLE_PROSUMER || member.zone() != c.zone) {
                revert BadEntry(account);
            }
            c.lastAccount = account;
            (int256 imbalance, int256 cash, uint256 released) = c.byDefault
                ? _settleByDefault(c, p.rows, account, member)
                : _settleMetered(c, p, account, member, source);
            _state(p, account, Imbalance.leaf(p.rows, c.windows));
            c.imbalanceWh += imbalance;
            c.cashNano += cash;
            ++p.accounts;
            _credit(account, cash + int256(released));
            emit AccountSettled(account, imbalance, cash, released);
        }
    }

    function _settleMetered(
        DayContext memory c,
        Part memory p,
        address account,
        Member member,
        uint256 source
    ) private returns (int256 imbalance, int256 cash, uint256 released) {
        unchecked {
            if (!Imbalance.flagsFit(source + ACCOUNT_BYTES, c.windows)) revert BadEntry(account);
            source += p.entryBytes - 4 * c.windows;
            uint256 contracted;
            int256 owed;
            (contracted, released, owed) = _takeTokens(c, p.rows, account, member, source);
            bool fits;
            (fits, imbalance, cash) = contracted < Imbalance.MOST_AT_ONCE
                ? Imbalance.price(p.rows, source, c.windows)
                : Imbalance.priceEach(p.rows, source, c.windows);
            if (!fits) revert BadEntry(account);
            cash -= owed;
        }
    }

    /// @dev Metered is what was contracted, and all that was sold is delivered.
    function _settleByDefault(DayContext memory c, uint256 rows, address account, Member member)
        private
        returns (int256, int256, uint256 released)
    {
        (, released,) = _takeTokens(c, rows, account, member, 0);
        Imbalance.reset(rows, c.windows);
        Imbalance.stateNothing(rows, c.windows);
        return (0, 0, released);
    }

    function _state(Part memory p, address account, bytes32 leaf) private pure {
        uint256 to = p.statement;
        p.statement = to + 64;
        assembly ("memory-safe") {
            mstore(to, account)
            mstore(add(to, 0x20), leaf)
        }
    }

    /// @dev The balancing party takes the other side of every imbalance. It is not metered.
    function _settleBalancingParty(DayContext memory c, uint256 rows) private {
        unchecked {
            address account = _balancingParty;
            _turnToRoot(c);
            Imbalance.clearClaims(rows, c.windows, c.byMerit.length);
            (, uint256 released,) = _takeTokens(c, rows, account, _requireMember(account), 0);
            (uint256[] memory tallies, uint256 windows) = (c.tallies, c.windows);
            for (uint256 w; w < windows; ++w) {
                int256 open = Imbalance.openAt(rows, w);
                uint256 quality = rows + Imbalance.QUALITIES;
                for (uint256 cell = w; cell < tallies.length; cell += windows) {
                    uint256 tally = tallies[cell];
                    open += int256(uint256(uint64(tally))) - int256(uint256(uint64(tally >> 64)));
                    // Its claims share what is not delivered, and come last.
                    tallies[cell] = tally + Imbalance.laneAt(quality, w);
                    quality += Imbalance.QUALITY;
                }
                if (open != 0) revert EnergyNotConserved(w, -open);
            }
            _credit(account, int256(released) - c.cashNano);
            emit RunSettled(c.zone, c.day, 0, -c.imbalanceWh, -c.cashNano, released);
        }
    }

    /// @dev What the balancing party holds is of zone 0, whichever zone came last.
    function _turnToRoot(DayContext memory c) private pure {
        uint256 zoneBits = ProductIdLib.family(0, 0, 0, 0, c.zone, 0);
        for (uint256 i; i < c.holdings.length; ++i) {
            c.holdings[i].family ^= zoneBits;
        }
    }

    /// @dev Counts the account's tokens of the day into what is open and its tallies. Obligations are cleared; claims stay for `certify`, but for those of the
    /// balancing party, which has no certificates.
    /// @param source the account's metered energy in calldata
    /// @return contracted all claims and obligations, Wh
    /// @return released what its filled energy kept reserved, nano
    /// @return owed what it earned by what it did not deliver, nano
    function _takeTokens(DayContext memory c, uint256 rows, address account, Member member, uint256 source)
        private
        returns (uint256 contracted, uint256 released, int256 owed)
    {
        unchecked {
            bool metered = member.role() == ROLE_PROSUMER;
            bool injects;
            Holding[] memory holdings = c.holdings;
            for (uint256 i; i < holdings.length; ++i) {
                Holding memory holding = holdings[i];
                if (!member.hasAll(holding.held)) continue;
                uint256 wh;
                if (holding.side == SIDE_CLAIM) {
                    wh = _takeClaims(rows, holding, account, member.isWide(), !metered);
                } else {
                    if (metered && !injects) {
                        if (c.byDefault) Imbalance.injectAll(rows, c.windows);
                        else Imbalance.readInjected(rows, source, c.windows);
                        injects = true;
                    }
                    int256 missed;
                    (wh, missed) = _takeObligations(c, rows, holding, account, member.isWide(), metered);
                    owed += missed;
                }
                contracted += wh;
                released += holding.reserve * wh;
            }
        }
    }

    function _takeClaims(uint256 rows, Holding memory holding, address account, bool wide, bool clears)
        private
        returns (uint256 wh)
    {
        unchecked {
            Span[] memory spans = wide ? holding.wide : holding.home;
            uint256 quality = rows + Imbalance.QUALITIES + Imbalance.QUALITY * holding.dense;
            for (uint256 i; i < spans.length; ++i) {
                Span memory span = spans[i];
                uint256 word = _takeWord(_lanes[account], holding.family | span.group, span, clears);
                if (word == 0) continue;
                wh += PackedWindows.total(word, wide);
                uint256 lanes = Imbalance.spread(rows, word, wide);
                uint256 offset = 8 * span.from;
                Imbalance.takeClaims(lanes, lanes + 8 * span.count, rows + offset, quality + offset);
            }
        }
    }

    /// @return wh all of them
    /// @return owed what those that were not delivered were traded at, or of firm ones the premium for green energy, nano
    function _takeObligations(
        DayContext memory c,
        uint256 rows,
        Holding memory holding,
        address account,
        bool wide,
        bool metered
    ) private returns (uint256 wh, int256 owed) {
        unchecked {
            Span[] memory spans = wide ? holding.wide : holding.home;
            uint256 quality = rows + Imbalance.QUALITIES + Imbalance.QUALITY * holding.dense;
            uint256 values = _valuesOf(c, holding, wide);
            uint256 shrinks = metered && c.shares && _asProduced(holding.code) ? type(uint256).max : 0;
            uint256 missed;
            for (uint256 i; i < spans.length; ++i) {
                Span memory span = spans[i];
                uint256 word = _takeWord(_lanes[account], holding.family | span.group, span, true);
                if (word != 0) {
                    wh += PackedWindows.total(word, wide);
                    uint256 lanes = Imbalance.spread(rows, word, wide);
                    uint256 offset = 8 * span.from;
                    uint256 end = lanes + 8 * span.count;
                    (uint256 some, uint256 worth) = Imbalance.takeObligations(
                        lanes, end, rows + offset, quality + offset, values, shrinks
                    );
                    missed += some;
                    owed += int256(worth);
                }
                values += (span.count + 3) / 4 * 32;
            }
            if (!metered || !c.shares || missed == 0 || !_isValued(holding.code)) return (wh, 0);
            if (holding.trade.windows == 0) revert PricesMissing(c.zone, c.day);
            owed -= int256(missed * Imbalance.PRICE_BIAS);
        }
    }

    /// @dev The lanes of a span in a slot; leaves the slot without them if it `clears`.
    function _takeWord(mapping(uint256 => uint256) storage slots, uint256 key, Span memory span, bool clears)
        private
        returns (uint256 word)
    {
        uint256 at;
        uint256 slot;
        assembly ("memory-safe") {
            // slots[key], found once for reading and writing
            mstore(0x00, key)
            mstore(0x20, slots.slot)
            at := keccak256(0x00, 0x40)
            slot := sload(at)
        }
        word = (slot >> span.skip) & span.mask;
        if (word == 0 || !clears) return word;
        slot ^= word << span.skip;
        assembly ("memory-safe") {
            sstore(at, slot)
        }
    }

    // --- what is not delivered

    function _isValued(uint8 code) private pure returns (bool) {
        return _asProduced(code) || Quality.band(code) != 0;
    }

    /// @dev What a Wh that is not delivered owes, PRICE_BIAS too high: of each span in turn a word for every four windows, the last first. Written once a call.
    function _valuesOf(DayContext memory c, Holding memory holding, bool wide)
        private
        pure
        returns (uint256 values)
    {
        values = wide ? holding.wideValues : holding.homeValues;
        if (values != 0) return values;
        Span[] memory spans = wide ? holding.wide : holding.home;
        bool priced = holding.trade.windows != 0 && _isValued(holding.code);
        values = Imbalance.allocate(32 * spans.length + 8 * c.windows);
        if (wide) holding.wideValues = values;
        else holding.homeValues = values;
        if (!priced) return values;
        uint256 to = values;
        for (uint256 i; i < spans.length; ++i) {
            Span memory span = spans[i];
            for (uint256 w; w < span.count; ++w) {
                uint256 at = span.at + w;
                int256 value = _asProduced(holding.code) ? _priceAt(holding, at) : _greenAt(c, holding, at);
                Imbalance.putValue(to, w, value);
            }
            to += (span.count + 3) / 4 * 32;
        }
    }

    // --- around the entries

    /// @dev Adds what the call's rows hold to what was carried into it.
    function _gather(DayContext memory c, Part memory p) private pure {
        unchecked {
            uint256 row = p.rows + Imbalance.QUALITIES;
            uint256 windows = c.windows;
            for (uint256 cell; cell < c.tallies.length; cell += windows) {
                Imbalance.addTallies(c.tallies, cell, row, windows);
                row += Imbalance.QUALITY;
            }
        }
    }

    function _requirePart(DayContext memory c, Posting calldata posting, bytes calldata entries, uint256 part)
        private
        pure
    {
        if (c.byDefault) {
            if (entries.length == 0) revert BadEntry(address(0));
        } else if (part >= posting.parts.length || keccak256(entries) != posting.parts[part]) {
            revert WrongPart(part);
        }
    }
}
