// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger, Run} from "./Ledger.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RunCarry, RunStage} from "./interfaces/ISettlement.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Member, MemberLib, ROLE_PROSUMER} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {KIND_ENERGY, ProductIdLib, SIDE_CLAIM, SIDE_OBLIGATION} from "./libraries/ProductId.sol";
import {Postings} from "./libraries/Postings.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Settlement: contracted against metered, to the last nano
/// @dev A part flows one way: entry, tokens, imbalance, cash, event. What the accounts of all parts have in common is carried as a hash.
abstract contract Settlement is Ledger, ISettlement {
    /// @dev What every entry of a call shares.
    struct DayContext {
        uint32 zone;
        uint32 day;
        uint256 windows;
        uint256 entryBytes;
        bytes16 qualities;
        uint256[] byMerit;
        Holding[] holdings;
        uint256[] tallies; // as carried into the call
        uint256 rows; // `Imbalance`
        uint256 accounts; // settled in the call
        int256 imbalanceWh;
        int256 cashNano;
        address lastAccount;
    }

    /// @dev What an account may hold of the day: the obligations or the claims of one round and quality.
    struct Holding {
        Member held; // its bit
        uint8 side;
        uint8 code;
        uint256 dense;
        uint256 family;
        uint256 reserve; // nano a Wh
        Span[] home;
        Span[] wide;
    }

    /// @dev The lanes of one packed slot that belong to a round: those of `mask`, above `skip` bits, from window `from` of the day on.
    struct Span {
        uint256 group;
        uint256 from;
        uint256 count;
        uint256 skip;
        uint256 mask;
    }

    /// @dev An entry is an account, two flag bits a window, and four bytes a window.
    uint256 private constant ACCOUNT_BYTES = 20;

    /// @inheritdoc ISettlement
    function settle(Posting calldata posting, bytes calldata entries, RunCarry calldata carry)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        Run storage run = _runs[posting.firstWindow];
        if (run.stage == RunStage.Posted) run.zone = _nextMetered(posting.firstWindow, 0);
        _requireRun(run, posting, carry);
        if (run.stage > RunStage.Settling) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        _requirePart(posting, entries, run.parts);
        DayContext memory c;
        _prepare(c, posting, carry);
        c.rows = Imbalance.prepare(c.windows, c.byMerit.length);
        Imbalance.writePrices(c.rows + Imbalance.SURPLUS, posting.surplusMicroPerKWh);
        Imbalance.writePrices(c.rows + Imbalance.DEFICIT, posting.deficitMicroPerKWh);
        for (uint256 at; at < entries.length; at += c.entryBytes) {
            _settleEntry(c, entries, at);
        }
        _gather(c);
        uint256 part = run.parts + 1;
        uint256 accounts = run.accounts + c.accounts;
        run.stage = RunStage.Settling;
        if (part == posting.parts.length) {
            if (accounts != posting.accounts) revert IncompleteRun(accounts, posting.accounts);
            // What follows goes over parts, and accounts, from the first again.
            (part, accounts, c.lastAccount) = (0, 0, address(0));
            _endZone(c, run);
        } else {
            run.consumed = Postings.consumed(posting, part);
        }
        bytes32 carried = _hashCarry(c, part);
        (run.parts, run.accounts, run.carry) = (uint16(part), uint32(accounts), carried);
        emit PartSettled(posting.zone, posting.firstWindow, carried);
    }

    /// @inheritdoc ISettlement
    function certify(Posting calldata posting, bytes calldata entries, RunCarry calldata carry)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        Run storage run = _runs[posting.firstWindow];
        _requireRun(run, posting, carry);
        if (run.stage != RunStage.Settled) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        _requirePart(posting, entries, run.parts);
        DayContext memory c;
        _prepare(c, posting, carry);
        uint256[] memory amounts = Certificates.certified(c.tallies, c.windows, c.qualities, c.byMerit);
        for (uint256 at; at < entries.length; at += c.entryBytes) {
            _certifyAccount(c, address(bytes20(entries[at:at + ACCOUNT_BYTES])), amounts);
        }
        uint256 part = run.parts + 1;
        if (part == posting.parts.length) {
            part = 0;
            run.zone = _nextPosted(c.day, c.zone + 1);
            if (run.zone == _dayInfo[c.day].zones) {
                run.stage = RunStage.Certified;
                emit RunCertified(posting.zone, posting.firstWindow);
            }
        }
        (run.parts, run.carry) = (uint16(part), _hashCarry(c, part));
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

    // --- zones

    /// @dev The zone's last part is settled: goes on to the next zone with metered members, or ends the run.
    function _endZone(DayContext memory c, Run storage run) private {
        uint32 next = _nextMetered(c.day, c.zone + 1);
        if (next == _dayInfo[c.day].zones) {
            _settleBalancingParty(c);
            run.stage = RunStage.Settled;
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

    /// @dev The same of zones that are settled. Members may join a zone that was passed over; a posting of it comes too late.
    function _nextPosted(uint32 day, uint32 zone) private view returns (uint32) {
        uint32 zones = _dayInfo[day].zones;
        while (zone < zones && _metered[zone][day].sequence == 0) ++zone;
        return zone;
    }

    // --- one account

    function _settleEntry(DayContext memory c, bytes calldata entries, uint256 at) private {
        unchecked {
            if (at + c.entryBytes > entries.length) revert BadEntry(address(0));
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
            if (!Imbalance.flagsFit(source + ACCOUNT_BYTES, c.windows)) revert BadEntry(account);
            source += c.entryBytes - 4 * c.windows;
            (uint256 contracted, uint256 released) = _takeTokens(c, account, member, source);
            (bool fits, int256 imbalance, int256 cash) = contracted < Imbalance.MOST_AT_ONCE
                ? Imbalance.price(c.rows, source, c.windows)
                : Imbalance.priceEach(c.rows, source, c.windows);
            if (!fits) revert BadEntry(account);
            c.imbalanceWh += imbalance;
            c.cashNano += cash;
            ++c.accounts;
            _credit(account, cash + int256(released));
            emit AccountSettled(account, imbalance, cash, released);
        }
    }

    /// @dev The balancing party takes the other side of every imbalance. It is not metered.
    function _settleBalancingParty(DayContext memory c) private {
        unchecked {
            address account = _balancingParty;
            _turnToRoot(c);
            (, uint256 released) = _takeTokens(c, account, _requireMember(account), 0);
            (uint256[] memory tallies, uint256 windows) = (c.tallies, c.windows);
            for (uint256 w; w < windows; ++w) {
                int256 open = Imbalance.openAt(c.rows, w);
                for (uint256 cell = w; cell < tallies.length; cell += windows) {
                    uint256 tally = tallies[cell];
                    open += int256(uint256(uint64(tally))) - int256(uint256(uint64(tally >> 64)));
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
    function _takeTokens(DayContext memory c, address account, Member member, uint256 source)
        private
        returns (uint256 contracted, uint256 released)
    {
        unchecked {
            bool metered = member.role() == ROLE_PROSUMER;
            bool injects;
            Holding[] memory holdings = c.holdings;
            for (uint256 i; i < holdings.length; ++i) {
                Holding memory holding = holdings[i];
                if (!member.hasAll(holding.held)) continue;
                bool sold = holding.side == SIDE_OBLIGATION;
                if (sold && metered && !injects) {
                    Imbalance.readInjected(c.rows, source, c.windows);
                    injects = true;
                }
                uint256 wh = _takeHolding(c.rows, holding, account, member.isWide(), sold || !metered);
                contracted += wh;
                released += holding.reserve * wh;
            }
        }
    }

    function _takeHolding(uint256 rows, Holding memory holding, address account, bool wide, bool clears)
        private
        returns (uint256 wh)
    {
        unchecked {
            mapping(uint256 => uint256) storage slots = _lanes[account];
            Span[] memory spans = wide ? holding.wide : holding.home;
            uint256 quality = rows + Imbalance.QUALITIES + Imbalance.QUALITY * holding.dense;
            for (uint256 i; i < spans.length; ++i) {
                Span memory span = spans[i];
                uint256 at;
                uint256 slot;
                uint256 key = holding.family | span.group;
                assembly ("memory-safe") {
                    // slots[key], found once for reading and writing
                    mstore(0x00, key)
                    mstore(0x20, slots.slot)
                    at := keccak256(0x00, 0x40)
                    slot := sload(at)
                }
                uint256 word = (slot >> span.skip) & span.mask;
                if (word == 0) continue;
                wh += PackedWindows.total(word, wide);
                uint256 lanes = Imbalance.spread(rows, word, wide);
                uint256 end = lanes + 8 * span.count;
                uint256 offset = 8 * span.from;
                if (holding.side == SIDE_CLAIM) {
                    Imbalance.takeClaims(lanes, end, rows + offset, quality + offset);
                } else {
                    Imbalance.takeObligations(lanes, end, rows + offset, quality + offset);
                }
                if (clears) {
                    slot ^= word << span.skip;
                    assembly ("memory-safe") {
                        sstore(at, slot)
                    }
                }
            }
        }
    }

    function _certifyAccount(DayContext memory c, address account, uint256[] memory amounts) private {
        Member member = _members[account];
        uint256 total;
        for (uint256 i; i < c.holdings.length; ++i) {
            Holding memory holding = c.holdings[i];
            if (holding.side != SIDE_CLAIM || Quality.band(holding.code) == 0) continue;
            if (member.hasAll(holding.held)) {
                total += _certifyHolding(c, holding, account, member.isWide(), amounts);
            }
        }
        if (total != 0) emit AccountCertified(c.zone, c.day, account, total);
    }

    function _certifyHolding(
        DayContext memory c,
        Holding memory holding,
        address account,
        bool wide,
        uint256[] memory amounts
    ) private returns (uint256 total) {
        mapping(uint256 => uint256) storage slots = _lanes[account];
        Span[] memory spans = wide ? holding.wide : holding.home;
        for (uint256 i; i < spans.length; ++i) {
            Span memory span = spans[i];
            uint256 slot = slots[holding.family | span.group];
            uint256 word = (slot >> span.skip) & span.mask;
            if (word == 0) continue;
            uint256 cell = holding.dense * c.windows + span.from;
            (uint256 kept, uint256 part) =
                Certificates.share(word, PackedWindows.bitsOf(wide), cell, c.tallies, amounts);
            if (kept != word) slots[holding.family | span.group] = slot ^ ((word ^ kept) << span.skip);
            total += part;
        }
    }

    // --- around the entries

    function _prepare(DayContext memory c, Posting calldata posting, RunCarry calldata carry) private view {
        Day storage info = _dayInfo[posting.firstWindow];
        c.zone = posting.zone;
        c.day = posting.firstWindow;
        c.windows = info.windows;
        c.entryBytes = ACCOUNT_BYTES + (c.windows + 3) / 4 + 4 * c.windows;
        c.qualities = info.qualities;
        c.byMerit = Certificates.byMerit(info.qualities, info.qualityCount);
        c.holdings = _holdings(c);
        c.tallies = carry.tallies.length == 0 ? new uint256[](info.qualityCount * c.windows) : carry.tallies;
        c.imbalanceWh = carry.imbalanceWh;
        c.cashNano = carry.cashNano;
        c.lastAccount = carry.lastAccount;
    }

    /// @dev What the day's proved sessions of energy brought: by round, then from the best quality to the least, which is the order that delivery is allotted
    /// in. The day settles only when all its sessions have ended.
    function _holdings(DayContext memory c) private view returns (Holding[] memory holdings) {
        uint24[] storage epochs = _rounds[c.day][KIND_ENERGY];
        holdings = new Holding[](2 * epochs.length * c.byMerit.length);
        uint256 count;
        for (uint256 round; round < epochs.length; ++round) {
            Stage stage = _stageOf(epochs[round]);
            if (stage == Stage.Void) continue;
            if (stage != Stage.Proved) revert IAuction.WrongStage(epochs[round], stage);
            SessionParams storage session = _params[epochs[round]];
            Span[] memory home = _spans(session, c.day, false);
            Span[] memory wide = _spans(session, c.day, true);
            for (uint256 k; k < 2 * c.byMerit.length; ++k) {
                Holding memory holding = holdings[count++];
                (holding.home, holding.wide) = (home, wide);
                holding.side = k % 2 == 0 ? SIDE_OBLIGATION : SIDE_CLAIM;
                holding.dense = c.byMerit[k / 2];
                holding.code = uint8(c.qualities[holding.dense]);
                holding.held = MemberLib.heldBit(holding.side, holding.code);
                holding.family = ProductIdLib.family(
                    holding.side, uint8(round), KIND_ENERGY, holding.code, c.zone, windowLength
                );
                holding.reserve = k % 2 == 0 ? session.sellReserve : session.buyReserve;
            }
        }
        assembly ("memory-safe") {
            mstore(holdings, count)
        }
    }

    /// @dev The slots that the windows of a session lie in.
    function _spans(SessionParams storage session, uint256 day, bool wide)
        private
        view
        returns (Span[] memory spans)
    {
        (uint256 lanes, uint256 bits) = (PackedWindows.lanesOf(wide), PackedWindows.bitsOf(wide));
        (uint256 first, uint256 end) = (session.firstWindow, session.firstWindow + session.windows);
        uint256 group = first / lanes;
        spans = new Span[]((end - 1) / lanes - group + 1);
        for (uint256 i; i < spans.length; ++i) {
            uint256 next = (group + 1) * lanes < end ? (group + 1) * lanes : end;
            uint256 mask = type(uint256).max >> (256 - (next - first) * bits);
            spans[i] = Span(group++, first - day, next - first, first % lanes * bits, mask);
            first = next;
        }
    }

    /// @dev Adds what the call's rows hold to what was carried into it.
    function _gather(DayContext memory c) private pure {
        unchecked {
            uint256 row = c.rows + Imbalance.QUALITIES;
            uint256 windows = c.windows;
            for (uint256 cell; cell < c.tallies.length; cell += windows) {
                Imbalance.addTallies(c.tallies, cell, row, windows);
                row += Imbalance.QUALITY;
            }
        }
    }

    /// @dev The posting is the latest of the zone under way, and the carry is what the last part left.
    function _requireRun(Run storage run, Posting calldata posting, RunCarry calldata carry) private view {
        bytes32 posted = _metered[posting.zone][posting.firstWindow].hash;
        if (posting.zone != run.zone || posted != Postings.hash(posting)) {
            revert WrongPosting(posting.zone, posting.firstWindow);
        }
        if (run.carry == 0) {
            bool fresh = carry.tallies.length == 0 && carry.imbalanceWh == 0 && carry.cashNano == 0
                && carry.lastAccount == address(0) && carry.parts == 0;
            if (!fresh) revert WrongRunCarry(posting.zone, posting.firstWindow);
        } else if (run.carry != _hashRunCarry(carry)) {
            revert WrongRunCarry(posting.zone, posting.firstWindow);
        }
    }

    function _requirePart(Posting calldata posting, bytes calldata entries, uint256 part) private pure {
        if (part >= posting.parts.length || keccak256(entries) != posting.parts[part]) {
            revert WrongPart(part);
        }
    }

    function _hashRunCarry(RunCarry calldata carry) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                carry.tallies,
                carry.imbalanceWh,
                carry.cashNano,
                uint256(uint160(carry.lastAccount)),
                carry.parts
            )
        );
    }

    function _hashCarry(DayContext memory c, uint256 parts) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(c.tallies, c.imbalanceWh, c.cashNano, uint256(uint160(c.lastAccount)), parts)
        );
    }
}
