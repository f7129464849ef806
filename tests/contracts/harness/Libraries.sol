// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../../../contracts/interfaces/IDays.sol";
import {Posting} from "../../../contracts/interfaces/IMetering.sol";
import {Cash, CashLib} from "../../../contracts/libraries/Cash.sol";
import {Certificates} from "../../../contracts/libraries/Certificates.sol";
import {Flex, Flexible} from "../../../contracts/libraries/Flexible.sol";
import {GridLib} from "../../../contracts/libraries/GridLib.sol";
import {Imbalance} from "../../../contracts/libraries/Imbalance.sol";
import {Lines} from "../../../contracts/libraries/Lines.sol";
import {Member, MemberLib} from "../../../contracts/libraries/Member.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {PackedWindows} from "../../../contracts/libraries/PackedWindows.sol";
import {Potential} from "../../../contracts/libraries/Posted.sol";
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

    /// @dev Of one round that has all windows.
    function shared(
        uint256[] memory tallies,
        uint256[] memory pots,
        uint256 windows,
        bytes16 codes,
        uint256 count
    ) external pure returns (uint256[] memory short, uint256[] memory refunds, uint256[] memory certified) {
        Certificates.Shares memory all = sharesOf(tallies.length);
        uint256[] memory order = Certificates.byMerit(codes, count);
        Certificates.Round memory round = Certificates.Round(0, windows, 0, windows, codes, order);
        Certificates.shortfalls(tallies, pots, all, round);
        Certificates.certify(tallies, all, round);
        return (all.short, all.refunds, all.certified);
    }

    function sharesOf(uint256 cells) private pure returns (Certificates.Shares memory) {
        return Certificates.Shares(new uint256[](cells), new uint256[](cells), new uint256[](cells));
    }

    function byMerit(bytes16 codes, uint256 count) external pure returns (uint256[] memory) {
        return Certificates.byMerit(codes, count);
    }

    /// @dev The parts of claims of one cell that shares a shortfall, its refunds and an amount certified, in their order.
    function shares(uint256[] calldata claims, uint256 short, uint256 refunds, uint256 amount)
        external
        pure
        returns (Certificates.Share[] memory parts)
    {
        uint256[] memory tallies = new uint256[](1);
        Certificates.Shares memory all = sharesOf(1);
        parts = new Certificates.Share[](claims.length);
        for (uint256 i; i < claims.length; ++i) {
            tallies[0] += claims[i];
        }
        (all.short[0], all.refunds[0], all.certified[0]) = (short, refunds, amount);
        for (uint256 i; i < claims.length; ++i) {
            if (claims[i] != 0) Certificates.share(tallies, all, 0, claims[i], parts[i]);
        }
    }

    /// @dev One account in one window: its obligations in the order given, its claim, then its price, by both ways to value it.
    /// @param metered int32, four bytes
    function imbalance(
        bytes calldata metered,
        uint32[] calldata obligations,
        uint32 claim,
        int32[] calldata surplus,
        int32[] calldata deficit,
        bool each
    ) external pure returns (bool fits, int256 wh, int256 cash, uint256[] memory tallies) {
        uint256 source = sourceOf(metered);
        uint256 rows = prepare(obligations.length + 1, surplus, deficit);
        uint256 row = rows + Imbalance.QUALITIES;
        tallies = new uint256[](obligations.length + 1);
        Imbalance.readInjected(rows, source, 1);
        uint256 values = Imbalance.allocate(32);
        for (uint256 i; i < obligations.length; ++i) {
            uint256 lanes = spreadAt(rows, obligations[i]);
            Imbalance.takeObligations(lanes, lanes + 8, rows, row, values);
            Imbalance.addTallies(tallies, i, row, 1);
            row += Imbalance.QUALITY;
        }
        uint256 claims = spreadAt(rows, claim);
        Imbalance.takeClaims(claims, claims + 8, rows, row);
        Imbalance.addTallies(tallies, obligations.length, row, 1);
        (fits, wh, cash) = each ? Imbalance.priceEach(rows, source, 1) : Imbalance.price(rows, source, 1);
        require(Imbalance.openAt(rows, 0) == 0, "something is open for the next account");
    }

    /// @dev Obligations as produced of one account in four windows, of what it injected, int32 each.
    /// @return wh delivered of them
    /// @return worth of that
    /// @return each what all of them are worth, one by one
    function produced(bytes32, uint32[4] calldata obligations, uint256[4] calldata values)
        external
        pure
        returns (uint256 wh, uint256 worth, uint256 each)
    {
        uint256 rows = Imbalance.prepare(4, 1);
        uint256 end = Imbalance.allocate(96) + 96;
        uint256 word;
        for (uint256 w; w < 4; ++w) {
            word |= uint256(obligations[w]) << (32 * w);
            Imbalance.putValue(end, w, values[w]);
        }
        uint256 lanes = spreadAt(rows, word);
        each = Imbalance.worthEach(lanes, lanes + 32, end - 32);
        uint256 source;
        assembly ("memory-safe") {
            source := 4 // of the first argument
        }
        Imbalance.readInjected(rows, source, 4);
        uint256 first = rows + Imbalance.QUALITIES;
        (, worth) = Imbalance.takeProduced(lanes, lanes + 32, rows, first, end - 32);
        for (uint256 w; w < 4; ++w) {
            wh += Imbalance.laneAt(first + Imbalance.DELIVERED, w);
        }
    }

    /// @dev The day of an account that holds nothing, by both ways to value it.
    function day(bytes calldata metered, int32[] calldata surplus, int32[] calldata deficit, bool each)
        external
        pure
        returns (bool fits, int256 wh, int256 cash)
    {
        uint256 windows = surplus.length;
        uint256 source = sourceOf(metered);
        uint256 rows = prepare(0, surplus, deficit);
        (fits, wh, cash) =
            each ? Imbalance.priceEach(rows, source, windows) : Imbalance.price(rows, source, windows);
    }

    // --- trees and flexible orders

    function line(uint256 child, uint256 parent, int256 imported, int256 charge, int256 capacity)
        external
        pure
        returns (bool within, uint256 supported)
    {
        return Lines.check(Potential.wrap(child), Potential.wrap(parent), imported, charge, capacity);
    }

    function flexible(
        uint8 side,
        uint32 energyWh,
        uint32 maxWh,
        int32 limit,
        bytes calldata shares,
        uint256[] calldata potentials
    ) external pure returns (bool fits, bool optimal, uint256 support) {
        Flex memory flex = Flex(energyWh, maxWh, limit, side, potentials.length, sourceOf(shares), 0, 0);
        for (uint256 k; k < flex.windows; ++k) {
            uint256 share = Flexible.shareAt(flex, k);
            flex.total += share;
            if (share > flex.most) flex.most = share;
        }
        uint256 potentialsAt;
        assembly ("memory-safe") {
            potentialsAt := potentials.offset
        }
        (optimal, support) = Flexible.judge(flex, potentialsAt);
        fits = Flexible.fits(flex);
    }

    function flagsFit(bytes calldata flags, uint256 windows) external pure returns (bool) {
        return Imbalance.flagsFit(sourceOf(flags), windows);
    }

    /// @dev The lanes of a packed word, in lanes of 64 bits.
    function spread(uint256 word, bool wide) external pure returns (uint64[16] memory lanes) {
        uint256 rows = Imbalance.prepare(1, 0);
        uint256 from = rows + Imbalance.LANES;
        Imbalance.spread(from, word, wide);
        for (uint256 i; i < (wide ? 8 : 16); ++i) {
            lanes[i] = uint64(Imbalance.laneAt(from, i));
        }
    }

    function spreadAt(uint256 rows, uint256 word) private pure returns (uint256 lanes) {
        lanes = rows + Imbalance.LANES;
        Imbalance.spread(lanes, word, true);
    }

    function prepare(uint256 qualities, int32[] calldata surplus, int32[] calldata deficit)
        private
        pure
        returns (uint256 rows)
    {
        rows = Imbalance.prepare(surplus.length, qualities);
        Imbalance.writePrices(rows + Imbalance.SURPLUS, surplus);
        Imbalance.writePrices(rows + Imbalance.DEFICIT, deficit);
    }

    function sourceOf(bytes calldata data) private pure returns (uint256 source) {
        assembly ("memory-safe") {
            source := data.offset
        }
    }
}
