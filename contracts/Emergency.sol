// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IEmergency} from "./interfaces/IEmergency.sol";

/// @title Emergency: a pause that ends by itself
abstract contract Emergency is AccessManaged, IEmergency {
    /// @inheritdoc IEmergency
    uint32 public immutable maxPause;

    uint64 internal _pausedAt;
    uint64 private _lastPauseEnd;

    modifier whenNotPaused() {
        _requireNotPaused();
        _;
    }

    constructor(address authority, uint32 maxPause_) AccessManaged(authority) {
        maxPause = maxPause_;
    }

    /// @inheritdoc IEmergency
    function pause() external restricted {
        _requireNotPaused();
        _endPause();
        uint64 notBefore = _lastPauseEnd == 0 ? 0 : _lastPauseEnd + maxPause;
        if (block.timestamp < notBefore) revert PauseTooSoon(notBefore);
        _pausedAt = uint64(block.timestamp);
        emit Paused(uint64(block.timestamp) + maxPause);
    }

    /// @inheritdoc IEmergency
    function unpause() external restricted {
        if (!paused()) revert NotPaused();
        _endPause();
        emit Unpaused(uint64(block.timestamp));
    }

    /// @inheritdoc IEmergency
    function paused() public view returns (bool) {
        return _pausedAt != 0 && block.timestamp < _pausedAt + maxPause;
    }

    /// @dev Seconds the current or last unfinished pause has lasted, at most `maxPause`.
    function _pauseElapsed() internal view returns (uint64) {
        if (_pausedAt == 0) return 0;
        uint64 elapsed = uint64(block.timestamp) - _pausedAt;
        return elapsed < maxPause ? elapsed : maxPause;
    }

    /// @dev Adds the time of a pause that began at `pausedAt` to the sessions it held up.
    function _extendDeadlines(uint64 pausedAt, uint64 elapsed) internal virtual;

    function _endPause() private {
        if (_pausedAt == 0) return;
        uint64 elapsed = _pauseElapsed();
        _extendDeadlines(_pausedAt, elapsed);
        _lastPauseEnd = _pausedAt + elapsed;
        _pausedAt = 0;
    }

    function _requireNotPaused() private view {
        if (paused()) revert ExchangePaused(_pausedAt + maxPause);
    }
}
