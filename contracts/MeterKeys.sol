// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {KeyTerm, Ledger, Meter} from "./Ledger.sol";
import {IMeters} from "./interfaces/IMeters.sol";

/// @title MeterKeys: which key signs which window
abstract contract MeterKeys is Ledger {
    function _revoke(bytes32 meterId) internal {
        Meter storage meter = _meters[meterId];
        _formerKeys[meterId][_keyOf(meter.x, meter.y)] = KeyTerm(meter.from, type(uint32).max);
        (meter.x, meter.y) = (0, 0);
        emit IMeters.MeterRevoked(meterId);
    }

    /// @dev Whether the key is the one that the meter signs the window with, or signed it with before it was revoked.
    function _signed(bytes32 meterId, bytes32 x, bytes32 y, uint32 window) internal view returns (bool) {
        Meter storage meter = _meters[meterId];
        if (x != 0 && meter.x == x && meter.y == y && window >= meter.from) return true;
        KeyTerm storage term = _formerKeys[meterId][_keyOf(x, y)];
        return window >= term.from && window < term.until;
    }

    function _keyOf(bytes32 x, bytes32 y) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(x, y));
    }
}
