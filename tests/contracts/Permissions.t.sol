// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {IAuction} from "../../contracts/interfaces/IAuction.sol";
import {IDays} from "../../contracts/interfaces/IDays.sol";
import {ClosedZone, IProof} from "../../contracts/interfaces/IProof.sol";
import {IClearing, Carry, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RunCarry} from "../../contracts/interfaces/ISettlement.sol";
import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {Correction, ICorrections} from "../../contracts/interfaces/ICorrections.sol";
import {IDelivery} from "../../contracts/interfaces/IDelivery.sol";
import {IMeters} from "../../contracts/interfaces/IMeters.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {IMintable} from "./support/World.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

contract PermissionsTest is MeteredDay {
    address[4] private senders;

    function setUp() external {
        setUpWorld(2);
        senders = [operator, registrar, meterOperator, guardian];
    }

    /// Running the market is the operator's alone.
    function test_the_market_is_the_operators() external {
        Posted memory posted = postedFor(book(buy(BUYER, 1, 0)));
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(IDays.setGrid, (grid));
        calls[1] = abi.encodeCall(IDays.openDay, (DAY + 2, 2, 1));
        calls[2] = abi.encodeCall(IAuction.openSession, (paramsOf(0)));
        calls[3] = abi.encodeCall(IAuction.commitBooks, (1, oneCount(0), oneRoot(bytes32(0))));
        calls[4] = abi.encodeCall(IProof.postHeader, (1, posted.qualityPotentials));
        calls[5] = abi.encodeCall(IClearing.clear, (1, 0, posted, noCarry(), ""));
        calls[6] = abi.encodeCall(IProof.closeZone, (1, 0, posted, noCarry(), noChildren(), noFlows()));
        ClosedZone memory zone;
        calls[7] = abi.encodeCall(IProof.joinChildren, (1, 0, zone, noChildren(), noFlows(), noFlows()));
        only(operator, marketFunctions(), calls);
    }

    /// Membership, meter keys and oracle nodes are the registrar's alone.
    function test_membership_is_the_registrars() external {
        bytes[] memory calls = new bytes[](8);
        calls[0] = abi.encodeCall(IAccounts.registerMember, (stranger, 0, 1, 0, 1, false));
        calls[1] = abi.encodeCall(IAccounts.changeMember, (buyer, 0, 1, false));
        calls[2] = abi.encodeCall(IMeters.registerMeter, (bytes32(0), buyer, bytes32(0), bytes32(0)));
        calls[3] = abi.encodeCall(IMeters.revokeMeter, (bytes32(0)));
        calls[4] = abi.encodeCall(IMetering.setOracle, (stranger, true));
        calls[5] = abi.encodeCall(IMetering.setQuorum, (1));
        calls[6] = abi.encodeCall(IMeters.rotateMeter, (bytes32(0), bytes32(0), bytes32(0), 0));
        calls[7] = abi.encodeCall(IChallenges.setChallengeBond, (1));
        only(registrar, membershipFunctions(), calls);
    }

    /// Postings, what is set aside for them, and who is settled when of a day by default are the settler's alone.
    function test_postings_are_the_settlers() external {
        Posting memory p = postingOf("", 0, 0);
        Correction memory correction;
        bytes[] memory calls = new bytes[](5);
        calls[0] = abi.encodeCall(IMetering.postMetering, (p, new bytes[](0)));
        calls[1] = abi.encodeCall(ICorrections.postCorrection, (correction, new bytes[](0)));
        calls[2] = abi.encodeCall(IChallenges.bondOracles, (1));
        calls[3] = abi.encodeCall(IChallenges.unbondOracles, (1));
        Posting memory unposted = postingOf("", 0, 0);
        unposted.sequence = type(uint32).max;
        calls[4] = abi.encodeCall(ISettlement.settle, (unposted, "", noRunCarry(), noPrices()));
        only(meterOperator, meteringFunctions(), calls);
    }

    /// Whoever sends them, runs do what a quorum signed and nothing else: nobody can hold one up.
    function test_runs_are_anyones() external {
        Posting memory p = postingOf("", 0, 0);
        RunCarry memory carry = noRunCarry();
        Correction memory correction;
        Statement memory statement;
        vm.startPrank(stranger);
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY));
        exchange.settle(p, "", carry, noPrices());
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY));
        exchange.certify(p, statement, carry, noPrices());
        refuse(abi.encodeWithSelector(ICorrections.WrongCorrection.selector, 0, 0));
        exchange.correct(correction, statement, "");
        vm.stopPrank();
    }

    /// The pause is the guardian's alone.
    function test_the_pause_is_the_guardians() external {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IEmergency.pause, ());
        calls[1] = abi.encodeCall(IEmergency.unpause, ());
        only(guardian, guardedFunctions(), calls);
    }

    /// Money is issued by who administers it, and the Exchange's authority is moved by itself alone.
    function test_money_and_authority_are_the_administrators() external {
        vm.startPrank(stranger);
        bytes memory refusal =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger);
        refuse(refusal);
        token.mint(stranger, 1);
        refuse(refusal);
        exchange.setAuthority(stranger);
        vm.stopPrank();
        refuse(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, operator));
        vm.prank(operator);
        IMintable(address(token)).mint(operator, 1);
    }

    /// What nobody was given yet is the administrators' alone: a fresh deployment is closed.
    function test_a_fresh_exchange_is_closed() external {
        bytes memory terms = abi.encode(manager, token, LENGTH, MAX_PAUSE);
        bytes memory arguments = abi.encodePacked(terms, modules(terms));
        IEmergency fresh = IEmergency(vm.deployCode("Exchange.sol:Exchange", arguments));
        vm.prank(guardian);
        refuse(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, guardian));
        fresh.pause();
    }

    /// An Exchange refuses modules that were built with other terms.
    function test_modules_have_the_same_terms() external {
        bytes memory terms = abi.encode(manager, token, LENGTH, MAX_PAUSE);
        bytes memory found = modules(terms);
        bytes memory foreign = modules(abi.encode(manager, token, LENGTH, MAX_PAUSE + 1));
        for (uint256 i; i < found.length / 32; ++i) {
            bytes memory mixed = bytes.concat(found);
            for (uint256 at = 32 * i; at < 32 * i + 32; ++at) {
                mixed[at] = foreign[at];
            }
            bytes memory arguments = bytes.concat(terms, mixed);
            (bool made,) = address(this).call(abi.encodeCall(this.deployExchange, (arguments)));
            isTrue(!made, "refused");
        }
        this.deployExchange(bytes.concat(terms, found));
    }

    function deployExchange(bytes calldata arguments) external {
        vm.deployCode("Exchange.sol:Exchange", arguments);
    }

    /// @dev Each call is refused to strangers, to members and to holders of other roles; its holder gets past the gate.
    function only(address holder, bytes4[] memory functions, bytes[] memory calls) private {
        eq(functions.length, calls.length, "a call for each function");
        for (uint256 i; i < calls.length; ++i) {
            eq(bytes32(bytes4(calls[i])), bytes32(functions[i]), "in order");
            requireRefused(stranger, calls[i]);
            requireRefused(buyer, calls[i]);
            requireRefused(address(this), calls[i]);
            for (uint256 k; k < senders.length; ++k) {
                if (senders[k] != holder) requireRefused(senders[k], calls[i]);
            }
            vm.prank(holder);
            (bool done, bytes memory answer) = address(exchange).call(calls[i]);
            isTrue(
                done || bytes4(answer) != IAccessManaged.AccessManagedUnauthorized.selector,
                "the holder passes"
            );
        }
    }

    function requireRefused(address sender, bytes memory call_) private {
        vm.prank(sender);
        (bool done, bytes memory answer) = address(exchange).call(call_);
        isTrue(!done, "refused");
        bytes memory refusal =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, sender);
        eq(answer, refusal, "for the sender");
    }
}
