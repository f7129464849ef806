// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../../../contracts/interfaces/IAuction.sol";
import {Posting} from "../../../contracts/interfaces/IMetering.sol";
import {Cash, CashLib} from "../../../contracts/libraries/Cash.sol";
import {Certificates} from "../../../contracts/libraries/Certificates.sol";
import {GridLib} from "../../../contracts/libraries/GridLib.sol";
import {Imbalance} from "../../../contracts/libraries/Imbalance.sol";
import {Member, MemberLib} from "../../../contracts/libraries/Member.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {PackedWindows} from "../../../contracts/libraries/PackedWindows.sol";
import {Postings} from "../../../contracts/libraries/Postings.sol";
import {ProductId, ProductIdLib} from "../../../contracts/libraries/ProductId.sol";
import {Quality} from "../../../contracts/libraries/Quality.sol";
import {ILibraries, ReadCash, ReadMember, ReadProduct} from "./ILibraries.sol";

/// @title Libraries: internal functions, compiled as they are deployed, for tests to call
contract Libraries is ILibraries {
    // --- words

    function pack(ReadProduct calldata p) external pure returns (uint256) {
        return ProductId.unwrap(
            ProductIdLib.pack(p.side, p.round, p.kind, p.quality, p.zone, p.length, p.windowIndex)
        );
    }

    function readProduct(uint256 id) external pure returns (ReadProduct memory) {
        ProductId p = ProductId.wrap(id);
        return ReadProduct(p.side(), p.round(), p.kind(), p.quality(), p.zone(), p.length(), p.windowIndex());
    }

    function isCanonical(uint256 id) external pure returns (bool) {
        return ProductId.wrap(id).isCanonical();
    }

    function groupKey(uint256 id, uint256 lanes) external pure returns (uint256) {
        return ProductId.wrap(id).groupKey(lanes);
    }

    function quality(uint8 code) external pure returns (uint8 band, bool firm, uint16 cap, uint8 merit) {
        return (Quality.band(code), Quality.isFirm(code), Quality.carbonCap(code), Quality.merit(code));
    }

    function serves(uint8 from, uint8 to) external pure returns (bool) {
        return Quality.serves(from, to);
    }

    function packCash(int256 free, uint256 reserved, int256 net, uint24 epoch)
        external
        pure
        returns (uint256)
    {
        return Cash.unwrap(CashLib.pack(free, reserved, net, epoch));
    }

    function readCash(uint256 word) external pure returns (ReadCash memory) {
        Cash c = Cash.wrap(word);
        return ReadCash(c.free(), c.reserved(), c.net(), c.epoch());
    }

    function packMember(uint32 zone, uint8 role, uint8 flags, uint8 maxQuality, uint32 capacityWh)
        external
        pure
        returns (uint256)
    {
        return Member.unwrap(MemberLib.pack(zone, role, flags, maxQuality, capacityWh));
    }

    function readMember(uint256 word) external pure returns (ReadMember memory) {
        Member m = Member.wrap(word);
        return ReadMember(m.zone(), m.role(), m.flags(), m.maxQuality(), m.capacityWh(), m.held());
    }

    function withHeld(uint256 word, uint8 side, uint8 code)
        external
        pure
        returns (uint256 changed, bool holds)
    {
        Member m = Member.wrap(word).withHeld(side, code);
        return (Member.unwrap(m), m.holds(side, code));
    }

    function withFlag(uint256 word, uint8 flag, bool on) external pure returns (uint256 changed, bool has) {
        Member m = Member.wrap(word).withFlag(flag, on);
        return (Member.unwrap(m), m.has(flag));
    }

    // --- lanes

    function addLanes(uint256 word, uint256 added, bool wide) external pure returns (uint256) {
        return PackedWindows.add(word, added, wide);
    }

    function getLane(uint256 word, uint256 lane, bool wide) external pure returns (uint256) {
        return PackedWindows.get(word, lane, wide);
    }

    function subLane(uint256 word, uint256 lane, uint256 amount, bool wide) external pure returns (uint256) {
        return PackedWindows.sub(word, lane, amount, wide);
    }

    function atLane(uint256 lane, uint256 amount, bool wide) external pure returns (uint256) {
        return PackedWindows.at(lane, amount, wide);
    }

    function totalOfLanes(uint256 word, bool wide) external pure returns (uint256) {
        return PackedWindows.total(word, wide);
    }

    // --- trees, grids, postings

    function tree(bytes32[] calldata leaves)
        external
        pure
        returns (bytes32[20] memory frontier, bytes32 root)
    {
        for (uint256 i; i < leaves.length; ++i) {
            MerkleFrontier.append(frontier, i, leaves[i]);
        }
        return (frontier, MerkleFrontier.root(frontier, leaves.length));
    }

    function append(bytes32[20] memory frontier, uint256 count, bytes32 leaf)
        external
        pure
        returns (bytes32[20] memory)
    {
        MerkleFrontier.append(frontier, count, leaf);
        return frontier;
    }

    function leafHash(bytes32 hash) external pure returns (bytes32) {
        return MerkleFrontier.leafHash(hash);
    }

    function gridHash(Grid calldata grid) external pure returns (bytes32) {
        return GridLib.hash(grid);
    }

    function postingHash(Posting calldata posting) external pure returns (bytes32) {
        return Postings.hash(posting);
    }

    // --- settlement

    function certified(uint256[] memory tallies, uint256 windows, bytes16 codes, uint256 count)
        external
        pure
        returns (uint256[] memory)
    {
        return Certificates.certified(tallies, windows, codes, Certificates.byMerit(codes, count));
    }

    function byMerit(bytes16 codes, uint256 count) external pure returns (uint256[] memory) {
        return Certificates.byMerit(codes, count);
    }

    /// @dev The certified parts of claims of one cell, one a lane of a wide slot, each in a call of its own.
    function shares(uint256[] calldata claims, uint256 amount)
        external
        pure
        returns (uint256[] memory parts)
    {
        (uint256[] memory tallies, uint256[] memory amounts) = (new uint256[](1), new uint256[](1));
        parts = new uint256[](claims.length);
        for (uint256 i; i < claims.length; ++i) {
            tallies[0] += claims[i];
        }
        amounts[0] = amount;
        for (uint256 i; i < claims.length; ++i) {
            (parts[i],) = Certificates.share(claims[i], 1, 32, 0, tallies, amounts);
        }
    }

    /// @dev A row of one window, with what lies behind.
    uint256 private constant ROW = 40;

    /// @dev One account in one window: its obligations in the order given, then its price.
    function imbalance(
        int32 metered,
        uint32[] calldata obligations,
        uint32 claim,
        int32 surplus,
        int32 deficit
    )
        external
        pure
        returns (int256 wh, int256 cash, uint256[] memory tallies, int256 meteredSum, int256 imbalanceSum)
    {
        uint256 at = Imbalance.zeros(ROW * 10);
        Imbalance.Rows memory rows;
        (rows.metered, rows.claims, rows.obligations) = (at, at + ROW, at + 2 * ROW);
        (rows.meteredSums, rows.imbalanceSums) = (at + 3 * ROW, at + 4 * ROW);
        (rows.surplus, rows.deficit) = (at + 5 * ROW + 8, at + 6 * ROW + 8);
        // Behind the only window: nothing metered, that is the bias alone.
        uint256 nothing = Imbalance.METERED_BIAS * (1 | 1 << 64 | 1 << 128);
        put(rows.metered, uint256(int256(metered) + int256(Imbalance.METERED_BIAS)) << 192 | nothing);
        put(rows.surplus, uint256(int256(surplus) + int256(Imbalance.PRICE_BIAS)));
        put(rows.deficit, uint256(int256(deficit) + int256(Imbalance.PRICE_BIAS)));
        Imbalance.readInjected(rows.metered, 1, at + 7 * ROW);
        tallies = new uint256[](obligations.length + 1);
        for (uint256 i; i < obligations.length; ++i) {
            uint256 tally = Imbalance.zeros(2 * ROW);
            Imbalance.takeObligations(obligations[i], true, rows.obligations, at + 7 * ROW, tally, ROW);
            tallies[i] = Imbalance.laneAt(tally, 0) << 64 | Imbalance.laneAt(tally + ROW, 0) << 128;
        }
        Imbalance.takeClaims(claim, true, rows.claims, at + 8 * ROW);
        tallies[obligations.length] = Imbalance.laneAt(at + 8 * ROW, 0);
        (wh, cash) = Imbalance.price(rows, 1);
        meteredSum = int256(Imbalance.laneAt(rows.meteredSums, 0)) - int256(Imbalance.METERED_BIAS);
        imbalanceSum = int256(Imbalance.laneAt(rows.imbalanceSums, 0)) - int256(Imbalance.IMBALANCE_BIAS);
        bool cleared = Imbalance.laneAt(rows.claims, 0) == 0 && Imbalance.laneAt(rows.obligations, 0) == 0;
        require(cleared, "contracted is not cleared for the next account");
    }

    function entryFits(bytes calldata entry, uint256 windows)
        external
        pure
        returns (bool flags, bool quantities)
    {
        uint256 source;
        assembly ("memory-safe") {
            source := entry.offset
        }
        flags = Imbalance.flagsFit(source, windows);
        quantities =
            Imbalance.readMetered(source + (windows + 3) / 4, windows, Imbalance.zeros(8 * windows + 32));
    }

    function put(uint256 at, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(at, word)
        }
    }
}
