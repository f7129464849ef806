// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Accounts} from "./Accounts.sol";
import {Auction} from "./Auction.sol";
import {Challenges} from "./Challenges.sol";
import {Clearing} from "./Clearing.sol";
import {Corrections} from "./Corrections.sol";
import {Days} from "./Days.sol";
import {Delivery} from "./Delivery.sol";
import {Emergency} from "./Emergency.sol";
import {EnergyToken} from "./EnergyToken.sol";
import {Ledger, Terms} from "./Ledger.sol";
import {Metering} from "./Metering.sol";
import {Meters} from "./Meters.sol";
import {Omission} from "./Omission.sol";
import {SessionKeys} from "./SessionKeys.sol";
import {Settlement} from "./Settlement.sol";
import {Proof} from "./Proof.sol";
import {IAuction} from "./interfaces/IAuction.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {IClearing} from "./interfaces/IClearing.sol";
import {ICorrections} from "./interfaces/ICorrections.sol";
import {IDelivery} from "./interfaces/IDelivery.sol";
import {IMetering} from "./interfaces/IMetering.sol";
import {IOmission} from "./interfaces/IOmission.sol";
import {IProof} from "./interfaces/IProof.sol";
import {ISessionKeys} from "./interfaces/ISessionKeys.sol";
import {Calldata} from "./libraries/Calldata.sol";

