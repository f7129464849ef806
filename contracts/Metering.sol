// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Metered, Run} from "./Ledger.sol";
import {Quorum} from "./Quorum.sol";
import {IAuction, Stage} from "./interfaces/IAuction.sol";
import {IDays} from "./interfaces/IDays.sol";
import {IMetering, Posting} from "./interfaces/IMetering.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";
import {Postings} from "./libraries/Postings.sol";
import {RunStage} from "./interfaces/ISettlement.sol";

/// @title Metering: oracle nodes and their postings
abstract contract Metering is Quorum, IMetering {
    /// @dev Seconds from a day's end after which a zone that nobody posted is settled by default.
    uint256 private constant DEFAULT_AFTER = 10 days;

    /// @inheritdoc IMetering
    function setOracle(address node, bool active) external restricted whenNotClearing {
        if (_oracles[node] != active) {
            _oracles[node] = active;
            _nodes = active ? _nodes + 1 : _nodes - 1;
            if (_quorum > _nodes) revert BadQuorum(_quorum);
        }
        emit OracleChanged(node, active);
    }

    /// @inheritdoc IMetering
    function setQuorum(uint8 quorum_) external restricted whenNotClearing {
        if (quorum_ == 0 || quorum_ > _nodes) revert BadQuorum(quorum_);
        _quorum = quorum_;
        emit QuorumChanged(quorum_);
    }

    /// @inheritdoc IMetering
    function postMetering(Posting calldata posting, bytes[] calldata signatures)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        bytes32 hash = Postings.hash(posting);
        _requireQuorum(hash, signatures);
        if (_oracleBond < _challengeBond) revert OraclesUnbonded(_oracleBond, _challengeBond);
        _requireFits(posting);
        Metered storage metered = _metered[posting.zone][posting.firstWindow];
        bool stale = posting.sequence <= metered.sequence || posting.sequence == Postings.BY_DEFAULT;
        if (stale) revert StalePosting(posting.sequence);
        _requireUnsettled(posting);
        (metered.sequence, metered.hash) = (posting.sequence, hash);
        _keepChallengeable();
        emit MeteringPosted(posting.zone, posting.firstWindow, posting.sequence, hash, posting);
    }

    /// @inheritdoc IMetering
    function postDefault(Posting calldata posting) external whenNotPaused whenNotClearing {
        (uint32 zone, uint32 day) = (posting.zone, posting.firstWindow);
        Day storage info = _dayInfo[day];
        if (info.windows == 0) revert IDays.UnknownDay(day);
        uint256 from = _endOf(day, info.windows) + DEFAULT_AFTER;
        if (block.timestamp < from) revert TooEarlyForDefault(zone, day, from);
        _requireEnded(day);
        if (posting.windows != info.windows) revert BadPosting("windows");
        if (zone >= info.zones) revert BadPosting("zone");
        if (posting.accounts == 0 || posting.accounts != _meteredIn[zone]) revert BadPosting("accounts");
        Metered storage metered = _metered[zone][day];
        bool first = metered.sequence == 0 && posting.sequence == Postings.BY_DEFAULT;
        if (!first) revert BadPosting("sequence");
        if (posting.commitments != 0) revert BadPosting("commitments");
        if (posting.parts.length != 0) revert BadPosting("parts");
        if (!Postings.isFree(posting)) revert BadPosting("prices");
        _requireUnsettled(posting);
        bytes32 hash = Postings.hash(posting);
        (metered.sequence, metered.hash) = (posting.sequence, hash);
        emit MeteringPosted(zone, day, posting.sequence, hash, posting);
    }

    /// @inheritdoc IMetering
    function isOracle(address node) external view returns (bool) {
        return _oracles[node];
    }

    /// @inheritdoc IMetering
    function quorum() external view returns (uint8) {
        return _quorum;
    }

    /// @dev Every session of energy of the day is proved or void.
    function _requireEnded(uint32 day) private view {
        uint24[] storage epochs = _rounds[day][KIND_ENERGY];
        for (uint256 i; i < epochs.length; ++i) {
            Stage stage = _stageOf(epochs[i]);
            bool ended = stage == Stage.Proved || stage == Stage.Void;
            if (!ended) revert IAuction.WrongStage(epochs[i], stage);
        }
    }

    function _endOf(uint32 day, uint256 windows) private view returns (uint256) {
        return (day + windows) * windowLength;
    }

    /// @dev The posting is of a whole, ended day, at prices within the bounds that its traders signed.
    function _requireFits(Posting calldata p) private view {
        Day storage info = _dayInfo[p.firstWindow];
        if (info.windows == 0) revert IDays.UnknownDay(p.firstWindow);
        uint256 endsAt = _endOf(p.firstWindow, p.windows);
        if (block.timestamp < endsAt) revert WindowNotOver(p.firstWindow, endsAt);
        if (p.windows != info.windows) revert BadPosting("windows");
        if (p.zone >= info.zones) revert BadPosting("zone");
        if (p.accounts == 0 || p.accounts != _meteredIn[p.zone]) revert BadPosting("accounts");
        if (p.parts.length == 0 || p.parts.length > type(uint16).max) revert BadPosting("parts");
        _requireBounded(p.firstWindow, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
    }

    /// @dev Zones that are settled keep their posting; the one under way keeps its prices and the parts that are settled.
    function _requireUnsettled(Posting calldata posting) private {
        Run storage run = _runs[posting.firstWindow];
        if (run.stage == RunStage.None) run.stage = RunStage.Posted;
        if (run.stage > RunStage.Settling || posting.zone < run.zone) revert BadPosting("stage");
        if (run.parts == 0 || posting.zone != run.zone) return;
        bool kept = posting.parts.length > run.parts && Postings.consumed(posting, run.parts) == run.consumed;
        if (!kept) revert BadPosting("parts");
    }
}
