// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {
    Challenge,
    ChallengeStage,
    IChallenges,
    ReadingChallenge,
    SignedRead
} from "../../contracts/interfaces/IChallenges.sol";
import {Correction, ICorrections} from "../../contracts/interfaces/ICorrections.sol";
import {IMeters} from "../../contracts/interfaces/IMeters.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {IStatements, Statement} from "../../contracts/interfaces/IStatements.sol";
import {ROLE_OPERATOR} from "../../contracts/libraries/Member.sol";
import {CertifiedDay, Told} from "./support/CertifiedDay.sol";

/// @title A meter's word against a posting: what it changes, what it costs whom, and how it is answered
/// @dev What oracles set aside here is the settler's: it is a member for that.
contract ChallengesTest is CertifiedDay {
    uint88 private constant BOND = 5e9;
    uint88 private constant POT = 12e9;

    function setUp() external {
        setUpCertified();
        register(meterOperator, ROLE_OPERATOR, 0, false);
        fund(meterOperator, RICH);
        vm.prank(registrar);
        exchange.setChallengeBond(BOND);
        vm.prank(meterOperator);
        exchange.bondOracles(POT);
        openCertified();
    }

    function challenge(ReadingChallenge memory c) private returns (bytes32 id) {
        vm.prank(accountIn(c));
        return exchange.challengeReading(c);
    }

    function accountIn(ReadingChallenge memory c) private view returns (address) {
        return c.index == 1 ? seller : buyer;
    }

    function settleOf(bytes32 id) private {
        Challenge memory found = exchange.challengeOf(id);
        Statement memory s = statementOf(accountsOf(partOf(found.account)), found.account);
        Posting memory p = dayPosting();
        exchange.settleChallenge(id, s, partOf(found.account), p.surplusMicroPerKWh, p.deficitMicroPerKWh);
    }

    function pot() private view returns (uint88 nano) {
        (nano,,) = exchange.challengeTerms();
    }

    function requireStage(bytes32 id, ChallengeStage stage) private view {
        isTrue(exchange.challengeOf(id).stage == stage, "stage");
    }

    // --- a challenge that holds

    /// It corrects the account on the spot, returns what it set aside, and costs the oracles as much: they had called the reading actual.
    function test_a_challenge_that_holds_pays() external {
        (int256 had, int256 others, bytes32 link) = (freeOf(buyer), freeOf(balancer), linkOf());
        bytes32 id = challenge(challengeOf(0, 850, 6));
        eq(freeOf(buyer), had - int256(uint256(BOND)), "set aside");
        eq(exchange.holdsOf(buyer), 1, "held");
        requireAllCash(BOND);
        vm.warp(block.timestamp + 2 days + 1);
        settleOf(id);
        int256 cash = restate(buyer, 0, 150);
        eq(cash, 100 * int256(DEFICIT) + 50 * int256(SURPLUS), "a deficit of 100, a surplus of 50");
        eq(freeOf(buyer), had + cash + int256(uint256(BOND)), "corrected and paid");
        eq(freeOf(balancer), others - cash, "the other side");
        eq(pot(), POT - BOND, "by the oracles");
        eq(exchange.holdsOf(buyer), 0, "free again");
        eq(linkOf(), keccak256(abi.encodePacked(link, id)), "linked");
        uint256 part = partOf(buyer);
        eq(exchange.statementOf(0, DAY, part), hashOf(statementOf(accountsOf(part))), "stated anew");
        requireStage(id, ChallengeStage.Upheld);
        requireAllCash(0);
    }

    /// Of an export more is a higher imbalance, of an import a lower one; whatever the meter says, cash is conserved.
    /// forge-config: default.fuzz.runs = 32
    function test_both_registers_count_in_their_direction(uint32 wh, bool exports) external {
        wh %= 1 << 30;
        uint256 index = exports ? 1 : 0;
        vm.assume(wh != committed[index].wh);
        bytes32 id = challenge(challengeOf(index, wh, 6));
        vm.warp(block.timestamp + 2 days + 1);
        address account = accountIn(challengeOf(index, wh, 6));
        int256 had = freeOf(account);
        settleOf(id);
        int256 more = int256(uint256(wh)) - int256(uint256(committed[index].wh));
        int256 cash = restate(account, 0, exports ? more : -more);
        eq(freeOf(account), had + cash + 2 * int256(uint256(BOND)), "corrected and paid");
        requireAllCash(0);
    }

    /// What the oracles had called estimated is corrected and costs them nothing.
    function test_estimates_are_corrected_without_cost() external {
        bytes32 id = challenge(challengeOf(2, 850, 6));
        vm.warp(block.timestamp + 2 days + 1);
        settleOf(id);
        eq(pot(), POT, "nothing paid");
        requireAllCash(0);
    }

    /// The oracles pay what they have, where that is less than the bond.
    function test_the_pot_pays_no_more_than_it_has() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        ReadingChallenge memory c = challengeOf(1, 950, 6);
        bytes32 other = challenge(c);
        vm.prank(registrar);
        exchange.setChallengeBond(POT);
        vm.warp(block.timestamp + 2 days + 1);
        settleOf(id);
        restate(buyer, 0, 150);
        settleOf(other);
        eq(pot(), POT - 2 * BOND, "what was at stake when they were opened");
        requireAllCash(0);
    }

    /// Meanwhile the account withdraws nothing, though it may trade on; afterwards it does.
    function test_withdrawals_wait() external {
        vm.prank(buyer);
        exchange.requestWithdrawal(1000);
        bytes32 id = challenge(challengeOf(0, 850, 6));
        refuse(abi.encodeWithSelector(IAccounts.CreditHeld.selector, buyer));
        exchange.executeWithdrawal(buyer);
        vm.warp(block.timestamp + 2 days + 1);
        settleOf(id);
        exchange.executeWithdrawal(buyer);
        eq(token.balanceOf(buyer), 1000, "withdrawn");
    }

    /// Anyone sends it with the account's signature, over this commitment and this read alone.
    function test_anyone_relays_a_signed_challenge() external {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        bytes memory refusal = abi.encodeWithSelector(IChallenges.NotTheAccount.selector, buyer);
        refuse(refusal);
        exchange.challengeReading(c);
        c.signature = signChallenge(STRANGER, c);
        refuse(refusal);
        exchange.challengeReading(c);
        ReadingChallenge memory other = challengeOf(0, 851, 6);
        c.signature = signChallenge(BUYER, other);
        refuse(refusal);
        exchange.challengeReading(c);
        c.signature = signChallenge(BUYER, c);
        requireStage(exchange.challengeReading(c), ChallengeStage.Open);
    }

    function signChallenge(uint256 key, ReadingChallenge memory c) private view returns (bytes memory) {
        bytes32 read = keccak256(c.read.message);
        return signStruct(
            key,
            keccak256(
                abi.encode(
                    CHALLENGE_TYPE_HASH, c.zone, c.day, runOf(c.zone, c.day), commitmentAt(c.index), read
                )
            )
        );
    }

    // --- what is refused

    /// What was committed to is opened as it was: message, flag, salt and place.
    function test_only_what_was_committed_to_is_challenged(uint256 seed) external {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        uint256 which = seed % 6;
        if (which == 0) c.flag = 1;
        if (which == 1) c.salt ^= bytes32(1 << (seed >> 248));
        if (which == 2) c.index ^= 1 << ((seed >> 8) % 21);
        if (which == 3) c.siblings[(seed >> 8) % 20] ^= bytes32(1 << (seed >> 248));
        if (which == 4) c.committed[43] ^= 0x01;
        if (which == 5) c.committed = bytes.concat(c.committed, hex"00");
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.NotCommitted.selector));
    }

    /// The read is a message of the same meter, register and window, of this Exchange's length and below 2^30 Wh.
    function test_the_read_is_of_the_same_reading() external {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        bytes memory good = c.read.message;
        uint256[6] memory places = [uint256(0), 1, 33, 35, 39, 40];
        for (uint256 i; i < places.length; ++i) {
            bytes memory message = bytes.concat(good);
            message[places[i]] ^= bytes1(uint8(i == 5 ? 0x40 : 0x01));
            c.read = signRead(meterKeyOf(buyer), message);
            refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.NotTheSameReading.selector));
        }
        c.read = signRead(meterKeyOf(buyer), bytes.concat(good, hex"00"));
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.NotTheSameReading.selector));
    }

    /// The meter's key signed it, in the lower half of `s`.
    function test_the_meter_signed_the_read() external {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        bytes memory message = c.read.message;
        c.read = signRead(meterKeyOf(seller), message);
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.BadMeterKey.selector, meterOf(buyer)));
        bytes memory refusal = abi.encodeWithSelector(IChallenges.BadReadSignature.selector, meterOf(buyer));
        c.read = turned(signRead(meterKeyOf(buyer), message));
        refuseFrom(buyer, c, refusal);
        c.read = signRead(meterKeyOf(buyer), message);
        c.read.r ^= bytes32(uint256(1));
        refuseFrom(buyer, c, refusal);
        c.read.r ^= bytes32(uint256(1));
        c.read.message[43] ^= 0x01;
        refuseFrom(buyer, c, refusal);
        vm.prank(registrar);
        exchange.revokeMeter(meterOf(buyer));
        c.read = signRead(meterKeyOf(buyer), message);
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.BadMeterKey.selector, meterOf(buyer)));
    }

    /// The read is not older than what stands, and says something else; a reading has one challenge at a time.
    function test_the_read_contradicts_what_stands() external {
        refuseFrom(
            buyer, challengeOf(0, 850, 4), abi.encodeWithSelector(IChallenges.StaleRead.selector, 4, 5)
        );
        refuseFrom(
            buyer,
            challengeOf(0, 1000, 6),
            abi.encodeWithSelector(IChallenges.NothingContradicted.selector, 1000)
        );
        bytes32 id = challenge(challengeOf(0, 850, 6));
        refuseFrom(
            buyer, challengeOf(0, 850, 6), abi.encodeWithSelector(IChallenges.AlreadyChallenged.selector, id)
        );
        ReadingChallenge memory other = challengeOf(0, 840, 7);
        refuseFrom(
            buyer,
            other,
            abi.encodeWithSelector(
                IChallenges.AlreadyChallenged.selector,
                keccak256(abi.encodePacked(other.read.message, uint8(0)))
            )
        );
    }

    /// What held stands until the next run: against it a later read must say something else. After the next run the same read may be brought again.
    function test_what_held_stands_until_the_next_run() external {
        bytes32 id = challenge(challengeOf(0, 850, 7));
        vm.warp(block.timestamp + 2 days + 1);
        settleOf(id);
        restate(buyer, 0, 150);
        refuseFrom(
            buyer, challengeOf(0, 900, 6), abi.encodeWithSelector(IChallenges.StaleRead.selector, 6, 7)
        );
        refuseFrom(
            buyer,
            challengeOf(0, 850, 8),
            abi.encodeWithSelector(IChallenges.NothingContradicted.selector, 850)
        );
        uint256 before = vm.snapshotState();
        isTrue(
            !exchange.challengeOf(challenge(challengeOf(0, 840, 8))).actual, "no oracle posted what stands"
        );
        vm.revertToState(before);
        postRun(nextRun());
        bytes32 again = challenge(challengeOf(0, 850, 7));
        isTrue(again != id, "another challenge");
        eq(exchange.challengeOf(again).committedWh, 1000, "against what is committed to now");
    }

    /// A challenge is of a day open for corrections, with none under way, within ten days of its last run.
    function test_challenges_have_their_time() external {
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        c.zone = 1;
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.CorrectionsNotOpen.selector, 1, DAY));
        c.zone = 0;
        uint256 before = vm.snapshotState();
        postRun(runOver(0, entry(prosumers[0], 1)));
        challenge(c);
        (,, bytes32 pending,,,) = exchange.zoneDayOf(0, DAY);
        eq(uint256(pending), 0, "a correction that has not begun is signed anew");
        vm.revertToState(before);
        uint256 until = AFTERWARDS + 10 days;
        vm.warp(until + 1);
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.TooLateToChallenge.selector, 0, DAY, until));
        vm.warp(until);
        challenge(c);
    }

    /// No correction is posted while a challenge is open.
    function test_a_correction_waits_for_challenges() external {
        challenge(challengeOf(0, 850, 6));
        Correction memory c = nextRun();
        bytes[] memory signatures = signedBy(c, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ICorrections.ChallengeOpen.selector, 0, DAY, 1));
        exchange.postCorrection(c, signatures);
    }

    /// Whoever cannot set the bond aside does not challenge; at zero nobody need.
    function test_the_bond_is_there() external {
        vm.prank(registrar);
        exchange.setChallengeBond(type(uint88).max);
        ReadingChallenge memory c = challengeOf(0, 850, 6);
        bytes memory refusal =
            abi.encodeWithSelector(IChallenges.CannotBond.selector, buyer, freeOf(buyer), type(uint88).max);
        refuseFrom(buyer, c, refusal);
        vm.prank(registrar);
        exchange.setChallengeBond(0);
        int256 had = freeOf(buyer);
        challenge(c);
        eq(freeOf(buyer), had, "nothing set aside");
    }

    // --- answers

    /// A later read that says something else defeats it: the bond is the oracles'.
    function test_a_later_read_defeats() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        answer(id, Told(buyer, IMPORT, 0, 1000, 7));
        requireStage(id, ChallengeStage.Defeated);
        eq(pot(), POT + BOND, "the bond");
        eq(exchange.holdsOf(buyer), 0, "free again");
        (, bytes32 x,) = exchange.meterOf(meterOf(buyer));
        isTrue(x != 0, "the meter stays");
        requireAllCash(0);
        vm.warp(block.timestamp + 2 days + 1);
        Posting memory p = dayPosting();
        Statement memory s = statementOf(accountsOf(partOf(buyer)), buyer);
        uint256 part = partOf(buyer);
        refuse(abi.encodeWithSelector(IChallenges.NoChallenge.selector, id));
        exchange.settleChallenge(id, s, part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
    }

    /// Another value under the same sequence defeats it too, and ends the meter, which said two things.
    function test_two_reads_of_one_sequence_revoke_the_meter() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        vm.expectEmit(address(exchange));
        emit IMeters.MeterRevoked(meterOf(buyer));
        vm.expectEmit(address(exchange));
        emit IChallenges.ChallengeAnswered(id, true);
        answer(id, Told(buyer, IMPORT, 0, 851, 6));
        requireStage(id, ChallengeStage.Defeated);
        eq(pot(), POT + BOND, "the bond");
        (, bytes32 x,) = exchange.meterOf(meterOf(buyer));
        eq(x, 0, "no key");
        ReadingChallenge memory c = challengeOf(2, 850, 6);
        refuseFrom(buyer, c, abi.encodeWithSelector(IChallenges.BadMeterKey.selector, meterOf(buyer)));
    }

    /// The very read that was committed to shows that the oracles posted what they had: it holds at once, without cost to them.
    function test_the_read_committed_to_saves_the_oracles() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        answer(id, committed[0]);
        requireStage(id, ChallengeStage.Open);
        int256 had = freeOf(buyer);
        vm.warp(exchange.challengeOf(id).answerBy + 1);
        settleOf(id);
        eq(pot(), POT, "nothing paid");
        eq(freeOf(buyer), had + restate(buyer, 0, 150) + int256(uint256(BOND)), "corrected");
        requireAllCash(0);
    }

    /// Whatever else is shown says nothing: the same, the same later, an earlier one, or what stands of an estimate.
    function test_other_answers_are_refused() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        bytes memory refusal = abi.encodeWithSelector(IChallenges.IrrelevantAnswer.selector, id);
        refuseAnswer(id, readOf(Told(buyer, IMPORT, 0, 850, 6)), refusal);
        refuseAnswer(id, readOf(Told(buyer, IMPORT, 0, 850, 7)), refusal);
        refuseAnswer(id, readOf(Told(buyer, IMPORT, 0, 999, 5)), refusal);
        refuseAnswer(id, readOf(Told(buyer, IMPORT, 0, 1000, 4)), refusal);
        bytes memory other = abi.encodeWithSelector(IChallenges.NotTheSameReading.selector);
        refuseAnswer(id, readOf(Told(buyer, IMPORT, 1, 1000, 7)), other);
        refuseAnswer(id, readOf(Told(buyer, EXPORT, 0, 1000, 7)), other);
        SignedRead memory read = signRead(meterKeyOf(seller), messageOf(Told(buyer, IMPORT, 0, 1000, 7)));
        refuseAnswer(id, read, abi.encodeWithSelector(IChallenges.BadMeterKey.selector, meterOf(buyer)));
        read = turned(readOf(Told(buyer, IMPORT, 0, 1000, 7)));
        refuseAnswer(id, read, abi.encodeWithSelector(IChallenges.BadReadSignature.selector, meterOf(buyer)));
        bytes32 estimate = challenge(challengeOf(2, 850, 6));
        refusal = abi.encodeWithSelector(IChallenges.IrrelevantAnswer.selector, estimate);
        refuseAnswer(estimate, readOf(committed[2]), refusal);
    }

    /// Two days are there to answer, to the second; then it is settled, and not before.
    function test_answers_have_their_time() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        uint256 until = block.timestamp + 2 days;
        vm.warp(until);
        Posting memory p = dayPosting();
        Statement memory s = statementOf(accountsOf(partOf(buyer)), buyer);
        uint256 part = partOf(buyer);
        refuse(abi.encodeWithSelector(IChallenges.AnswerOpen.selector, id, until));
        exchange.settleChallenge(id, s, part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        uint256 before = vm.snapshotState();
        answer(id, Told(buyer, IMPORT, 0, 1000, 7));
        vm.revertToState(before);
        vm.warp(until + 1);
        SignedRead memory late = readOf(Told(buyer, IMPORT, 0, 1000, 7));
        refuseAnswer(id, late, abi.encodeWithSelector(IChallenges.AnswerClosed.selector, id, until));
        refuseAnswer(bytes32(0), late, abi.encodeWithSelector(IChallenges.NoChallenge.selector, 0));
        settleOf(id);
    }

    /// It settles at the day's prices, by the statement that the account is in, with its row.
    function test_it_settles_by_the_accounts_statement() external {
        bytes32 id = challenge(challengeOf(0, 850, 6));
        vm.warp(block.timestamp + 2 days + 1);
        Posting memory p = dayPosting();
        uint256 part = partOf(buyer);
        Statement memory s = statementOf(accountsOf(part), buyer);
        int32[] memory other = new int32[](2);
        refuse(abi.encodeWithSelector(IMetering.BadPosting.selector, "prices"));
        exchange.settleChallenge(id, s, part, other, p.deficitMicroPerKWh);
        refuse(abi.encodeWithSelector(IStatements.WrongStatement.selector, 1 - part));
        exchange.settleChallenge(id, s, 1 - part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        s.rows = "";
        refuse(abi.encodeWithSelector(IStatements.WrongRows.selector));
        exchange.settleChallenge(id, s, part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        s = statementOf(accountsOf(1 - part));
        refuse(abi.encodeWithSelector(IChallenges.NotInStatement.selector, buyer));
        exchange.settleChallenge(id, s, 1 - part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
    }

    // --- helpers

    function answer(bytes32 id, Told memory told) private {
        SignedRead memory read = readOf(told);
        vm.prank(stranger);
        exchange.answerChallenge(id, read);
    }

    function refuseAnswer(bytes32 id, SignedRead memory read, bytes memory error) private {
        vm.expectRevert(error);
        exchange.answerChallenge(id, read);
    }

    function refuseFrom(address sender, ReadingChallenge memory c, bytes memory error) private {
        vm.prank(sender);
        vm.expectRevert(error);
        exchange.challengeReading(c);
    }

    /// @dev The settler's cash counts too.
    function requireAllCash(uint256 atStake) private view {
        requireConserved(atStake + uint256(freeOf(meterOperator)));
    }

    function runOf(uint32 zone, uint32 day) private view returns (uint8 run) {
        (run,,,,,) = exchange.zoneDayOf(zone, day);
    }
}
