// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title IEmergency: a pause that ends by itself
/// @notice A pause stops everything for at most `maxPause` seconds, extends the deadlines of sessions under way by as long as it lasted, and cannot be
/// repeated before as much time has passed without one: whoever waits for nothing else waits for settled cash no longer.
interface IEmergency {
    /// @notice The exchange is paused.
    /// @param until when the pause ends by itself, Unix seconds
    event Paused(uint64 until);
    /// @notice A pause was ended early.
    /// @param at Unix seconds
    event Unpaused(uint64 at);

    /// @notice The exchange is paused until `until`, or sooner.
    /// @param until Unix seconds
    error ExchangePaused(uint64 until);
    /// @notice The last pause ended too recently: the next may begin at `notBefore`.
    /// @param notBefore Unix seconds
    error PauseTooSoon(uint64 notBefore);
    /// @notice There is no pause to end.
    error NotPaused();

    /// @notice Pauses the exchange for `maxPause` seconds, or until `unpause`.
    function pause() external;
    /// @notice Ends the pause now.
    function unpause() external;

    /// @notice Whether the exchange is paused now.
    /// @return true until the pause ends
    function paused() external view returns (bool);
}
