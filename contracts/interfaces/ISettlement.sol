// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "./IMetering.sol";

/// @dev What one part of a settlement run hands to the next; only its hash is stored. docs/formats.md, Settlement.
struct RunCarry {
    uint256[] tallies;
    uint256[] windows;
    int256 cashNano;
    address lastAccount;
    uint256 parts;
}

/// @dev How far the run of a zone and day has come.
enum RunStage {
    None,
    Posted,
    Settling,
    Settled,
    Certified
}

/// @title ISettlement: contracted against metered, to the last nano
interface ISettlement {
    /// @notice An account's day is settled: its claims of band 0 and obligations are burned, their reserves returned.
    event AccountSettled(
        uint32 indexed zone,
        uint32 indexed day,
        address indexed account,
        int256 imbalanceWh,
        int256 cashNano,
        uint256 releasedNano
    );
    event PartSettled(uint32 indexed zone, uint32 indexed day, bytes32 carryHash);
    /// @notice The balancing party took the other side: the run nets to zero.
    event RunSettled(
        uint32 indexed zone,
        uint32 indexed day,
        uint8 run,
        int256 imbalanceWh,
        int256 cashNano,
        uint256 releasedNano
    );
    /// @notice Claims turned into certificates, in the account's lanes; what was not delivered is residual mix.
    event AccountCertified(
        uint32 indexed zone, uint32 indexed day, address indexed account, uint256 certifiedWh
    );
    event RunCertified(uint32 indexed zone, uint32 indexed day);

    error WrongRunStage(uint32 zone, uint32 day, RunStage stage);
    error WrongPosting(uint32 zone, uint32 day);
    error WrongPart(uint256 part);
    error WrongRunCarry(uint32 zone, uint32 day);
    /// @notice The entry's account is not a metered member of the zone, the accounts do not ascend, or its quantities or flags are out of range.
    error BadEntry(address account);
    /// @notice Parts or accounts of the posting are not settled yet.
    error IncompleteRun(uint256 settled, uint256 expected);
    /// @notice Contracted energy of the zone does not sum to zero in a window.
    error EnergyNotConserved(uint256 window, int256 wh);

    /// @notice Settles the accounts of the next part of a posting.
    /// @param entries the packed entries whose hash the oracle nodes signed
    function settle(Posting calldata posting, bytes calldata entries, RunCarry calldata carry) external;

    /// @notice Settles the balancing party against everyone else and ends the run.
    function closeRun(Posting calldata posting, RunCarry calldata carry) external;

    /// @notice Turns the claims of the next part's accounts into certificates for what was delivered.
    function certify(Posting calldata posting, bytes calldata entries, RunCarry calldata carry) external;

    /// @notice The run of a zone and day: its stage, the posting's sequence, and the hash that the next part must bring.
    function runOf(uint32 zone, uint32 day)
        external
        view
        returns (RunStage stage, uint32 sequence, bytes32 carryHash);
}
