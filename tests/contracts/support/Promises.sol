// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Carry, Posted} from "../../../contracts/interfaces/IClearing.sol";
import {IProof} from "../../../contracts/interfaces/IProof.sol";
import {IOmission, Receipt} from "../../../contracts/interfaces/IOmission.sol";
import {Absence} from "../../../contracts/libraries/Membership.sol";
import {Claims} from "./Claims.sol";
import {Order} from "./Market.sol";

/// @title An operator's session with a bond, in which a buyer and a seller meet
abstract contract Promises is Claims {
    uint24 internal epoch;
    Order internal bought;
    Order internal sold;
    bytes32[] internal hashes;

    function setUp() external {
        setUpClaims();
        epoch = openBonded(0);
        (bought, sold) = (buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
    }

    // --- helpers

    function closeCall(Posted memory posted, Carry memory carry) internal returns (bytes memory) {
        vm.prank(operator);
        return abi.encodeCall(IProof.closeZone, (epoch, 0, posted, carry, noChildren(), noFlows()));
    }

    function omittedOne() internal view returns (bytes memory) {
        return abi.encodeWithSelector(IProof.SubmissionOmitted.selector, epoch, 0, 0, 1);
    }

    /// @dev The call changes nothing and says exactly this.
    function refused(bytes memory data, bytes memory error) internal {
        (bool done, bytes memory answer) = address(exchange).call(data);
        isTrue(!done, "refused");
        eq(answer, error, "for this reason");
    }

    /// @dev The same where only the error's name matters.
    function refusedAs(bytes memory data, bytes4 selector) internal {
        (bool done, bytes memory answer) = address(exchange).call(data);
        isTrue(!done && bytes4(answer) == selector, "refused for this reason");
    }

    function send(bytes memory data) internal {
        (bool done, bytes memory answer) = address(exchange).call(data);
        if (done) return;
        assembly {
            revert(add(answer, 0x20), mload(answer))
        }
    }

    /// @dev Proves the session without the seller's order.
    function proveWithout() internal {
        proveOf(book(bought));
    }

    function proveOf(Order[] memory orders) internal {
        prove(epoch, orders);
        hashes = sortBook(epoch, orders);
    }

    function submitCall(uint24 which, Order memory o) internal view returns (bytes memory) {
        return abi.encodeCall(IOmission.submit, (which, 0, flagged(recordOf(which, o))));
    }

    function omissionCall(Order memory o, uint32 sequence) internal view returns (bytes memory) {
        bytes32 hash = hashOf(epoch, o);
        Receipt memory receipt = receiptOf(epoch, hash, sequence);
        Absence memory proof = absenceOf(hashes, hash);
        return abi.encodeCall(IOmission.claimOmission, (epoch, 0, recordOf(epoch, o), receipt, proof));
    }

    function claimOmissionOf(Order memory o, uint32 sequence) internal {
        send(omissionCall(o, sequence));
    }

    function voidCall(uint24 which, Order memory o, uint32 sequence) internal view returns (bytes memory) {
        Receipt memory receipt = receiptOf(which, hashOf(which, o), sequence);
        return abi.encodeCall(IOmission.claimVoid, (which, 0, recordOf(which, o), receipt));
    }

    function claimVoidOf(uint24 which, Order memory o, uint32 sequence) internal {
        send(voidCall(which, o, sequence));
    }
}
