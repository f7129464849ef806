// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../../../contracts/interfaces/IDays.sol";
import {Posting} from "../../../contracts/interfaces/IMetering.sol";
import {Certificates} from "../../../contracts/libraries/Certificates.sol";

struct ReadProduct {
    uint8 side;
    uint8 round;
    uint8 kind;
    uint8 quality;
    uint32 zone;
    uint16 length;
    uint32 windowIndex;
}

struct ReadCash {
    int256 free;
    uint256 reserved;
    int256 net;
    uint24 epoch;
}

struct ReadMember {
    uint32 zone;
    uint8 role;
    uint8 flags;
    uint8 maxQuality;
    uint32 capacityWh;
    uint32 held;
}

/// @title ILibraries: what harness/Libraries.sol shows of the libraries
interface ILibraries {
    function pack(ReadProduct calldata p) external pure returns (uint256);
    function readProduct(uint256 id) external pure returns (ReadProduct memory);
    function isCanonical(uint256 id) external pure returns (bool);
    function groupKey(uint256 id, uint256 lanes) external pure returns (uint256);
    function quality(uint8 code) external pure returns (uint8 band, bool firm, uint16 cap, uint8 merit);
    function serves(uint8 from, uint8 to) external pure returns (bool);
    function packCash(int256 free, uint256 reserved, int256 net, uint24 epoch) external pure returns (uint256);
    function readCash(uint256 word) external pure returns (ReadCash memory);
    function packMember(uint32 zone, uint8 role, uint8 flags, uint8 maxQuality, uint32 capacityWh)
        external
        pure
        returns (uint256);
    function readMember(uint256 word) external pure returns (ReadMember memory);
    function withHeld(uint256 word, uint8 side, uint8 code)
        external
        pure
        returns (uint256 changed, bool holds);
    function withFlag(uint256 word, uint8 flag, bool on) external pure returns (uint256 changed, bool has);
    function addLanes(uint256 word, uint256 added, bool wide) external pure returns (uint256);
    function getLane(uint256 word, uint256 lane, bool wide) external pure returns (uint256);
    function subLane(uint256 word, uint256 lane, uint256 amount, bool wide) external pure returns (uint256);
    function atLane(uint256 lane, uint256 amount, bool wide) external pure returns (uint256);
    function totalOfLanes(uint256 word, bool wide) external pure returns (uint256);
    function tree(bytes32[] calldata leaves) external pure returns (bytes32[20] memory frontier, bytes32 root);
    function append(bytes32[20] memory frontier, uint256 count, bytes32 leaf)
        external
        pure
        returns (bytes32[20] memory);
    function leafHash(bytes32 hash) external pure returns (bytes32);
    function gridHash(Grid calldata grid) external pure returns (bytes32);
    function postingHash(Posting calldata posting) external pure returns (bytes32);
    function shared(
        uint256[] memory tallies,
        uint256[] memory pots,
        uint256 windows,
        bytes16 codes,
        uint256 count
    ) external pure returns (uint256[] memory short, uint256[] memory refunds, uint256[] memory certified);
    function byMerit(bytes16 codes, uint256 count) external pure returns (uint256[] memory);
    function shares(uint256[] calldata claims, uint256 short, uint256 refunds, uint256 amount)
        external
        pure
        returns (Certificates.Share[] memory parts);
    function imbalance(
        bytes calldata metered,
        uint32[] calldata obligations,
        uint32 claim,
        int32[] calldata surplus,
        int32[] calldata deficit,
        bool each
    ) external pure returns (bool fits, int256 wh, int256 cash, uint256[] memory tallies);
    function produced(bytes32 injected, uint32[4] calldata obligations, uint256[4] calldata values)
        external
        pure
        returns (uint256 wh, uint256 worth, uint256 each);
    function day(bytes calldata metered, int32[] calldata surplus, int32[] calldata deficit, bool each)
        external
        pure
        returns (bool fits, int256 wh, int256 cash);
    function spread(uint256 word, bool wide) external pure returns (uint64[16] memory lanes);
    function line(uint256 child, uint256 parent, int256 imported, int256 charge, int256 capacity)
        external
        pure
        returns (bool within, uint256 supported);
    function flexible(
        uint8 side,
        uint32 energyWh,
        uint32 maxWh,
        int32 limit,
        bytes calldata shares,
        uint256[] calldata potentials
    ) external pure returns (bool fits, bool optimal, uint256 support);
    function flagsFit(bytes calldata flags, uint256 windows) external pure returns (bool);
}
