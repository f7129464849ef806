// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger, Run, Session} from "./Ledger.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry} from "./interfaces/ISettlement.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Member, MemberLib} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {Potential} from "./libraries/Posted.sol";
import {Postings} from "./libraries/Postings.sol";
import {KIND_ENERGY, ProductIdLib, SIDE_CLAIM, SIDE_OBLIGATION} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Holdings: what a day's run goes over, and what it was traded at
abstract contract Holdings is Ledger {
    /// @dev What every account of a call shares.
    struct DayContext {
        uint32 zone;
        uint32 day;
        uint256 windows;
        bool byDefault; // what was contracted counts as metered
        bytes16 qualities;
        uint256[] byMerit;
        Holding[] holdings;
        uint256 rounds; // proved
        uint256[] tallies; // as carried into the call
        uint256[] pots;
        int256 imbalanceWh;
        int256 cashNano;
        int256 creditNano; // of the account in hand, for what it delivered
        address lastAccount;
    }

    /// @dev What an account may hold of the day: the obligations or the claims of one round and quality.
    struct Holding {
        Member held; // its bit
        uint8 side;
        uint8 code;
        bool asProduced;
        bool shared; // claims that `certify` shares something among
        uint24 epoch;
        uint256 dense;
        uint256 group; // of its cells, in tallies and pots
        uint256 family;
        uint256 reserve; // nano a Wh, which `settle` returns to metered accounts
        uint256 plain; // to others; of claims as produced, what `certify` returns
        uint256 first; // window of the day
        uint256 windows;
        Span[] home;
        Span[] wide;
        Trade trade;
        uint256 values; // a row, see `_valuesOf`; zero until it is needed
        uint256 debits; // the same of what is as produced, where a price is negative: by how much
        uint256 rates; // the same, see `_ratesOf`
    }

    /// @dev Where the words that a round's prices follow from lie in calldata; no words, no prices.
    struct Trade {
        uint256 windows;
        uint256 energy;
        uint256 qualities;
    }

    /// @dev The lanes of one packed slot that belong to a round: those of `mask`, above `skip` bits, from window `from` of the day on.
    struct Span {
        uint256 group;
        uint256 from;
        uint256 count;
        uint256 skip;
        uint256 mask;
    }

    /// @dev An account in packed entries.
    uint256 internal constant ACCOUNT_BYTES = 20;

    function _prepare(
        DayContext memory c,
        Posting calldata posting,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) internal view {
        Day storage info = _dayInfo[posting.firstWindow];
        c.zone = posting.zone;
        c.day = posting.firstWindow;
        c.windows = info.windows;
        c.byDefault = posting.sequence == Postings.BY_DEFAULT;
        c.qualities = info.qualities;
        c.byMerit = Certificates.byMerit(info.qualities, info.qualityCount);
        c.holdings = _holdings(c, prices);
        uint256 cells = c.rounds * info.qualityCount * c.windows;
        bool fresh = carry.tallies.length == 0;
        c.tallies = fresh ? new uint256[](cells) : carry.tallies;
        c.pots = fresh ? new uint256[](cells) : carry.pots;
        c.imbalanceWh = carry.imbalanceWh;
        c.cashNano = carry.cashNano;
        c.lastAccount = carry.lastAccount;
    }

    /// @dev What the day's proved sessions of energy brought: by round, then from the best quality to the least, which is the order that delivery is allotted
    /// in. The day settles only when all its sessions have ended.
    function _holdings(DayContext memory c, RoundPrices[] calldata prices)
        private
        view
        returns (Holding[] memory holdings)
    {
        uint24[] storage epochs = _rounds[c.day][KIND_ENERGY];
        holdings = new Holding[](2 * epochs.length * c.byMerit.length);
        uint256 priced;
        for (uint256 round; round < epochs.length; ++round) {
            Stage stage = _stageOf(epochs[round]);
            if (stage == Stage.Void) continue;
            if (stage != Stage.Proved) revert IAuction.WrongStage(epochs[round], stage);
            Trade memory trade;
            if (prices.length != 0) {
                if (priced == prices.length) revert ISettlement.WrongPrices(c.zone, c.day, round);
                trade = _requirePriced(c, epochs[round], round, prices[priced++]);
            }
            _addRound(c, holdings, epochs[round], round, trade);
            ++c.rounds;
        }
        if (priced != prices.length) revert ISettlement.WrongPrices(c.zone, c.day, epochs.length);
        uint256 count = 2 * c.rounds * c.byMerit.length;
        assembly ("memory-safe") {
            mstore(holdings, count)
        }
    }

    /// @dev The next of the proved rounds.
    function _addRound(
        DayContext memory c,
        Holding[] memory holdings,
        uint24 epoch,
        uint256 round,
        Trade memory trade
    ) private view {
        SessionParams storage session = _params[epoch];
        Span[] memory home = _spans(session, c.day, false);
        Span[] memory wide = _spans(session, c.day, true);
        for (uint256 k; k < 2 * c.byMerit.length; ++k) {
            Holding memory holding = holdings[2 * c.rounds * c.byMerit.length + k];
            (holding.home, holding.wide, holding.trade) = (home, wide, trade);
            holding.side = k % 2 == 0 ? SIDE_OBLIGATION : SIDE_CLAIM;
            holding.dense = c.byMerit[k / 2];
            holding.code = uint8(c.qualities[holding.dense]);
            (holding.asProduced, holding.epoch) = (!Quality.isFirm(holding.code), epoch);
            holding.group = c.rounds * c.byMerit.length + holding.dense;
            (holding.first, holding.windows) = (session.firstWindow - c.day, session.windows);
            holding.held = MemberLib.heldBit(holding.side, holding.code);
            holding.family = ProductIdLib.family(
                holding.side, uint8(round), KIND_ENERGY, holding.code, c.zone, windowLength
            );
            (holding.reserve, holding.plain) = _reserves(session, holding);
        }
    }

    /// @return metered nano a Wh that `settle` returns to metered accounts
    /// @return others to others
    function _reserves(SessionParams storage session, Holding memory holding)
        private
        view
        returns (uint256 metered, uint256 others)
    {
        if (holding.side == SIDE_CLAIM) {
            others = session.buyReserve;
            return (holding.asProduced ? 0 : others, others);
        }
        others = session.sellReserve;
        int256 floor = session.floor;
        return (others + (holding.asProduced && floor < 0 ? uint256(-floor) : 0), others);
    }

    /// @dev The words are those that the zone was closed with, and the session's header.
    function _requirePriced(DayContext memory c, uint24 epoch, uint256 round, RoundPrices calldata prices)
        private
        view
        returns (Trade memory trade)
    {
        Session storage session = _sessions[epoch];
        bool posted = _energy[epoch][c.zone] == keccak256(abi.encodePacked(prices.energyPotentials))
            && session.header == keccak256(abi.encodePacked(prices.qualityPotentials));
        if (!posted) revert ISettlement.WrongPrices(c.zone, c.day, round);
        uint256[] calldata energy = prices.energyPotentials;
        uint256[] calldata qualities = prices.qualityPotentials;
        trade.windows = energy.length;
        assembly ("memory-safe") {
            mstore(add(trade, 0x20), energy.offset)
            mstore(add(trade, 0x40), qualities.offset)
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

    // --- prices

    /// @dev What a Wh of the holding was traded at in each window of its round, or of firm ones the premium for being green; zero where that is negative, and all
    /// zero where no prices were brought. Written once a call.
    /// @return values the end of a row of 8 bytes a window of the day, the last window first: four lanes that end 8 bytes a window before it are of that
    /// window and the next three, the last first
    function _valuesOf(DayContext memory c, Holding memory holding) internal pure returns (uint256 values) {
        values = holding.values;
        if (values != 0) return values;
        values = _row(c);
        holding.values = values;
        bool valued = holding.asProduced || Quality.band(holding.code) != 0;
        (Trade memory trade, uint256 windows) = (holding.trade, holding.windows);
        if (!valued || trade.windows == 0) return values;
        (uint256 dense, uint256 ground) = (holding.dense, _groundOf(c, holding.code));
        unchecked {
            for (uint256 at; at < windows; ++at) {
                int256 value = holding.asProduced
                    ? _midAt(trade.energy, at) - _qualityAt(trade, dense, at)
                    : _premiumAt(trade, dense, ground, at);
                if (value < 0) {
                    _putDebit(c, holding, at, uint256(-value));
                    value = 0;
                }
                Imbalance.putValue(values, holding.first + at, uint256(value));
            }
        }
    }

    /// @dev Windows come in order: a row is written from its end on backwards.
    function _putDebit(DayContext memory c, Holding memory holding, uint256 at, uint256 value) private pure {
        unchecked {
            if (holding.debits == 0) holding.debits = _row(c);
            Imbalance.putValue(holding.debits, holding.first + at, value);
        }
    }

    /// @dev What of a Wh that is not green is refunded in each window: its premium, and no more than that of any better quality, which may have served the claim.
    /// @return rates as of `_valuesOf`
    function _ratesOf(DayContext memory c, Holding memory holding) internal pure returns (uint256 rates) {
        rates = holding.rates;
        if (rates != 0) return rates;
        rates = _row(c);
        holding.rates = rates;
        for (uint256 at; at < holding.windows; ++at) {
            int256 least = type(int256).max;
            for (uint256 k; least != 0; ++k) {
                uint256 dense = c.byMerit[k];
                int256 premium = _premiumAt(holding.trade, dense, _groundOf(c, uint8(c.qualities[dense])), at);
                if (premium < least) least = premium;
                if (dense == holding.dense) break;
            }
            Imbalance.putValue(rates, holding.first + at, uint256(least));
        }
    }

    /// @return end of a row of zeros
    function _row(DayContext memory c) private pure returns (uint256 end) {
        uint256 size = 8 * c.windows + 64;
        return Imbalance.allocate(size) + size;
    }

    /// @dev The quality of band 0 that is as firm, or quality 0.
    function _groundOf(DayContext memory c, uint8 code) private pure returns (uint256 dense) {
        for (uint256 q; q < c.byMerit.length; ++q) {
            uint8 other = uint8(c.qualities[q]);
            if (Quality.band(other) == 0 && Quality.isFirm(other) == Quality.isFirm(code)) return q;
        }
    }

    /// @dev What of the price of a Wh is for the quality's being green, and not for its being firm; not less than zero.
    function _premiumAt(Trade memory trade, uint256 dense, uint256 ground, uint256 at)
        private
        pure
        returns (int256 premium)
    {
        unchecked {
            premium = _qualityAt(trade, ground, at) - _qualityAt(trade, dense, at);
            if (premium < 0) return 0;
        }
    }

    /// @dev The potential of a quality: minus its premium; that of quality 0 is the ground's.
    function _qualityAt(Trade memory trade, uint256 dense, uint256 at) private pure returns (int256) {
        unchecked {
            return dense == 0 ? int256(0) : _midAt(trade.qualities, (dense - 1) * trade.windows + at);
        }
    }

    function _midAt(uint256 words, uint256 index) private pure returns (int256) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(add(words, shl(5, index)))
        }
        return Potential.wrap(word).mid();
    }

    // --- around the accounts

    /// @dev The first zone from `zone` on that is settled, or the number of zones. Members may join a zone that was passed over; a posting of it comes too late.
    function _nextPosted(uint32 day, uint32 zone) internal view returns (uint32) {
        uint32 zones = _dayInfo[day].zones;
        while (zone < zones && _metered[zone][day].sequence == 0) ++zone;
        return zone;
    }

    /// @dev The posting is the latest of the zone under way, and the carry is what the last part left.
    function _requireRun(Run storage run, Posting calldata posting, RunCarry calldata carry) internal view {
        bytes32 posted = _metered[posting.zone][posting.firstWindow].hash;
        if (posting.zone != run.zone || posted != Postings.hash(posting)) {
            revert ISettlement.WrongPosting(posting.zone, posting.firstWindow);
        }
        if (run.carry == 0) {
            bool fresh = carry.tallies.length == 0 && carry.pots.length == 0 && carry.imbalanceWh == 0
                && carry.cashNano == 0 && carry.lastAccount == address(0) && carry.parts == 0;
            if (!fresh) revert ISettlement.WrongRunCarry(posting.zone, posting.firstWindow);
        } else if (run.carry != _hashRunCarry(carry)) {
            revert ISettlement.WrongRunCarry(posting.zone, posting.firstWindow);
        }
    }

    function _hashRunCarry(RunCarry calldata carry) private pure returns (bytes32 hash) {
        (uint256[] calldata tallies, uint256[] calldata pots) = (carry.tallies, carry.pots);
        // Of other lengths the same words could be cut elsewhere.
        if (tallies.length != pots.length) return 0;
        uint256 at;
        uint256 end;
        assembly ("memory-safe") {
            at := mload(0x40)
            let size := shl(5, tallies.length)
            calldatacopy(at, tallies.offset, size)
            calldatacopy(add(at, size), pots.offset, size)
            end := add(at, shl(1, size))
        }
        return _hashRest(
            at, end, carry.imbalanceWh, carry.cashNano, uint256(uint160(carry.lastAccount)), carry.parts
        );
    }

    function _hashCarry(DayContext memory c, uint256 parts) internal view returns (bytes32) {
        (uint256[] memory tallies, uint256[] memory pots) = (c.tallies, c.pots);
        uint256 at;
        uint256 end;
        assembly ("memory-safe") {
            // The contract at 4 copies memory.
            function copy(words, to) -> next {
                let size := shl(5, mload(words))
                if iszero(staticcall(gas(), 4, add(words, 0x20), size, to, size)) { revert(0, 0) }
                next := add(to, size)
            }
            at := mload(0x40)
            end := copy(pots, copy(tallies, at))
        }
        return _hashRest(at, end, c.imbalanceWh, c.cashNano, uint256(uint160(c.lastAccount)), parts);
    }

    function _hashRest(
        uint256 at,
        uint256 end,
        int256 imbalance,
        int256 cash,
        uint256 lastAccount,
        uint256 parts
    ) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(end, imbalance)
            mstore(add(end, 0x20), cash)
            mstore(add(end, 0x40), lastAccount)
            mstore(add(end, 0x60), parts)
            hash := keccak256(at, sub(add(end, 0x80), at))
        }
    }
}
