// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger, Run, Session} from "./Ledger.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry} from "./interfaces/ISettlement.sol";
import {Certificates} from "./libraries/Certificates.sol";
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
        bool shares; // what sellers as produced lack is shared among buyers
        bytes16 qualities;
        uint256[] byMerit;
        Holding[] holdings;
        uint256[] tallies; // as carried into the call
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
        Trade trade;
        uint256 homeValues; // of what is not delivered, see `Settlement`; zero until they are needed
        uint256 wideValues;
    }

    /// @dev Where the words that a round's prices follow from lie in calldata; no words, no prices.
    struct Trade {
        uint256 windows;
        uint256 energy;
        uint256 qualities;
    }

    /// @dev The lanes of one packed slot that belong to a round: those of `mask`, above `skip` bits, from window `from` of the day and `at` of the round on.
    struct Span {
        uint256 group;
        uint256 from;
        uint256 at;
        uint256 count;
        uint256 skip;
        uint256 mask;
    }

    /// @dev An account in packed entries.
    uint256 internal constant ACCOUNT_BYTES = 20;

    /// @dev Bit of a quality's code: what is sold is delivered, or made up for.
    uint8 private constant FIRM = 8;

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
        c.shares = _runs[c.day].shares;
        c.qualities = info.qualities;
        c.byMerit = Certificates.byMerit(info.qualities, info.qualityCount);
        c.holdings = _holdings(c, prices);
        c.tallies = carry.tallies.length == 0 ? new uint256[](info.qualityCount * c.windows) : carry.tallies;
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
        uint256 count;
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
            count = _addRound(c, holdings, count, epochs[round], round, trade);
        }
        if (priced != prices.length) revert ISettlement.WrongPrices(c.zone, c.day, epochs.length);
        assembly ("memory-safe") {
            mstore(holdings, count)
        }
    }

    function _addRound(
        DayContext memory c,
        Holding[] memory holdings,
        uint256 count,
        uint24 epoch,
        uint256 round,
        Trade memory trade
    ) private view returns (uint256) {
        SessionParams storage session = _params[epoch];
        Span[] memory home = _spans(session, c.day, false);
        Span[] memory wide = _spans(session, c.day, true);
        for (uint256 k; k < 2 * c.byMerit.length; ++k) {
            Holding memory holding = holdings[count++];
            (holding.home, holding.wide, holding.trade) = (home, wide, trade);
            holding.side = k % 2 == 0 ? SIDE_OBLIGATION : SIDE_CLAIM;
            holding.dense = c.byMerit[k / 2];
            holding.code = uint8(c.qualities[holding.dense]);
            holding.held = MemberLib.heldBit(holding.side, holding.code);
            holding.family = ProductIdLib.family(
                holding.side, uint8(round), KIND_ENERGY, holding.code, c.zone, windowLength
            );
            holding.reserve = k % 2 == 0 ? session.sellReserve : session.buyReserve;
        }
        return count;
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
            spans[i] = Span(
                group++, first - day, first - session.firstWindow, next - first, first % lanes * bits, mask
            );
            first = next;
        }
    }

    // --- prices

    /// @dev Whether what is not delivered of the quality is no longer contracted, instead of being made up for.
    function _asProduced(uint8 code) internal pure returns (bool) {
        return code & FIRM == 0;
    }

    /// @dev What a Wh of the holding was traded at, in a window of its round, micro/kWh.
    function _priceAt(Holding memory holding, uint256 at) internal pure returns (int256) {
        return _midAt(holding.trade.energy, at) - _qualityAt(holding.trade, holding.dense, at);
    }

    /// @dev What of that is for the quality's being green, and not for its being firm.
    function _greenAt(DayContext memory c, Holding memory holding, uint256 at)
        internal
        pure
        returns (int256 premium)
    {
        if (Quality.band(holding.code) == 0) return 0;
        premium = -_qualityAt(holding.trade, holding.dense, at);
        for (uint256 q; q < c.byMerit.length; ++q) {
            if (uint8(c.qualities[q]) == holding.code & FIRM) premium += _qualityAt(holding.trade, q, at);
        }
    }

    /// @dev The potential of a quality: minus its premium; that of quality 0 is the ground's.
    function _qualityAt(Trade memory trade, uint256 dense, uint256 at) private pure returns (int256) {
        return dense == 0 ? int256(0) : _midAt(trade.qualities, (dense - 1) * trade.windows + at);
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
            bool fresh = carry.tallies.length == 0 && carry.imbalanceWh == 0 && carry.cashNano == 0
                && carry.lastAccount == address(0) && carry.parts == 0;
            if (!fresh) revert ISettlement.WrongRunCarry(posting.zone, posting.firstWindow);
        } else if (run.carry != _hashRunCarry(carry)) {
            revert ISettlement.WrongRunCarry(posting.zone, posting.firstWindow);
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

    function _hashCarry(DayContext memory c, uint256 parts) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(c.tallies, c.imbalanceWh, c.cashNano, uint256(uint160(c.lastAccount)), parts)
        );
    }
}
