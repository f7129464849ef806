// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Day, Ledger, Meter, Metered, Run} from "./Ledger.sol";
import {SessionParams} from "./interfaces/IAuction.sol";
import {IDays} from "./interfaces/IDays.sol";
import {IMetering, Posting} from "./interfaces/IMetering.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";
import {Postings} from "./libraries/Postings.sol";
import {RunStage} from "./interfaces/ISettlement.sol";

/// @title Metering: meter keys, oracle nodes and their postings
abstract contract Metering is Ledger, IMetering {
    /// @dev P-256 (FIPS 186-4, D.1.2.3): y^2 = x^3 - 3x + b over the prime field of P.
    uint256 private constant P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF;
    uint256 private constant B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B;

    /// @inheritdoc IMetering
    function registerMeter(bytes32 meterId, address account, bytes32 x, bytes32 y)
        external
        restricted
        whenNotClearing
    {
        _requireMember(account);
        if (_meters[meterId].account != address(0) || !_onCurve(uint256(x), uint256(y))) {
            revert BadMeter(meterId);
        }
        _meters[meterId] = Meter(account, x, y);
        emit MeterRegistered(meterId, account, x, y);
    }

    /// @inheritdoc IMetering
    function revokeMeter(bytes32 meterId) external restricted whenNotClearing {
        if (_meters[meterId].x == 0) revert UnknownMeter(meterId);
        delete _meters[meterId].x;
        delete _meters[meterId].y;
        emit MeterRevoked(meterId);
    }

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
        _requireQuorum(_hashTypedDataV4(hash), signatures);
        _requireFits(posting);
        Metered storage metered = _metered[posting.zone][posting.firstWindow];
        if (posting.sequence <= metered.sequence) revert StalePosting(posting.sequence);
        _requireUnsettled(posting);
        (metered.sequence, metered.hash) = (posting.sequence, hash);
        emit MeteringPosted(posting.zone, posting.firstWindow, posting.sequence, hash, posting);
    }

    /// @inheritdoc IMetering
    function meterOf(bytes32 meterId) external view returns (address account, bytes32 x, bytes32 y) {
        Meter storage meter = _meters[meterId];
        return (meter.account, meter.x, meter.y);
    }

    /// @inheritdoc IMetering
    function isOracle(address node) external view returns (bool) {
        return _oracles[node];
    }

    /// @inheritdoc IMetering
    function quorum() external view returns (uint8) {
        return _quorum;
    }

    function _requireQuorum(bytes32 digest, bytes[] calldata signatures) private view {
        if (signatures.length < _quorum || _quorum == 0) revert QuorumNotReached(signatures.length, _quorum);
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = ECDSA.recover(digest, signatures[i]);
            if (signer <= last || !_oracles[signer]) revert BadOracleSignature(signer);
            last = signer;
        }
    }

    /// @dev The posting is of a whole, ended day, at prices within the bounds that its traders signed.
    function _requireFits(Posting calldata p) private view {
        Day storage info = _dayInfo[p.firstWindow];
        if (info.windows == 0) revert IDays.UnknownDay(p.firstWindow);
        uint256 endsAt = (uint256(p.firstWindow) + p.windows) * windowLength;
        if (block.timestamp < endsAt) revert WindowNotOver(p.firstWindow, endsAt);
        if (p.windows != info.windows) revert BadPosting("windows");
        if (p.zone >= info.zones) revert BadPosting("zone");
        if (p.accounts == 0 || p.accounts != _meteredIn[p.zone]) revert BadPosting("accounts");
        if (p.parts.length == 0 || p.parts.length > type(uint16).max) revert BadPosting("parts");
        if (p.surplusMicroPerKWh.length != p.windows) revert BadPosting("surplusMicroPerKWh");
        if (p.deficitMicroPerKWh.length != p.windows) revert BadPosting("deficitMicroPerKWh");
        uint24[] storage epochs = _rounds[p.firstWindow][KIND_ENERGY];
        (int32 low, int32 high) = (-(1 << 29), 1 << 29);
        if (epochs.length != 0) {
            SessionParams storage first = _params[epochs[0]]; // the others have its bounds
            (low, high) = (first.imbalanceMin, first.imbalanceMax);
        }
        for (uint256 w; w < p.windows; ++w) {
            (int32 surplus, int32 deficit) = (p.surplusMicroPerKWh[w], p.deficitMicroPerKWh[w]);
            if (surplus > deficit || surplus < low || deficit > high) revert BadPosting("prices");
        }
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

    function _onCurve(uint256 x, uint256 y) private pure returns (bool) {
        if (x >= P || y >= P) return false;
        uint256 cube = mulmod(mulmod(x, x, P), x, P);
        uint256 right = addmod(addmod(cube, P - mulmod(3, x, P), P), B, P);
        return mulmod(y, y, P) == right;
    }
}
