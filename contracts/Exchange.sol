// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Accounts} from "./Accounts.sol";
import {Auction} from "./Auction.sol";
import {Clearing} from "./Clearing.sol";
import {Emergency} from "./Emergency.sol";
import {EnergyToken} from "./EnergyToken.sol";
import {Ledger, Terms} from "./Ledger.sol";
import {Metering} from "./Metering.sol";
import {Settlement} from "./Settlement.sol";
import {IClearing} from "./interfaces/IClearing.sol";

/// @title ClearingModule: code of the Exchange that runs on the Exchange's storage
contract ClearingModule is Clearing {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title SettlementModule: code of the Exchange that runs on the Exchange's storage
contract SettlementModule is Metering, Settlement {
    constructor(Terms memory terms) Ledger(terms) {}
}

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
/// What it touches. One order touches two slots of its account and one for each packed group of windows; no call is made for it. Code that would not fit one
/// contract lives in two modules, fixed at deployment, which this one delegates whole transactions to.
contract Exchange is Emergency, Accounts, Auction, EnergyToken {
    /// @notice A module was built with other terms.
    error ForeignModule(address module);

    address public immutable clearingModule;
    address public immutable settlementModule;

    constructor(Terms memory terms, ClearingModule clearing, SettlementModule settlement) Ledger(terms) {
        _requireSameTerms(terms, clearing);
        _requireSameTerms(terms, settlement);
        clearingModule = address(clearing);
        settlementModule = address(settlement);
    }

    /// @dev Clearing, metering and settlement run in the modules' code.
    fallback() external {
        bytes4 selector = msg.sig;
        bool clears = selector == IClearing.clear.selector || selector == IClearing.closeZone.selector
            || selector == IClearing.postHeader.selector;
        _delegate(clears ? clearingModule : settlementModule);
    }

    /// @dev Runs the same call in a module's code on this contract's storage, and returns or reverts as it does.
    // slither-disable-next-line incorrect-return (it ends the fallback, whose last step it is)
    function _delegate(address module) private {
        assembly ("memory-safe") {
            let at := mload(0x40)
            calldatacopy(at, 0, calldatasize())
            let ok := delegatecall(gas(), module, at, calldatasize(), 0, 0)
            returndatacopy(at, 0, returndatasize())
            switch ok
            case 0 { revert(at, returndatasize()) }
            default { return(at, returndatasize()) }
        }
    }

    function _requireSameTerms(Terms memory terms, Ledger module) private view {
        bool same = module.authority() == terms.authority && module.settlementToken() == terms.settlementToken
            && module.windowLength() == terms.windowLength && module.maxPause() == terms.maxPause;
        if (!same) revert ForeignModule(address(module));
    }
}
