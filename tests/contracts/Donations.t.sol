// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {ISettlement, RunCarry} from "../../contracts/interfaces/ISettlement.sol";
import {
    FLAG_DONOR,
    ROLE_NETWORK_OPERATOR,
    ROLE_OPERATOR,
    ROLE_PROSUMER
} from "../../contracts/libraries/Member.sol";
import {Order} from "./support/Market.sol";
import {SharedDay} from "./support/SharedDay.sol";

/// @title Sales for somebody else's benefit, and sessions of flexibility
contract DonationsTest is SharedDay {
    uint24 private epoch;

    function setUp() external {
        setUpWorld(1);
    }

    function gift(address to) private view returns (Order memory o) {
        o = sell(SELLER, 1000, 100_000);
        o.beneficiary = to;
    }

    /// @dev Of an account that is not metered: it is paid at the proof.
    function partyGift(address to) private view returns (Order memory o) {
        o = sell(BALANCER, 1000, 100_000);
        o.beneficiary = to;
    }

    function wish() private view returns (Order memory) {
        return buy(BUYER, 1000, 200_000);
    }

    // --- donations

    /// What a donated sale earns is its beneficiary's; what it keeps reserved is the trader's.
    function test_proceeds_go_to_the_beneficiary() external {
        epoch = openRound(0);
        int256 kept = -1000 * int256(uint256(SELL_RESERVE));
        Order[] memory orders = book(wish(), partyGift(secondBuyer));
        bytes32[] memory hashes = commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        uint256[] memory lanes = new uint256[](1);
        lanes[0] = 1000;
        bytes32 donated = hashOf(epoch, partyGift(secondBuyer));
        vm.expectEmit(address(exchange));
        emit IClearing.ProceedsDonated(secondBuyer, donated, 1000 * 150_000);
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleCleared(balancer, donated, kept, lanes);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        close(epoch, posted, carryAfter(orders, hashes));
        eq(freeOf(secondBuyer), int256(RICH) + 1000 * 150_000, "given");
        eq(freeOf(balancer), int256(RICH) + kept, "kept");
        eq(exchange.balanceOf(balancer, obligationOf(0, 0)), 1000, "the seller delivers");
    }

    /// What is donated of a sale as produced is given when it is delivered, as far as it is; the seller's own sales of the session are its own.
    /// forge-config: default.fuzz.runs = 64
    function test_what_is_delivered_is_donated(uint32 a, bool both) external {
        Order memory own = sell(SELLER, 500, 100_000);
        own.nonce = 2;
        trade(
            0,
            both ? book(buy(BUYER, 1500, 200_000), gift(secondBuyer), own) : book(wish(), gift(secondBuyer))
        );
        uint256 sold = both ? 1500 : 1000;
        eq(freeOf(secondBuyer), int256(RICH), "nothing yet");
        eq(freeOf(seller), int256(RICH) - int256(sold * PRODUCED_RESERVE), "kept");
        isTrue(exchange.memberOf(seller).has(FLAG_DONOR), "noted");
        int256 wh = int256(within(uint256(a), 0, sold));
        int256 given = (wh < 1000 ? wh : int256(1000)) * 150_000;
        int256[] memory metered = meteredOf(wh);
        int256 had = freeOf(seller);
        noteClaims();
        RunCarry memory carry = settleAll(metered, 80_000, 240_000);
        eq(freeOf(secondBuyer), int256(RICH) + given, "given");
        eq(freeOf(seller) - had, int256(sold * PRODUCED_RESERVE) + wh * 150_000 - given, "the rest");
        certifyAll(metered, carry, 80_000, 240_000);
        requireConserved();
    }

    /// A gift says so, and the account's settlement leaves it out.
    function test_a_delivered_gift_tells() external {
        trade(0, book(wish(), gift(secondBuyer)));
        int256[] memory metered = meteredOf(700);
        vm.warp(AFTERWARDS);
        Posting memory p = postingOf(entriesOfAll(metered), 80_000, 240_000);
        postDay(p);
        vm.expectEmit(address(exchange));
        emit ISettlement.DeliveryDonated(secondBuyer, seller, 1, 700 * 150_000);
        vm.expectEmit(address(exchange));
        emit ISettlement.AccountSettled(seller, 0, 0, 1000 * PRODUCED_RESERVE);
        exchange.settle(p, entriesOfAll(metered), noRunCarry(), roundPrices());
    }

    /// Sales of other sessions of the day are nobody's but the donor's.
    function test_other_sessions_are_not_donated() external {
        trade(0, book(wish(), gift(secondBuyer)));
        Order memory later = sell(SELLER, 1000, 100_000);
        trade(1, book(wish(), later));
        runDay(meteredOf(2000), 80_000, 240_000);
        eq(freeOf(secondBuyer), int256(RICH) + 1000 * 150_000, "given once");
        eq(freeOf(seller), int256(RICH) + 1000 * 150_000, "earned once");
        requireConserved();
    }

    /// @dev The seller at `wh`, the buyer at what it bought, everyone else at zero.
    function meteredOf(int256 wh) private view returns (int256[] memory list) {
        list = new int256[](prosumers.length);
        for (uint256 i; i < list.length; ++i) {
            if (prosumers[i] == seller) list[i] = wh;
            if (prosumers[i] == buyer) list[i] = -1000;
        }
    }

    /// What a sale costs (a negative price) stays its trader's.
    function test_costs_are_not_donated() external {
        Order memory costly = gift(secondBuyer);
        costly.limit[0] = -200_000;
        Order memory paid = wish();
        paid.limit[0] = -100_000;
        trade(0, book(paid, costly));
        isTrue(!exchange.memberOf(seller).has(FLAG_DONOR), "nothing is to be given");
        runDay(meteredOf(1000), 80_000, 240_000);
        eq(freeOf(secondBuyer), int256(RICH), "nothing is given");
        eq(freeOf(seller), int256(RICH) - 1000 * 150_000, "the seller pays");
        requireConserved();
    }

    /// A donation of a void session never was.
    function test_a_void_session_donates_nothing() external {
        epoch = openRound(0);
        bring(epoch, book(wish(), gift(secondBuyer)));
        vm.warp(GATE + ROUND_LASTS + 1);
        eq(freeOf(secondBuyer), int256(RICH), "nothing is given");
        eq(freeOf(seller), int256(RICH), "nothing is kept");
    }

    /// A beneficiary trades itself, or the balancing party; a buyer has none; nobody donates to itself, or to two.
    function test_who_may_be_given_to() external {
        epoch = openRound(0);
        vm.startPrank(registrar);
        exchange.registerMember(networkOperator, 0, ROLE_NETWORK_OPERATOR, 15, 0, true);
        exchange.registerMember(stranger, 0, ROLE_OPERATOR, 15, 0, true);
        vm.stopPrank();
        refuseGift(gift(seller));
        refuseGift(gift(address(0x5717)));
        refuseGift(gift(networkOperator));
        refuseGift(gift(stranger));
        Order memory bought = wish();
        bought.beneficiary = secondBuyer;
        refuseGift(bought);
        Order[] memory both = book(gift(balancer), gift(secondBuyer));
        both[1].nonce = 2;
        bytes32[] memory hashes = commit(epoch, both); // sorted: the second is refused
        Posted memory posted = postedFor(book(both[0]));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, both);
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(epoch, seller, hashes[1], 7);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    function refuseGift(Order memory o) private {
        uint256 before = vm.snapshotState();
        Order[] memory orders = book(o);
        commit(epoch, orders);
        Posted memory posted = postedFor(new Order[](0));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(epoch, vm.addr(o.key), hashOf(epoch, o), 7);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        vm.revertToState(before);
    }

    /// A gift can bring a member back from what it owes: debts are counted right whichever way the account is touched next.
    function test_a_gift_pays_debts(bool byTrading) external {
        uint256 key = 0xD0E;
        address poor = vm.addr(key);
        register(poor, ROLE_PROSUMER, 20_000, false);
        int256[] memory metered = new int256[](prosumers.length);
        for (uint256 i; i < metered.length; ++i) {
            if (prosumers[i] == poor) metered[i] = -100;
        }
        settleAll(metered, 240_000, 240_000);
        eq(freeOf(poor), -100 * 240_000, "owed");
        eq(exchange.totalNegative(), 100 * 240_000, "and counted");

        uint32 next = DAY + 48 * 10;
        openDay(next, 1);
        clearOn(next, 0, book(onDay(wish(), next), onDay(partyGift(poor), next)));
        eq(freeOf(poor), 1000 * 150_000 - 100 * 240_000, "what is left of the gift");
        eq(exchange.totalNegative(), 100 * 240_000, "counted until it is touched");
        if (byTrading) {
            Order memory sale = sell(key, 10, 100_000);
            clearOn(next, 1, book(onDay(wish(), next), onDay(sale, next)));
        } else {
            exchange.deposit(poor, 0);
        }
        eq(exchange.totalNegative(), 0, "nothing is owed any more");
    }

    /// A gift to one who owes more than it leaves the rest.
    function test_a_small_gift_pays_a_part() external {
        address poor = vm.addr(0xD0E);
        register(poor, ROLE_PROSUMER, 20_000, false);
        int256[] memory metered = new int256[](prosumers.length);
        for (uint256 i; i < metered.length; ++i) {
            if (prosumers[i] == poor) metered[i] = -10_000;
        }
        settleAll(metered, 240_000, 240_000);
        uint32 next = DAY + 48 * 10;
        openDay(next, 1);
        clearOn(next, 0, book(onDay(wish(), next), onDay(partyGift(poor), next)));
        clearOn(next, 1, book(onDay(wish(), next), onDay(partyGift(poor), next)));
        // The second gift touched the account: the first is folded in and counted.
        eq(exchange.totalNegative(), uint256(10_000 * 240_000 - 1000 * 150_000), "after the first");
        exchange.deposit(poor, 0);
        eq(exchange.totalNegative(), uint256(10_000 * 240_000 - 2 * 1000 * 150_000), "after both");
    }

    function onDay(Order memory o, uint32 day) private pure returns (Order memory) {
        o.firstWindow = day;
        return o;
    }

    /// @dev A round on another day, at its own time.
    function clearOn(uint32 day, uint8 round, Order[] memory orders) private {
        SessionParams memory params = paramsOf(round);
        (params.day, params.firstWindow) = (day, day);
        uint64 shift = uint64(day - DAY) * LENGTH;
        (params.gate, params.commitBy, params.proveBy, params.claimBy) =
        (params.gate + shift, params.commitBy + shift, params.proveBy + shift, params.claimBy + shift);
        vm.warp(params.gate - 1);
        uint24 number = openSession(params);
        bytes32[] memory hashes = commit(number, orders);
        // `crossing` reads entries by their place in DAY.
        Order[] memory same = new Order[](orders.length);
        for (uint256 i; i < orders.length; ++i) {
            same[i] = orders[i];
        }
        bytes memory records = recordsOf(number, orders);
        for (uint256 i; i < same.length; ++i) {
            same[i].firstWindow = DAY;
        }
        Posted memory posted = postedFor(same);
        Carry memory carry = carryAfter(same, hashes);
        vm.startPrank(operator);
        exchange.postHeader(number, posted.qualityPotentials);
        exchange.clear(number, 0, posted, noCarry(), records);
        vm.stopPrank();
        close(number, posted, carry);
    }

    // --- flexibility

    function openFlexibility() private returns (uint24) {
        SessionParams memory params = paramsOf(0);
        params.kind = 1;
        (params.buyReserve, params.sellReserve) = (0, 0);
        return openSession(params);
    }

    function ofKindOne(Order memory o) private pure returns (Order memory) {
        o.kind = 1;
        return o;
    }

    function joinNetwork() private {
        vm.prank(registrar);
        exchange.registerMember(networkOperator, 0, ROLE_NETWORK_OPERATOR, 15, 20_000, true);
        fund(networkOperator, RICH);
    }

    /// In a session of flexibility the network operator buys, at the price, with nothing kept back; what is bought is no energy.
    function test_the_network_operator_buys_flexibility() external {
        joinNetwork();
        epoch = openFlexibility();
        Order[] memory orders =
            book(ofKindOne(buy(NETWORK, 1000, 200_000)), ofKindOne(sell(SELLER, 1000, 100_000)));
        prove(epoch, orders);
        isTrue(stageOf(epoch) == Stage.Proved, "proved");
        eq(exchange.balanceOf(networkOperator, idOf(0, 0, 1, 0, 0)), 1000, "bought");
        eq(exchange.balanceOf(seller, idOf(1, 0, 1, 0, 0)), 1000, "owed");
        eq(freeOf(seller), int256(RICH) + 1000 * 150_000, "paid at clearing");
        eq(freeOf(networkOperator), int256(RICH) - 1000 * 150_000, "by the network");
        eq(exchange.memberOf(seller).held(), 0, "no energy is held");
        settleAll(new int256[](prosumers.length), 80_000, 240_000);
        eq(freeOf(seller), int256(RICH) + 1000 * 150_000, "settlement of energy passes it over");
    }

    /// Of energy it buys none, and it sells neither.
    function test_the_network_operator_trades_nothing_else() external {
        joinNetwork();
        epoch = openFlexibility();
        refuseTrader(ofKindOne(sell(NETWORK, 1000, 100_000)));
        epoch = openRoundLater();
        refuseTrader(buy(NETWORK, 1000, 200_000));
    }

    function openRoundLater() private returns (uint24) {
        vm.warp(exchange.deadlineOf(epoch) + 1);
        SessionParams memory params = paramsOf(0);
        (params.gate, params.commitBy, params.proveBy, params.claimBy) =
        (params.gate + 2 hours, params.commitBy + 2 hours, params.proveBy + 2 hours, params.claimBy + 2 hours);
        return openSession(params);
    }

    function refuseTrader(Order memory o) private {
        Order[] memory orders = book(o);
        commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        bytes memory record = recordOf(epoch, o);
        vm.startPrank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        refuse(abi.encodeWithSelector(IClearing.OperatorMayNotTrade.selector, networkOperator));
        exchange.clear(epoch, 0, posted, noCarry(), record);
        vm.stopPrank();
    }
}
