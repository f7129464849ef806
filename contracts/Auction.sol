// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Grid, IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {GridLib} from "./libraries/GridLib.sol";
import {ProductId, KIND_CERTIFICATE, KIND_ENERGY} from "./libraries/ProductId.sol";
import {ScheduleCodec} from "./libraries/ScheduleCodec.sol";

/// @title Auction: grids, delivery days, sessions and the commitment to their books
/// @dev Sessions follow one another: at most one is between its gate and its end.
abstract contract Auction is Accounts, IAuction {
    struct Session {
        bytes32 id;
        uint64 gate;
        uint64 commitBy;
        uint64 proveBy;
        uint32 extension;
        Stage stage;
        bytes32 header;
    }

    struct Day {
        uint16 windows;
        uint32 gridVersion;
        uint8 qualityCount;
        bytes16 qualities;
    }

    struct Book {
        uint32 count;
        bytes32 root;
    }

    uint256 private constant MAX_BOOK = 1 << 20;
    uint256 private constant MAX_ROUNDS = 255;
    int256 private constant PRICE_LIMIT = 1 << 29;

    /// @inheritdoc IAuction
    uint16 public immutable windowLength;
    /// @inheritdoc IAuction
    uint24 public latestEpoch;

    uint24 private _ended;
    uint32[] private _days;

    mapping(uint32 version => bytes32 hash) internal _grids;
    uint32 internal _gridVersions;
    mapping(uint32 day => Day) internal _dayInfo;
    mapping(uint32 day => mapping(uint8 kind => uint24[] epochs)) internal _rounds;
    mapping(uint24 epoch => Session) internal _sessions;
    mapping(uint24 epoch => SessionParams) internal _params;
    mapping(uint24 epoch => mapping(uint32 zone => Book)) internal _books;

    constructor(uint16 windowLength_) {
        if (windowLength_ != 300 && windowLength_ != 900 && windowLength_ != 1800 && windowLength_ != 3600) {
            revert BadSession("windowLength");
        }
        windowLength = windowLength_;
    }

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
    function openSession(SessionParams calldata params) external restricted whenNotPaused returns (uint24 epoch) {
        _advanceEnded();
        _requireCarried();
        _checkParams(params);
        epoch = ++latestEpoch;
        bytes32 id = keccak256(abi.encode(params));
        _sessions[epoch] = Session(id, params.gate, params.commitBy, params.proveBy, 0, Stage.Open, 0);
        _params[epoch] = params;
        _rounds[params.day][params.kind].push(epoch);
        emit SessionOpened(epoch, id, params);
    }

    /// @inheritdoc IAuction
    function commitBook(uint24 epoch, uint32 zone, uint32 count, bytes32 root) external restricted whenNotPaused {
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
    function deadlineOf(uint24 epoch) public view returns (uint64) {
        Session storage session = _sessions[epoch];
        uint64 deadline = _plainDeadline(session);
        uint64 extension = session.extension;
        // A pause counts for the sessions whose deadline it found ahead.
        if (_pausedAt != 0 && deadline + extension >= _pausedAt) {
            extension = _extended(extension, _pauseElapsed());
        }
        return deadline + extension;
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

    /// @dev The session that a product belongs to, and its day; zero if there is none.
    function _sessionOf(ProductId id) internal view returns (uint24 epoch, uint32 day) {
        day = _dayAt(id.windowIndex());
        uint24[] storage epochs = _rounds[day][id.kind() == KIND_CERTIFICATE ? KIND_ENERGY : id.kind()];
        if (_dayInfo[day].windows == 0 || id.round() >= epochs.length) return (0, day);
        return (epochs[id.round()], day);
    }

    /// @dev The last day that begins at or before `window`.
    function _dayAt(uint32 window) private view returns (uint32 day) {
        (uint256 low, uint256 high) = (0, _days.length);
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (_days[middle] > window) high = middle;
            else low = middle + 1;
        }
        return low == 0 ? 0 : _days[low - 1];
    }

    function _stageOf(uint24 epoch) internal view override returns (Stage stage) {
        stage = _sessions[epoch].stage;
        if (stage != Stage.None && stage != Stage.Proved && block.timestamp > deadlineOf(epoch)) stage = Stage.Void;
    }

    function _clearingEpoch() internal view override returns (uint24) {
        uint24 next = _endedThrough() + 1;
        return next <= latestEpoch && block.timestamp >= _sessions[next].gate ? next : 0;
    }

    function _endedThrough() internal view override returns (uint24 epoch) {
        epoch = _ended;
        while (epoch < latestEpoch && _isEnded(_stageOf(epoch + 1))) ++epoch;
    }

    function _latestEpoch() internal view override returns (uint24) {
        return latestEpoch;
    }

    function _requireStage(uint24 epoch, Stage expected) internal view {
        Stage stage = _stageOf(epoch);
        if (stage != expected) revert WrongStage(epoch, stage);
    }

    function _extendDeadlines(uint64 pausedAt, uint64 elapsed) internal override {
        for (uint24 epoch = _ended + 1; epoch <= latestEpoch; ++epoch) {
            Session storage session = _sessions[epoch];
            if (session.stage == Stage.Proved || session.gate > pausedAt + elapsed) continue;
            if (_plainDeadline(session) + session.extension < pausedAt) continue;
            session.extension = uint32(_extended(session.extension, elapsed));
        }
    }

    function _extended(uint64 extension, uint64 elapsed) private view returns (uint64) {
        return extension + elapsed < maxPause ? extension + elapsed : maxPause;
    }

    function _plainDeadline(Session storage session) private view returns (uint64) {
        return session.stage == Stage.Open ? session.commitBy : session.proveBy;
    }

    function _isEnded(Stage stage) private pure returns (bool) {
        return stage == Stage.Proved || stage == Stage.Void;
    }

    function _advanceEnded() private {
        _ended = _endedThrough();
    }

    function _requireCarried() private view {
        int256 free = _folded(balancingParty).free();
        if (free < int256(totalNegative)) revert NotCarried(free, totalNegative);
    }

    function _checkParams(SessionParams calldata p) private view {
        Day storage info = _dayInfo[p.day];
        if (info.windows == 0) revert UnknownDay(p.day);
        if (p.kind >= KIND_CERTIFICATE) revert BadSession("kind");
        if (p.round != _rounds[p.day][p.kind].length || p.round > MAX_ROUNDS - 1) revert BadSession("round");
        if (p.gridVersion != info.gridVersion) revert BadSession("gridVersion");
        if (p.firstWindow < p.day || p.windows == 0 || p.firstWindow + p.windows > p.day + info.windows) {
            revert BadSession("windows");
        }
        bool ordered = block.timestamp < p.gate && p.gate < p.commitBy && p.commitBy < p.proveBy;
        bool follows = latestEpoch == 0 || p.gate >= _sessions[latestEpoch].proveBy;
        if (!ordered || !follows) revert BadSession("gate");
        if (p.floor > p.cap || p.floor < -PRICE_LIMIT || p.cap > PRICE_LIMIT) revert BadSession("floor");
        if (p.imbalanceMin > p.imbalanceMax) revert BadSession("imbalanceMin");
        if (p.maxOrders == 0 || p.maxOrders >= MAX_BOOK) revert BadSession("maxOrders");
        if (p.certificateRun != 0) revert BadSession("certificateRun");
    }
}
