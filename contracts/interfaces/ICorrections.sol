// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "./IMetering.sol";
import {Statement} from "./IStatements.sol";

/// @dev What a quorum of oracle nodes signs of a zone and day that was settled: what differs from the last run. docs/formats.md, Corrections.
struct Correction {
    uint32 zone;
    /// @notice The index of the day's first window, which names the day.
    uint32 firstWindow;
    /// @notice The run that it makes, from 1.
    uint8 run;
    /// @notice The link of the run or challenge before.
    bytes32 previous;
    /// @notice The Merkle root of the salted commitments to all readings, as now known.
    bytes32 commitments;
    /// @notice The imbalance prices the day was settled at; those it should have been, if it was settled by default.
    int32[] surplusMicroPerKWh;
    int32[] deficitMicroPerKWh;
    /// @notice The parts whose accounts differ, ascending.
    uint32[] statements;
    /// @notice The hash of each such part's packed differences.
    bytes32[] parts;
}

/// @title ICorrections: later runs, each only what differs from the last
interface ICorrections {
    /// @notice A zone's day can be corrected and challenged from now on.
    /// @param link what its first correction must name
    event CorrectionsOpened(uint32 indexed zone, uint32 indexed day, bytes32 link);
    /// @notice A correction is accepted.
    /// @param hash its EIP-712 struct hash
    event CorrectionPosted(
        uint32 indexed zone, uint32 indexed day, uint8 run, bytes32 hash, Correction correction
    );
    /// @notice A part is corrected; each `AccountCorrected` stands before it. The balancing party took the other side.
    /// @param imbalanceWh the balancing party's change
    /// @param cashNano what the balancing party earned by it
    /// @param statement the hash of what the part's accounts and leaves are now
    event PartCorrected(
        uint32 indexed zone,
        uint32 indexed day,
        uint8 run,
        int256 imbalanceWh,
        int256 cashNano,
        bytes32 statement
    );
    /// @notice A later run is complete, and will not change.
    /// @param link what the next one must name
    event RunCorrected(uint32 indexed zone, uint32 indexed day, uint8 run, bytes32 link);

    /// @notice The zone's day is open for corrections already.
    error AlreadyOpen(uint32 zone, uint32 day);
    /// @notice Challenges of the zone's day are open.
    error ChallengeOpen(uint32 zone, uint32 day, uint32 open);
    /// @notice It is another run's turn.
    error WrongRun(uint8 run, uint8 expected);
    /// @notice It builds on something else than the last run or challenge.
    error WrongPrevious(bytes32 link);
    /// @notice It is not the correction under way.
    error WrongCorrection(uint32 zone, uint32 day);

    /// @notice Opens a zone's day for corrections and challenges, once it is certified. Anyone may send it.
    /// @param posting the one that was settled
    function openCorrections(Posting calldata posting) external;
    /// @notice Accepts what differs from the last run. It may replace one of which no part is corrected yet.
    /// @param correction what the nodes signed
    /// @param signatures 65 bytes each, of nodes in ascending order of their addresses
    function postCorrection(Correction calldata correction, bytes[] calldata signatures) external;
    /// @notice Corrects the accounts of the next part; with the last, the run is complete.
    /// @param correction the one under way
    /// @param statement of the part, with the rows of the accounts that differ
    /// @param differences packed entries: account, flags, and the difference of metered energy in each window
    function correct(Correction calldata correction, Statement calldata statement, bytes calldata differences)
        external;

    /// @notice How a zone's day stands.
    /// @param zone the zone
    /// @param day the index of the day's first window
    /// @return run the last complete
    /// @return link what the next correction must name; zero while it is not open
    /// @return pending the struct hash of the correction under way, zero if there is none
    /// @return parts of it corrected so far
    /// @return open challenges
    /// @return since when the last run was complete, Unix seconds
    function zoneDayOf(uint32 zone, uint32 day)
        external
        view
        returns (uint8 run, bytes32 link, bytes32 pending, uint16 parts, uint32 open, uint48 since);
}
