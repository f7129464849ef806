// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, Posted} from "../../contracts/interfaces/IClearing.sol";
import {Order} from "./support/Market.sol";
import {SharedDay} from "./support/SharedDay.sol";
import {Checks} from "./support/Vm.sol";

/// @title Community: what members, operator and guardian may do in any order, over one day of two windows
contract Community is SharedDay {
    uint8 private constant MOST_ROUNDS = 5;

    uint24 private underway;
    bytes private pending; // posting and carry of the session under way
    uint256 private notBefore; // no pause
    uint8 public rounds; // opened
    bool private settled;
    mapping(uint256 call => uint256 times) public done;

    constructor() {
        setUpWorld(2);
    }

    function deposit(uint256 who, uint96 amount) external {
        fund(memberAt(who), amount % RICH);
        ++done[0];
    }

    function withdraw(uint256 who, uint256 share) external {
        address account = memberAt(who);
        int256 free = freeOf(account);
        if (free <= 0) return;
        vm.prank(account);
        exchange.requestWithdrawal(within(share, 1, uint256(free)));
        ++done[1];
    }

    function executeWithdrawal(uint256 who) external {
        for (uint256 i; i < members(); ++i) {
            (uint256 amount,) = exchange.withdrawalOf(memberAt(who % members() + i));
            if (amount == 0) continue;
            exchange.executeWithdrawal(memberAt(who % members() + i));
            ++done[2];
            return;
        }
    }

    /// @dev Opens a round, commits a book of any five orders and clears it, up to the proof.
    function bringRound(uint256[5] calldata seeds) external {
        if (settled || underway != 0 || rounds == MOST_ROUNDS) return;
        SessionParams memory params = paramsOf(rounds);
        uint24 latest = exchange.latestEpoch();
        uint64 after_ = latest == 0 ? uint64(block.timestamp) : exchange.deadlineOf(latest);
        if (after_ < block.timestamp) after_ = uint64(block.timestamp);
        if (after_ + 61 > DAY_BEGINS) return;
        (params.gate, params.commitBy, params.proveBy) = (after_ + 61, after_ + 62, after_ + 120);
        underway = openSession(params);
        ++rounds;
        Order[] memory orders = new Order[](5);
        uint256[5] memory keys = [SELLER, BUYER, SECOND_SELLER, BALANCER, WIDE];
        for (uint256 i; i < 5; ++i) {
            int256 limit = int256(seeds[i] >> 8 & 7) * 50_000 - 50_000;
            orders[i] = order(keys[i], uint8(seeds[i] & 1), seeds[i] >> 16 & 8191, limit);
            orders[i].quantityWh[1] = uint32(seeds[i] >> 64 & 16_383);
            donate(orders[i], seeds[i] >> 96);
        }
        // Whoever could not cover its schedule brings none: eligibility is tested elsewhere.
        Order[] memory counting = coverable(orders, params);
        (Posted memory posted, Carry memory carry) = bring(underway, counting);
        pending = abi.encode(posted, carry);
        ++done[3];
    }

    /// @dev One sale in four is for somebody else's benefit.
    function donate(Order memory o, uint256 seed) private view {
        address named = memberAt(seed >> 2);
        if (o.side == 1 && seed & 3 == 1 && named != vm.addr(o.key)) o.beneficiary = named;
    }

    function coverable(Order[] memory orders, SessionParams memory params)
        private
        view
        returns (Order[] memory list)
    {
        uint256 count;
        for (uint256 i; i < orders.length; ++i) {
            address account = vm.addr(orders[i].key);
            (uint256 withdrawing,) = exchange.withdrawalOf(account);
            uint256 cover = uint256(orders[i].quantityWh[0]) + orders[i].quantityWh[1];
            cover *= PRODUCED_RESERVE;
            if (freeOf(account) >= int256(cover + withdrawing)) orders[count++] = orders[i];
        }
        list = new Order[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = orders[i];
        }
    }

    function proveRound() external {
        if (underway == 0) return;
        (Posted memory posted, Carry memory carry) = abi.decode(pending, (Posted, Carry));
        if (carry.count == 0) carry = noCarry();
        close(underway, posted, carry);
        underway = 0;
        ++done[4];
    }

    function voidRound() external {
        if (underway == 0) return;
        vm.warp(uint256(exchange.deadlineOf(underway)) + 1);
        underway = 0;
        ++done[5];
    }

    function transferClaim(uint256 from, uint256 to, uint256 which, uint256 share) external {
        for (uint256 i; i < members() * rounds * 2; ++i) {
            uint256 at = from % 1000 + i;
            uint256 id = claimOf(uint8(at / 2 % rounds), at % 2);
            address giver = memberAt(which % members() + at / 2 / rounds);
            if (exchange.balanceOf(giver, id) == 0) continue;
            give(giver, memberAt(to), id, share);
            return;
        }
    }

    function give(address giver, address taker, uint256 id, uint256 share) private {
        uint256 amount = within(share, 1, exchange.balanceOf(giver, id));
        vm.prank(taker);
        exchange.accept(giver, id, amount);
        vm.prank(giver);
        exchange.transfer(taker, id, amount);
        ++done[6];
    }

    /// @dev Ends the day, one time in four: most calls find it still trading.
    function settleDay(int256[5] calldata wh, int32 surplus, int32 deficit) external {
        if (settled || underway != 0 || rounds < 2 || wh[0] & 3 != 0) return;
        int256[] memory metered = new int256[](prosumers.length);
        for (uint256 i; i < metered.length; ++i) {
            metered[i] = within(wh[i], -20_000, 20_000);
        }
        surplus = int32(within(int256(surplus), -500_000, 900_000));
        deficit = int32(within(int256(deficit), surplus, 900_000));
        settled = true;
        runDay(metered, surplus, deficit);
        ++done[7];
    }

    /// @dev Pauses, three times at most, and lets time pass; the pause is ended or ends by itself.
    function pause(uint256 lasts) external {
        if (done[8] == 3) return;
        if (block.timestamp < notBefore) vm.warp(notBefore);
        vm.prank(guardian);
        exchange.pause();
        vm.warp(block.timestamp + lasts % (2 * uint256(MAX_PAUSE)));
        if (exchange.paused()) {
            vm.prank(guardian);
            exchange.unpause();
        }
        notBefore = block.timestamp + MAX_PAUSE;
        if (underway != 0 && stageOf(underway) == Stage.Void) underway = 0;
        ++done[8];
    }

    // --- what the invariants read

    function memberAt(uint256 index) public view returns (address) {
        index %= prosumers.length + 1;
        return index == 0 ? balancer : prosumers[index - 1];
    }

    function members() public view returns (uint256) {
        return prosumers.length + 1;
    }

    /// @dev Claims and obligations balance in every round and window.
    /// @return cash free and reserved cash of all, with what unsettled tokens keep reserved and what is not paid for them yet
    function allCash() external view returns (int256 cash) {
        for (uint256 i; i < members(); ++i) {
            (int256 free, uint256 reserved,,) = exchange.cashOf(memberAt(i));
            cash += free + int256(reserved);
        }
        for (uint8 round; round < rounds; ++round) {
            for (uint256 w; w < 2; ++w) {
                (uint256 claims, uint256 obligations) = tokens(round, w);
                eq(claims, obligations, "claims and obligations balance");
                cash += int256(claims * BUY_RESERVE) + kept(round, w, obligations);
            }
        }
    }

    /// @dev What is kept of sales, those as produced of metered accounts with what they will be paid.
    function kept(uint8 round, uint256 w, uint256 obligations) private view returns (int256 nano) {
        if (obligations == 0) return 0;
        uint256 unmetered = exchange.balanceOf(balancer, obligationOf(round, w));
        int256 each = int256(PRODUCED_RESERVE) + priceOf(round, 0, w);
        return int256(unmetered * SELL_RESERVE) + int256(obligations - unmetered) * each;
    }

    function held() external view returns (int256) {
        return int256(token.balanceOf(address(exchange)));
    }

    function tokens(uint8 round, uint256 window) private view returns (uint256 claims, uint256 obligations) {
        for (uint256 i; i < members(); ++i) {
            claims += exchange.balanceOf(memberAt(i), claimOf(round, window));
            obligations += exchange.balanceOf(memberAt(i), obligationOf(round, window));
        }
    }

    /// @return owed what members other than the balancing party owe, `tracked` what the contract says they do
    function debts() external view returns (uint256 owed, uint256 tracked) {
        for (uint256 i = 1; i < members(); ++i) {
            int256 free = freeOf(memberAt(i));
            if (free < 0) owed += uint256(-free);
        }
        return (owed, exchange.totalNegative());
    }

    /// @return bits of all lanes outside the day's two windows, of any account, side and round
    function strayLanes() external view returns (uint256 bits) {
        for (uint256 i; i < members(); ++i) {
            (uint256 lanes, uint256 width) = exchange.memberOf(memberAt(i)).isWide() ? (8, 32) : (16, 16);
            for (uint8 round; round < rounds; ++round) {
                for (uint8 side; side < 2; ++side) {
                    uint256 key = idOf(side, round, 0, 0, 0) - DAY + DAY / lanes;
                    // The day begins with a slot: its two windows are the two lowest lanes.
                    bits |= exchange.lanesOf(memberAt(i), key) >> (2 * width);
                }
            }
        }
    }
}

