// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {ChallengeStage, IChallenges, ReadingChallenge} from "../../contracts/interfaces/IChallenges.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {ROLE_OPERATOR} from "../../contracts/libraries/Member.sol";
import {CertifiedDay} from "./support/CertifiedDay.sol";

/// @title What oracles and challengers set aside, and when it comes back
contract BondsTest is CertifiedDay {
    uint88 private constant BOND = 5e9;

    function setUp() external {
        setUpCertified();
        register(meterOperator, ROLE_OPERATOR, 0, false);
        fund(meterOperator, 20e9);
        vm.prank(registrar);
        exchange.setChallengeBond(BOND);
    }

    function bond(uint88 nano) private {
        vm.prank(meterOperator);
        exchange.bondOracles(nano);
    }

    function challenged() private returns (bytes32 id) {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        vm.prank(buyer);
        return exchange.challengeReading(c);
    }

    /// No day is posted by oracles that could not pay for one challenge.
    function test_oracles_post_with_a_bond() external {
        vm.warp(AFTERWARDS);
        bond(BOND - 1);
        Posting memory p = dayPosting();
        bytes[] memory signatures = signaturesOf(p, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.OraclesUnbonded.selector, BOND - 1, BOND));
        exchange.postMetering(p, signatures);
        bond(1);
        postDay(p);
    }

    /// What is set aside is the caller's free cash, and no more than it has.
    function test_what_is_set_aside_is_there() external {
        vm.expectEmit(address(exchange));
        emit IChallenges.OracleBondChanged(meterOperator, 12e9);
        bond(12e9);
        eq(freeOf(meterOperator), 8e9, "free");
        refuse(
            abi.encodeWithSelector(
                IAccounts.InsufficientCash.selector, meterOperator, int256(8e9), uint256(8e9 + 1)
            )
        );
        vm.prank(meterOperator);
        exchange.bondOracles(8e9 + 1);
    }

    /// It comes back, no more of it than there is, once every run is too old to be challenged, and no challenge is open.
    function test_it_comes_back_when_nothing_can_be_challenged() external {
        bond(12e9);
        unbond(2e9);
        refuse(
            abi.encodeWithSelector(
                IAccounts.InsufficientCash.selector, meterOperator, int256(10e9), uint256(10e9 + 1)
            )
        );
        vm.prank(meterOperator);
        exchange.unbondOracles(10e9 + 1);
        openCertified();
        uint256 until = AFTERWARDS + 10 days;
        vm.warp(until);
        challenged();
        refuseUnbond(abi.encodeWithSelector(IChallenges.PotLocked.selector, 1, until));
        vm.warp(until + 1);
        refuseUnbond(abi.encodeWithSelector(IChallenges.PotLocked.selector, 1, until));
    }

    /// To the second.
    function test_it_is_kept_as_long_as_a_run_may_be_challenged() external {
        bond(12e9);
        openCertified();
        uint256 until = AFTERWARDS + 10 days;
        vm.warp(until);
        refuseUnbond(abi.encodeWithSelector(IChallenges.PotLocked.selector, 0, until));
        vm.warp(until + 1);
        unbond(12e9);
        eq(freeOf(meterOperator), 20e9, "all of it");
    }

    /// A later run may be challenged as long again.
    function test_a_later_run_keeps_it_longer() external {
        bond(12e9);
        openCertified();
        vm.warp(AFTERWARDS + 9 days);
        postRun(nextRun());
        vm.warp(AFTERWARDS + 10 days + 1);
        refuseUnbond(abi.encodeWithSelector(IChallenges.PotLocked.selector, 0, AFTERWARDS + 19 days));
    }

    /// Nothing is set aside, taken back or challenged in a pause.
    function test_a_pause_holds_bonds_and_challenges() external {
        bond(12e9);
        openCertified();
        bytes32 id = challenged();
        ReadingChallenge memory c = challengeOf(2, 850, 6);
        vm.prank(guardian);
        exchange.pause();
        vm.startPrank(meterOperator);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.bondOracles(1);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.unbondOracles(1);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.challengeReading(c);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.answerChallenge(id, c.read);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.dropChallenge(id);
    }

    /// Of an empty pot nothing is paid: the account is corrected all the same.
    function test_an_empty_pot_pays_nothing() external {
        vm.prank(registrar);
        exchange.setChallengeBond(0);
        openCertified();
        vm.prank(registrar);
        exchange.setChallengeBond(BOND);
        bytes32 id = challenged();
        vm.warp(block.timestamp + 2 days + 1);
        Posting memory p = dayPosting();
        Statement memory s = statementOf(accountsOf(partOf(buyer)), buyer);
        int256 had = freeOf(buyer);
        exchange.settleChallenge(id, s, partOf(buyer), p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        eq(freeOf(buyer), had + restate(buyer, 0, 150) + int256(uint256(BOND)), "its own bond");
        requireConserved(uint256(freeOf(meterOperator)));
    }

    /// A challenge that nobody settles for ten days after its answers is dropped by anyone: its bond returns, nothing else changes.
    function test_a_challenge_that_nobody_settles_is_dropped() external {
        bond(12e9);
        openCertified();
        int256 had = freeOf(buyer);
        bytes32 id = challenged();
        uint256 until = block.timestamp + 12 days;
        vm.warp(until);
        refuse(abi.encodeWithSelector(IChallenges.AnswerOpen.selector, id, until));
        exchange.dropChallenge(id);
        vm.warp(until + 1);
        vm.prank(stranger);
        exchange.dropChallenge(id);
        isTrue(exchange.challengeOf(id).stage == ChallengeStage.Dropped, "dropped");
        eq(freeOf(buyer), had, "as before");
        eq(exchange.holdsOf(buyer), 0, "free again");
        refuse(abi.encodeWithSelector(IChallenges.NoChallenge.selector, id));
        exchange.dropChallenge(id);
        unbond(12e9);
    }

    function unbond(uint88 nano) private {
        vm.prank(meterOperator);
        exchange.unbondOracles(nano);
    }

    function refuseUnbond(bytes memory error) private {
        vm.prank(meterOperator);
        vm.expectRevert(error);
        exchange.unbondOracles(1);
    }
}
