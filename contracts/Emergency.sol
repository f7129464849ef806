// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ledger, Session} from "./Ledger.sol";
import {Stage} from "./interfaces/IAuction.sol";
import {IEmergency} from "./interfaces/IEmergency.sol";

/// @title Emergency: a pause that ends by itself
abstract contract Emergency is Ledger, IEmergency {
    /// @inheritdoc IEmergency
    function pause() external restricted whenNotPaused {
        _endPause();
        uint64 notBefore = _lastPauseEnd == 0 ? 0 : _lastPauseEnd + maxPause;
        if (block.timestamp < notBefore) revert PauseTooSoon(notBefore);
        _pausedAt = uint64(block.timestamp);
        emit Paused(uint64(block.timestamp) + maxPause);
    }

    /// @inheritdoc IEmergency
    function unpause() external restricted {
        if (!_isPaused()) revert NotPaused();
        _endPause();
        emit Unpaused(uint64(block.timestamp));
    }

    /// @inheritdoc IEmergency
    function paused() external view returns (bool) {
        return _isPaused();
    }

    /// @dev Writes down what the last pause gives to the sessions it held up. Also for a pause that ended by itself.
    function _endPause() private {
        if (_pausedAt == 0) return;
        uint64 elapsed = _pauseElapsed();
        for (uint24 epoch = _ended + 1; epoch <= _latestEpoch; ++epoch) {
            Session storage session = _sessions[epoch];
            if (session.stage == Stage.Proved || session.gate > _pausedAt + elapsed) continue;
            if (_plainDeadline(session) + session.extension < _pausedAt) continue;
            session.extension = uint32(_extended(session.extension, elapsed));
        }
        _lastPauseEnd = _pausedAt + elapsed;
        _pausedAt = 0;
    }
}
