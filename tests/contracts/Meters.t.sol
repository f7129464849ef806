// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IChallenges, ReadingChallenge} from "../../contracts/interfaces/IChallenges.sol";
import {IMeters} from "../../contracts/interfaces/IMeters.sol";
import {CertifiedDay} from "./support/CertifiedDay.sol";

/// @title Keys that follow one another
contract MetersTest is CertifiedDay {
    uint256 private constant NEXT = 0x5EC0;

    function setUp() external {
        setUpCertified();
    }

    function rotate(uint256 key, uint32 fromWindow) private {
        (bytes32 x, bytes32 y) = publicKeyOf(key);
        vm.prank(registrar);
        exchange.rotateMeter(meterOf(buyer), x, y, fromWindow);
    }

    function refuseRotation(bytes32 meter, uint256 key, uint32 fromWindow, bytes4 error) private {
        (bytes32 x, bytes32 y) = publicKeyOf(key);
        vm.prank(registrar);
        refuse(abi.encodeWithSelector(error, meter));
        exchange.rotateMeter(meter, x, y, fromWindow);
    }

    /// A key belongs to one account, which may use it for several meters.
    function test_a_key_belongs_to_one_account() external {
        (bytes32 x, bytes32 y) = publicKeyOf(meterKeyOf(buyer));
        vm.startPrank(registrar);
        refuse(abi.encodeWithSelector(IMeters.BadMeter.selector, bytes32("second")));
        exchange.registerMeter("second", seller, x, y);
        exchange.registerMeter("second", buyer, x, y);
        exchange.revokeMeter("second");
        exchange.revokeMeter(meterOf(buyer));
        refuse(abi.encodeWithSelector(IMeters.BadMeter.selector, bytes32("third")));
        exchange.registerMeter("third", seller, x, y);
    }

    /// A rotation names a later window each time, a point of the curve, and no other account's key.
    function test_rotations_go_forward() external {
        rotate(NEXT, 10);
        bytes32 meter = meterOf(buyer);
        (address account, bytes32 x,) = exchange.meterOf(meter);
        (bytes32 expected, bytes32 y) = publicKeyOf(NEXT);
        eq(account, buyer, "account");
        eq(x, expected, "the new key");
        refuseRotation(meter, NEXT + 1, 10, IMeters.BadMeter.selector);
        refuseRotation(meter, NEXT + 1, 9, IMeters.BadMeter.selector);
        refuseRotation(meter, meterKeyOf(seller), 11, IMeters.BadMeter.selector);
        refuseRotation("none", NEXT + 1, 11, IMeters.UnknownMeter.selector);
        vm.startPrank(registrar);
        refuse(abi.encodeWithSelector(IMeters.BadMeter.selector, meter));
        exchange.rotateMeter(meter, x, bytes32(uint256(y) ^ 1), 11);
        exchange.revokeMeter(meter);
        vm.stopPrank();
        refuseRotation(meter, NEXT + 1, 11, IMeters.UnknownMeter.selector);
    }

    /// Each window has the key of its time: the former below the rotation, the new one from there on.
    function test_each_window_has_its_key() external {
        openCertified();
        rotate(NEXT, DAY + 1);
        refuseKey(0, NEXT);
        refuseKey(2, meterKeyOf(buyer));
        challengeWith(0, meterKeyOf(buyer));
        challengeWith(2, NEXT);
    }

    /// A revoked meter has no key, the former ones included.
    function test_revocation_ends_former_keys() external {
        openCertified();
        rotate(NEXT, DAY + 1);
        vm.prank(registrar);
        exchange.revokeMeter(meterOf(buyer));
        refuseKey(0, meterKeyOf(buyer));
        refuseKey(2, NEXT);
    }

    /// What a meter signed while its key counted stays good when another follows from a later window.
    function test_a_later_rotation_changes_no_earlier_window() external {
        openCertified();
        rotate(NEXT, DAY + 1);
        rotate(NEXT + 1, DAY + 2);
        refuseKey(2, NEXT + 1);
        challengeWith(2, NEXT);
        challengeWith(0, meterKeyOf(buyer));
    }

    /// A meter does not come back to a key it had: what that signed keeps its windows.
    function test_a_key_does_not_come_back() external {
        openCertified();
        rotate(NEXT, 10);
        refuseRotation(meterOf(buyer), meterKeyOf(buyer), DAY, IMeters.BadMeter.selector);
    }

    function challengeBy(uint256 index, uint256 key) private view returns (ReadingChallenge memory c) {
        c = challengeOf(index, 850, 6);
        c.read = signRead(key, c.read.message);
    }

    function challengeWith(uint256 index, uint256 key) private {
        ReadingChallenge memory c = challengeBy(index, key);
        vm.prank(buyer);
        exchange.challengeReading(c);
    }

    function refuseKey(uint256 index, uint256 key) private {
        ReadingChallenge memory c = challengeBy(index, key);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IChallenges.BadMeterKey.selector, meterOf(buyer)));
        exchange.challengeReading(c);
    }
}
