// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IDays} from "../../contracts/interfaces/IDays.sol";
import {Correction} from "../../contracts/interfaces/ICorrections.sol";
import {IMetering, Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RoundPrices, RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {CertifiedDay} from "./support/CertifiedDay.sol";

/// @title A day that nobody posts: what was contracted counts as metered
contract DefaultsTest is CertifiedDay {
    uint256 private constant FROM = uint256(DAY_BEGINS) + 2 * uint256(LENGTH) + 10 days;

    function setUp() external {
        setUpCertified();
        vm.warp(FROM);
    }

    function byDefault() private view returns (Posting memory p) {
        (p.firstWindow, p.windows, p.accounts) = (DAY, 2, uint32(prosumers.length));
        (p.surplusMicroPerKWh, p.deficitMicroPerKWh) = (new int32[](2), new int32[](2));
        (p.sequence, p.parts) = (type(uint32).max, new bytes32[](0));
    }

    function refuseDefault(Posting memory p, bytes memory error) private {
        vm.expectRevert(error);
        exchange.postDefault(p);
    }

    function refuseBad(Posting memory p, string memory part) private {
        refuseDefault(p, abi.encodeWithSelector(IMetering.BadPosting.selector, part));
    }

    function packed(uint256 from, uint256 end) private view returns (bytes memory entries) {
        for (uint256 i = from; i < end; ++i) {
            entries = bytes.concat(entries, bytes20(prosumers[i]));
        }
    }

    function settlePart(bytes memory entries, RunCarry memory carry) private {
        settle(byDefault(), entries, carry);
    }

    /// @dev Counts accounts that did what they contracted.
    function counted(RunCarry memory carry, uint256 from, uint256 end) private {
        for (uint256 i = from; i < end; ++i) {
            countAccount(carry, prosumers[i], contractedBy(prosumers[i]), 0, 0);
        }
    }

    function contractedBy(address account) private view returns (int256) {
        return account == seller ? int256(1000) : account == buyer ? -int256(1000) : int256(0);
    }

    /// @dev In two calls.
    function settleTheDay() private returns (RunCarry memory carry) {
        exchange.postDefault(byDefault());
        carry = initialRun();
        counted(carry, 0, CUT);
        carry.parts = 1;
        bytes memory halfway = abi.encode(carry);
        counted(carry, CUT, prosumers.length);
        countBalancer(carry);
        settlePart(packed(0, CUT), noRunCarry());
        settlePart(packed(CUT, prosumers.length), abi.decode(halfway, (RunCarry)));
        return certifyStart(carry);
    }

    function certifyTheDay(RunCarry memory carry) private {
        Posting memory p = byDefault();
        for (uint256 part; part < 2; ++part) {
            exchange.certify(p, statementOf(accountsOf(part)), carry, noPrices());
            carry.parts = part + 1;
        }
    }

    /// Anyone posts it once ten days have passed since the day's end, and it is the day's last posting.
    function test_a_day_is_posted_by_default_in_the_end() external {
        vm.warp(FROM - 1);
        refuseDefault(
            byDefault(), abi.encodeWithSelector(IMetering.TooEarlyForDefault.selector, 0, DAY, FROM)
        );
        vm.warp(FROM);
        vm.prank(stranger);
        exchange.postDefault(byDefault());
        (RunStage stage, uint32 sequence,) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Posted, "posted");
        eq(sequence, type(uint32).max, "sequence");
        refuseBad(byDefault(), "sequence");
        Posting memory p = dayPosting();
        p.sequence = type(uint32).max;
        bytes[] memory signatures = signaturesOf(p, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.StalePosting.selector, type(uint32).max));
        exchange.postMetering(p, signatures);
    }

    /// A zone that was posted is settled as posted, however late; and no oracles post the last sequence.
    function test_a_posted_day_has_no_default() external {
        Posting memory p = dayPosting();
        p.sequence = type(uint32).max;
        bytes[] memory signatures = signaturesOf(p, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.StalePosting.selector, type(uint32).max));
        exchange.postMetering(p, signatures);
        postDay(dayPosting());
        refuseBad(byDefault(), "sequence");
    }

    /// It says nothing but who is settled.
    function test_a_default_says_nothing() external {
        Posting memory p = byDefault();
        p.firstWindow = DAY + 1;
        refuseDefault(p, abi.encodeWithSelector(IDays.UnknownDay.selector, DAY + 1));
        p = byDefault();
        p.windows = 1;
        refuseBad(p, "windows");
        p = byDefault();
        p.zone = 1;
        refuseBad(p, "zone");
        p = byDefault();
        --p.accounts;
        refuseBad(p, "accounts");
        p = byDefault();
        --p.sequence;
        refuseBad(p, "sequence");
        p = byDefault();
        p.commitments = bytes32(uint256(1));
        refuseBad(p, "commitments");
        p = byDefault();
        p.parts = new bytes32[](1);
        refuseBad(p, "parts");
        p = byDefault();
        p.deficitMicroPerKWh[1] = 1;
        refuseBad(p, "prices");
        p = byDefault();
        p.surplusMicroPerKWh = new int32[](1);
        refuseBad(p, "prices");
    }

    /// All that was sold is paid for, reserves return, nobody owes anything, and nothing is out of balance.
    function test_what_was_contracted_counts_as_metered() external {
        (int256 sold, int256 bought, int256 others) = (freeOf(seller), freeOf(buyer), freeOf(balancer));
        certifyTheDay(settleTheDay());
        eq(freeOf(seller) - sold, 2000 * (PRICE + int256(PRODUCED_RESERVE)), "the seller's pay and reserve");
        eq(freeOf(buyer) - bought, 2000 * int256(uint256(BUY_RESERVE)), "the buyer's reserve");
        eq(freeOf(balancer), others, "nothing to balance");
        (RunStage stage,,) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Certified, "certified in as many parts as calls");
        requireConserved(0);
    }

    /// What was sold as produced is paid for at its prices, which must be brought.
    function test_prices_are_brought_by_default_too() external {
        exchange.postDefault(byDefault());
        Posting memory p = byDefault();
        bytes memory entries = packed(0, prosumers.length);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.PricesMissing.selector, 0, DAY));
        exchange.settle(p, entries, noRunCarry(), noPrices());
    }

    /// A stranger settles nobody by default: the highest account alone would leave all before it unsettled for ever, and so would newcomers in others' place.
    function test_a_stranger_settles_nobody_by_default() external {
        Posting memory p = byDefault();
        RoundPrices[] memory prices = roundPrices();
        bytes memory last = packed(prosumers.length - 1, prosumers.length);
        vm.startPrank(stranger);
        exchange.postDefault(p);
        refuse(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger));
        exchange.settle(p, last, noRunCarry(), prices);
        vm.stopPrank();
    }

    /// Entries are accounts alone, some in each call, ascending, of the zone, and no more than are to be settled.
    function test_entries_are_accounts() external {
        exchange.postDefault(byDefault());
        refuseSettle("", address(0));
        refuseSettle(bytes.concat(packed(0, 1), hex"00"), address(0));
        refuseSettle(bytes.concat(bytes20(balancer)), balancer);
        refuseSettle(bytes.concat(packed(1, 2), packed(0, 1)), prosumers[0]);
        refuseSettle(bytes.concat(packed(0, 1), packed(0, 1)), prosumers[0]);
    }

    function refuseSettle(bytes memory entries, address account) private {
        Posting memory p = byDefault();
        RoundPrices[] memory prices = roundPrices();
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(ISettlement.BadEntry.selector, account));
        exchange.settle(p, entries, noRunCarry(), prices);
    }

    /// Those who meter later are corrected at the first prices that a quorum signs, within the bounds of the day's sessions; from then on those stay.
    function test_a_correction_brings_what_was_metered() external {
        certifyTheDay(settleTheDay());
        exchange.openCorrections(byDefault());
        Correction memory c = nextRun();
        c.deficitMicroPerKWh[0] = 900_001;
        bytes[] memory signatures = signedBy(c, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.BadPosting.selector, "prices"));
        exchange.postCorrection(c, signatures);
        (int256 had, int256 others) = (freeOf(buyer), freeOf(balancer));
        int256 cash = correctOne(buyer, -100);
        eq(cash, -200 * int256(DEFICIT), "a deficit");
        eq(freeOf(buyer) - had, cash, "buyer");
        eq(freeOf(balancer) - others, -cash, "balancing party");
        c = nextRun();
        ++c.deficitMicroPerKWh[0];
        signatures = signedBy(c, 2);
        vm.prank(meterOperator);
        refuse(abi.encodeWithSelector(IMetering.BadPosting.selector, "prices"));
        exchange.postCorrection(c, signatures);
    }
}
