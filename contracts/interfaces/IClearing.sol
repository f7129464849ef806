// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "./IAuction.sol";

/// @dev What the operator posts for a zone, with the header's potentials of the qualities. docs/formats.md, Posted data.
struct Posted {
    /// @notice `lo`, `hi` and ranks of each quality above 0 in each window, micro/kWh: the words that `postHeader` posted.
    uint256[] qualityPotentials;
    /// @notice `lo`, `hi` and ranks of the zone's energy in each window, micro/kWh.
    uint256[] energyPotentials;
    /// @notice `M` and `R` of each cell and side, Wh: what was bid or offered exactly at the price, and how much of it fills.
    uint256[] marginals;
}

/// @dev What one chunk of a zone's orders hands to the next; only its hash is stored.
struct Carry {
    /// @notice Of each cell: at-price quantities so far, bounds so far, net bought so far. Empty in a first chunk.
    uint256[] cells;
    /// @notice The last order hash, zero in a first chunk.
    bytes32 lastHash;
    /// @notice Orders read so far.
    uint256 count;
    /// @notice The left siblings that wait at each level of the book's tree.
    bytes32[20] frontier;
}

/// @title IClearing: the contract derives every fill and proves the prices
/// @notice Nothing the operator posts is believed: prices come from the posted potentials, fills from prices and signed orders, and the session counts only
/// once the potentials are shown to be optimal, extreme and balanced. docs/clearing.md has the argument.
interface IClearing {
    /// @notice A schedule and its fills, packed in its account's lanes from the group of its first window on.
    /// @param order the order's hash, its EIP-712 digest
    /// @param netNano what the schedule earned, less what it paid, less what its filled energy keeps reserved
    /// @param lanes Wh filled in each window
    event ScheduleCleared(address indexed trader, bytes32 indexed order, int256 netNano, uint256[] lanes);
    /// @notice A schedule that fills zero and bounds nothing. Reasons: docs/formats.md, Carried between chunks.
    /// @param reason 1 negative account, 2 no cover, 3 quality, 4 quantity, 5 another zone, 6 suspended
    event ScheduleIneligible(
        uint24 indexed epoch, address indexed trader, bytes32 indexed order, uint8 reason
    );
    /// @notice The potentials of the qualities are posted.
    /// @param hash the hash of their words
    event HeaderPosted(uint24 indexed epoch, bytes32 hash);
    /// @notice A chunk of a zone's orders is cleared.
    /// @param carryHash the hash of what the next chunk or the close must bring
    /// @param count orders read so far
    event ZoneAdvanced(uint24 indexed epoch, uint32 indexed zone, bytes32 carryHash, uint256 count);
    /// @notice The session's prices are proved: from now on its results count.
    event SessionProved(uint24 indexed epoch);

    // Orders
    /// @notice The trader did not sign the schedule, or its `s` is high.
    /// @param signer who signed it, or zero if nobody can be told
    error BadSignature(address signer, address trader);
    /// @notice The order's hash is not above the one before.
    error NotAscending(bytes32 previous, bytes32 order);
    /// @notice The trader is not a member.
    error UnregisteredTrader(address trader);
    /// @notice The trader's role does not trade: only prosumers and the balancing party do.
    error OperatorMayNotTrade(address account);
    /// @notice A limit is below the session's floor or above its cap.
    error LimitOutOfRange(bytes32 order);
    /// @notice A quantity to buy does not fit the account's lanes.
    error QuantityOverflow(bytes32 order);
    /// @notice The schedule has a window that the session does not have.
    error WindowOutOfSession(bytes32 order);
    /// @notice The day's grid does not have this quality.
    error UnknownQuality(uint8 quality);
    /// @notice The schedule names a beneficiary, which no session accepts yet.
    error BeneficiaryUnavailable(bytes32 order);

    // Posted data
    /// @notice An array has another length than the session's windows and qualities give.
    error WrongLength(string array, uint256 length, uint256 expected);
    /// @notice A posted word has bits set that must be zero.
    /// @param index the word's place in the named array
    error NotCanonical(string array, uint256 index);
    /// @notice The potentials of the qualities are not those of the session's header.
    error WrongHeader(uint24 epoch);
    /// @notice What is carried is not what the chunk before left, or a first chunk brings something.
    error WrongCarry(uint24 epoch, uint32 zone);
    /// @notice The zone is closed already, or the grid does not have it.
    error ZoneClosed(uint24 epoch, uint32 zone);
    /// @notice The grid brought along is not this version.
    error WrongGrid(uint32 version);

    // The proof
    /// @notice A potential is beyond the outer bounds: 2^29 either way for energy, -2^29 to 0 for a quality.
    /// @param index the word's place in `qualityPotentials` (in `postHeader`) or `energyPotentials` (in `closeZone`)
    error PotentialOutOfRange(uint256 index);
    /// @notice A quality's potential is above that of the one it may serve, or differs from it where the substitution is used, or the flow is out of range.
    /// @param substitution its place in the grid
    /// @param window counted from the session's first
    error SubstitutionViolated(uint256 substitution, uint256 window);
    /// @notice The orders read are not the committed book: another count or another root.
    error BookMismatch(uint24 epoch, uint32 zone);
    /// @notice A schedule brings more at-price quantity than its zone posted.
    error MarginalExceeded(bytes32 order);
    /// @notice More of a cell's at-price quantity fills than there is.
    /// @param cell `q * windows + w`, as in every error that names one
    error MarginalOutOfRange(uint256 cell);
    /// @notice The at-price quantity of the book is not the one posted.
    error MarginalMismatch(uint256 cell);
    /// @notice The potentials contradict a limit that fills or is left in this cell.
    error CellViolated(uint256 cell);
    /// @notice What is bought in a window is not what is sold in it.
    /// @param window counted from the session's first
    /// @param netWh bought less sold
    error EnergyUnbalanced(uint256 window, int256 netWh);
    /// @notice A quality does not balance with the substitutions used.
    /// @param netWh bought less sold, and what serves other qualities less what others serve of it
    error QualityUnbalanced(uint256 cell, int256 netWh);
    /// @notice Nothing keeps the energy potential of a window from being lower in `lo` or higher in `hi`.
    /// @param window counted from the session's first
    error EnergyUnsupported(uint256 window);
    /// @notice Nothing keeps the potential of a quality from being lower in `lo` or higher in `hi`.
    error QualityUnsupported(uint256 cell);

    /// @notice Posts the potentials of the qualities, once, after the book is committed.
    /// @param epoch the session's number
    /// @param qualityPotentials a word for each quality above 0 and window, docs/formats.md, Posted data
    /// @param grid the grid of the session's day
    function postHeader(uint24 epoch, uint256[] calldata qualityPotentials, Grid calldata grid) external;

    /// @notice Clears the next schedules of a zone, in ascending order of their hashes.
    /// @param epoch the session's number
    /// @param zone the zone whose orders they are
    /// @param posted the potentials and marginals, the same for all chunks of the zone
    /// @param carry what the chunk before left, or nothing in a first chunk
    /// @param records packed schedules, docs/formats.md, Schedule record
    function clear(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        bytes calldata records
    ) external;

    /// @notice Closes a zone whose orders have all been cleared. The root's close proves the session.
    /// @param epoch the session's number
    /// @param zone the zone to close
    /// @param posted the potentials and marginals, as in its chunks
    /// @param carry what the last chunk left
    /// @param substitutions Wh used of each substitution in each window
    /// @param grid the grid of the session's day
    function closeZone(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        uint256[] calldata substitutions,
        Grid calldata grid
    ) external;
}
