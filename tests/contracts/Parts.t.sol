// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams} from "../../contracts/interfaces/IAuction.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {RoundPrices, RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../contracts/interfaces/IStatements.sol";
import {Order} from "./support/Market.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

/// @title Whatever is short, a part as oracles cut it is certified in a transaction
/// @dev Everyone but a seller bought in every window of every round, and nothing is delivered. oracle/posting.py cuts parts of 2,400 windows over all their
/// accounts and rounds.
contract PartsTest is MeteredDay {
    /// @dev EIP-7825.
    uint256 private constant TRANSACTION_GAS = 1 << 24;
    uint256 private constant WINDOWS_PER_PART = 2400;
    int32 private constant SURPLUS = 80_000;
    int32 private constant DEFICIT = 240_000;

    event Certified(uint256 gasEachWindowAndRound);

    function test_a_part_of_one_round_is_certified_at_once() external {
        requireCertified(48, 1);
    }

    function test_a_part_of_four_rounds_is_certified_at_once() external {
        requireCertified(48, 4);
    }

    function requireCertified(uint16 windows, uint8 rounds) private {
        setUpWorld(windows);
        uint256 accounts = WINDOWS_PER_PART / windows / rounds;
        for (uint256 i; prosumers.length < accounts; ++i) {
            register(vm.addr(0xB000 + i), 1, 20_000, false);
            fund(vm.addr(0xB000 + i), RICH);
        }
        for (uint8 round; round < rounds; ++round) {
            SessionParams memory session = paramsOf(round);
            prove(openSession(session), bookOf(accounts));
        }
        (Posting memory p, Statement memory s, RunCarry memory carry) = settleTheDay();
        RoundPrices[] memory prices = roundPrices();
        bytes memory data = abi.encodeCall(exchange.certify, (p, s, carry, prices));
        vm.cool(address(exchange));
        uint256 before = gasleft();
        (bool certified,) = address(exchange).call(data);
        uint256 used = before - gasleft();
        isTrue(certified, "not refused");
        used += costOf(data);
        emit Certified(used / accounts / windows / rounds);
        (RunStage stage,,) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Certified, "certified");
        isTrue(used < TRANSACTION_GAS, "in a transaction");
    }

    /// @dev What one sells, and all others buy.
    function bookOf(uint256 accounts) private view returns (Order[] memory list) {
        list = new Order[](accounts - 3);
        for (uint256 i; i < accounts - 5; ++i) {
            list[i] = buy(0xB000 + i, 100, 200_000);
        }
        list[accounts - 5] = buy(BUYER, 100, 200_000);
        list[accounts - 4] = sell(SELLER, 100 * (accounts - 4), 100_000);
    }

    function settleTheDay() private returns (Posting memory p, Statement memory s, RunCarry memory carry) {
        bytes memory entries;
        for (uint256 i; i < prosumers.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], 0));
        }
        p = postingOf(entries, SURPLUS, DEFICIT);
        carry = initialRun();
        for (uint256 i; i < prosumers.length; ++i) {
            countAccount(carry, prosumers[i], 0, SURPLUS, DEFICIT);
        }
        countBalancer(carry);
        vm.warp(AFTERWARDS);
        postDay(p);
        settle(p, entries, noRunCarry());
        carry = certifyStart(carry);
        s = statementOf(accountsFrom(0, prosumers.length));
        bytes32 none = keccak256(rowOf(seller));
        for (uint256 i; i < prosumers.length; ++i) {
            bytes memory row = rowOf(prosumers[i]);
            if (keccak256(row) != none) s.rows = bytes.concat(s.rows, row);
        }
    }

    /// @dev What a transaction with this calldata costs before it begins.
    function costOf(bytes memory data) private pure returns (uint256 gas) {
        gas = 21_000;
        for (uint256 i; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }
}