/// @title ClearingModule: code of the Exchange that runs on the Exchange's storage
contract ClearingModule is Clearing {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title ProofModule: code of the Exchange that runs on the Exchange's storage
contract ProofModule is Auction, Proof {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title OmissionModule: code of the Exchange that runs on the Exchange's storage
contract OmissionModule is Omission, SessionKeys {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title SettlementModule: code of the Exchange that runs on the Exchange's storage
contract SettlementModule is Meters, Settlement {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title DeliveryModule: code of the Exchange that runs on the Exchange's storage
contract DeliveryModule is Metering, Delivery {
    constructor(Terms memory terms) Ledger(terms) {}
}

/// @title ChallengeModule: code of the Exchange that runs on the Exchange's storage
contract ChallengeModule is Corrections, Challenges {
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
/// the commitment is cleared once. A withdrawal waits for the sessions open at its request and for a pause, not for later sessions.
///
/// What it touches. One order touches two slots of its account and one for each packed group of windows; no call is made for it. Code that would not fit one
/// contract lives in modules, fixed at deployment, which this one delegates whole transactions to.
contract Exchange is Emergency, Accounts, Days, EnergyToken {
    /// @notice A module was built with other terms.
    error ForeignModule(address module);
    /// @notice The settlement token's unit is not one nano.
    error NotNineDecimals(uint8 decimals);

    address public immutable clearingModule;
    address public immutable proofModule;
    address public immutable settlementModule;
    address public immutable omissionModule;
    address public immutable deliveryModule;
    address public immutable challengeModule;

    constructor(
        Terms memory terms,
        ClearingModule clearing,
        ProofModule proof,
        SettlementModule settlement,
        OmissionModule omission,
        DeliveryModule delivery,
        ChallengeModule challenge
    ) Ledger(terms) {
        uint8 decimals = IERC20Metadata(address(terms.settlementToken)).decimals();
        if (decimals != 9) revert NotNineDecimals(decimals);
        clearingModule = _checked(terms, clearing);
        proofModule = _checked(terms, proof);
        settlementModule = _checked(terms, settlement);
        omissionModule = _checked(terms, omission);
        deliveryModule = _checked(terms, delivery);
        challengeModule = _checked(terms, challenge);
    }

    /// @dev What is not this contract's own runs in the modules' code.
    fallback() external {
        bytes4 selector = msg.sig;
        if (selector == IClearing.clear.selector) {
            Calldata.requireExact();
            _delegate(clearingModule);
        }
        if (_proves(selector)) _delegate(proofModule);
        if (_protects(selector) || _grants(selector)) _delegate(omissionModule);
        if (_delivers(selector)) _delegate(deliveryModule);
        if (_corrects(selector)) _delegate(challengeModule);
        _delegate(settlementModule);
    }

    /// @dev What a session needs beside its orders, from its opening to its proof.
    function _proves(bytes4 selector) private pure returns (bool) {
        return selector == IProof.postHeader.selector || selector == IProof.closeZone.selector
            || selector == IProof.joinChildren.selector || selector == IAuction.openSession.selector
            || selector == IAuction.commitBooks.selector || selector == IAuction.sessionOf.selector
            || selector == IAuction.sessionParams.selector || selector == IAuction.deadlineOf.selector
            || selector == IAuction.bookOf.selector || selector == IAuction.commitmentOf.selector
            || selector == IAuction.latestEpoch.selector;
    }

    /// @dev What protects orders from being left out.
    function _protects(bytes4 selector) private pure returns (bool) {
        return selector == IOmission.submit.selector || selector == IOmission.claimOmission.selector
            || selector == IOmission.claimCancelled.selector || selector == IOmission.claimReplaced.selector
            || selector == IOmission.claimVoid.selector || selector == IOmission.claimCommitted.selector
            || selector == IOmission.claimSubmitted.selector || selector == IOmission.defendCancelled.selector
            || selector == IOmission.defendReplaced.selector || selector == IOmission.payClaim.selector
            || selector == IOmission.releaseBond.selector || selector == IOmission.bondOf.selector
            || selector == IOmission.claimOf.selector || selector == IOmission.submittedIn.selector
            || selector == IOmission.submissionsOf.selector;
    }

    /// @dev Keys that sign orders for an account.
    function _grants(bytes4 selector) private pure returns (bool) {
        return selector == ISessionKeys.grantKey.selector || selector == ISessionKeys.revokeKey.selector
            || selector == ISessionKeys.relayKeyGrant.selector
            || selector == ISessionKeys.relayKeyRevocation.selector || selector == ISessionKeys.keyOf.selector
            || selector == ISessionKeys.keyUseOf.selector;
    }

    /// @dev What was metered, and who bears what was not delivered.
    function _delivers(bytes4 selector) private pure returns (bool) {
        return selector == IDelivery.certify.selector || selector == IMetering.postMetering.selector
            || selector == IMetering.postDefault.selector || selector == IMetering.setOracle.selector
            || selector == IMetering.setQuorum.selector || selector == IMetering.isOracle.selector
            || selector == IMetering.quorum.selector;
    }

    /// @dev What corrects a day that is settled.
    function _corrects(bytes4 selector) private pure returns (bool) {
        return selector == ICorrections.openCorrections.selector
            || selector == ICorrections.postCorrection.selector || selector == ICorrections.correct.selector
            || selector == ICorrections.zoneDayOf.selector
            || selector == IChallenges.challengeReading.selector
            || selector == IChallenges.answerChallenge.selector
            || selector == IChallenges.settleChallenge.selector
            || selector == IChallenges.dropChallenge.selector
            || selector == IChallenges.setChallengeBond.selector
            || selector == IChallenges.bondOracles.selector || selector == IChallenges.unbondOracles.selector
            || selector == IChallenges.challengeOf.selector || selector == IChallenges.holdsOf.selector
            || selector == IChallenges.challengeTerms.selector;
    }

    /// @dev Runs the same call in a module's code on this contract's storage, and returns or reverts as it does.
    // slither-disable-next-line incorrect-return (it ends the fallback: nothing behind it runs)
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

    function _checked(Terms memory terms, Ledger module) private view returns (address) {
        bool same = module.authority() == terms.authority && module.settlementToken() == terms.settlementToken
            && module.windowLength() == terms.windowLength && module.maxPause() == terms.maxPause;
        if (!same) revert ForeignModule(address(module));
        return address(module);
    }
}
