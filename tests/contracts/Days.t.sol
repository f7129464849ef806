// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {ROLE_BALANCING_PARTY, ROLE_PROSUMER} from "../../contracts/libraries/Member.sol";
import {World} from "./support/World.sol";

/// @title Whole days of several qualities, as vectors/generate.py had the reference clear and settle them
contract DaysTest is World {
    string private json;
    address[] private accounts;
    uint32 private day;

    function setUp() external {
        json = vm.readFile("tests/contracts/vectors/days.json");
        vm.warp(vm.parseJsonUint(json, ".opening"));
        deploy();
        eq(
            address(exchange),
            vm.parseJsonAddress(json, ".contract"),
            "orders are signed for this address: generate.py"
        );
        setUpGrid(codes(".qualities"), codes(".substitutions"));
        uint256 amount = vm.parseJsonUint(json, ".deposit");
        for (uint256 i; vm.keyExistsJson(json, at(".accounts", i)); ++i) {
            accounts.push(vm.parseJsonAddress(json, at(".accounts", i)));
            if (i == 0) register(accounts[0], ROLE_BALANCING_PARTY, (1 << 30) - 1, true);
            else register(accounts[i], ROLE_PROSUMER, 20_000, false);
            fund(accounts[i], amount);
        }
        for (uint256 i; vm.keyExistsJson(json, at(".oracles", i)); ++i) {
            vm.prank(registrar);
            exchange.setOracle(vm.parseJsonAddress(json, at(".oracles", i)), true);
        }
        vm.prank(registrar);
        exchange.setQuorum(2);
        (day, dayWindows) =
        (uint32(vm.parseJsonUint(json, ".day")), uint16(vm.parseJsonUint(json, ".windows")));
        openDay(day, dayWindows);
    }

    /// The contracts accept what the reference accepted, and all cash and tokens are the reference's, step by step.
    function test_the_first_day() external {
        replay(0);
    }

    /// And so on another day.
    function test_the_second_day() external {
        replay(1);
    }

    function replay(uint256 which) private {
        string memory path = at(".days", which);
        uint8 opened;
        for (uint256 i;; ++i) {
            string memory step = at(string.concat(path, ".steps"), i);
            if (!vm.keyExistsJson(json, step)) break;
            uint256 time = vm.parseJsonUint(json, string.concat(step, ".at"));
            if (time != block.timestamp) {
                string memory session = at(string.concat(path, ".sessions"), opened);
                if (vm.keyExistsJson(json, session)) open(session, opened++);
                vm.warp(time);
            }
            send(step);
            if (vm.keyExistsJson(json, string.concat(step, ".expect"))) {
                check(string.concat(step, ".expect"));
            }
        }
        isTrue(stageOf(opened) == Stage.Proved, "the last session is proved");
        (RunStage stage,,) = exchange.runOf(0, day);
        isTrue(stage == RunStage.Certified, "the day is certified");
    }

    /// @dev tests/unit/reference_world.py, make_params: those of `paramsOf` but for the times.
    function open(string memory session, uint8 round) private {
        SessionParams memory params = paramsOf(round);
        (params.day, params.firstWindow) = (day, day);
        params.gate = uint64(vm.parseJsonUint(json, string.concat(session, ".gate")));
        params.commitBy = uint64(vm.parseJsonUint(json, string.concat(session, ".commit_by")));
        params.proveBy = uint64(vm.parseJsonUint(json, string.concat(session, ".prove_by")));
        params.claimBy = uint64(vm.parseJsonUint(json, string.concat(session, ".claim_by")));
        vm.warp(params.gate - 1);
        openSession(params);
    }

    function send(string memory step) private {
        bool operates = bytes(vm.parseJsonString(json, string.concat(step, ".sender")))[0] == "o";
        bytes memory data = vm.parseJsonBytes(json, string.concat(step, ".data"));
        vm.prank(operates ? operator : meterOperator);
        (bool done, bytes memory answer) = address(exchange).call(data);
        if (done) return;
        assembly {
            revert(add(answer, 0x20), mload(answer))
        }
    }

    function check(string memory expected) private view {
        uint256[] memory ids = vm.parseJsonUintArray(json, string.concat(expected, ".ids"));
        uint256[] memory balances = vm.parseJsonUintArray(json, string.concat(expected, ".balances"));
        int256 sum;
        for (uint256 i; i < accounts.length; ++i) {
            int256 free = freeOf(accounts[i]);
            eq(free, vm.parseJsonInt(json, at(string.concat(expected, ".free"), i)), "free cash");
            sum += free;
            for (uint256 k; k < ids.length; ++k) {
                eq(exchange.balanceOf(accounts[i], ids[k]), balances[i * ids.length + k], "balance");
            }
        }
        eq(
            exchange.totalNegative(),
            vm.parseJsonUint(json, string.concat(expected, ".totalNegative")),
            "debts"
        );
        isTrue(sum <= int256(token.balanceOf(address(exchange))), "no more cash than is held");
    }

    function codes(string memory key) private view returns (uint8[] memory list) {
        uint256[] memory words = vm.parseJsonUintArray(json, key);
        list = new uint8[](words.length);
        for (uint256 i; i < words.length; ++i) {
            list[i] = uint8(words[i]);
        }
    }

    function at(string memory key, uint256 index) private pure returns (string memory) {
        return string.concat(key, "[", vm.toString(index), "]");
    }
}
