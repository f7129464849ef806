// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title IEmergency: a pause that ends by itself
/// @notice A pause stops everything for at most `maxPause` seconds, extends the deadlines of sessions under way by as long as it lasted, and cannot be
/// repeated before as much time has passed without one: nobody's settled cash waits longer.
interface IEmergency {
    event Paused(uint64 until);
    event Unpaused(uint64 at);

    /// @notice The exchange is paused until `until`, or sooner.
    error ExchangePaused(uint64 until);
    /// @notice The last pause ended too recently: the next may begin at `notBefore`.
    error PauseTooSoon(uint64 notBefore);
    /// @notice There is no pause to end.
    error NotPaused();

    function pause() external;
    function unpause() external;

    function paused() external view returns (bool);
}
