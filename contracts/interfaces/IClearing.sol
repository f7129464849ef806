// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "./IAuction.sol";

/// @dev What the operator posts for a zone, with the header's potentials of the qualities. docs/formats.md, Posted data.
struct Posted {
    uint256[] qualityPotentials;
    uint256[] energyPotentials;
    uint256[] marginals;
}

/// @dev What one chunk of a zone's orders hands to the next; only its hash is stored.
struct Carry {
    uint256[] cells;
    bytes32 lastHash;
    uint256 count;
    bytes32[20] frontier;
}

/// @title IClearing: the contract derives every fill and proves the prices
/// @notice Nothing the operator posts is believed: prices come from the posted potentials, fills from prices and signed orders, and the session counts only
/// once the potentials are shown to be optimal, extreme and balanced. docs/clearing.md has the argument.
interface IClearing {
    /// @notice A schedule and its fills, packed in its account's lanes from the group of its first window on.
    /// @param netNano what the schedule earned, less what it paid, less what its filled energy keeps reserved
    event ScheduleCleared(address indexed trader, bytes32 indexed order, int256 netNano, uint256[] lanes);
    /// @notice A schedule that fills zero and bounds nothing. Reasons: docs/formats.md, Carried between chunks.
    event ScheduleIneligible(
        uint24 indexed epoch, address indexed trader, bytes32 indexed order, uint8 reason
    );
    event HeaderPosted(uint24 indexed epoch, bytes32 hash);
    event ZoneAdvanced(uint24 indexed epoch, uint32 indexed zone, bytes32 carryHash, uint256 count);
    event SessionProved(uint24 indexed epoch);

    // Orders
    error BadSignature(address signer, address trader);
    error NotAscending(bytes32 previous, bytes32 order);
    error UnregisteredTrader(address trader);
    error OperatorMayNotTrade(address account);
    error LimitOutOfRange(bytes32 order);
    error QuantityOverflow(bytes32 order);
    error WindowOutOfSession(bytes32 order);
    error UnknownQuality(uint8 quality);
    error BeneficiaryUnavailable(bytes32 order);

    // Posted data
    /// @notice An array has another length than the session's windows and qualities give.
    error WrongLength(string array, uint256 length, uint256 expected);
    error NotCanonical(string array, uint256 index);
    error WrongHeader(uint24 epoch);
    error WrongCarry(uint24 epoch, uint32 zone);
    error ZoneClosed(uint24 epoch, uint32 zone);
    error WrongGrid(uint32 version);

    // The proof
    error PotentialOutOfRange(uint256 index);
    error SubstitutionViolated(uint256 substitution, uint256 window);
    error BookMismatch(uint24 epoch, uint32 zone);
    /// @notice A schedule brings more at-price quantity than its zone posted.
    error MarginalExceeded(bytes32 order);
    /// @notice More of a cell's at-price quantity fills than there is.
    error MarginalOutOfRange(uint256 cell);
    /// @notice The at-price quantity of the book is not the one posted.
    error MarginalMismatch(uint256 cell);
    error CellViolated(uint256 cell);
    error EnergyUnbalanced(uint256 window, int256 netWh);
    error QualityUnbalanced(uint256 cell, int256 netWh);
    error EnergyUnsupported(uint256 window);
    error QualityUnsupported(uint256 cell);

    /// @notice Posts the potentials of the qualities, once.
    function postHeader(uint24 epoch, uint256[] calldata qualityPotentials, Grid calldata grid) external;

    /// @notice Clears the next schedules of a zone, in ascending order of their hashes.
    /// @param records packed schedules, docs/formats.md, Schedule record
    function clear(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        bytes calldata records
    ) external;

    /// @notice Closes a zone whose orders have all been cleared. The root's close proves the session.
    /// @param substitutions Wh used of each substitution in each window
    function closeZone(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        uint256[] calldata substitutions,
        Grid calldata grid
    ) external;
}
