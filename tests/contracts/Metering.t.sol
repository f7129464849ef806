// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {IDays} from "../../contracts/interfaces/IDays.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {IMeters} from "../../contracts/interfaces/IMeters.sol";
import {RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

contract MeteringTest is MeteredDay {
    // The generator of P-256.
    bytes32 private constant GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296;
    bytes32 private constant GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5;
    uint256 private constant P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF;
    bytes32 private constant METER = keccak256("meter");

    bytes private entries;

    function setUp() external {
        setUpWorld(2);
        for (uint256 i; i < prosumers.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], 0));
        }
        vm.warp(AFTERWARDS);
    }

    function honest() private view returns (Posting memory) {
        return postingOf(entries, 80_000, 240_000);
    }

    // --- signatures

    /// A quorum of nodes posts a day.
    function test_a_quorum_posts_a_day() external {
        Posting memory p = honest();
        postDay(p);
        (RunStage stage, uint32 sequence, bytes32 carry) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Posted, "posted");
        eq(sequence, 1, "sequence");
        eq(carry, 0, "nothing carried yet");
    }

    /// Fewer signatures than the quorum are not enough.
    function test_one_signature_is_not_enough() external {
        Posting memory p = honest();
        refusePosting(
            p, signaturesOf(p, 1), abi.encodeWithSelector(IMetering.QuorumNotReached.selector, 1, 2)
        );
    }

    /// Signers ascend, so that none counts twice.
    function test_signers_ascend() external {
        Posting memory p = honest();
        bytes[] memory two = signaturesOf(p, 2);
        address lower = vm.addr(oracleKeys[0]);
        (two[0], two[1]) = (two[1], two[0]);
        refusePosting(p, two, abi.encodeWithSelector(IMetering.BadOracleSignature.selector, lower));
        two[0] = two[1];
        refusePosting(p, two, abi.encodeWithSelector(IMetering.BadOracleSignature.selector, lower));
    }

    /// Every signer is a node, also those beyond the quorum; a node that left is none.
    function test_signers_are_nodes() external {
        Posting memory p = honest();
        bytes[] memory three = signaturesOf(p, 3);
        vm.prank(registrar);
        exchange.setOracle(vm.addr(oracleKeys[1]), false);
        address gone = vm.addr(oracleKeys[1]);
        refusePosting(p, three, abi.encodeWithSelector(IMetering.BadOracleSignature.selector, gone));
        three[1] = three[2];
        bytes[] memory two = new bytes[](2);
        (two[0], two[1]) = (three[0], three[2]);
        vm.prank(meterOperator);
        exchange.postMetering(p, two);
    }

    /// What is posted is what was signed.
    function test_a_changed_posting_is_refused() external {
        Posting memory p = honest();
        bytes[] memory signatures = signaturesOf(p, 2);
        p.deficitMicroPerKWh[1] += 1;
        vm.prank(meterOperator);
        vm.expectPartialRevert(IMetering.BadOracleSignature.selector);
        exchange.postMetering(p, signatures);
    }

    // --- what fits the day

    /// A posting is of a day that has ended.
    function test_a_day_is_posted_after_its_end() external {
        uint256 ends = uint256(DAY_BEGINS) + 2 * uint256(LENGTH);
        vm.warp(ends - 1);
        Posting memory p = honest();
        refusePosting(
            p, signaturesOf(p, 2), abi.encodeWithSelector(IMetering.WindowNotOver.selector, DAY, ends)
        );
        vm.warp(ends);
        postDay(p);
    }

    /// A posting that does not fit the day is refused by the name of what does not.
    function test_a_posting_fits_the_day() external {
        Posting memory p = honest();
        p.firstWindow = DAY + 1;
        refusePosting(p, signaturesOf(p, 2), abi.encodeWithSelector(IDays.UnknownDay.selector, DAY + 1));
        p = honest();
        p.windows = 1;
        refuseBad(p, "windows");
        p = honest();
        p.zone = 1;
        refuseBad(p, "zone");
        p = honest();
        --p.accounts;
        refuseBad(p, "accounts");
        p = honest();
        p.surplusMicroPerKWh = new int32[](1);
        refuseBad(p, "surplusMicroPerKWh");
        p = honest();
        p.deficitMicroPerKWh = new int32[](3);
        refuseBad(p, "deficitMicroPerKWh");
    }

    /// The surplus price is at most the deficit price, and both lie within what the day's traders signed.
    function test_prices_are_within_the_signed_bounds() external {
        Posting memory p = honest();
        (p.surplusMicroPerKWh[1], p.deficitMicroPerKWh[1]) = (1, 0);
        refuseBad(p, "prices");
        vm.warp(block.timestamp - 3 days - 13 hours);
        openRound(0);
        vm.warp(AFTERWARDS);
        p = honest();
        p.surplusMicroPerKWh[0] = -500_001;
        refuseBad(p, "prices");
        p.surplusMicroPerKWh[0] = -500_000;
        p.deficitMicroPerKWh[1] = 900_001;
        refuseBad(p, "prices");
        p.deficitMicroPerKWh[1] = 900_000;
        postDay(p);
    }

    // --- replacement

    /// A later posting replaces an earlier one; the same or a lower sequence does not.
    function test_a_later_sequence_replaces() external {
        Posting memory p = honest();
        p.sequence = 5;
        postDay(p);
        refusePosting(p, signaturesOf(p, 2), abi.encodeWithSelector(IMetering.StalePosting.selector, 5));
        p.sequence = 4;
        refusePosting(p, signaturesOf(p, 2), abi.encodeWithSelector(IMetering.StalePosting.selector, 4));
        p.sequence = 6;
        p.deficitMicroPerKWh[0] += 1;
        postDay(p);
        (, uint32 sequence,) = exchange.runOf(0, DAY);
        eq(sequence, 6, "replaced");
    }

    /// Sequences begin with 1.
    function test_sequence_zero_is_none() external {
        Posting memory p = honest();
        p.sequence = 0;
        refusePosting(p, signaturesOf(p, 2), abi.encodeWithSelector(IMetering.StalePosting.selector, 0));
    }

    /// Once a part is settled, its entries and all prices stay; parts still to come may change.
    function test_a_replacement_keeps_what_is_settled() external {
        Posting memory p = twoParts();
        postDay(p);
        settle(p, firstPart(), noRunCarry());
        p.sequence = 2;
        p.parts[0] = keccak256("other");
        refuseBad(p, "parts");
        p.parts[0] = keccak256(firstPart());
        p.deficitMicroPerKWh[0] += 1;
        refuseBad(p, "parts");
        p.deficitMicroPerKWh[0] -= 1;
        p.parts[1] = keccak256("corrected");
        postDay(p);
        p.sequence = 3;
        bytes32[] memory settled = new bytes32[](1);
        (settled[0], p.parts) = (p.parts[0], settled);
        refuseBad(p, "parts");
    }

    /// A settled day is not posted again.
    function test_a_settled_day_is_final() external {
        Posting memory p = honest();
        settleAll(new int256[](prosumers.length), 80_000, 240_000);
        p.sequence = 2;
        refuseBad(p, "stage");
    }

    function firstPart() private view returns (bytes memory) {
        return entry(prosumers[0], 0);
    }

    function twoParts() private view returns (Posting memory p) {
        p = honest();
        p.parts = new bytes32[](2);
        (p.parts[0], p.parts[1]) = (keccak256(firstPart()), keccak256("rest"));
    }

    // --- nodes and meters

    /// The quorum is at least one node and at most all, also when one leaves.
    function test_the_quorum_is_within_the_nodes() external {
        vm.startPrank(registrar);
        refuse(abi.encodeWithSelector(IMetering.BadQuorum.selector, 0));
        exchange.setQuorum(0);
        refuse(abi.encodeWithSelector(IMetering.BadQuorum.selector, 4));
        exchange.setQuorum(4);
        exchange.setQuorum(3);
        eq(exchange.quorum(), 3, "quorum");
        refuse(abi.encodeWithSelector(IMetering.BadQuorum.selector, 3));
        exchange.setOracle(vm.addr(oracleKeys[0]), false);
        exchange.setOracle(vm.addr(oracleKeys[0]), true);
        isTrue(exchange.isOracle(vm.addr(oracleKeys[0])), "still a node, counted once");
        refuse(abi.encodeWithSelector(IMetering.BadQuorum.selector, 4));
        exchange.setQuorum(4);
    }

    /// A meter's key is a point of P-256.
    function test_a_meter_key_is_on_the_curve() external {
        vm.startPrank(registrar);
        bytes memory refusal = abi.encodeWithSelector(IMeters.BadMeter.selector, METER);
        refuse(refusal);
        exchange.registerMeter(METER, buyer, GX, bytes32(uint256(GY) ^ 1));
        refuse(refusal);
        exchange.registerMeter(METER, buyer, 0, 0);
        refuse(refusal);
        exchange.registerMeter(METER, buyer, bytes32(uint256(GX) + 1), GY);
        refuse(refusal);
        exchange.registerMeter(METER, buyer, bytes32(P), GY);
        refuse(refusal);
        exchange.registerMeter(METER, buyer, GX, bytes32(type(uint256).max));
        exchange.registerMeter(METER, buyer, GX, GY);
        (address account, bytes32 x, bytes32 y) = exchange.meterOf(METER);
        eq(account, buyer, "account");
        eq(x, GX, "x");
        eq(y, GY, "y");
        exchange.registerMeter(keccak256("mirrored"), buyer, GX, bytes32(P - uint256(GY)));
    }

    /// A meter belongs to one member for good, also once its key is revoked.
    function test_a_meter_is_registered_once() external {
        vm.startPrank(registrar);
        refuse(abi.encodeWithSelector(IAccounts.NotMember.selector, stranger));
        exchange.registerMeter(METER, stranger, GX, GY);
        exchange.registerMeter(METER, buyer, GX, GY);
        bytes memory refusal = abi.encodeWithSelector(IMeters.BadMeter.selector, METER);
        refuse(refusal);
        exchange.registerMeter(METER, seller, GX, GY);
        exchange.revokeMeter(METER);
        refuse(refusal);
        exchange.registerMeter(METER, buyer, GX, GY);
        refuse(abi.encodeWithSelector(IMeters.UnknownMeter.selector, METER));
        exchange.revokeMeter(METER);
    }

    // --- helpers

    function refuseBad(Posting memory p, string memory part) private {
        refusePosting(p, signaturesOf(p, 2), abi.encodeWithSelector(IMetering.BadPosting.selector, part));
    }

    function refusePosting(Posting memory p, bytes[] memory signatures, bytes memory error) private {
        vm.prank(meterOperator);
        vm.expectRevert(error);
        exchange.postMetering(p, signatures);
    }
}
