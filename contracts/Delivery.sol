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
import {Member} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {SIDE_CLAIM} from "./libraries/ProductId.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Delivery: who bears what was not delivered
/// @dev What sellers lack is known when all zones are settled. It is shared among the claims of its quality, pro rata; what is left of green claims becomes
/// certificates as far as green energy was delivered. The balancing party takes the other side of all cash.
abstract contract Delivery is Holdings, Restating, IDelivery {
    /// @dev What the accounts of a call share.
    struct Part {
        Certificates.Shares shares;
        uint256 read; // qualities whose claims are gone over, a bit each
        uint256 rows; // used of the statement
        int256 imbalanceWh;
        int256 cashNano;
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
    ) external restricted whenNotPaused whenNotClearing {
        Run storage run = _runs[posting.firstWindow];
        _requireRun(run, posting, carry);
        if (run.stage != RunStage.Settled) {
            revert ISettlement.WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        DayContext memory c;
        _prepare(c, posting, carry, prices);
        bytes32 stated = _certifyPart(c, posting, statement, run.parts);
        uint256 part = run.parts + 1;
        if (part == (c.byDefault ? _defaultParts[c.zone][c.day] : posting.parts.length)) {
            part = 0;
            run.zone = _nextPosted(c.day, c.zone + 1);
            if (run.zone == _dayInfo[c.day].zones) {
                (run.stage, run.settledAt) = (RunStage.Certified, uint48(block.timestamp));
                _keepChallengeable();
                emit RunCertified(posting.zone, posting.firstWindow);
            }
        }
        (run.parts, run.carry) = (uint16(part), _hashCarry(c, part));
    }

    function _certifyPart(
        DayContext memory c,
        Posting calldata posting,
        Statement calldata statement,
        uint256 part
    ) private returns (bytes32 stated) {
        bytes32[] memory leaves = _openStatement(c.zone, c.day, part, statement);
        Part memory p = _share(c);
        for (uint256 i; i < leaves.length; ++i) {
            leaves[i] = _certifyAccount(c, p, posting, statement, statement.accounts[i], leaves[i]);
        }
        stated = _closeStatement(c.zone, c.day, part, statement, leaves, p.rows);
        if (p.cashNano != 0) _credit(_balancingParty, -p.cashNano);
        emit PartCertified(c.zone, c.day, -p.imbalanceWh, -p.cashNano, stated);
    }

    function _share(DayContext memory c) private pure returns (Part memory p) {
        p.shares.short = c.shares
            ? Certificates.shortfalls(c.tallies, c.windows, c.qualities, c.byMerit)
            : new uint256[](c.tallies.length);
        p.shares.certified =
            Certificates.certified(c.tallies, p.shares.short, c.windows, c.qualities, c.byMerit);
        for (uint256 cell; cell < c.tallies.length; ++cell) {
            uint256 dense = cell / c.windows;
            if (p.shares.short[cell] != 0 || Quality.band(uint8(c.qualities[dense])) != 0) {
                p.read |= 1 << dense;
            }
        }
        p.lacks = new int256[](c.windows);
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
        (p.short, p.certifiedWh) = (false, 0);
        int256 cash;
        for (uint256 i; i < c.holdings.length; ++i) {
            Holding memory holding = c.holdings[i];
            bool held = holding.side == SIDE_CLAIM && member.hasAll(holding.held);
            if (held && p.read >> holding.dense & 1 != 0) {
                cash += _shareHolding(c, p, holding, account, member.isWide());
            }
        }
        int256 change;
        if (p.short) {
            int256 revalued;
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
        }
        if (cash != 0) _credit(account, cash);
        (p.imbalanceWh, p.cashNano) = (p.imbalanceWh + change, p.cashNano + cash);
        if (change != 0 || cash != 0) emit AccountDelivered(account, change, cash);
        if (p.certifiedWh != 0) emit AccountCertified(c.zone, c.day, account, p.certifiedWh);
        return leaf;
    }

    /// @return refund what is paid back, nano
    function _shareHolding(
        DayContext memory c,
        Part memory p,
        Holding memory holding,
        address account,
        bool wide
    ) private returns (int256 refund) {
        mapping(uint256 => uint256) storage slots = _lanes[account];
        bool green = Quality.band(holding.code) != 0;
        Span[] memory spans = wide ? holding.wide : holding.home;
        for (uint256 i; i < spans.length; ++i) {
            uint256 slot = slots[holding.family | spans[i].group];
            uint256 word = (slot >> spans[i].skip) & spans[i].mask;
            if (word == 0) continue;
            (uint256 kept, int256 paid) = _shareWord(c, p, holding, spans[i], word, wide);
            refund += paid;
            if (green && kept != word) {
                slots[holding.family | spans[i].group] = slot ^ ((word ^ kept) << spans[i].skip);
            }
        }
    }

    /// @return kept the certified part of each lane
    /// @return refund what is paid back, nano
    function _shareWord(
        DayContext memory c,
        Part memory p,
        Holding memory holding,
        Span memory span,
        uint256 word,
        bool wide
    ) private pure returns (uint256 kept, int256 refund) {
        uint256 bits = PackedWindows.bitsOf(wide);
        for (uint256 i; i < span.count; ++i) {
            uint256 claim = (word >> i * bits) & ((1 << bits) - 1);
            if (claim == 0) continue;
            uint256 w = span.from + i;
            Certificates.Share memory parts =
                Certificates.share(c.tallies, p.shares, holding.dense * c.windows + w, claim);
            kept |= parts.certified << (i * bits);
            p.certifiedWh += parts.certified;
            if (parts.short != 0) {
                (p.short, p.lacks[w]) = (true, p.lacks[w] - int256(parts.short));
            }
            bool premium = c.shares && parts.uncertified != 0 && Quality.band(holding.code) != 0;
            if (!premium && parts.short == 0) continue;
            if (holding.trade.windows == 0) revert ISettlement.PricesMissing(c.zone, c.day);
            if (parts.short != 0) refund += int256(parts.short) * _priceAt(holding, span.at + i);
            if (premium) refund += int256(parts.uncertified) * _greenAt(c, holding, span.at + i);
        }
    }

    /// @dev The sum of what the account lacks; the next account lacks nothing.
    function _takeLacks(Part memory p) private pure returns (int256 change) {
        for (uint256 w; w < p.lacks.length; ++w) {
            change += p.lacks[w];
            p.lacks[w] = 0;
        }
    }
}
