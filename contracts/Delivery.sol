// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Run} from "./Ledger.sol";
import {Holdings} from "./Holdings.sol";
import {Restating} from "./Restating.sol";
import {IDelivery} from "./interfaces/IDelivery.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry, RunStage} from "./interfaces/ISettlement.sol";
import {Statement} from "./interfaces/IStatements.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Member} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {SIDE_CLAIM} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Delivery: who bears what was not delivered
/// @dev What sellers lack is known when all zones are settled. In each round it is shared among the claims of its quality, pro rata, and so is what those sellers
/// were not paid; what is left of green claims becomes certificates as far as green energy was delivered. The balancing party takes the other side of what imbalances
/// and premiums change, and what is left of sellers' pay.
abstract contract Delivery is Holdings, Restating, IDelivery {
    /// @dev What the accounts of a call share.
    struct Part {
        Certificates.Shares shares;
        Certificates.Share parts; // of the claim in hand
        uint256 rows; // used of the statement
        int256 imbalanceWh;
        int256 cashNano; // without refunds of prices
        int256 refundNano; // of the account in hand
        uint256 releasedNano; // of the account in hand
        int256[] lacks; // of the account in hand, each window
        bool short; // whether it lacks anything
        uint256 certifiedWh;
    }

    /// @inheritdoc IDelivery
    function certify(
        Posting calldata posting,
        Statement calldata statement,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) external whenNotPaused whenNotClearing {
        Run storage run = _runs[posting.firstWindow];
        _requireRun(run, posting, carry);
        if (run.stage != RunStage.Settled) {
            revert ISettlement.WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        DayContext memory c;
        _prepare(c, posting, carry, prices);
        _certifyPart(c, posting, statement, run.parts);
        uint256 part = run.parts + 1;
        if (part == (c.byDefault ? _defaultParts[c.zone][c.day] : posting.parts.length)) {
            part = 0;
            run.zone = _nextPosted(c.day, c.zone + 1);
            if (run.zone == _dayInfo[c.day].zones) {
                (run.stage, run.settledAt) = (RunStage.Certified, uint48(block.timestamp));
                _keepChallengeable();
                if (c.cashNano != 0) _credit(_balancingParty, c.cashNano);
                emit RunCertified(posting.zone, posting.firstWindow, c.cashNano);
                c.cashNano = 0;
            }
        }
        (run.parts, run.carry) = (uint16(part), _hashCarry(c, part));
    }

    function _certifyPart(
        DayContext memory c,
        Posting calldata posting,
        Statement calldata statement,
        uint256 part
    ) private {
        bytes32[] memory leaves = _openStatement(c.zone, c.day, part, statement);
        Part memory p = _share(c);
        for (uint256 i; i < leaves.length; ++i) {
            leaves[i] = _certifyAccount(c, p, posting, statement, statement.accounts[i], leaves[i]);
        }
        bytes32 stated = _closeStatement(c.zone, c.day, part, statement, leaves, p.rows);
        if (p.cashNano != 0) _credit(_balancingParty, -p.cashNano);
        emit PartCertified(c.zone, c.day, -p.imbalanceWh, -p.cashNano, stated);
    }

    /// @dev What the claims of each round share.
    function _share(DayContext memory c) private pure returns (Part memory p) {
        uint256 cells = c.tallies.length;
        p.shares = Certificates.Shares(new uint256[](cells), new uint256[](cells), new uint256[](cells));
        p.lacks = new int256[](c.windows);
        uint256 each = 2 * c.byMerit.length;
        for (uint256 i; i < c.holdings.length; i += each) {
            Holding memory one = c.holdings[i];
            Certificates.Round memory round = Certificates.Round(
                i / each * c.byMerit.length * c.windows,
                c.windows,
                one.first,
                one.first + one.windows,
                c.qualities,
                c.byMerit
            );
            Certificates.shortfalls(c.tallies, c.pots, p.shares, round);
            Certificates.certify(c.tallies, p.shares, round);
            for (uint256 k = 1; k < each; k += 2) {
                Holding memory holding = c.holdings[i + k];
                holding.shared = Quality.band(holding.code) != 0 || _anyShort(c, p, holding);
            }
        }
    }

    function _anyShort(DayContext memory c, Part memory p, Holding memory holding)
        private
        pure
        returns (bool)
    {
        uint256 cell = holding.group * c.windows + holding.first;
        for (uint256 end = cell + holding.windows; cell < end; ++cell) {
            if (p.shares.short[cell] != 0) return true;
        }
        return false;
    }

    /// @return the account's leaf as it is now
    function _certifyAccount(
        DayContext memory c,
        Part memory p,
        Posting calldata posting,
        Statement calldata statement,
        address account,
        bytes32 leaf
    ) private returns (bytes32) {
        Member member = _members[account];
        (p.short, p.certifiedWh, p.refundNano, p.releasedNano) = (false, 0, 0, 0);
        int256 cash;
        for (uint256 i; i < c.holdings.length; ++i) {
            Holding memory holding = c.holdings[i];
            bool concerns = holding.side == SIDE_CLAIM && (holding.asProduced || holding.shared);
            if (concerns && member.hasAll(holding.held)) {
                cash += _shareHolding(c, p, holding, account, member.isWide());
            }
        }
        int256 change;
        if (p.short) {
            int256 revalued;
            uint256 free;
            assembly ("memory-safe") {
                free := mload(0x40)
            }
            (leaf, revalued) = _restate(
                account,
                statement,
                p.rows++,
                leaf,
                p.lacks,
                posting.surplusMicroPerKWh,
                posting.deficitMicroPerKWh,
                false // a day is certified whatever was traded
            );
            cash += revalued;
            change = _takeLacks(p);
            assembly ("memory-safe") {
                mstore(0x40, free) // the next account restates in the same memory
            }
        }
        (p.imbalanceWh, p.cashNano) = (p.imbalanceWh + change, p.cashNano + cash);
        c.cashNano -= p.refundNano;
        cash += p.refundNano;
        int256 paid = cash + int256(p.releasedNano);
        if (paid != 0) _credit(account, paid);
        if (change != 0 || cash != 0 || p.releasedNano != 0) {
            emit AccountDelivered(account, change, cash, p.releasedNano);
        }
        if (p.certifiedWh != 0) emit AccountCertified(c.zone, c.day, account, p.certifiedWh);
        return leaf;
    }

    /// @return premium paid back for what is not green, nano
    function _shareHolding(
        DayContext memory c,
        Part memory p,
        Holding memory holding,
        address account,
        bool wide
    ) private returns (int256 premium) {
        mapping(uint256 => uint256) storage slots = _lanes[account];
        bool green = Quality.band(holding.code) != 0;
        Span[] memory spans = wide ? holding.wide : holding.home;
        for (uint256 i; i < spans.length; ++i) {
            uint256 slot = slots[holding.family | spans[i].group];
            uint256 word = (slot >> spans[i].skip) & spans[i].mask;
            if (word == 0) continue;
            if (holding.asProduced) p.releasedNano += holding.plain * PackedWindows.total(word, wide);
            if (!holding.shared) continue;
            (uint256 kept, int256 paid) = _shareWord(c, p, holding, spans[i], word, wide);
            premium += paid;
            if (green && kept != word) {
                slots[holding.family | spans[i].group] = slot ^ ((word ^ kept) << spans[i].skip);
            }
        }
    }

    /// @return kept the certified part of each lane
    /// @return premium paid back for what is not green, nano
    function _shareWord(
        DayContext memory c,
        Part memory p,
        Holding memory holding,
        Span memory span,
        uint256 word,
        bool wide
    ) private pure returns (uint256 kept, int256 premium) {
        unchecked {
            (uint256 bits, uint256 w) = (PackedWindows.bitsOf(wide), span.from);
            uint256 cells = holding.group * c.windows;
            bool green = Quality.band(holding.code) != 0;
            Certificates.Share memory parts = p.parts;
            for (uint256 at; word != 0; at += bits) {
                uint256 claim = word & ((1 << bits) - 1);
                word >>= bits;
                if (claim != 0) {
                    Certificates.share(c.tallies, p.shares, cells + w, claim, parts);
                    kept |= parts.certified << at;
                    bool brown = green && parts.uncertified != 0;
                    if ((brown || parts.short != 0) && holding.trade.windows == 0) {
                        revert ISettlement.PricesMissing(c.zone, c.day);
                    }
                    if (brown) {
                        premium += int256(parts.uncertified * Imbalance.valueAt(_ratesOf(c, holding), w));
                    }
                    if (parts.short != 0) {
                        (p.short, p.lacks[w]) = (true, p.lacks[w] - int256(parts.short));
                        p.refundNano += _refund(parts, Imbalance.valueAt(_valuesOf(c, holding), w));
                    }
                }
                ++w;
            }
            p.certifiedWh += PackedWindows.total(kept, wide);
        }
    }

    /// @dev What is paid back for what is short: its part of what sellers were not paid, and not more than it was bought at.
    /// @param value its price, or zero if that is negative
    function _refund(Certificates.Share memory parts, uint256 value) private pure returns (int256) {
        unchecked {
            uint256 paid = parts.short * value;
            return int256(parts.refund < paid ? parts.refund : paid);
        }
    }

    /// @dev The sum of what the account lacks; the next account lacks nothing.
    function _takeLacks(Part memory p) private pure returns (int256 change) {
        int256[] memory lacks = p.lacks;
        unchecked {
            for (uint256 w; w < lacks.length; ++w) {
                change += lacks[w];
                lacks[w] = 0;
            }
        }
    }
}
