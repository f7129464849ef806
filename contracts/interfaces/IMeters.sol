// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title IMeters: whose meters they are, and what they sign with
interface IMeters {
    /// @notice A meter and its P-256 public key belong to an account.
    event MeterRegistered(bytes32 indexed meterId, address indexed account, bytes32 x, bytes32 y);
    /// @notice A meter signs with another key from a window on; its present one counts for those before.
    event MeterRotated(bytes32 indexed meterId, bytes32 x, bytes32 y, uint32 fromWindow);
    /// @notice A meter's keys count no longer, whatever they signed.
    event MeterRevoked(bytes32 indexed meterId);

    /// @notice The key is not a point of P-256 or another account's, the meter is registered, or its present key is not of earlier windows.
    error BadMeter(bytes32 meterId);
    /// @notice The meter is not registered, or revoked.
    error UnknownMeter(bytes32 meterId);

    /// @notice Registers a meter of a member. An id is registered once; a key belongs to one account.
    /// @param meterId docs/formats.md, Metering
    /// @param account the member whose energy it measures
    /// @param x of the meter's public key on P-256
    /// @param y of the same
    function registerMeter(bytes32 meterId, address account, bytes32 x, bytes32 y) external;
    /// @notice Gives a meter another key. What it signed of earlier windows still counts by the present one.
    /// @param meterId of a registered meter
    /// @param x of the new key
    /// @param y of the same
    /// @param fromWindow the first window that the new key signs, above the present key's own
    function rotateMeter(bytes32 meterId, bytes32 x, bytes32 y, uint32 fromWindow) external;
    /// @notice Ends all keys of a meter. Its id stays taken.
    /// @param meterId of a registered meter
    function revokeMeter(bytes32 meterId) external;

    /// @notice A meter's account and present key.
    /// @param meterId docs/formats.md, Metering
    /// @return account zero if the meter was never registered
    /// @return x of the key; zero once revoked
    /// @return y of the key; zero once revoked
    function meterOf(bytes32 meterId) external view returns (address account, bytes32 x, bytes32 y);
}
