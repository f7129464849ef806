// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What a quorum of oracle nodes signs for one zone and day. docs/formats.md, Metering.
struct Posting {
    uint32 zone;
    uint32 firstWindow;
    uint16 windows;
    uint32 sequence;
    uint32 accounts;
    bytes32 commitments;
    int32[] surplusMicroPerKWh;
    int32[] deficitMicroPerKWh;
    bytes32[] parts;
}

/// @title IMetering: meter keys, oracle nodes and their postings
interface IMetering {
    event MeterRegistered(bytes32 indexed meterId, address indexed account, bytes32 x, bytes32 y);
    event MeterRevoked(bytes32 indexed meterId);
    event OracleChanged(address indexed node, bool active);
    event QuorumChanged(uint8 quorum);
    event MeteringPosted(
        uint32 indexed zone, uint32 indexed day, uint32 sequence, bytes32 postingHash, Posting posting
    );

    /// @notice The key is not a point of P-256, or the meter is registered.
    error BadMeter(bytes32 meterId);
    error UnknownMeter(bytes32 meterId);
    /// @notice The quorum is zero or larger than the number of nodes.
    error BadQuorum(uint8 quorum);
    /// @notice Fewer signatures than the quorum.
    error QuorumNotReached(uint256 signatures, uint256 quorum);
    /// @notice The signer is no oracle node, or the signers do not ascend.
    error BadOracleSignature(address signer);
    error WindowNotOver(uint32 day, uint256 endsAt);
    /// @notice Named part of the posting does not fit the day.
    error BadPosting(string part);
    /// @notice A posting of this or a later sequence is there already.
    error StalePosting(uint32 sequence);

    function registerMeter(bytes32 meterId, address account, bytes32 x, bytes32 y) external;
    function revokeMeter(bytes32 meterId) external;
    function setOracle(address node, bool active) external;
    function setQuorum(uint8 quorum) external;

    /// @param signatures 65 bytes each, of nodes in ascending order of their addresses
    function postMetering(Posting calldata posting, bytes[] calldata signatures) external;

    function meterOf(bytes32 meterId) external view returns (address account, bytes32 x, bytes32 y);
    function isOracle(address node) external view returns (bool);
    function quorum() external view returns (uint8);
}
