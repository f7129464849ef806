// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev All a trader relies on; its hash is the session id in every order. Prices, reserves and bounds in micro/kWh.
struct SessionParams {
    uint8 kind;
    uint8 round;
    uint16 windows;
    uint32 gridVersion;
    uint32 day;
    uint32 firstWindow;
    uint64 gate;
    uint64 commitBy;
    uint64 proveBy;
    int32 floor;
    int32 cap;
    uint32 buyReserve;
    uint32 sellReserve;
    int32 imbalanceMin;
    int32 imbalanceMax;
    uint32 maxOrders; // receipts have sequences below it
    uint32 maxSubmitted; // orders that may be submitted on chain besides
    uint64 bondNano; // paid for each proven claim
    uint64 claimBy; // the last moment to claim, Unix seconds
    address receiptSigner; // whose receipts count
    uint8 certificateRun;
}

/// @dev How far a session has come.
enum Stage {
    None,
    Open,
    Committed,
    Posted,
    Proved,
    Void
}

/// @title IAuction: sessions and the commitment to their books
interface IAuction {
    event SessionOpened(uint24 indexed epoch, bytes32 indexed id, SessionParams params);
    event BookCommitted(uint24 indexed epoch, uint32 indexed zone, uint32 count, bytes32 root);

    /// @notice Windows last 300, 900, 1800 or 3600 seconds.
    error BadWindowLength(uint16 seconds_);
    /// @notice The named parameter of the session is out of range.
    error BadSession(string parameter);
    /// @notice A call that clears the session, or settles its day, would be longer than networks carry. Take fewer windows, qualities, substitutions or rounds.
    /// @param call the longest that cannot be cut further: `joinChildren` of the root's last child, or `certify` of a hundred accounts
    /// @param length of it, bytes
    /// @param most that it may have
    error SessionTooLarge(string call, uint256 length, uint256 most);
    /// @notice The session is at another stage.
    error WrongStage(uint24 epoch, Stage stage);
    error GateStillOpen(uint24 epoch, uint64 gate);
    /// @notice No book is brought, the zone is not in the session's grid, or its book makes more orders than the session allows.
    error BadCommitment(uint24 epoch, uint32 zone);
    /// @notice The balancing party does not carry what members owe.
    error NotCarried(int256 balancingFreeNano, uint256 totalNegativeNano);

    function openSession(SessionParams calldata params) external returns (uint24 epoch);

    /// @notice After the gate: the count and Merkle root of each zone's order hashes in ascending order, for the next zones of the grid in order. With the last
    /// zone the session is committed.
    /// @param epoch the session's number
    /// @param counts orders of each zone, from the first that is not committed
    /// @param roots of their trees
    function commitBooks(uint24 epoch, uint32[] calldata counts, bytes32[] calldata roots) external;

    /// @return id the hash of the session's parameters
    /// @return stage as of now: a session past its deadline is void
    function sessionOf(uint24 epoch) external view returns (bytes32 id, Stage stage);

    function sessionParams(uint24 epoch) external view returns (SessionParams memory);

    /// @notice The deadline that counts now (of the commitment, then of the proof), with what pauses added.
    function deadlineOf(uint24 epoch) external view returns (uint64);

    function bookOf(uint24 epoch, uint32 zone) external view returns (uint32 count, bytes32 root);

    /// @notice The books committed so far.
    /// @return zones how many zones, from zone 0 on
    /// @return orders how many orders in their books
    function commitmentOf(uint24 epoch) external view returns (uint32 zones, uint32 orders);

    function latestEpoch() external view returns (uint24);
}
