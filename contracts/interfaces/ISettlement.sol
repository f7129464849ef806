// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "./IMetering.sol";

/// @dev What one part of a settlement run hands to the next; only its hash is stored. docs/formats.md, Settlement.
struct RunCarry {
    /// @notice Of each proved round, quality and window: claims, obligations, delivered and claims gone over by `certify`, Wh so far.
    uint256[] tallies;
    /// @notice Of the same: what was sold as produced and not delivered, nano, where its price is not negative; zero of firm qualities.
    uint256[] pots;
    /// @notice Imbalances of the accounts settled so far, over all windows.
    int256 imbalanceWh;
    /// @notice Imbalance cash of the accounts settled so far, less the premiums that they returned; positive is what they received. In `certify`, what
    /// buyers paid for sales as produced and neither sellers nor buyers have received yet.
    int256 cashNano;
    /// @notice The zone's last account settled; zero in its first part and in `certify`.
    address lastAccount;
    /// @notice Parts of the zone settled so far, or certified once all zones are settled.
    uint256 parts;
}

/// @dev What a round was traded at in a zone: the words as they were posted. docs/formats.md, Posted data.
struct RoundPrices {
    /// @notice The zone's potentials of energy, a word a window of the round.
    uint256[] energyPotentials;
    /// @notice The potentials of the qualities above 0, the session's header.
    uint256[] qualityPotentials;
}

/// @dev How far the run of a day has come.
enum RunStage {
    None,
    Posted,
    Settling,
    Settled,
    Certified
}

/// @title ISettlement: contracted against metered, to the last nano
interface ISettlement {
    /// @notice An account's day is settled: its obligations are burned, its claims wait for `certify`, and so do the reserves of those as produced; all other
    /// reserves are returned.
    /// The `PartSettled` behind it in the same transaction names its zone and day.
    /// @param imbalanceWh metered less contracted, over all windows
    /// @param cashNano what the imbalance earned and what it is paid for sales as produced, less the premium of what it sold firm and did not deliver;
    /// negative is what it cost
    /// @param releasedNano reserves returned
    event AccountSettled(address indexed account, int256 imbalanceWh, int256 cashNano, uint256 releasedNano);
    /// @notice What an account is paid for deliveries as produced of a session goes to its beneficiary. Its `AccountSettled` follows, and leaves it out.
    /// @param epoch the session's
    /// @param nano more than nothing, and at most what its donated sales of the session are worth
    event DeliveryDonated(address indexed beneficiary, address indexed account, uint24 epoch, uint256 nano);
    /// @notice A part of a posting is settled.
    /// @param day the index of the day's first window, as in every event and error here
    /// @param carryHash the hash of what the next part must bring, of this zone or the next one, or after the last the first one to `certify`
    event PartSettled(uint32 indexed zone, uint32 indexed day, bytes32 carryHash);
    /// @notice The balancing party took the other side: the run nets to zero, over all zones.
    /// @param zone the last one settled
    /// @param run zero, the day's first run
    /// @param imbalanceWh the balancing party's, over all windows
    /// @param cashNano what its imbalance earned; negative is what it cost
    /// @param releasedNano reserves returned to it
    event RunSettled(
        uint32 indexed zone,
        uint32 indexed day,
        uint8 run,
        int256 imbalanceWh,
        int256 cashNano,
        uint256 releasedNano
    );
    /// @notice The run is at another stage than the call needs.
    /// @param stage where it is
    error WrongRunStage(uint32 zone, uint32 day, RunStage stage);
    /// @notice Another zone is under way (they come in ascending order, those without metered members are left out), or this is not its latest posting.
    error WrongPosting(uint32 zone, uint32 day);
    /// @notice The entries are not those of the next part, or no part is left.
    /// @param part the next part, from 0
    error WrongPart(uint256 part);
    /// @notice What is carried is not what the part before left, or a first part brings something.
    error WrongRunCarry(uint32 zone, uint32 day);
    /// @notice The entry's account is not a metered member of the zone, the accounts do not ascend, or its quantities or flags are out of range.
    /// @param account zero if the entry is cut short
    error BadEntry(address account);
    /// @notice The last part is there and accounts of the posting are missing.
    error IncompleteRun(uint256 settled, uint256 expected);
    /// @notice Something was sold as produced, or not delivered, and the prices that it was traded at are not brought.
    error PricesMissing(uint32 zone, uint32 day);
    /// @notice The prices are not those of the day's proved rounds in this zone.
    /// @param round the first that differs, or the number of rounds if there are too many
    error WrongPrices(uint32 zone, uint32 day, uint256 round);
    /// @notice Contracted energy of all zones does not sum to zero in a window.
    /// @param window counted from the day's first
    /// @param wh the sum, sold less bought
    error EnergyNotConserved(uint256 window, int256 wh);

    /// @notice Settles the accounts of the next part of the zone under way; with the last of the last zone, the balancing party against everyone else, which ends
    /// the run. Anyone may send it; of a day settled by default only who holds the role, for nobody signed which accounts come when.
    /// @param posting the latest of its zone and day
    /// @param entries the packed entries whose hash the oracle nodes signed; of a day settled by default the zone's next accounts alone, in 32,768
    /// parts at most, of at most 2,048 windows of all their accounts
    /// @param carry what the part before left, or nothing in a first part
    /// @param prices of each proved round of the day, ascending; or none, if nothing was sold as produced and all green energy is delivered
    function settle(
        Posting calldata posting,
        bytes calldata entries,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) external;

    /// @notice The run of a day: its stage and the hash that the next part must bring; and the sequence of a zone's posting.
    /// @param zone the zone
    /// @param day the index of the day's first window
    /// @return stage how far the day has come
    /// @return sequence of the zone's latest posting, zero if there is none
    /// @return carryHash zero before a part is settled
    function runOf(uint32 zone, uint32 day)
        external
        view
        returns (RunStage stage, uint32 sequence, bytes32 carryHash);

    /// @notice Where the run of a day goes on.
    /// @param day the index of the day's first window
    /// @return zone whose part is next to be settled, or certified; the number of zones if none is left
    /// @return parts of it settled, or certified, so far
    function zoneUnderWay(uint32 day) external view returns (uint32 zone, uint16 parts);

    /// @notice What a settled part left of its accounts' imbalances.
    /// @param zone the zone
    /// @param day the index of the day's first window
    /// @param part from 0
    /// @return the hash of accounts and leaves, docs/formats.md, Statements
    function statementOf(uint32 zone, uint32 day, uint256 part) external view returns (bytes32);
}
