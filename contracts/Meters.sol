// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {KeyTerm, Meter} from "./Ledger.sol";
import {MeterKeys} from "./MeterKeys.sol";
import {IMeters} from "./interfaces/IMeters.sol";

/// @title Meters: whose they are, and the keys they sign with
abstract contract Meters is MeterKeys, IMeters {
    /// @inheritdoc IMeters
    function registerMeter(bytes32 meterId, address account, bytes32 x, bytes32 y)
        external
        restricted
        whenNotClearing
    {
        _requireMember(account);
        if (_meters[meterId].account != address(0)) revert BadMeter(meterId);
        _takeKey(meterId, account, x, y);
        _meters[meterId] = Meter(account, 0, x, y);
        emit MeterRegistered(meterId, account, x, y);
    }

    /// @inheritdoc IMeters
    function rotateMeter(bytes32 meterId, bytes32 x, bytes32 y, uint32 fromWindow)
        external
        restricted
        whenNotClearing
    {
        Meter storage meter = _meters[meterId];
        if (meter.x == 0) revert UnknownMeter(meterId);
        if (fromWindow <= meter.from) revert BadMeter(meterId);
        _takeKey(meterId, meter.account, x, y);
        if (_formerKeys[meterId][_keyOf(x, y)].until != 0) revert BadMeter(meterId);
        _formerKeys[meterId][_keyOf(meter.x, meter.y)] = KeyTerm(meter.from, fromWindow);
        (meter.from, meter.x, meter.y) = (fromWindow, x, y);
        emit MeterRotated(meterId, x, y, fromWindow);
    }

    /// @inheritdoc IMeters
    function revokeMeter(bytes32 meterId) external restricted whenNotClearing {
        if (_meters[meterId].x == 0) revert UnknownMeter(meterId);
        _revoke(meterId);
    }

    /// @inheritdoc IMeters
    function meterOf(bytes32 meterId) external view returns (address account, bytes32 x, bytes32 y) {
        Meter storage meter = _meters[meterId];
        return (meter.account, meter.x, meter.y);
    }

    function _takeKey(bytes32 meterId, address account, bytes32 x, bytes32 y) private {
        bytes32 key = _keyOf(x, y);
        address owner = _keyOwner[key];
        bool foreign = owner != address(0) && owner != account;
        if (foreign || x == 0 || !P256.isValidPublicKey(x, y)) revert BadMeter(meterId);
        _keyOwner[key] = account;
    }
}