contract InvariantsTest is Checks {
    Community private community;

    function setUp() external {
        community = new Community();
    }

    /// @dev Forge calls the community's functions only.
    function targetContracts() external view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(community);
    }

    /// What always holds, whatever was done: one campaign for all, since each call costs more than what is read.
    function invariant_the_books_balance() external view {
        eq(community.allCash(), community.held(), "all cash is what the Exchange holds");
        eq(community.strayLanes(), 0, "lanes of windows that were not traded are empty");
        (uint256 owed, uint256 tracked) = community.debts();
        eq(tracked, owed, "what members owe is tracked to the nano");
    }

    /// The community can do all that the invariants are to survive.
    function test_the_community_gets_around() external {
        community.deposit(1, 1000);
        for (uint256 round; round < 3; ++round) {
            uint256[5] memory seeds;
            for (uint256 i; i < 5; ++i) {
                seeds[i] = i % 2 | (i % 2 == 0 ? 5 : 2) << 8 | (1000 + round) << 16 | 500 << 64;
            }
            community.bringRound(seeds);
            if (round == 1) community.voidRound();
            else community.proveRound();
            this.invariant_the_books_balance();
        }
        community.transferClaim(0, 1, 1, 10);
        community.withdraw(2, 12_345);
        community.executeWithdrawal(0);
        community.pause(1000);
        community.settleDay([int256(0), 5000, -5000, 100, 19_999], 100_000, 200_000);
        this.invariant_the_books_balance();
        for (uint256 i; i < 9; ++i) {
            isTrue(community.done(i) != 0, string.concat("call ", vm.toString(i)));
        }
    }
}
