// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What a meter says of one register in one window.
struct Reading {
    bytes32 meterId;
    uint8 register;
    uint16 windowLength;
    uint32 window;
    uint32 wh;
    uint64 sequence;
}

/// @title MeterMessage: the 52 bytes that a meter signs
/// @dev docs/formats.md, Metering. Reference: oracle/messages.py.
library MeterMessage {
    uint256 internal constant BYTES = 52;
    uint8 internal constant IMPORT = 1;
    uint8 internal constant EXPORT = 2;
    uint32 private constant WH_BOUND = 1 << 30;

    /// @notice Reads the message; `well` is false unless it is one, of a known register and less than 2^30 Wh.
    function read(bytes calldata message) internal pure returns (bool well, Reading memory reading) {
        if (message.length != BYTES || message[0] != 0x01) return (false, reading);
        reading = Reading(
            bytes32(message[1:33]),
            uint8(message[33]),
            uint16(bytes2(message[34:36])),
            uint32(bytes4(message[36:40])),
            uint32(bytes4(message[40:44])),
            uint64(bytes8(message[44:52]))
        );
        well = (reading.register == IMPORT || reading.register == EXPORT) && reading.wh < WH_BOUND;
    }

    /// @notice Names a register of a meter in a window, whatever is said of it.
    function key(Reading memory reading) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(reading.meterId, reading.register, reading.window));
    }
}
