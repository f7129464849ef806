// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {ClaimStage, IOmission, Receipt} from "../../contracts/interfaces/IOmission.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
import {ISessionKeys} from "../../contracts/interfaces/ISessionKeys.sol";
import {Absence, Inclusion} from "../../contracts/libraries/Membership.sol";
import {Keys} from "./support/Keys.sol";
import {Order} from "./support/Market.sol";

/// @title What session keys sign is protected as what accounts sign, and turns no claim round
contract KeyClaimsTest is Keys {
    Order private byKey;

    function start() private {
        grant();
        byKey = byAgent(1000, 200_000);
    }

    // --- omission

    /// A key's order that was left out is paid to its account, also if the key was revoked since.
    function test_an_omitted_order_of_a_key_is_paid() external {
        start();
        proveOf(book(sold));
        revoke();
        claimOmissionOf(byKey, 0);
        passDefence(epoch);
        requirePays(epoch, byKey, BOND);
    }

    /// A grant after the gate makes no order of what a stranger signed before.
    function test_a_later_grant_makes_no_order() external {
        tradesFor[AGENT] = buyer;
        byKey = byAgent(1000, 200_000);
        proveOf(book(sold));
        grant();
        refused(omissionCall(byKey, 0), abi.encodeWithSelector(IClearing.BadSignature.selector, agent, buyer));
    }

    /// Words that both sign are two orders: nobody clears the one with the signature of the other, and an ended key fills nobody's order with zero.
    function test_a_keys_signature_does_not_stand_in_for_the_accounts() external {
        start();
        revoke();
        Order memory own = buy(BUYER, 1000, 200_000);
        eq(digestOf(epoch, own), digestOf(epoch, byKey), "the same words");
        isTrue(hashOf(epoch, own) != hashOf(epoch, byKey), "another order");
        uint256 snapshot = vm.snapshotState();
        commit(epoch, book(own));
        Posted memory posted = postedFor(new Order[](0));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordOf(epoch, byKey);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        hashes = new bytes32[](1);
        hashes[0] = hashOf(epoch, byKey);
        Carry memory carry = carryAfter(new Order[](0), hashes);
        vm.prank(operator);
        vm.expectPartialRevert(IProof.BookMismatch.selector);
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
        vm.revertToState(snapshot);
        (posted, carry) = bring(epoch, book(byKey), new Order[](0));
        close(epoch, posted, carry);
        delete hashes;
        hashes.push(hashOf(epoch, byKey));
        claimOmissionOf(own, 0);
        refused(
            omissionCall(byKey, 0), abi.encodeWithSelector(IOmission.NotAbsent.selector, hashOf(epoch, byKey))
        );
    }

    /// The receipt of a key's order is none for the account's own order of the same words.
    function test_a_receipt_is_for_one_signers_order() external {
        start();
        proveOf(book(sold));
        Order memory own = buy(BUYER, 1000, 200_000);
        Receipt memory receipt = receiptOf(epoch, hashOf(epoch, byKey), 0);
        bytes memory record = recordOf(epoch, own);
        Absence memory proof = absenceOf(hashes, hashOf(epoch, own));
        refusedAs(
            abi.encodeCall(IOmission.claimOmission, (epoch, 0, record, receipt, proof)),
            IOmission.ForeignReceipt.selector
        );
    }

    // --- cancels

    /// A key takes back what it signed: clearing it all the same is paid, whatever was revoked since.
    function test_a_keys_cancel_of_its_order_counts() external {
        start();
        proveOf(book(byKey, sold));
        revoke();
        send(cancelledCall(byKey, AGENT));
        passDefence(epoch);
        requirePays(epoch, byKey, BOND);
    }

    /// So does the account.
    function test_an_account_cancels_its_keys_orders() external {
        start();
        proveOf(book(byKey, sold));
        send(cancelledCall(byKey, BUYER));
    }

    /// No key has a say in what its account, or another key, signed.
    function test_a_key_cancels_nobody_elses_order() external {
        start();
        proveOf(book(bought, sold));
        refused(
            cancelledCall(bought, AGENT), abi.encodeWithSelector(IAccounts.WrongSigner.selector, agent, buyer)
        );
    }

    /// An account cannot turn its key's cancel into a claim by revoking the key, before the gate or after.
    function test_revoking_does_not_take_a_cancel_back() external {
        start();
        uint256 snapshot = vm.snapshotState();
        for (uint256 i; i < 2; ++i) {
            if (i == 0) revoke();
            proveOf(book(sold));
            if (i == 1) revoke();
            claimOmissionOf(byKey, 0);
            bytes memory cancel = cancelBy(AGENT, byKey);
            bytes32 claimed = hashOf(epoch, byKey);
            refused(
                abi.encodeCall(IOmission.defendCancelled, (claimed, 0, "", cancel)),
                abi.encodeWithSelector(IAccounts.WrongSigner.selector, agent, buyer)
            ); // nothing shows that the key signed the order
            exchange.defendCancelled(claimed, 0, recordOf(epoch, byKey), cancel);
            isTrue(exchange.claimOf(claimed).stage == ClaimStage.Defeated, "defeated");
            vm.revertToState(snapshot);
        }
    }

    /// An operator with a stolen key, live or revoked, defeats no claim for what the account signed.
    function test_a_stolen_key_defeats_no_claim_of_its_account() external {
        start();
        proveOf(book(sold));
        claimOmissionOf(bought, 0);
        bytes memory cancel = cancelBy(AGENT, bought);
        bytes32 claimed = hashOf(epoch, bought);
        refused(
            abi.encodeCall(IOmission.defendCancelled, (claimed, 0, "", cancel)),
            abi.encodeWithSelector(IAccounts.WrongSigner.selector, agent, buyer)
        );
        // The same words signed by the key are another order: they show nothing of the claimed one.
        refusedAs(
            abi.encodeCall(IOmission.defendCancelled, (claimed, 0, recordOf(epoch, byKey), cancel)),
            IOmission.NotReplacing.selector
        );
        Order memory other = byAgent(5, 5);
        other.replaces = claimed;
        cancel = cancelBy(AGENT, other);
        refusedAs(
            abi.encodeCall(IOmission.defendCancelled, (claimed, 0, recordOf(epoch, other), cancel)),
            IOmission.NotReplacing.selector
        );
        cancel = cancelBy(BUYER, bought);
        exchange.defendCancelled(claimed, 0, "", cancel);
    }

    // --- replacements

    /// A key replaces what it signed, its account whatever its keys signed, and no key what its account did.
    function test_replacements_follow_who_signed() external {
        start();
        Order memory first = byAgent(900, 200_000);
        byKey.replaces = hashOf(epoch, first);
        Order memory own = replacing(epoch, byKey);
        own.key = BUYER;
        Order memory late = replacing(epoch, own);
        late.key = AGENT;
        proveOf(book(own, late, sold));
        claimOmissionOf(first, 0);
        bytes memory records = bytes.concat(recordOf(epoch, first), recordOf(epoch, byKey));
        Inclusion memory proof = inclusionOf(hashes, hashOf(epoch, own));
        bytes32 claimed = hashOf(epoch, first);
        refusedAs(
            abi.encodeCall(
                IOmission.defendReplaced, (claimed, 0, bytes.concat(records, recordOf(epoch, late)), proof)
            ),
            IOmission.NotReplacing.selector
        );
        records = bytes.concat(records, recordOf(epoch, own));
        Inclusion memory further = inclusionOf(hashes, hashOf(epoch, late));
        refused(
            abi.encodeCall(
                IOmission.defendReplaced, (claimed, 0, bytes.concat(records, recordOf(epoch, late)), further)
            ),
            abi.encodeWithSelector(IOmission.NotReplacing.selector, hashOf(epoch, late), hashOf(epoch, own))
        );
        exchange.defendReplaced(claimed, 0, records, proof);
        isTrue(exchange.claimOf(claimed).stage == ClaimStage.Defeated, "defeated");
    }

    /// Clearing what a key replaced is paid; what it says to replace of its account's is not.
    function test_a_replaced_order_of_a_key_is_paid() external {
        start();
        Order memory second = replacing(epoch, byKey);
        Order memory wrong = replacing(epoch, bought);
        wrong.key = AGENT;
        proveOf(book(byKey, bought, sold));
        refusedAs(replacedCall(bought, wrong), IOmission.NotReplacing.selector);
        send(replacedCall(byKey, second));
    }

    // --- submitting

    /// An ended key takes no place from its account.
    function test_an_ended_key_submits_nothing() external {
        start();
        revoke();
        refused(
            submitCall(epoch, byKey), abi.encodeWithSelector(ISessionKeys.KeyEnded.selector, buyer, agent)
        );
    }

    /// The account takes a place from its key, its key never from it.
    function test_a_place_is_the_accounts_before_its_keys() external {
        start();
        submit(epoch, byKey);
        Order memory again = replacing(epoch, byKey);
        submit(epoch, again);
        Order memory own = replacing(epoch, again);
        own.key = BUYER;
        submit(epoch, own);
        Order memory late = replacing(epoch, own);
        late.key = AGENT;
        refused(
            submitCall(epoch, late),
            abi.encodeWithSelector(IOmission.SubmissionTaken.selector, buyer, hashOf(epoch, own))
        );
        eq(uint256(exchange.submittedIn(hashOf(epoch, own))), epoch, "there");
        eq(uint256(exchange.submissionsOf(epoch, 0)), 1, "one place");
        (Posted memory posted, Carry memory carry) = bringForced(epoch, book(own, sold));
        close(epoch, posted, carry);
    }

    /// A key revoked after it submitted leaves the session provable.
    function test_revoking_a_submitted_order_leaves_the_session_provable() external {
        start();
        submit(epoch, byKey);
        revoke();
        bytes32[] memory all = commit(epoch, book(byKey));
        Posted memory posted = postedFor(new Order[](0));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        Carry memory carry = carryAfter(new Order[](0), all);
        carry.submitted = 1;
        bytes memory records = flagged(recordOf(epoch, byKey));
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        close(epoch, posted, carry);
    }

    // --- helpers

    function cancelledCall(Order memory o, uint256 by) private view returns (bytes memory) {
        bytes32 hash = hashOf(epoch, o);
        Receipt memory receipt = receiptOf(epoch, cancelDigest(epoch, o), 0);
        Inclusion memory proof = inclusionOf(hashes, hash);
        bytes memory cancel = cancelBy(by, o);
        return
            abi.encodeCall(IOmission.claimCancelled, (epoch, 0, recordOf(epoch, o), proof, cancel, receipt));
    }

    function replacedCall(Order memory o, Order memory other) private view returns (bytes memory) {
        Receipt memory receipt = receiptOf(epoch, hashOf(epoch, other), 0);
        Inclusion memory proof = inclusionOf(hashes, hashOf(epoch, o));
        return abi.encodeCall(
            IOmission.claimReplaced, (epoch, 0, recordOf(epoch, o), proof, recordOf(epoch, other), receipt)
        );
    }
}
