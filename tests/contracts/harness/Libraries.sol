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
        uint256[] memory words = new uint256[](8);
        tallies = new uint256[](obligations.length + 1);
        uint256 at = pointer(words);
        uint256 tally = pointer(tallies);
        words[0] = uint256(int256(metered));
        Imbalance.readInjected(at, 1, at + 0x40);
        for (uint256 i; i < obligations.length; ++i) {
            Imbalance.takeObligations(obligations[i], 1, 32, at + 0x20, at + 0x40, tally + 32 * i);
        }
        Imbalance.takeClaims(claim, 1, 32, at + 0x20, tally + 32 * obligations.length);
        (words[3], words[4]) = (uint256(int256(surplus)), uint256(int256(deficit)));
        (wh, cash) = Imbalance.price(1, at, at + 0x20, at + 0x60, at + 0x80, at + 0xa0, at + 0xc0);
        (meteredSum, imbalanceSum) = (int256(words[5]), int256(words[6]));
        require(words[1] == 0, "contracted is not cleared for the next account");
    }

    function entryFits(bytes calldata entry, uint256 windows)
        external
        pure
        returns (bool flags, bool quantities)
    {
        uint256[] memory metered = new uint256[](windows);
        uint256 source;
        assembly ("memory-safe") {
            source := entry.offset
        }
        flags = Imbalance.flagsFit(source, windows);
        quantities = Imbalance.readMetered(source + (windows + 3) / 4, windows, pointer(metered));
    }

    function pointer(uint256[] memory array) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := add(array, 0x20)
        }
    }
}
