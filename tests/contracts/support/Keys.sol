// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IClearing, Posted} from "../../../contracts/interfaces/IClearing.sol";
import {KeyGrant, KeyRevocation} from "../../../contracts/interfaces/ISessionKeys.sol";
import {Order} from "./Market.sol";
import {Promises} from "./Promises.sol";

/// @title A buyer whose agent signs with a session key
abstract contract Keys is Promises {
    bytes32 private constant GRANT_TYPE_HASH = keccak256(
        "KeyGrant(address account,address key,uint32 zone,uint8 kinds,uint32 maxWhPerWindow,uint128 maxSpendNanoPerDay,uint64 expiry,"
        "uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant REVOCATION_TYPE_HASH =
        keccak256("KeyRevocation(address account,address key,uint256 nonce,uint256 deadline)");

    uint256 internal constant AGENT = 0xA6E27;
    uint8 internal constant ENERGY = 1;
    uint8 internal constant REVOKED = 8;
    uint8 internal constant BEYOND = 9;
    uint32 internal constant MOST_WH = 2000;
    /// @dev Of two windows at 200,000 micro/kWh: what the agent's order of 1000 Wh may spend, twice.
    uint128 internal constant MOST_SPEND = 8e8;
    uint64 internal constant EXPIRY = DAY_BEGINS + 30 days;

    address internal immutable agent = vm.addr(AGENT);

    struct Use {
        uint24 day;
        uint24 epoch;
        uint32 wh;
        uint256 pending;
        uint256 spent;
    }

    // --- granting

    function grant() internal {
        grant(ENERGY, MOST_WH, MOST_SPEND, EXPIRY);
    }

    /// @dev The buyer's agent may trade for it.
    function grant(uint8 kinds, uint32 wh, uint128 spend, uint64 expiry) internal {
        tradesFor[AGENT] = buyer;
        vm.prank(buyer);
        exchange.grantKey(agent, 0, kinds, wh, spend, expiry);
    }

    function revoke() internal {
        vm.prank(buyer);
        exchange.revokeKey(agent);
    }

    function grantMessage(uint256 nonce) internal view returns (KeyGrant memory) {
        return
            KeyGrant(buyer, agent, 0, ENERGY, MOST_WH, MOST_SPEND, EXPIRY, nonce, block.timestamp + 1 hours);
    }

    function signGrant(uint256 key, KeyGrant memory message) internal view returns (bytes memory) {
        return signStruct(key, keccak256(abi.encode(GRANT_TYPE_HASH, message)));
    }

    function signRevocation(uint256 key, KeyRevocation memory message) internal view returns (bytes memory) {
        return signStruct(key, keccak256(abi.encode(REVOCATION_TYPE_HASH, message)));
    }

    function useOf() internal view returns (Use memory u) {
        (u.day, u.epoch, u.wh, u.pending, u.spent) = exchange.keyUseOf(buyer, agent);
    }

    // --- orders of the agent

    /// @dev The buyer's order, in the words of its own, signed by its agent.
    function byAgent(uint256 wh, int256 limit) internal view returns (Order memory) {
        return buy(AGENT, wh, limit);
    }

    /// @dev Clears an order alone: it fills zero for this reason.
    function requireReason(uint24 which, Order memory o, uint8 reason) internal {
        uint256 snapshot = vm.snapshotState();
        bytes32[] memory all = commit(which, book(o));
        Posted memory posted = postedFor(new Order[](0));
        vm.prank(operator);
        exchange.postHeader(which, posted.qualityPotentials);
        bytes memory records = recordOf(which, o);
        bytes32 used = keccak256(abi.encode(useOf()));
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(which, traderOf(o.key), all[0], reason);
        vm.prank(operator);
        exchange.clear(which, 0, posted, noCarry(), records);
        eq(keccak256(abi.encode(useOf())), used, "nothing is used up");
        vm.revertToState(snapshot);
    }

    /// @dev The cancel of an order, signed by some key.
    function cancelBy(uint256 key, Order memory o) internal view returns (bytes memory) {
        return signStruct(key, cancelStruct(epoch, hashOf(epoch, o)));
    }
}
