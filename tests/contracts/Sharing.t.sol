// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {RunCarry, RunStage} from "../../contracts/interfaces/ISettlement.sol";
import {Order} from "./support/Market.sol";
import {SharedDay} from "./support/SharedDay.sol";

/// @title What might be tried with sales as produced: the balancing party loses nothing by it, and all cash stays
/// @dev Books of quality 0 on a day of two windows, everything at one limit, which is then the price.
contract SharingTest is SharedDay {
    int32 private constant SURPLUS = 80_000;
    int32 private constant DEFICIT = 240_000;
    int256 private constant PRICE = 150_000;

    /// @dev Withdrawn by those who leave.
    int256 private taken;

    struct Draw {
        int256 price;
        uint256 sold;
        int256 delivered;
        int256 taken;
        int32 surplus;
        int32 deficit;
    }

    function setUp() external {
        setUpWorld(2);
    }

    // --- running away with proceeds

    /// Who sells as produced never owes for it, whatever of it it delivers, though it leaves with all it may: it was paid nothing to leave with.
    /// Together with a buyer of its own it has what its meters are worth as imbalances, as if it had not traded; and the balancing party has the other side.
    /// forge-config: default.fuzz.runs = 64
    function test_who_leaves_after_the_proof_takes_nothing(uint256 seed) external {
        Draw memory d = draw(seed);
        leaveWith(seller, 2 * d.sold * PRODUCED_RESERVE);
        int256 had = freeOf(seller) + freeOf(buyer);
        int256 balancerHad = freeOf(balancer);
        trade(0, book(buy(BUYER, d.sold, d.price), sell(SELLER, d.sold, d.price)));
        eq(freeOf(seller), int256(0), "nothing to leave with");
        Delivered memory shared = runDay(meters(d.delivered, -d.taken, 0, 0), d.surplus, d.deficit);
        if (d.delivered <= int256(d.sold)) isTrue(freeOf(seller) >= 0, "the seller owes nothing");
        int256 produced = d.delivered < int256(d.sold) ? d.delivered : int256(d.sold);
        int256 worth = valueOf(d, d.delivered - produced) + valueOf(d, produced - d.taken);
        eq(freeOf(seller) + freeOf(buyer) - had, 2 * worth, "what their meters are worth");
        eq(freeOf(balancer) - balancerHad, -2 * worth, "the other side");
        eq(shared.rest, 0, "nothing is left over");
        requireConserved();
    }

    /// Who is paid for taking energy that never comes is paid by its seller, who has that reserved: together they have what they had, though the buyer leaves.
    /// forge-config: default.fuzz.runs = 64
    function test_who_is_paid_for_taking_what_never_comes_takes_it_from_its_seller(uint256 seed) external {
        Draw memory d = draw(seed);
        d.price = within(int256(seed >> 128), FLOOR, -1);
        int256 had = freeOf(seller) + freeOf(buyer);
        int256 balancerHad = freeOf(balancer);
        leaveWith(seller, 2 * d.sold * PRODUCED_RESERVE);
        trade(0, book(buy(BUYER, d.sold, d.price), sell(SELLER, d.sold, d.price)));
        leaveWith(buyer, 0);
        Delivered memory shared = runDay(meters(0, 0, 0, 0), d.surplus, d.deficit);
        isTrue(freeOf(seller) >= 0 && freeOf(buyer) >= 0, "neither owes anything");
        eq(freeOf(seller) + freeOf(buyer) + taken, had, "what they had");
        eq(freeOf(balancer), balancerHad, "the balancing party pays none of it");
        eq(shared.rest, 0, "nothing is left over");
        requireConserved();
    }

    // --- leaving between the passes

    /// A buyer who takes nothing is long until what is missing is shared. Leaving with that, it owes nothing, if the surplus price is at most its price and reserve.
    /// forge-config: default.fuzz.runs = 64
    function test_who_leaves_between_the_passes_with_a_surplus_leaves_its_reserves(uint256 seed) external {
        int256 delivered = int256(seed % 1001);
        int256 most = PRICE + int256(uint256(BUY_RESERVE));
        int32 surplus = int32(within(int256(seed >> 16), -500_000, most < 900_000 ? most : int256(900_000)));
        trade(0, book(buy(BUYER, 1000, PRICE), sell(SELLER, 1000, PRICE)));
        int256[] memory wh = meters(delivered, 0, 0, 0);
        noteClaims();
        RunCarry memory carry = settleAll(wh, surplus, 900_000);
        leaveWith(buyer, 0);
        int256 left = freeOf(buyer);
        int256 balancerHad = freeOf(balancer);
        certifyAll(wh, carry, surplus, 900_000);
        int256 due = 2 * (1000 - delivered) * (int256(surplus) - PRICE);
        eq(
            freeOf(buyer) - left,
            2000 * int256(uint256(BUY_RESERVE)) - due,
            "its reserves, and its price for the surplus"
        );
        if (left >= 0) isTrue(freeOf(buyer) >= 0, "it owes nothing");
        eq(freeOf(balancer) - balancerHad, 2 * (1000 - delivered) * int256(surplus), "the surplus comes back");
        requireConserved();
    }

    /// A buyer who leaves between the passes leaves the reserves of its claims: they pay the deficit that its shortfall becomes.
    /// forge-config: default.fuzz.runs = 64
    function test_who_leaves_between_the_passes_leaves_its_reserves(uint256 seed) external {
        int256 delivered = int256(seed % 1001);
        int32 deficit = int32(within(int256(seed >> 16), SURPLUS, PRICE + int256(uint256(BUY_RESERVE))));
        trade(0, book(buy(BUYER, 1000, PRICE), sell(SELLER, 1000, PRICE)));
        int256[] memory wh = meters(delivered, -1000, 0, 0);
        noteClaims();
        RunCarry memory carry = settleAll(wh, SURPLUS, deficit);
        leaveWith(buyer, 0);
        int256 balancerHad = freeOf(balancer);
        certifyAll(wh, carry, SURPLUS, deficit);
        int256 due = 2 * (1000 - delivered) * (int256(deficit) - PRICE);
        eq(freeOf(buyer), 2000 * int256(uint256(BUY_RESERVE)) - due, "what is left of its reserves");
        eq(exchange.totalNegative(), 0, "nobody owes anything");
        eq(freeOf(balancer) - balancerHad, 2 * (1000 - delivered) * int256(deficit), "the deficit is paid");
        requireConserved();
    }

    // --- prices that differ

    /// Rounds at different prices share nothing with each other: each buyer misses what its own round's seller lacks, and is paid back its own price.
    /// forge-config: default.fuzz.runs = 64
    function test_rounds_share_nothing_with_each_other(uint256 seed) external {
        Draw memory one = draw(seed);
        Draw memory two = draw(uint256(keccak256(abi.encode(seed))));
        trade(0, book(buy(BUYER, one.sold, one.price), sell(SELLER, one.sold, one.price)));
        trade(1, book(buy(SECOND_BUYER, two.sold, two.price), sell(SECOND_SELLER, two.sold, two.price)));
        int256 had = freeOf(balancer);
        Delivered memory shared =
            runDay(meters(one.delivered, -one.taken, two.delivered, -two.taken), one.surplus, one.deficit);
        requirePaidBack(buyer, one);
        requirePaidBack(secondBuyer, two);
        eq(shared.rest, 0, "nothing is left over");
        int256 theirs = sideOf(one, one) + sideOf(one, two);
        eq(freeOf(balancer) - had, -2 * theirs, "the other side of imbalances, and nothing else");
        requireConserved();
    }

    function requirePaidBack(address account, Draw memory d) private view {
        int256 missing = int256(d.sold) - d.delivered;
        if (missing < 0) missing = 0;
        eq(lacked[account], uint256(2 * missing), "what its seller lacks");
        eq(paidBack[account], 2 * missing * paidAt(d.price), "its own price");
    }

    /// @dev What a seller's and its buyer's imbalances are worth in a window.
    function sideOf(Draw memory prices, Draw memory d) private pure returns (int256) {
        int256 produced = d.delivered < int256(d.sold) ? d.delivered : int256(d.sold);
        return valueOf(prices, d.delivered - produced) + valueOf(prices, produced - d.taken);
    }

    // --- many in one market

    /// Whoever sells, buys and delivers how much, the balancing party among them: what sellers are not paid is what buyers are refunded, the balancing party's
    /// part left over; nobody is refunded more than its own price.
    /// forge-config: default.fuzz.runs = 64
    function test_all_in_one_market_share_alike(uint256 seed) external {
        Draw memory d = draw(seed);
        Order[] memory orders = new Order[](6);
        uint256[6] memory keys = [SELLER, BUYER, SECOND_SELLER, SECOND_BUYER, BALANCER, WIDE];
        for (uint256 i; i < 6; ++i) {
            uint8 side = uint8(i == 4 ? seed >> 200 & 1 : 1 - i % 2);
            orders[i] = order(keys[i], side, 1 + (seed >> (20 * i)) % 5000, d.price);
        }
        trade(0, orders);
        uint256 bought = exchange.balanceOf(balancer, claimOf(0, 0));
        int256[] memory wh = meters(d.delivered, -d.taken, d.taken, -d.delivered);
        noteClaims();
        RunCarry memory carry = settleAll(wh, d.surplus, d.deficit);
        uint256 claims = uint64(carry.tallies[0]);
        uint256 missed = missedOf(carry.tallies[0]);
        Delivered memory shared = certifyAll(wh, carry, d.surplus, d.deficit);
        isTrue(missed <= claims, "claims bear all that is lacking");
        uint256 theirs;
        for (uint256 i; i < prosumers.length; ++i) {
            theirs += lacked[prosumers[i]];
            eq(paidBack[prosumers[i]], int256(lacked[prosumers[i]]) * paidAt(d.price), "its own price");
        }
        eq(theirs, 2 * ((claims - bought) * missed / claims), "pro rata, and rounding is the last one's");
        eq(shared.rest, int256(2 * missed - theirs) * paidAt(d.price), "the balancing party's part");
        requireConserved();
    }

    /// Energy that nobody could deliver is nobody's pay: a seller of nothing dilutes others, and locks its reserve for it.
    function test_sales_of_nothing_lock_their_reserve() external {
        Order[] memory orders =
            book(buy(BUYER, 1000, PRICE), sell(SELLER, 500, PRICE), sell(SECOND_SELLER, 500, PRICE));
        trade(0, orders);
        eq(freeOf(secondSeller), int256(RICH - 1000 * PRODUCED_RESERVE), "locked until the day is settled");
        runDay(meters(500, -500, 0, 0), SURPLUS, DEFICIT);
        eq(freeOf(secondSeller), int256(RICH), "and earns nothing");
        eq(freeOf(seller), int256(RICH) + 1000 * PRICE, "who delivers is paid in full");
        eq(freeOf(buyer), int256(RICH) - 1000 * PRICE, "who buys pays for what it took");
        requireConserved();
    }

    // --- the ends

    /// Sales that fill their lanes, at the highest and the lowest price, are paid for to the nano.
    function test_the_largest_sales_are_paid_exactly(bool lowest) external {
        int256 price = lowest ? int256(FLOOR) : int256(6_000_000);
        uint256 most = (1 << 30) - 1;
        fund(wideMember, 1e18);
        fund(balancer, 1e18);
        Order[] memory orders = new Order[](8);
        for (uint256 i; i < 8; ++i) {
            orders[i] = order(i < 4 ? WIDE : BALANCER, i < 4 ? 1 : 0, most, price);
            orders[i].nonce = uint64(i + 1);
        }
        trade(0, orders);
        int256 had = freeOf(wideMember);
        settleByDefault();
        int256 sold = int256(2 * 4 * most);
        eq(freeOf(wideMember) - had, sold * (int256(PRODUCED_RESERVE) + price), "paid, and its reserve");
        requireConserved();
    }

    function settleByDefault() private {
        vm.warp(uint256(DAY_BEGINS) + 2 * uint256(LENGTH) + 10 days);
        Posting memory p;
        (p.firstWindow, p.windows, p.accounts) = (DAY, 2, uint32(prosumers.length));
        (p.surplusMicroPerKWh, p.deficitMicroPerKWh) = (new int32[](2), new int32[](2));
        (p.sequence, p.parts) = (type(uint32).max, new bytes32[](0));
        exchange.postDefault(p);
        bytes memory entries;
        for (uint256 i; i < prosumers.length; ++i) {
            entries = bytes.concat(entries, bytes20(prosumers[i]));
        }
        settle(p, entries, noRunCarry());
        (RunStage stage,,) = exchange.runOf(0, DAY);
        isTrue(stage == RunStage.Settled, "settled");
    }

    // --- helpers

    /// @dev Anything that a market allows; what is delivered is not taken from the grid.
    function draw(uint256 seed) private pure returns (Draw memory d) {
        d.price = within(int256(seed >> 128), FLOOR, 6_000_000);
        d.sold = 1 + (seed >> 16) % 5000;
        d.delivered = int256((seed >> 40) % 6000);
        d.taken = int256((seed >> 64) % 6000);
        d.surplus = int32(within(int256(seed >> 80 & 0xffffff), -500_000, 900_000));
        d.deficit = int32(within(int256(seed >> 104 & 0xffffff), d.surplus, 900_000));
    }

    function valueOf(Draw memory d, int256 wh) private pure returns (int256) {
        return wh * (wh > 0 ? d.surplus : d.deficit);
    }

    function meters(int256 one, int256 two, int256 three, int256 four)
        private
        view
        returns (int256[] memory list)
    {
        list = new int256[](prosumers.length);
        for (uint256 i; i < list.length; ++i) {
            if (prosumers[i] == seller) list[i] = one;
            if (prosumers[i] == buyer) list[i] = two;
            if (prosumers[i] == secondSeller) list[i] = three;
            if (prosumers[i] == secondBuyer) list[i] = four;
        }
    }

    /// @dev The account takes out what it has beyond `amount`.
    function leaveWith(address account, uint256 amount) private {
        int256 spare = freeOf(account) - int256(amount);
        if (spare <= 0) return;
        taken += spare;
        vm.prank(account);
        exchange.requestWithdrawal(uint256(spare));
        exchange.executeWithdrawal(account);
    }
}
