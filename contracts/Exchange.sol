// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Accounts} from "./Accounts.sol";
import {Auction} from "./Auction.sol";
import {Clearing} from "./Clearing.sol";
import {Emergency} from "./Emergency.sol";
import {Settlement} from "./Settlement.sol";

/// @title Exchange: peer-to-peer energy, cleared, proved and settled
///
/// What it is. Members sign schedules; at the gate the operator commits to the sorted book, clears it off chain and posts potentials; this contract derives every
/// price and fill itself, proves the prices optimal and the rule's own, mints claims and obligations, and later settles them against metered energy.
///
/// Who is trusted, and with what. The operator: with liveness, and with which of several equal optima is posted (nobody's gain depends on it). A quorum of oracle
/// nodes: with metered quantities and imbalance prices, within bounds that traders signed. The administrators of the AccessManager: with membership, meter keys and
/// the pause, which ends by itself. Nobody: with prices, fills, cash or tokens.
///
/// What always holds. Cash and energy sum to zero, exactly. A session that is not proved by its deadline leaves no trace but returned reserves. Every order under
/// the commitment is cleared once. Settled cash can be withdrawn within a session's end and `maxPause`.
///
/// What it touches. One order touches two slots of its account and one for each packed group of windows; no external call is made for it.
contract Exchange is Clearing, Settlement {
    constructor(address authority, IERC20 settlementToken, uint16 windowLength, uint32 maxPause)
        Emergency(authority, maxPause)
        Accounts(settlementToken)
        Auction(windowLength)
    {}
}
