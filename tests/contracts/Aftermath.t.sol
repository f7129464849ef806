// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Challenge, IChallenges, ReadingChallenge} from "../../contracts/interfaces/IChallenges.sol";
import {ICorrections} from "../../contracts/interfaces/ICorrections.sol";
import {IDelivery} from "../../contracts/interfaces/IDelivery.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {ROLE_OPERATOR} from "../../contracts/libraries/Member.sol";
import {CertifiedDay, Told} from "./support/CertifiedDay.sol";
import {Vm} from "./support/Vm.sol";

/// @title Whatever follows a day: energy and cash net to zero over all that is told, and all cash is what the vault holds
contract AftermathTest is CertifiedDay {
    uint256 private constant EVENTS = 5;
    uint256 private constant REST = type(uint256).max; // an event of cash alone

    mapping(bytes32 topic => uint256 place) private placeOf; // of the imbalance among the event's words, from 1
    uint64 private sequence = 5;

    function setUp() external {
        setUpCertified();
        register(meterOperator, ROLE_OPERATOR, 0, false);
        fund(meterOperator, RICH);
        vm.prank(registrar);
        exchange.setChallengeBond(5e9);
        vm.prank(meterOperator);
        exchange.bondOracles(12e9);
        placeOf[ISettlement.AccountSettled.selector] = 1;
        placeOf[ISettlement.RunSettled.selector] = 2;
        placeOf[IDelivery.AccountDelivered.selector] = 1;
        placeOf[IDelivery.PartCertified.selector] = 1;
        placeOf[IDelivery.RunCertified.selector] = REST;
        placeOf[IChallenges.AccountCorrected.selector] = 1;
        placeOf[ICorrections.PartCorrected.selector] = 2;
        placeOf[IChallenges.ChallengeSettled.selector] = 1;
    }

    /// A run, its delivery, and any corrections and challenges behind it, answered in any way.
    /// forge-config: default.fuzz.runs = 48
    function test_energy_and_cash_net_to_zero(uint256 seed) external {
        vm.recordLogs();
        openCertified();
        for (uint256 i; i < EVENTS; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            if (seed % 2 == 0) correctAny(seed >> 8);
            else challengeAny(seed >> 8);
        }
        (int256 wh, int256 cash) = told();
        eq(wh, 0, "energy");
        eq(cash, 2 * 1000 * PRICE, "cash: what the buyer paid for the sale as produced");
        for (uint256 part; part < 2; ++part) {
            eq(exchange.statementOf(0, DAY, part), hashOf(statementOf(accountsOf(part))), "as stated");
        }
        requireConserved(uint256(freeOf(meterOperator)));
    }

    function correctAny(uint256 seed) private {
        int256 change = within(int256(seed >> 8), -3000, 3000);
        correctOne(prosumers[seed % prosumers.length], change == 0 ? int256(1) : change);
    }

    /// @dev Of the buyer's or the seller's first window; each read is later than all before.
    function challengeAny(uint256 seed) private {
        ReadingChallenge memory c = challengeOf(seed % 2, uint32((seed >> 8) % 2500), ++sequence);
        address account = committed[seed % 2].account;
        vm.prank(account);
        try exchange.challengeReading(c) returns (bytes32 id) {
            answerAny(seed >> 32, id, account, seed % 2);
        } catch (bytes memory reason) {
            isTrue(bytes4(reason) == IChallenges.NothingContradicted.selector, "it says what stands");
        }
    }

    function answerAny(uint256 seed, bytes32 id, address account, uint256 index) private {
        Challenge memory found = exchange.challengeOf(id);
        if (seed % 3 == 0) {
            exchange.answerChallenge(id, readOf(Told(account, found.register, 0, found.wh + 1, ++sequence)));
            return;
        }
        if (seed % 3 == 1 && found.actual) exchange.answerChallenge(id, readOf(committed[index]));
        vm.warp(block.timestamp + 2 days + 1);
        Posting memory p = dayPosting();
        uint256 part = partOf(account);
        Statement memory s = statementOf(accountsOf(part), account);
        exchange.settleChallenge(id, s, part, p.surplusMicroPerKWh, p.deficitMicroPerKWh);
        int256 more = int256(uint256(found.wh)) - int256(uint256(found.committedWh));
        restate(account, 0, found.register == EXPORT ? more : -more);
        postRun(nextRun()); // there is time to challenge again
    }

    /// @return wh the sum of all imbalances and changes that were told, the balancing party's included
    /// @return cash the same of their cash
    function told() private returns (int256 wh, int256 cash) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            uint256 place = placeOf[logs[i].topics[0]];
            if (place == 0) continue;
            bytes memory data = logs[i].data;
            if (place == REST) {
                cash += abi.decode(data, (int256));
                continue;
            }
            int256 some;
            int256 earned;
            assembly ("memory-safe") {
                some := mload(add(data, shl(5, place)))
                earned := mload(add(data, shl(5, add(place, 1))))
            }
            (wh, cash) = (wh + some, cash + earned);
        }
    }
}
