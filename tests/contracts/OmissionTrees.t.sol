// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing} from "../../contracts/interfaces/IClearing.sol";
import {IOmission, Receipt} from "../../contracts/interfaces/IOmission.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
import {ROLE_OPERATOR} from "../../contracts/libraries/Member.sol";
import {Absence} from "../../contracts/libraries/Membership.sol";
import {Claims} from "./support/Claims.sol";
import {Forest} from "./support/Forest.sol";
import {Order} from "./support/Market.sol";

/// @title Omission over a tree of zones: an order belongs to one zone and its book
contract OmissionTreesTest is Forest, Claims {
    function setUp() external {
        setUpForest();
    }

    function openForest() internal override returns (uint24) {
        register(operator, ROLE_OPERATOR, 0, false);
        fund(operator, RICH);
        return openBonded(0);
    }

    /// An order is missing under the root of the zone it names, whatever other zones have.
    function test_an_order_is_missing_in_its_zone() external {
        Order memory o = orderOf(1);
        o.nonce = 2;
        bytes32 hash = hashOf(epoch, o);
        proveForest();
        Absence memory proof = absenceOf(oneRoot(hashOf(epoch, orderOf(2))), hash);
        Receipt memory receipt = receiptOf(epoch, hash, 0);
        bytes memory record = recordOf(epoch, o);
        refuse(abi.encodeWithSelector(IOmission.NotAbsent.selector, hash));
        exchange.claimOmission(epoch, 1, record, receipt, proof);
        proof = absenceOf(oneRoot(hashOf(epoch, orderOf(1))), hash);
        (bool done, bytes memory answer) = address(exchange)
            .call(abi.encodeCall(IOmission.claimOmission, (epoch, 2, record, receipt, proof)));
        isTrue(!done && bytes4(answer) == IClearing.BadSignature.selector, "signed for another zone");
        exchange.claimOmission(epoch, 1, record, receipt, proof);
        passDefence(epoch);
        requirePays(epoch, o, BOND);
        requireReleases(epoch, LOCKED - BOND);
    }

    /// A receipt for an order of a zone that the grid does not have is a promise as any other.
    function test_an_order_of_no_zone_is_missing() external {
        Order memory o = orderOf(1);
        o.zone = 9;
        proveForest();
        Absence memory nothing;
        bytes memory record = recordOf(epoch, o);
        exchange.claimOmission(epoch, 9, record, receiptOf(epoch, hashOf(epoch, o), 0), nothing);
    }

    /// An order is submitted to its trader's zone, whose close needs it.
    function test_a_zone_closes_with_its_submitted_orders() external {
        Order memory o = orderOf(1);
        o.key = BUYER;
        bytes memory record = flagged(recordOf(epoch, o));
        refuse(abi.encodeWithSelector(IOmission.ForeignZone.selector, buyer, 1));
        exchange.submit(epoch, 1, record);
        o.key = SELLER;
        exchange.submit(epoch, 1, flagged(recordOf(epoch, o)));
        eq(uint256(exchange.submissionsOf(epoch, 1)), 1, "of its zone");
        eq(uint256(exchange.submissionsOf(epoch, 0)), 0, "of no other");
        commitForest();
        postForest();
        clearZone(2);
        closeLeaf(2);
        clearZone(1);
        bytes memory call = abi.encodeCall(
            IProof.closeZone, (epoch, 1, postedOf(1), carryOf(1), noChildren(), noSubstitutions())
        );
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IProof.SubmissionOmitted.selector, epoch, 1, 0, 1));
        (bool done,) = address(exchange).call(call);
        isTrue(done, "the refusal was expected");
    }

    function noSubstitutions() private pure returns (uint256[] memory) {
        return new uint256[](0);
    }
}
