// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What a quorum of oracle nodes signs for one zone and day. docs/formats.md, Metering.
struct Posting {
    /// @notice The zone that was metered.
    uint32 zone;
    /// @notice The index of the day's first window, which names the day.
    uint32 firstWindow;
    /// @notice The day's windows.
    uint16 windows;
    /// @notice Grows with each posting of the same zone and day, from 1.
    uint32 sequence;
    /// @notice Entries over all parts: one for each metered member of the zone.
    uint32 accounts;
    /// @notice The Merkle root of the salted commitments to the readings.
    bytes32 commitments;
    /// @notice What a positive imbalance earns in each window, micro/kWh.
    int32[] surplusMicroPerKWh;
    /// @notice What a negative imbalance pays in each window, micro/kWh; not below the surplus price.
    int32[] deficitMicroPerKWh;
    /// @notice The hash of each part's packed entries.
    bytes32[] parts;
}

/// @title IMetering: oracle nodes and their postings
interface IMetering {
    /// @notice An oracle node is admitted or removed.
    event OracleChanged(address indexed node, bool active);
    /// @notice So many oracle nodes must sign a posting.
    event QuorumChanged(uint8 quorum);
    /// @notice A posting is accepted, in place of any earlier one of its zone and day.
    /// @param day the index of the day's first window
    /// @param postingHash the posting's EIP-712 struct hash
    event MeteringPosted(
        uint32 indexed zone, uint32 indexed day, uint32 sequence, bytes32 postingHash, Posting posting
    );

    /// @notice The quorum is zero or larger than the number of nodes.
    error BadQuorum(uint8 quorum);
    /// @notice Fewer signatures than the quorum.
    error QuorumNotReached(uint256 signatures, uint256 quorum);
    /// @notice The signer is no oracle node, or the signers do not ascend.
    error BadOracleSignature(address signer);
    /// @notice The day's last window has not ended.
    /// @param endsAt when it does, Unix seconds
    error WindowNotOver(uint32 day, uint256 endsAt);
    /// @notice The named part of the posting does not fit the day.
    error BadPosting(string part);
    /// @notice A posting of this or a later sequence is there already.
    error StalePosting(uint32 sequence);
    /// @notice The oracles have less set aside than a challenge that holds costs them.
    error OraclesUnbonded(uint256 potNano, uint256 bondNano);
    /// @notice There is still time to post the zone's day.
    /// @param from when there is no more, Unix seconds
    error TooEarlyForDefault(uint32 zone, uint32 day, uint256 from);

    /// @notice Admits or removes an oracle node. As many as the quorum must remain.
    /// @param node the address it signs with
    /// @param active whether its signature counts
    function setOracle(address node, bool active) external;
    /// @notice Sets how many oracle nodes must sign a posting.
    /// @param quorum_ from 1 to the number of nodes
    function setQuorum(uint8 quorum_) external;

    /// @notice Accepts the metering of a zone and an ended day. It replaces a posting of a lower sequence until the zone is settled, but keeps the parts settled and, once one is, the prices.
    /// @param posting what the nodes signed
    /// @param signatures 65 bytes each, of nodes in ascending order of their addresses
    function postMetering(Posting calldata posting, bytes[] calldata signatures) external;

    /// @notice Settles a zone that nobody posted in time: what was contracted counts as metered. Anyone may send it.
    /// @param posting all metered members of the zone, the highest sequence, zero prices, no commitments, no parts
    function postDefault(Posting calldata posting) external;

    /// @notice Whether an address is an oracle node's.
    /// @param node the address
    /// @return true if its signature counts
    function isOracle(address node) external view returns (bool);
    /// @notice How many oracle nodes must sign a posting.
    /// @return the number, zero before it is first set
    function quorum() external view returns (uint8);
}
