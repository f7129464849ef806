// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

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
    /// @notice What flexible orders support: bit 2w the zone's lowest potential of window w, 2w+1 its highest.
    uint256 support;
    /// @notice Records read that were submitted on chain.
    uint256 submitted;
}

/// @title IClearing: the contract derives every fill
/// @notice Nothing the operator posts is believed: prices come from the posted potentials, fills from prices and signed orders, and the session counts only
/// once `IProof` has shown the potentials to be optimal, extreme and balanced. docs/clearing.md has the argument.
interface IClearing {
    /// @notice A schedule and its fills, packed in its account's lanes from the group of its first window on.
    /// @param order the order's hash, its EIP-712 digest
    /// @param netNano what the schedule earned, less what it paid, less what its filled energy keeps reserved; a metered account's sale as produced earns
    /// when it is settled
    /// @param lanes Wh filled in each window
    event ScheduleCleared(address indexed trader, bytes32 indexed order, int256 netNano, uint256[] lanes);
    /// @notice What an order earned at once goes to its beneficiary. The `ScheduleCleared` of the order follows, and leaves it out.
    /// @param order the order's hash
    /// @param worthNano what its fills are worth, which is more than nothing
    event ProceedsDonated(address indexed beneficiary, bytes32 indexed order, uint256 worthNano);
    /// @notice A schedule that fills zero and bounds nothing. Reasons: docs/formats.md, Carried between chunks.
    /// @param reason 1 negative account, 2 no cover, 3 quality, 4 quantity, 5 another zone, 6 suspended, 7 beneficiary, 8 session key revoked or expired,
    /// 9 beyond the session key's scope
    event ScheduleIneligible(
        uint24 indexed epoch, address indexed trader, bytes32 indexed order, uint8 reason
    );
    /// @notice A chunk of a zone's orders is cleared.
    /// @param carryHash the hash of what the next chunk or the close must bring
    /// @param count orders read so far
    event ZoneAdvanced(uint24 indexed epoch, uint32 indexed zone, bytes32 carryHash, uint256 count);

    /// @notice The call is longer or shorter than its arrays and records make it.
    error BadCalldata(uint256 length, uint256 expected);

    // Orders
    /// @notice Neither the trader nor a session key that it granted signed the schedule, or its `s` is high.
    /// @param signer who signed it, or zero if nobody can be told
    error BadSignature(address signer, address trader);
    /// @notice The order's hash is not above the one before.
    error NotAscending(bytes32 previous, bytes32 order);
    /// @notice The trader is not a member.
    error UnregisteredTrader(address trader);
    /// @notice The trader's role does not trade: only prosumers and the balancing party do, and the network operator buys flexibility.
    error OperatorMayNotTrade(address account);
    /// @notice A limit is below the session's floor or above its cap.
    error LimitOutOfRange(bytes32 order);
    /// @notice A quantity to buy does not fit the account's lanes.
    error QuantityOverflow(bytes32 order);
    /// @notice The schedule has a window that the session does not have.
    error WindowOutOfSession(bytes32 order);
    /// @notice The day's grid does not have this quality.
    error UnknownQuality(uint8 quality);
    /// @notice The record claims that the order was submitted on chain, which it was not for this session.
    error NotSubmitted(bytes32 order);
    /// @notice A flexible order's split exceeds its maximum in a window or its energy in all, or is of an order that fills zero.
    error SplitOutOfRange(bytes32 order);
    /// @notice A flexible order would rather have its energy in other windows, or more or less of it.
    error SplitNotOptimal(bytes32 order);

    // Posted data
    /// @notice An array has another length than the session's windows and qualities give.
    error WrongLength(string array, uint256 length, uint256 expected);
    /// @notice A posted word has bits set that must be zero.
    /// @param index the word's place in the named array
    error NotCanonical(string array, uint256 index);
    /// @notice The potentials of the qualities are not those of the session's header.
    error WrongHeader(uint24 epoch);
    /// @notice What is carried is not what the chunk before left, or a first chunk brings something, or the zone is closed.
    error WrongCarry(uint24 epoch, uint32 zone);
    /// @notice The session's grid does not have the zone.
    error ZoneClosed(uint24 epoch, uint32 zone);
    /// @notice A schedule brings more at-price quantity than its zone posted.
    error MarginalExceeded(bytes32 order);
    /// @notice More of a cell's at-price quantity fills than there is.
    /// @param cell `q * windows + w`, as in every error that names one
    error MarginalOutOfRange(uint256 cell);

    /// @notice Clears the next orders of a zone, in ascending order of their hashes.
    /// @param epoch the session's number
    /// @param zone the zone whose orders they are
    /// @param posted the potentials and marginals, the same for all chunks of the zone
    /// @param carry what the chunk before left, or nothing in a first chunk
    /// @param records packed orders, docs/formats.md, Schedule record
    function clear(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        bytes calldata records
    ) external;
}
