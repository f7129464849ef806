// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev The grid of a delivery day. docs/formats.md, Grid.
struct Grid {
    uint8[] qualities;
    uint8[] substitutions;
    uint32[] parents;
    uint32[] charges;
    uint32[] capacities;
}

/// @dev What is stored of a grid but its lines.
struct GridInfo {
    /// @notice keccak(abi.encode(Grid)); zero if the version was never set.
    bytes32 hash;
    uint32 zones;
    uint8 qualityCount;
    /// @notice The quality codes, one a byte from the highest byte on.
    bytes16 qualities;
    /// @notice Substitutions in use of `substitutions`.
    uint8 pairs;
    /// @notice The most that the lines from a zone up to the root charge together, micro/kWh.
    uint48 deepestCharge;
    /// @notice Byte `i`, from the highest on, is substitution `i`: `from << 4 | to`, dense quality indices.
    bytes32 substitutions;
}

/// @dev A zone's line to its parent, and its children. One slot.
struct Line {
    /// @notice The zone it leads to; 2^32-1 for the root.
    uint32 parent;
    /// @notice micro/kWh, either way.
    uint32 charge;
    /// @notice Wh in a window, either way; 2^32-1 is unlimited.
    uint32 capacityWh;
    /// @notice The first of the zone's children, which follow each other.
    uint32 firstChild;
    uint32 children;
}

/// @title IDays: grids and delivery days
interface IDays {
    event GridSet(uint32 indexed version, bytes32 hash, Grid grid);
    event DayOpened(uint32 indexed day, uint16 windows, uint32 gridVersion);

    /// @notice The zones are not a tree numbered breadth-first with lines that charge, or the qualities no lattice that all reach quality 0.
    error BadGrid();
    /// @notice There is no grid of this version.
    error UnknownGrid(uint32 version);
    /// @notice The day overlaps the one before or has no windows, or more than fit.
    error BadDay(uint32 day);
    error UnknownDay(uint32 day);

    /// @notice Stores a grid for good. docs/formats.md, Grid.
    function setGrid(Grid calldata grid) external returns (uint32 version);

    /// @notice Opens a delivery day: `windows` windows from window index `day` on. Days do not overlap.
    function openDay(uint32 day, uint16 windows, uint32 gridVersion) external;

    /// @return windows of a delivery day, `gridVersion` and the `qualities` in use, one code a byte from the highest byte on
    function dayOf(uint32 day)
        external
        view
        returns (uint16 windows, uint32 gridVersion, bytes16 qualities, uint8 count);

    /// @return info all zero if the version was never set
    function gridOf(uint32 version) external view returns (GridInfo memory info);

    /// @return line of a zone to its parent, and its children
    function lineOf(uint32 version, uint32 zone) external view returns (Line memory line);
}
