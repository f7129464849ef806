// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChallenges} from "../../contracts/interfaces/IChallenges.sol";
import {Correction, ICorrections} from "../../contracts/interfaces/ICorrections.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {IStatements, Statement} from "../../contracts/interfaces/IStatements.sol";
import {CertifiedDay} from "./support/CertifiedDay.sol";

/// @title Later runs: what differs from the last one, and nothing else
contract CorrectionsTest is CertifiedDay {
    function setUp() external {
        setUpCertified();
    }

    // --- opening

    /// A zone's day opens once it is certified, once, by the posting that was settled; anyone may.
    function test_corrections_open_once() external {
        RunCarry memory carry = settleBoth();
        Posting memory p = dayPosting();
        refuse(abi.encodeWithSelector(ISettlement.WrongRunStage.selector, 0, DAY, RunStage.Settled));
        exchange.openCorrections(p);
        certifyBoth(carry);
        refusePost(nextRun(), abi.encodeWithSelector(IChallenges.CorrectionsNotOpen.selector, 0, DAY));
        p.sequence = 2;
        refuse(abi.encodeWithSelector(ISettlement.WrongPosting.selector, 0, DAY));
        exchange.openCorrections(p);
        p.sequence = 1;
        vm.prank(stranger);
        exchange.openCorrections(p);
        (uint8 run, bytes32 link,,, uint32 open, uint48 since) = exchange.zoneDayOf(0, DAY);
        eq(run + open, 0, "the first run, nothing challenged");
        eq(link, postingStruct(p), "linked to the posting");
        eq(since, AFTERWARDS, "since the day was settled");
        refuse(abi.encodeWithSelector(ICorrections.AlreadyOpen.selector, 0, DAY));
        exchange.openCorrections(p);
    }

    // --- a run

    /// A correction changes imbalances and what they earned; the balancing party takes the other side.
    function test_a_correction_pays_the_difference() external {
        openCertified();
        (int256 had, int256 others) = (freeOf(buyer), freeOf(balancer));
        bytes32 posted = linkOf();
        Correction memory c = runOver(partOf(buyer), entry(buyer, 150));
        int256 cash = correctOne(buyer, 150);
        eq(
            cash,
            2 * (50 * int256(SURPLUS) + 100 * int256(DEFICIT)),
            "from a deficit of 100 to a surplus of 50"
        );
        eq(freeOf(buyer) - had, cash, "buyer");
        eq(freeOf(balancer) - others, -cash, "balancing party");
        uint256 part = partOf(buyer);
        eq(exchange.statementOf(0, DAY, part), hashOf(statementOf(accountsOf(part))), "stated anew");
        (uint8 run, bytes32 link, bytes32 pending, uint16 parts,,) = exchange.zoneDayOf(0, DAY);
        eq(run, 1, "run");
        eq(link, keccak256(abi.encodePacked(posted, correctionStruct(c))), "linked to the posting");
        eq(pending, 0, "nothing under way");
        eq(parts, 0, "nor a part of it");
    }

    /// A correction and its inverse leave everyone's cash as it was, however large.
    /// forge-config: default.fuzz.runs = 64
    function test_an_inverse_restores_cash(int32 change) external {
        vm.assume(change != 0 && change > -(2 ** 30) && change < 2 ** 30);
        openCertified();
        (int256 had, int256 others) = (freeOf(buyer), freeOf(balancer));
        correctOne(buyer, change);
        requireConserved(0);
        correctOne(buyer, -int256(change));
        eq(freeOf(buyer), had, "buyer");
        eq(freeOf(balancer), others, "balancing party");
    }

    /// Two corrections are one of their sum.
    /// forge-config: default.fuzz.runs = 64
    function test_corrections_add_up(int16 a, int16 b) external {
        vm.assume(a != 0 && b != 0 && int256(a) + b != 0);
        openCertified();
        uint256 before = vm.snapshotState();
        correctOne(seller, int256(a));
        correctOne(seller, int256(b));
        int256 found = freeOf(seller);
        vm.revertToState(before);
        correctOne(seller, int256(a) + b);
        eq(freeOf(seller), found, "the same");
    }

    /// A run may say that nothing differs; it is complete at once, and restarts the time to challenge.
    function test_a_run_without_differences_is_complete_at_once() external {
        openCertified();
        vm.warp(AFTERWARDS + 5 days);
        Correction memory c = nextRun();
        postRun(c);
        (uint8 run,,,,, uint48 since) = exchange.zoneDayOf(0, DAY);
        eq(run, 1, "run");
        eq(since, AFTERWARDS + 5 days, "since");
        (,, uint48 until) = exchange.challengeTerms();
        eq(until, AFTERWARDS + 15 days, "until");
    }

    /// Fifteen runs follow the first, and no more.
    function test_runs_are_at_most_fifteen() external {
        openCertified();
        for (uint256 i; i < 15; ++i) {
            postRun(nextRun());
        }
        refusePost(nextRun(), abi.encodeWithSelector(ICorrections.WrongRun.selector, 16, 16));
    }

    // --- what is refused of a posting

    /// A correction is the next run, builds on the last, keeps the prices, and names parts of the day, ascending.
    function test_a_correction_follows_the_last_run() external {
        openCertified();
        Correction memory c = nextRun();
        c.run = 2;
        refusePost(c, abi.encodeWithSelector(ICorrections.WrongRun.selector, 2, 1));
        c.run = 0;
        refusePost(c, abi.encodeWithSelector(ICorrections.WrongRun.selector, 0, 1));
        c = nextRun();
        c.previous ^= bytes32(uint256(1));
        refusePost(c, abi.encodeWithSelector(ICorrections.WrongPrevious.selector, linkOf()));
        c = nextRun();
        ++c.deficitMicroPerKWh[1];
        refusePost(c, abi.encodeWithSelector(IMetering.BadPosting.selector, "prices"));
        c = nextRun();
        c.surplusMicroPerKWh = new int32[](1);
        refusePost(c, abi.encodeWithSelector(IMetering.BadPosting.selector, "prices"));
        refuseStatements(0, 0, 2);
        refuseStatements(1, 0, 2);
        refuseStatements(0, 2, 2);
        refuseStatements(0, 1, 1);
        c = nextRun();
        c.zone = 1;
        refusePost(c, abi.encodeWithSelector(IChallenges.CorrectionsNotOpen.selector, 1, DAY));
    }

    function refuseStatements(uint32 first, uint32 second, uint256 parts) private {
        Correction memory c = nextRun();
        (c.statements, c.parts) = (new uint32[](2), new bytes32[](parts));
        (c.statements[0], c.statements[1]) = (first, second);
        refusePost(c, abi.encodeWithSelector(IMetering.BadPosting.selector, "statements"));
    }

    /// A quorum signs it, and no pause is on.
    function test_a_quorum_signs_a_correction() external {
        openCertified();
        Correction memory c = nextRun();
        bytes[] memory one = signedBy(c, 1);
        bytes[] memory two = signedBy(c, 2);
        vm.startPrank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.QuorumNotReached.selector, 1, 2));
        exchange.postCorrection(c, one);
        c.commitments ^= bytes32(uint256(1));
        vm.expectPartialRevert(IMetering.BadOracleSignature.selector);
        exchange.postCorrection(c, two);
        vm.stopPrank();
        vm.prank(guardian);
        exchange.pause();
        vm.prank(meterOperator);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.postCorrection(c, two);
    }

    /// A correction is replaced until a part of it is corrected.
    function test_a_correction_under_way_is_finished() external {
        openCertified();
        (bytes memory first, bytes memory second) = (entry(prosumers[0], 1), entry(prosumers[CUT], 2));
        postRun(runOver(0, hex"00"));
        Correction memory c = overBoth(first, second);
        postRun(c);
        (,, bytes32 pending,,,) = exchange.zoneDayOf(0, DAY);
        eq(pending, correctionStruct(c), "replaced");
        correct(c, statementOf(accountsOf(0), prosumers[0]), first);
        refusePost(nextRun(), abi.encodeWithSelector(IChallenges.CorrectionUnderWay.selector, 0, DAY));
        correct(c, statementOf(accountsOf(1), prosumers[CUT]), second);
        (uint8 run,,,,,) = exchange.zoneDayOf(0, DAY);
        eq(run, 1, "complete");
        requireConserved(0);
    }

    function overBoth(bytes memory first, bytes memory second) private view returns (Correction memory c) {
        c = nextRun();
        (c.statements, c.parts) = (new uint32[](2), new bytes32[](2));
        (c.statements[1], c.parts[0], c.parts[1]) = (1, keccak256(first), keccak256(second));
    }

    // --- what is refused of a part

    /// What is corrected is the correction under way, its next part, and the statement of that part.
    function test_a_part_is_the_next_one() external {
        openCertified();
        bytes memory differences = entry(prosumers[0], 1);
        Correction memory c = runOver(0, differences);
        Statement memory s = statementOf(accountsOf(0), prosumers[0]);
        bytes memory refusal = abi.encodeWithSelector(ICorrections.WrongCorrection.selector, 0, DAY);
        refuseCorrect(c, s, differences, refusal);
        postRun(c);
        c.run = 2;
        refuseCorrect(c, s, differences, refusal);
        c.run = 1;
        bytes memory other = entry(prosumers[0], 2);
        refuseCorrect(c, s, other, abi.encodeWithSelector(ISettlement.WrongPart.selector, 0));
        refuseCorrect(
            c,
            statementOf(accountsOf(1)),
            differences,
            abi.encodeWithSelector(IStatements.WrongStatement.selector, 0)
        );
        s.rows = "";
        refuseCorrect(c, s, differences, abi.encodeWithSelector(IStatements.WrongRows.selector));
        s.rows = bytes.concat(rowOf(prosumers[0]), rowOf(prosumers[1]));
        refuseCorrect(c, s, differences, abi.encodeWithSelector(IStatements.WrongRows.selector));
        s.rows = rowOf(prosumers[0]);
        s.rows[0] ^= 0x01;
        refuseCorrect(c, s, differences, abi.encodeWithSelector(IStatements.WrongRows.selector));
        vm.prank(guardian);
        exchange.pause();
        vm.prank(meterOperator);
        vm.expectPartialRevert(IEmergency.ExchangePaused.selector);
        exchange.correct(c, s, differences);
    }

    /// Entries are whole, of the part's accounts, ascending, differ somewhere, and have flags from 0 to 2.
    function test_differences_are_well_formed() external {
        openCertified();
        (address a, address b) = (prosumers[0], prosumers[1]);
        refuseEntry("", address(0));
        refuseEntry(bytes.concat(entry(a, 1), hex"00"), address(0));
        refuseEntry(entry(a, 0), a);
        refuseEntry(entry(stranger, 1), stranger);
        refuseEntry(entry(balancer, 1), balancer);
        refuseEntry(entry(prosumers[CUT], 1), prosumers[CUT]);
        refuseEntry(bytes.concat(entry(b, 1), entry(a, 1)), a);
        refuseEntry(bytes.concat(entry(a, 1), entry(a, 1)), a);
        refuseEntry(abi.encodePacked(a, hex"c0", int32(1), int32(1)), a);
        refuseEntry(abi.encodePacked(a, hex"01", int32(1), int32(1)), a);
    }

    /// @dev The entries are signed, and yet refused.
    function refuseEntry(bytes memory differences, address account) private {
        Correction memory c = runOver(0, differences);
        postRun(c);
        Statement memory s = statementOf(accountsOf(0));
        for (uint256 i; i < differences.length / 29; ++i) {
            address named = address(bytes20(slice(differences, 29 * i)));
            s.rows = bytes.concat(s.rows, named == prosumers[1] ? rowOf(prosumers[1]) : rowOf(prosumers[0]));
        }
        refuseCorrect(c, s, differences, abi.encodeWithSelector(ISettlement.BadEntry.selector, account));
    }

    function slice(bytes memory data, uint256 from) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 0x20), from))
        }
    }

    /// No imbalance reaches 2^31 Wh.
    function test_imbalances_stay_in_range() external {
        openCertified();
        correctOne(prosumers[0], type(int32).max);
        uint256 last = vm.snapshotState();
        refuseRange(1);
        vm.revertToState(last);
        correctOne(prosumers[0], -int256(type(int32).max));
        correctOne(prosumers[0], -int256(type(int32).max));
        refuseRange(-1);
        requireConserved(0);
    }

    function refuseRange(int256 change) private {
        bytes memory differences = entry(prosumers[0], change);
        Correction memory c = runOver(0, differences);
        postRun(c);
        Statement memory s = statementOf(accountsOf(0), prosumers[0]);
        bytes memory refusal = abi.encodeWithSelector(IStatements.ImbalanceOutOfRange.selector, prosumers[0]);
        refuseCorrect(c, s, differences, refusal);
    }

    // --- helpers

    function refusePost(Correction memory c, bytes memory error) private {
        bytes[] memory signatures = signedBy(c, 2);
        vm.prank(meterOperator);
        vm.expectRevert(error);
        exchange.postCorrection(c, signatures);
    }

    function refuseCorrect(
        Correction memory c,
        Statement memory s,
        bytes memory differences,
        bytes memory error
    ) private {
        vm.prank(meterOperator);
        vm.expectRevert(error);
        exchange.correct(c, s, differences);
    }
}
