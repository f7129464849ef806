// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "./IMetering.sol";
import {RoundPrices, RunCarry} from "./ISettlement.sol";
import {Statement} from "./IStatements.sol";

/// @title IDelivery: who bears what was not delivered
interface IDelivery {
    /// @notice The reserves of what an account bought as produced are returned; what of it was not delivered is paid back, and falls into its imbalance.
    /// The `PartCertified` behind it in the same transaction names its zone and day.
    /// @param imbalanceWh the change, over all windows
    /// @param cashNano what it was paid back, and what the change of its imbalance earned
    /// @param releasedNano reserves returned
    event AccountDelivered(
        address indexed account, int256 imbalanceWh, int256 cashNano, uint256 releasedNano
    );
    /// @notice Claims turned into certificates, in the account's lanes; what was not delivered is residual mix.
    /// @param certifiedWh over all windows and qualities
    event AccountCertified(
        uint32 indexed zone, uint32 indexed day, address indexed account, uint256 certifiedWh
    );
    /// @notice A part is certified, and the balancing party took the other side of what changed.
    /// @param imbalanceWh the balancing party's change
    /// @param cashNano what the balancing party earned by it; refunds of prices are none of it, they are what sellers were not paid
    /// @param statement the hash of what the part's accounts and leaves are now
    event PartCertified(
        uint32 indexed zone, uint32 indexed day, int256 imbalanceWh, int256 cashNano, bytes32 statement
    );
    /// @notice All parts of all zones are certified: the day's certificates exist.
    /// @param zone the last one
    /// @param restNano what neither sellers nor buyers received of sales as produced: the balancing party's
    event RunCertified(uint32 indexed zone, uint32 indexed day, int256 restNano);

    /// @notice Shares what was delivered among the next part's claims: certificates for what is green, cash for what is lacking. Anyone may send it.
    /// @param posting the one that was settled
    /// @param statement what settling the part left, with the rows of the accounts that lack something
    /// @param carry what the part before left; for the first, what the last settled left
    /// @param prices as in `settle`; or none, if nothing is paid back
    function certify(
        Posting calldata posting,
        Statement calldata statement,
        RunCarry calldata carry,
        RoundPrices[] calldata prices
    ) external;
}
