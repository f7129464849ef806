// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Gift, Run} from "./Ledger.sol";
import {Holdings} from "./Holdings.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry, RunStage} from "./interfaces/ISettlement.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {FLAG_DONOR, Member, ROLE_PROSUMER} from "./libraries/Member.sol";
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

    uint256 private constant MOST_DEFAULT_PARTS = 1 << 15;
    uint256 private constant MOST_DEFAULT_WINDOWS = 1 << 11; // of all accounts of a part

    /// @inheritdoc ISettlement
    function settle(
        Posting calldata posting,
        bytes calldata entries,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) external whenNotPaused whenNotClearing {
        // No quorum signed who comes when, and who is passed over can never be settled.
        if (posting.sequence == Postings.BY_DEFAULT) _checkCanCall(msg.sender, msg.data);
        Run storage run = _runs[posting.firstWindow];
        if (run.stage == RunStage.Posted) run.zone = _nextMetered(posting.firstWindow, 0);
        _requireRun(run, posting, carry);
        if (run.stage > RunStage.Settling) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        DayContext memory c;
        _prepare(c, posting, carry, prices);
        _requirePart(c, posting, entries, run);
        Part memory p;
        p.entryBytes = c.byDefault ? ACCOUNT_BYTES : ACCOUNT_BYTES + (c.windows + 3) / 4 + 4 * c.windows;
        p.rows = Imbalance.prepare(c.windows, c.rounds * c.byMerit.length);
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
    function statementOf(uint32 zone, uint32 day, uint256 part) external view returns (bytes32) {
        return _statements[zone][day][part];
    }

    // --- zones

    /// @dev The zone's last part is settled: goes on to the next zone with metered members, or ends the run.
    function _endZone(DayContext memory c, Part memory p, Run storage run) private {
        uint32 next = _nextMetered(c.day, c.zone + 1);
        if (next == _dayInfo[c.day].zones) {
            _settleBalancingParty(c, p.rows);
            c.cashNano = _escrowed(c);
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
            (c.lastAccount, c.creditNano) = (account, 0);
            (int256 imbalance, int256 cash, uint256 released) = c.byDefault
                ? _settleByDefault(c, p.rows, account, member)
                : _settleMetered(c, p, account, member, source);
            _state(p, account, Imbalance.leaf(p.rows, c.windows));
            c.imbalanceWh += imbalance;
            c.cashNano += cash;
            ++p.accounts;
            cash += c.creditNano;
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
            Imbalance.clearClaims(rows, c.windows, c.rounds * c.byMerit.length);
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

    /// @dev What buyers paid for sales as produced that were not delivered, at the prices they were sold at.
    function _escrowed(DayContext memory c) private pure returns (int256 nano) {
        unchecked {
            uint256[] memory pots = c.pots;
            for (uint256 cell; cell < pots.length; ++cell) {
                nano += int256(pots[cell]);
            }
        }
    }

    /// @dev What the balancing party holds is of zone 0, whichever zone came last.
    function _turnToRoot(DayContext memory c) private pure {
        uint256 zoneBits = ProductIdLib.family(0, 0, 0, 0, c.zone, 0);
        for (uint256 i; i < c.holdings.length; ++i) {
            c.holdings[i].family ^= zoneBits;
        }
    }

    /// @dev Counts the account's tokens of the day into what is open and its tallies, and into `c.creditNano` what it is paid for. Obligations are cleared; claims
    /// stay for `certify`, but for those of the balancing party, which has no certificates.
    /// @param source the account's metered energy in calldata
    /// @return contracted all claims and obligations, Wh
    /// @return released what its filled energy kept reserved, nano
    /// @return owed the premium of what it sold firm and green and did not deliver, nano
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
                    if (metered && holding.asProduced) {
                        wh = _takeProduced(c, rows, holding, account, member);
                    } else {
                        int256 premium;
                        (wh, premium) = _takeFirm(c, rows, holding, account, member);
                        owed += premium;
                    }
                }
                contracted += wh;
                released += (metered ? holding.reserve : holding.plain) * wh;
            }
        }
    }

    function _takeClaims(uint256 rows, Holding memory holding, address account, bool wide, bool clears)
        private
        returns (uint256 wh)
    {
        unchecked {
            if (!_spread(rows, holding, account, wide, clears)) return 0;
            uint256 open = rows + 8 * holding.first;
            uint256 lanes = open + Imbalance.LANES;
            return Imbalance.takeClaims(lanes, lanes + 8 * holding.windows, open, _qualityAt(holding, open));
        }
    }

    /// @dev Obligations of firm qualities, and all of the balancing party: what is not delivered is an imbalance.
    /// @return wh all of them
    /// @return owed of metered accounts, the premium for green energy that they did not deliver, nano
    function _takeFirm(
        DayContext memory c,
        uint256 rows,
        Holding memory holding,
        address account,
        Member member
    ) private returns (uint256 wh, int256 owed) {
        unchecked {
            if (!_spread(rows, holding, account, member.isWide(), true)) return (0, 0);
            uint256 open = rows + 8 * holding.first;
            uint256 lanes = open + Imbalance.LANES;
            uint256 values = _valuesOf(c, holding) - 8 * holding.first - 32;
            uint256 missed;
            uint256 worth;
            (wh, missed, worth) = Imbalance.takeObligations(
                lanes, lanes + 8 * holding.windows, open, _qualityAt(holding, open), values
            );
            if (missed == 0 || member.role() != ROLE_PROSUMER) return (wh, 0);
            bool green = Quality.band(holding.code) != 0;
            if (green && holding.trade.windows == 0) revert PricesMissing(c.zone, c.day);
            return (wh, int256(worth));
        }
    }

    /// @dev Obligations as produced of a metered account: what it delivers of them is paid for, nothing else was sold; but at a negative price it pays for all.
    /// @return wh all of them
    function _takeProduced(
        DayContext memory c,
        uint256 rows,
        Holding memory holding,
        address account,
        Member member
    ) private returns (uint256 wh) {
        unchecked {
            if (!_spread(rows, holding, account, member.isWide(), true)) return 0;
            if (holding.trade.windows == 0) revert PricesMissing(c.zone, c.day);
            uint256 open = rows + 8 * holding.first;
            uint256 lanes = open + Imbalance.LANES;
            uint256 end = lanes + 8 * holding.windows;
            uint256 values = _valuesOf(c, holding) - 8 * holding.first - 32;
            uint256 worth;
            (wh, worth) = Imbalance.takeProduced(lanes, end, open, _qualityAt(holding, open), values);
            // Nobody exports as much as a slot can hold, but by default all is delivered.
            if (c.byDefault) worth = Imbalance.worthEach(lanes, end, values);
            int256 credit = int256(worth);
            // At a negative price its buyers were paid for all of it.
            if (holding.debits != 0) {
                credit -= int256(Imbalance.worthEach(lanes, end, holding.debits - 8 * holding.first - 32));
            }
            if (credit > 0 && member.has(FLAG_DONOR)) credit -= _donate(account, holding.epoch, credit);
            c.creditNano += credit;
        }
    }

    /// @dev The rows of the holding's quality, at the window whose `open` is given.
    function _qualityAt(Holding memory holding, uint256 open) private pure returns (uint256) {
        unchecked {
            return open + Imbalance.QUALITIES + Imbalance.QUALITY * holding.group;
        }
    }

    /// @dev Writes what the account holds into lanes, a window each.
    /// @return any false if it is nothing
    function _spread(uint256 rows, Holding memory holding, address account, bool wide, bool clears)
        private
        returns (bool any)
    {
        unchecked {
            mapping(uint256 => uint256) storage slots = _lanes[account];
            Span[] memory spans = wide ? holding.wide : holding.home;
            (uint256 lanes, uint256 family, uint256 words) = (rows + Imbalance.LANES, holding.family, 0);
            for (uint256 i; i < spans.length; ++i) {
                Span memory span = spans[i];
                uint256 word = _takeWord(slots, family | span.group, span, clears);
                Imbalance.spread(lanes + 8 * span.from, word, wide);
                words |= word;
            }
            return words != 0;
        }
    }

    /// @dev Gives what the account is paid to whom it named, as far as it was for donated sales.
    function _donate(address account, uint24 epoch, int256 credit) private returns (int256 nano) {
        Gift storage gift = _gifts[epoch][account];
        uint256 left = gift.nano;
        if (left == 0) return 0;
        uint256 given = uint256(credit) < left ? uint256(credit) : left;
        gift.nano = uint96(left - given);
        address beneficiary = gift.beneficiary;
        _credit(beneficiary, int256(given));
        emit DeliveryDonated(beneficiary, account, epoch, given);
        return int256(given);
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

    // --- around the entries

    /// @dev Adds what the call's rows hold to what was carried into it, and to the pots what of it sellers as produced did not deliver.
    function _gather(DayContext memory c, Part memory p) private pure {
        unchecked {
            for (uint256 i; i < c.holdings.length; i += 2) {
                Holding memory holding = c.holdings[i]; // obligations; behind them are the claims of the same
                uint256 row =
                    p.rows + Imbalance.QUALITIES + Imbalance.QUALITY * holding.group + 8 * holding.first;
                uint256 cell = holding.group * c.windows + holding.first;
                Imbalance.addTallies(c.tallies, cell, row, holding.windows);
                if (holding.asProduced && holding.values != 0) {
                    Imbalance.addPots(c.pots, cell, row, holding.windows, holding.values - 8 * holding.first);
                }
            }
        }
    }

    function _requirePart(
        DayContext memory c,
        Posting calldata posting,
        bytes calldata entries,
        Run storage run
    ) private view {
        if (c.byDefault) {
            // Whoever settles cuts the parts: not into more than can be counted, nor so large that one could not be certified.
            uint256 accounts = entries.length / ACCOUNT_BYTES;
            bool enough = accounts * MOST_DEFAULT_PARTS >= posting.accounts
                || accounts + run.accounts == posting.accounts;
            bool fits = entries.length != 0 && enough && accounts * c.windows <= MOST_DEFAULT_WINDOWS;
            if (!fits) revert BadEntry(address(0));
        } else if (run.parts >= posting.parts.length || keccak256(entries) != posting.parts[run.parts]) {
            revert WrongPart(run.parts);
        }
    }
}
