// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Book, Day, Ledger, Session} from "./Ledger.sol";
import {Grid, IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {RunStage} from "./interfaces/ISettlement.sol";
import {GridLib} from "./libraries/GridLib.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";
import {ScheduleCodec} from "./libraries/ScheduleCodec.sol";

/// @title Auction: grids, delivery days, sessions and the commitment to their books
/// @dev Sessions follow one another: at most one is between its gate and its end.
abstract contract Auction is Ledger, IAuction {
    uint256 private constant MAX_BOOK = 1 << 20;
    uint256 private constant MAX_ROUND_QUALITIES = 255;
    uint256 private constant MAX_OPEN_SESSIONS = 64;

    /// @dev Seconds: how far ahead a gate may be, how long a session may take from its gate to its proof, and what lies between two at least.
    uint64 private constant MAX_AHEAD = 30 days;
    uint64 private constant MAX_CLEARING = 1 days;
    uint64 private constant MIN_OPEN = 1 minutes;
    int256 private constant PRICE_LIMIT = 1 << 29;

    /// @inheritdoc IAuction
    function setGrid(Grid calldata grid) external restricted returns (uint32 version) {
        if (!GridLib.isValid(grid)) revert BadGrid();
        version = ++_gridVersions;
        _grids[version] = GridLib.hash(grid);
        emit GridSet(version, _grids[version], grid);
    }

    /// @inheritdoc IAuction
    function openDay(uint32 day, uint16 windows, uint32 gridVersion, Grid calldata grid)
        external
        restricted
        whenNotPaused
    {
        if (_grids[gridVersion] != GridLib.hash(grid)) revert UnknownGrid(gridVersion);
        if (windows == 0 || windows > ScheduleCodec.MAX_ENTRIES) revert BadDay(day);
        if (_days.length != 0) {
            uint32 last = _days[_days.length - 1];
            if (day < last + _dayInfo[last].windows) revert BadDay(day);
        }
        _days.push(day);
        _dayInfo[day] = Day(windows, gridVersion, uint8(grid.qualities.length), GridLib.pack(grid.qualities));
        emit DayOpened(day, windows, gridVersion);
    }

    /// @inheritdoc IAuction
    function openSession(SessionParams calldata params)
        external
        restricted
        whenNotPaused
        returns (uint24 epoch)
    {
        _ended = _endedThrough();
        _requireCarried();
        _checkParams(params);
        epoch = ++_latestEpoch;
        bytes32 id = keccak256(abi.encode(params));
        _sessions[epoch] = Session(id, params.gate, params.commitBy, params.proveBy, 0, Stage.Open, 0);
        _params[epoch] = params;
        _rounds[params.day][params.kind].push(epoch);
        emit SessionOpened(epoch, id, params);
    }

    /// @inheritdoc IAuction
    function commitBook(uint24 epoch, uint32 zone, uint32 count, bytes32 root)
        external
        restricted
        whenNotPaused
    {
        _requireStage(epoch, Stage.Open);
        Session storage session = _sessions[epoch];
        if (block.timestamp < session.gate) revert GateStillOpen(epoch, session.gate);
        if (_endedThrough() + 1 != epoch) revert WrongStage(epoch - 1, _stageOf(epoch - 1));
        if (zone != 0 || count > _params[epoch].maxOrders) revert BadCommitment(epoch, zone);
        _books[epoch][zone] = Book(count, root);
        session.stage = Stage.Committed;
        emit BookCommitted(epoch, zone, count, root);
    }

    /// @inheritdoc IAuction
    function sessionOf(uint24 epoch) external view returns (bytes32 id, Stage stage) {
        return (_sessions[epoch].id, _stageOf(epoch));
    }

    /// @inheritdoc IAuction
    function sessionParams(uint24 epoch) external view returns (SessionParams memory) {
        return _params[epoch];
    }

    /// @inheritdoc IAuction
    function deadlineOf(uint24 epoch) external view returns (uint64) {
        return _deadlineOf(epoch);
    }

    /// @inheritdoc IAuction
    function latestEpoch() external view returns (uint24) {
        return _latestEpoch;
    }

    /// @inheritdoc IAuction
    function bookOf(uint24 epoch, uint32 zone) external view returns (uint32 count, bytes32 root) {
        return (_books[epoch][zone].count, _books[epoch][zone].root);
    }

    /// @inheritdoc IAuction
    function dayOf(uint32 day) external view returns (uint16, uint32, bytes16, uint8) {
        Day storage info = _dayInfo[day];
        return (info.windows, info.gridVersion, info.qualities, info.qualityCount);
    }

    function _requireCarried() private view {
        int256 free = _folded(_balancingParty).free();
        if (free < int256(_totalNegative)) revert NotCarried(free, _totalNegative);
    }

    function _checkParams(SessionParams calldata p) private view {
        Day storage info = _dayInfo[p.day];
        if (info.windows == 0) revert UnknownDay(p.day);
        if (_runs[0][p.day].stage != RunStage.None) revert BadSession("day");
        // Flexibility clears by the same rule, but nothing settles it.
        if (p.kind != KIND_ENERGY) revert BadSession("kind");
        if (p.gridVersion != info.gridVersion) revert BadSession("gridVersion");
        if (p.firstWindow < p.day || p.windows == 0 || p.firstWindow + p.windows > p.day + info.windows) {
            revert BadSession("windows");
        }
        _checkRound(p, info.qualityCount);
        _checkTimes(p, info.windows);
        if (p.floor > p.cap || p.floor < -PRICE_LIMIT || p.cap > PRICE_LIMIT) revert BadSession("floor");
        // Optimal potentials then always lie within the outer bounds of the proof.
        if (p.cap - p.floor > PRICE_LIMIT) revert BadSession("cap");
        if (p.imbalanceMin < -PRICE_LIMIT || p.imbalanceMax > PRICE_LIMIT) revert BadSession("imbalanceMax");
        if (p.imbalanceMin > p.imbalanceMax) revert BadSession("imbalanceMin");
        if (p.maxOrders == 0 || p.maxOrders >= MAX_BOOK) revert BadSession("maxOrders");
        if (p.certificateRun != 0) revert BadSession("certificateRun");
    }

    /// @dev What the first session of a day let its traders sign about imbalance prices holds for the day. Rounds times qualities stay within what
    /// `Imbalance` sums exactly.
    function _checkRound(SessionParams calldata p, uint256 qualityCount) private view {
        uint24[] storage epochs = _rounds[p.day][p.kind];
        if (p.round != epochs.length || (uint256(p.round) + 1) * qualityCount > MAX_ROUND_QUALITIES) {
            revert BadSession("round");
        }
        if (p.round == 0) return;
        SessionParams storage first = _params[epochs[0]];
        if (p.imbalanceMin != first.imbalanceMin || p.imbalanceMax != first.imbalanceMax) {
            revert BadSession("imbalanceMin");
        }
    }

    /// @dev Cash stands still from a gate to the session's end: that is bounded, and there is time in between to withdraw.
    function _checkTimes(SessionParams calldata p, uint256 windows) private view {
        if (_latestEpoch - _ended >= MAX_OPEN_SESSIONS) revert BadSession("epoch");
        uint256 dayEnds = (uint256(p.day) + windows) * windowLength;
        bool inTime = block.timestamp < p.gate && p.gate <= block.timestamp + MAX_AHEAD && p.gate <= dayEnds;
        bool follows = _latestEpoch == 0 || p.gate >= _sessions[_latestEpoch].proveBy + MIN_OPEN;
        if (!inTime || !follows) revert BadSession("gate");
        if (p.commitBy <= p.gate) revert BadSession("commitBy");
        if (p.proveBy <= p.commitBy || p.proveBy > p.gate + MAX_CLEARING) revert BadSession("proveBy");
    }
}
