// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement} from "../../contracts/interfaces/ISettlement.sol";
import {Order} from "./support/Market.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

/// @title Gas and bytecode size against snapshots/: beyond 2% either way is a failure
/// @dev UPDATE_SNAPSHOTS=1 writes them anew. Gas is a whole transaction's: intrinsic, calldata and execution from cold storage.
contract GasTest is MeteredDay {
    string private constant GAS = "tests/contracts/snapshots/gas.json";
    string private constant SIZES = "tests/contracts/snapshots/sizes.json";
    uint256 private constant TOLERANCE_PERCENT = 2;

    function setUp() external {
        setUpWorld(48);
    }

    /// A day of 48 windows costs what it did: homes, then wide accounts.
    function test_gas_is_as_snapped() external {
        uint256 before = vm.snapshotState();
        uint256[4] memory homes = [SELLER, BUYER, SECOND_SELLER, SECOND_BUYER];
        measureDay("homes", homes);
        vm.revertToState(before);
        uint256[4] memory wide = [uint256(0xA1), 0xA2, 0xA3, 0xA4];
        for (uint256 i; i < 4; ++i) {
            register(vm.addr(wide[i]), 1, 1 << 20, true);
            fund(vm.addr(wide[i]), RICH);
        }
        measureDay("wide", wide);
    }

    /// What four orders of session keys take more than their accounts' own: the first of a key, and one of the day after.
    function test_gas_of_session_keys_is_as_snapped() external {
        uint256[4] memory owners = [SELLER, BUYER, SECOND_SELLER, SECOND_BUYER];
        uint256[4] memory keys;
        for (uint256 i; i < 4; ++i) {
            keys[i] = 0x5E55 + i;
            tradesFor[keys[i]] = vm.addr(owners[i]);
            vm.prank(vm.addr(owners[i]));
            exchange.grantKey(vm.addr(keys[i]), 0, 1, type(uint32).max, 1 << 90, DAY_BEGINS);
        }
        for (uint8 round; round < 2; ++round) {
            uint24 epoch = openRound(round);
            Order[] memory orders = fourOrders(keys);
            bytes32[] memory hashes = commit(epoch, orders);
            Posted memory posted = postedFor(orders);
            vm.prank(operator);
            exchange.postHeader(epoch, posted.qualityPotentials);
            bytes memory call_ =
                abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), recordsOf(epoch, orders)));
            string memory which = round == 0 ? "first" : "next";
            measure(string.concat("clear_4_schedules_48_windows_keys_", which), operator, call_);
            close(epoch, posted, carryAfter(orders, hashes));
        }
    }

    /// Contracts are as large as they were, and fit.
    function test_sizes_are_as_snapped() external {
        string[7] memory names = [
            "Exchange",
            "ClearingModule",
            "ProofModule",
            "SettlementModule",
            "OmissionModule",
            "DeliveryModule",
            "ChallengeModule"
        ];
        for (uint256 i; i < names.length; ++i) {
            uint256 size = vm.getDeployedCode(string.concat("Exchange.sol:", names[i])).length;
            isTrue(size <= 24_576, string.concat(names[i], " fits EIP-170"));
            compare(SIZES, names[i], size);
        }
    }

    /// @dev Two sell to two, all 48 windows; everyone is metered beside what it traded.
    function measureDay(string memory who, uint256[4] memory keys) private {
        uint24 epoch = openRound(0);
        Order[] memory orders = fourOrders(keys);
        bytes32[] memory hashes = commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory call_ =
            abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), recordsOf(epoch, orders)));
        measure(string.concat("clear_4_schedules_48_windows_", who), operator, call_);
        Carry memory carry = carryAfter(orders, hashes);
        call_ = abi.encodeCall(IProof.closeZone, (epoch, 0, posted, carry, noChildren(), noFlows()));
        measure(string.concat("close_zone_48_windows_", who), operator, call_);
        noteRound(epoch, posted);
        measureRun(who, keys);
    }

    function fourOrders(uint256[4] memory keys) private view returns (Order[] memory orders) {
        orders = new Order[](4);
        for (uint256 i; i < 4; ++i) {
            orders[i] =
                order(keys[i], uint8(1 - i % 2), 1000 + 10 * i, int256(150_000 - 10_000 * int256(1 - i % 2)));
        }
    }

    function measureRun(string memory who, uint256[4] memory keys) private {
        bytes memory entries;
        for (uint256 i; i < prosumers.length; ++i) {
            bool traded;
            for (uint256 k; k < 4; ++k) {
                traded = traded || prosumers[i] == vm.addr(keys[k]);
            }
            if (!traded) continue;
            entries = bytes.concat(entries, entry(prosumers[i], 900));
        }
        Posting memory p = postingOf(entries, 80_000, 240_000);
        p.parts = new bytes32[](2); // another one would end the run
        p.parts[0] = keccak256(entries);
        vm.warp(AFTERWARDS);
        postDay(p);
        bytes memory call_ = abi.encodeCall(ISettlement.settle, (p, entries, noRunCarry(), roundPrices()));
        measure(string.concat("settle_4_accounts_48_windows_", who), meterOperator, call_);
    }

    function measure(string memory name, address sender, bytes memory call_) private {
        vm.cool(address(exchange));
        vm.prank(sender);
        (bool done, bytes memory answer) = address(exchange).call(call_);
        uint256 used = vm.lastCallGas().gasTotalUsed;
        if (!done) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        compare(GAS, name, used + 21_000 + calldataGas(call_));
    }

    function calldataGas(bytes memory call_) private pure returns (uint256 gas_) {
        for (uint256 i; i < call_.length; ++i) {
            gas_ += call_[i] == 0 ? 4 : 16;
        }
    }

    function compare(string memory file, string memory name, uint256 found) private {
        string memory key = string.concat(".", name);
        if (vm.envOr("UPDATE_SNAPSHOTS", false)) {
            vm.writeJson(vm.toString(found), file, key);
            return;
        }
        uint256 snapped = vm.parseJsonUint(vm.readFile(file), key);
        uint256 drift = found > snapped ? found - snapped : snapped - found;
        string memory what =
            string.concat(name, ": ", vm.toString(snapped), " was snapped, now ", vm.toString(found));
        isTrue(drift * 100 <= snapped * TOLERANCE_PERCENT, what);
    }
}
