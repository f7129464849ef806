// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger} from "./Ledger.sol";
import {Grid, GridInfo, IDays, Line} from "./interfaces/IDays.sol";
import {GridLib} from "./libraries/GridLib.sol";
import {ScheduleCodec} from "./libraries/ScheduleCodec.sol";

/// @title Days: grids, and the delivery days that use them
/// @dev A grid is stored once, with all that later calls need of it: nobody brings one along.
abstract contract Days is Ledger, IDays {
    /// @inheritdoc IDays
    function setGrid(Grid calldata grid) external restricted returns (uint32 version) {
        if (!GridLib.isLattice(grid) || !GridLib.areLines(grid)) revert BadGrid();
        version = ++_gridVersions;
        _storeLines(version, grid);
        bytes32 hash = GridLib.hash(grid);
        _grids[version] = GridInfo(
            hash,
            uint32(grid.parents.length),
            uint8(grid.qualities.length),
            GridLib.pack(grid.qualities),
            uint8(grid.substitutions.length / 2),
            GridLib.deepestCharge(grid),
            GridLib.packPairs(grid.substitutions)
        );
        emit GridSet(version, hash, grid);
    }

    /// @inheritdoc IDays
    function openDay(uint32 day, uint16 windows, uint32 gridVersion) external restricted whenNotPaused {
        GridInfo storage grid = _grids[gridVersion];
        if (grid.hash == 0) revert UnknownGrid(gridVersion);
        if (windows == 0 || windows > ScheduleCodec.MAX_ENTRIES) revert BadDay(day);
        if (_days.length != 0) {
            uint32 last = _days[_days.length - 1];
            if (day < last + _dayInfo[last].windows) revert BadDay(day);
        }
        _days.push(day);
        _dayInfo[day] = Day(windows, gridVersion, grid.zones, grid.qualityCount, grid.qualities, grid.pairs);
        emit DayOpened(day, windows, gridVersion);
    }

    /// @inheritdoc IDays
    function gridOf(uint32 version) external view returns (GridInfo memory) {
        return _grids[version];
    }

    /// @inheritdoc IDays
    function lineOf(uint32 version, uint32 zone) external view returns (Line memory) {
        return _lines[version][zone];
    }

    /// @inheritdoc IDays
    function dayOf(uint32 day) external view returns (uint16, uint32, bytes16, uint8) {
        Day storage info = _dayInfo[day];
        return (info.windows, info.gridVersion, info.qualities, info.qualityCount);
    }

    /// @dev Zones are numbered breadth-first, so that the children of one follow those of the zone before it.
    function _storeLines(uint32 version, Grid calldata grid) private {
        uint256 zones = grid.parents.length;
        uint256 next = 1;
        for (uint256 zone; zone < zones; ++zone) {
            uint256 first = next;
            while (next < zones && grid.parents[next] == zone) ++next;
            _lines[version][uint32(zone)] = Line(
                grid.parents[zone],
                grid.charges[zone],
                grid.capacities[zone],
                uint32(first),
                uint32(next - first)
            );
        }
    }
}
