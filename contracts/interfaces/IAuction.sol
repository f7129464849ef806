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
    uint32 maxOrders;
    uint64 bondNano;
    uint8 certificateRun;
}

/// @dev The grid of a delivery day. docs/formats.md, Grid.
struct Grid {
    uint8[] qualities;
    uint8[] substitutions;
    uint32[] parents;
    uint32[] charges;
    uint32[] capacities;
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

/// @title IAuction: grids, delivery days, sessions and the commitment to their books
interface IAuction {
    event GridSet(uint32 indexed version, bytes32 hash, Grid grid);
    event DayOpened(uint32 indexed day, uint16 windows, uint32 gridVersion);
    event SessionOpened(uint24 indexed epoch, bytes32 indexed id, SessionParams params);
    event BookCommitted(uint24 indexed epoch, uint32 indexed zone, uint32 count, bytes32 root);

    /// @notice A grid that is not one zone with a lattice of qualities that all reach quality 0.
    error BadGrid();
    /// @notice The version is unknown, or the grid brought along is another.
    error UnknownGrid(uint32 version);
    /// @notice The day overlaps the one before or has no windows, or more than fit.
    error BadDay(uint32 day);
    error UnknownDay(uint32 day);
    /// @notice Windows last 300, 900, 1800 or 3600 seconds.
    error BadWindowLength(uint16 seconds_);
    /// @notice The named parameter of the session is out of range.
    error BadSession(string parameter);
    /// @notice The session is at another stage.
    error WrongStage(uint24 epoch, Stage stage);
    error GateStillOpen(uint24 epoch, uint64 gate);
    /// @notice The session's book of this zone is committed, or the zone is not in its grid.
    error BadCommitment(uint24 epoch, uint32 zone);
    /// @notice The balancing party does not carry what members owe.
    error NotCarried(int256 balancingFreeNano, uint256 totalNegativeNano);

    function setGrid(Grid calldata grid) external returns (uint32 version);

    /// @notice Opens a delivery day: `windows` windows from window index `day` on. Days do not overlap.
    function openDay(uint32 day, uint16 windows, uint32 gridVersion, Grid calldata grid) external;

    function openSession(SessionParams calldata params) external returns (uint24 epoch);

    /// @notice After the gate: the count and Merkle root of a zone's order hashes in ascending order.
    function commitBook(uint24 epoch, uint32 zone, uint32 count, bytes32 root) external;

    /// @return id the hash of the session's parameters
    /// @return stage as of now: a session past its deadline is void
    function sessionOf(uint24 epoch) external view returns (bytes32 id, Stage stage);

    function sessionParams(uint24 epoch) external view returns (SessionParams memory);

    /// @notice The deadline that counts now (of the commitment, then of the proof), with what pauses added.
    function deadlineOf(uint24 epoch) external view returns (uint64);

    function bookOf(uint24 epoch, uint32 zone) external view returns (uint32 count, bytes32 root);

    function latestEpoch() external view returns (uint24);

    /// @return windows of a delivery day, `gridVersion` and the `qualities` in use, one code a byte from the highest byte on
    function dayOf(uint32 day)
        external
        view
        returns (uint16 windows, uint32 gridVersion, bytes16 qualities, uint8 count);
}
