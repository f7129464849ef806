// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IProof} from "../../contracts/interfaces/IProof.sol";
import {ROLE_OPERATOR, ROLE_PROSUMER} from "../../contracts/libraries/Member.sol";
import {ScheduleCodec} from "../../contracts/libraries/ScheduleCodec.sol";
import {Market, Order} from "./support/Market.sol";

contract ClearingTest is Market {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    uint24 private epoch;

    function setUp() external {
        setUpWorld(2);
        epoch = openRound(0);
    }

    // --- fills

    /// Any book of quality 0 is proved from the crossing of its supply and demand, and nobody trades beyond a limit.
    /// forge-config: default.fuzz.runs = 64
    function test_any_book_is_proved(uint16[5] calldata wh, int32[5] calldata limits, uint8 sides) external {
        uint256[5] memory keys = [SELLER, BUYER, SECOND_SELLER, SECOND_BUYER, WIDE];
        Order[] memory orders = new Order[](5);
        for (uint256 i; i < 5; ++i) {
            // Few prices, so that they often meet.
            int256 limit = within(int256(limits[i]), -3, 3) * 100_000 + 50_000;
            orders[i] = order(keys[i], uint8(sides >> i & 1), wh[i] % 20_000, limit);
            orders[i].limit[1] = limits[i] % 2_000_000;
        }
        prove(epoch, orders);
        requireFills(orders);
    }

    /// At-price orders share what there is by cumulative rounding in the order of their hashes: exactly, in sum.
    /// forge-config: default.fuzz.runs = 64
    function test_at_price_shares_sum_exactly(uint16[4] calldata wh, uint16 demand) external {
        uint256[4] memory keys = [SELLER, SECOND_SELLER, SECOND_BUYER, WIDE];
        Order[] memory orders = new Order[](5);
        uint256 supply;
        for (uint256 i; i < 4; ++i) {
            orders[i] = sell(keys[i], wh[i] % 20_000 + 1, 100_000);
            supply += wh[i] % 20_000 + 1;
        }
        uint256 wanted = within(demand, 1, 60_000);
        orders[4] = buy(BUYER, wanted, 100_000);
        prove(epoch, orders);
        requireFills(orders);
        eq(
            exchange.balanceOf(buyer, claimOf(0, 0)),
            wanted < supply ? wanted : supply,
            "all that could trade"
        );
    }

    /// @dev Fills by the rule of docs/formats.md, again. The orders are sorted.
    function requireFills(Order[] memory orders) private view {
        for (uint256 w; w < dayWindows; ++w) {
            Crossing memory x = crossing(orders, w);
            uint256[2] memory before;
            for (uint256 i; i < orders.length; ++i) {
                uint256 id = idOf(orders[i].side, 0, 0, 0, w);
                eq(exchange.balanceOf(vm.addr(orders[i].key), id), fillOf(x, orders[i], w, before), "fill");
            }
        }
    }

    /// @param before at-price quantity of buys and of sells so far; the order's is added
    function fillOf(Crossing memory x, Order memory o, uint256 w, uint256[2] memory before)
        private
        pure
        returns (uint256)
    {
        (uint256 wh, int256 limit) = entryOf(o, w);
        if (limit != x.price) return (limit > x.price) == (o.side == 0) ? wh : 0;
        (uint256 total, uint256 part) = o.side == 0 ? (x.buysAt, x.buysFilled) : (x.sellsAt, x.sellsFilled);
        uint256 then = before[o.side];
        before[o.side] = then + wh;
        return total == 0 ? 0 : (then + wh) * part / total - then * part / total;
    }

    /// A book without orders is proved too.
    function test_an_empty_book_is_proved() external {
        Order[] memory none = new Order[](0);
        commit(epoch, none);
        Posted memory posted = postedFor(none);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        close(epoch, posted, noCarry());
        isTrue(stageOf(epoch) == Stage.Proved, "proved");
    }

    // --- records

    /// No bytes are taken for a schedule that nobody signed.
    function test_random_bytes_are_never_accepted(bytes calldata noise, uint256 seed) external {
        Posted memory posted = postHeaderOf(honestBook());
        bytes memory records = bytes.concat(noise, bytes1(uint8(seed)));
        if (seed % 2 == 0) {
            records = bytes.concat(
                bytes20(buyer), bytes1(uint8(seed % 16)), bytes1(0), bytes4(DAY), hex"01", noise
            );
            if (records.length < 107) records = bytes.concat(records, new bytes(107 - records.length));
        }
        vm.prank(operator);
        (bool done,) =
            address(exchange).call(abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), records)));
        isTrue(!done, "refused");
    }

    /// Not one bit of a signed record may change, and not one byte may be missing.
    function test_a_changed_record_is_refused(uint256 seed) external {
        Order[] memory orders = book(buy(BUYER, 1000, 200_000));
        Posted memory posted = postHeaderOf(orders);
        bytes memory record = recordOf(epoch, orders[0]);
        bytes memory changed = bytes.concat(record);
        uint256 at = seed % record.length;
        changed[at] ^= bytes1(uint8(1 << (seed >> 200) % 8));
        if (seed >> 255 == 1) {
            assembly {
                mstore(changed, at)
            }
            if (at == 0) return;
        }
        vm.startPrank(operator);
        (bool done,) =
            address(exchange).call(abi.encodeCall(IClearing.clear, (epoch, 0, posted, noCarry(), changed)));
        isTrue(!done, "refused");
        exchange.clear(epoch, 0, posted, noCarry(), record);
    }

    /// Records name what is wrong with them.
    function test_malformed_records_are_refused() external {
        Posted memory posted = postHeaderOf(honestBook());
        Order memory o = buy(BUYER, 1000, 200_000);
        bytes memory record = recordOf(epoch, o);
        bytes memory refusal = abi.encodeWithSelector(ScheduleCodec.MalformedRecord.selector, 0);
        record[20] |= 0x40;
        refuseRecords(posted, record, refusal);
        record[20] ^= 0x50; // flexible, of quality 3
        record[21] = 0x03;
        refuseRecords(posted, record, refusal);
        record = recordOf(epoch, buy(BUYER, 0, 0)); // behind its head all is zero
        record[20] = 0x04;
        refuseRecords(posted, bytes.concat(record, bytes32(0)), refusal);
        record[20] = 0x08;
        refuseRecords(posted, bytes.concat(record, bytes32(0)), refusal);
        record = recordOf(epoch, o);
        record[26] = 0;
        refuseRecords(posted, record, refusal);
        record[26] = bytes1(uint8(129));
        refuseRecords(posted, bytes.concat(record, new bytes(2000)), refusal);
    }

    /// What cannot be in a book reverts by name: bad signatures, strangers, operators, limits, windows, qualities.
    function test_what_cannot_be_in_a_book_reverts_by_name() external {
        Posted memory posted = postHeaderOf(honestBook());
        Order memory o = buy(STRANGER, 1000, 200_000);
        refuseOrder(posted, o, abi.encodeWithSelector(IClearing.UnregisteredTrader.selector, stranger));
        o = buy(BUYER, 1000, 6_000_001);
        refuseOrder(posted, o, abi.encodeWithSelector(IClearing.LimitOutOfRange.selector, hashOf(epoch, o)));
        o = buy(BUYER, 1000, -2_000_001);
        refuseOrder(posted, o, abi.encodeWithSelector(IClearing.LimitOutOfRange.selector, hashOf(epoch, o)));
        o = buy(BUYER, 65_536, 200_000);
        refuseOrder(posted, o, abi.encodeWithSelector(IClearing.QuantityOverflow.selector, hashOf(epoch, o)));
        o = buy(BUYER, 1000, 200_000);
        o.firstWindow = DAY + 1;
        refuseOrder(
            posted, o, abi.encodeWithSelector(IClearing.WindowOutOfSession.selector, hashOf(epoch, o))
        );
        o.firstWindow = DAY - 1;
        refuseOrder(
            posted, o, abi.encodeWithSelector(IClearing.WindowOutOfSession.selector, hashOf(epoch, o))
        );
        o = buy(BUYER, 1000, 200_000);
        o.quality = 5;
        refuseOrder(posted, o, abi.encodeWithSelector(IClearing.UnknownQuality.selector, 5));
    }

    /// The operator's own accounts do not trade.
    function test_the_operator_does_not_trade() external {
        uint256 key = 0x0FE;
        vm.prank(registrar);
        exchange.registerMember(vm.addr(key), 0, ROLE_OPERATOR, 15, 20_000, false);
        Posted memory posted = postHeaderOf(honestBook());
        bytes memory refusal = abi.encodeWithSelector(IClearing.OperatorMayNotTrade.selector, vm.addr(key));
        refuseOrder(posted, buy(key, 1000, 200_000), refusal);
    }

    /// Another's signature is refused, and so is the other signature of the same schedule (high s).
    function test_signatures_are_the_traders_own_and_low() external {
        Posted memory posted = postHeaderOf(honestBook());
        Order memory o = buy(BUYER, 1000, 200_000);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(SELLER, hashOf(epoch, o));
        refuseRecords(
            posted,
            packRecord(o, v, r, s),
            abi.encodeWithSelector(IClearing.BadSignature.selector, seller, buyer)
        );
        (v, r, s) = vm.sign(BUYER, hashOf(epoch, o));
        isTrue(uint256(s) <= HALF_ORDER, "signed low");
        refuseRecords(
            posted,
            packRecord(o, 55 - v, r, bytes32(ORDER - uint256(s))),
            abi.encodeWithSelector(IClearing.BadSignature.selector, address(0), buyer)
        );
    }

    /// Orders ascend strictly by hash: none is in twice, none out of place.
    function test_orders_ascend() external {
        Order[] memory orders = honestBook();
        Posted memory posted = postHeaderOf(orders);
        bytes memory first = recordOf(epoch, orders[0]);
        bytes memory second = recordOf(epoch, orders[1]);
        (bytes32 low, bytes32 high) = (hashOf(epoch, orders[0]), hashOf(epoch, orders[1]));
        refuseRecords(
            posted,
            bytes.concat(second, first),
            abi.encodeWithSelector(IClearing.NotAscending.selector, high, low)
        );
        refuseRecords(
            posted,
            bytes.concat(first, first),
            abi.encodeWithSelector(IClearing.NotAscending.selector, low, low)
        );
    }

    // --- who counts

    /// A schedule that may not count fills zero and says why; the rest clears as if it were not there.
    function test_ineligible_schedules_say_why() external {
        vm.startPrank(registrar);
        exchange.changeMember(secondBuyer, 0, 1, true);
        exchange.changeMember(secondSeller, 0, 500, false);
        exchange.changeMember(wideMember, 0, 1 << 29, false);
        vm.stopPrank();
        Order[] memory orders = new Order[](6);
        orders[0] = buy(BUYER, 1000, 200_000);
        orders[1] = sell(SELLER, 1000, 100_000);
        orders[2] = buy(SECOND_BUYER, 1000, 300_000);
        orders[3] = sell(SECOND_SELLER, 501, 50_000);
        orders[4] = sell(WIDE, 1000, 50_000);
        orders[4].quality = 3;
        orders[5] = buy(WIDE, 1 << 29, 6_000_000);
        orders[5].nonce = 2;
        Order[] memory counting = book(orders[0], orders[1]);
        commit(epoch, orders);
        Posted memory posted = postedFor(counting);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        for (uint256 i; i < orders.length; ++i) {
            uint8 reason = reasonFor(orders[i]);
            if (reason == 0) continue;
            vm.expectEmit(address(exchange));
            emit IClearing.ScheduleIneligible(epoch, vm.addr(orders[i].key), hashOf(epoch, orders[i]), reason);
        }
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        bytes32[] memory hashes = sortBook(epoch, orders);
        close(epoch, posted, carryAfter(counting, hashes));
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 1000, "the others traded");
        eq(exchange.balanceOf(secondBuyer, claimOf(0, 0)), 0, "a suspended one did not");
    }

    function reasonFor(Order memory o) private pure returns (uint8) {
        if (o.key == SECOND_BUYER) return 6;
        if (o.key == SECOND_SELLER) return 4;
        if (o.key == WIDE) return o.quality == 3 ? 3 : 2;
        return 0;
    }

    /// A member trades in its own zone only.
    function test_a_member_of_another_zone_does_not_count() external {
        uint256 key = 0x20E;
        vm.prank(registrar);
        exchange.registerMember(vm.addr(key), 7, ROLE_PROSUMER, 15, 20_000, false);
        fund(vm.addr(key), RICH);
        Order[] memory orders = book(buy(key, 1000, 200_000));
        Posted memory posted = postHeaderOf(new Order[](0), orders);
        bytes memory records = recordsOf(epoch, orders);
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(epoch, vm.addr(key), hashOf(epoch, orders[0]), 5);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    // --- what is posted

    /// The header is posted once, for a committed session, with its length.
    function test_the_header_is_posted_once() external {
        Order[] memory orders = honestBook();
        Posted memory posted = postedFor(orders);
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Open));
        exchange.postHeader(epoch, posted.qualityPotentials);
        commit(epoch, orders);
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IClearing.WrongLength.selector, "qualityPotentials", 3, 2));
        exchange.postHeader(epoch, new uint256[](3));
        exchange.postHeader(epoch, posted.qualityPotentials);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Posted));
        exchange.postHeader(epoch, posted.qualityPotentials);
    }

    /// Every transaction brings the posted header, and the first chunk carries nothing.
    function test_what_is_brought_is_what_was_posted() external {
        Order[] memory orders = honestBook();
        Posted memory posted = postHeaderOf(orders);
        bytes memory records = recordsOf(epoch, orders);
        posted.qualityPotentials[0] ^= 1;
        refuseRecords(posted, records, abi.encodeWithSelector(IClearing.WrongHeader.selector, epoch));
        posted.qualityPotentials[0] ^= 1;
        Carry memory carry = noCarry();
        carry.count = 1;
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IClearing.WrongCarry.selector, epoch, 0));
        exchange.clear(epoch, 0, posted, carry, records);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        posted.marginals[0] ^= 1;
        carry = carryAfter(orders, sortBook(epoch, orders));
        refuse(abi.encodeWithSelector(IClearing.WrongCarry.selector, epoch, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// A book that lacks a committed order is not closed.
    function test_a_book_is_the_committed_one() external {
        Order[] memory orders = honestBook();
        commit(epoch, orders);
        Order[] memory one = book(orders[0]);
        Posted memory posted = postedFor(one);
        vm.startPrank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, one);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        Carry memory carry = carryAfter(one, sortBook(epoch, one));
        refuse(abi.encodeWithSelector(IProof.BookMismatch.selector, epoch, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// A proved session is not closed again.
    function test_a_session_is_proved_once() external {
        (Posted memory posted, Carry memory carry) = bring(epoch, honestBook());
        close(epoch, posted, carry);
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Proved));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// A price other than the rule's is refused, in either direction, by any amount.
    function test_another_price_is_refused(int256 seed) external {
        Order[] memory orders = honestBook();
        commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        int256 moved = within(seed, -49_999, 49_999);
        if (moved == 0) return;
        // The honest interval is 100,000 to 200,000. Any narrower one leaves an end unsupported.
        posted.energyPotentials[0] =
            moved > 0 ? potential(100_000 + moved, 200_000) : potential(100_000, 200_000 + moved);
        vm.startPrank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        vm.stopPrank();
        Carry memory carry = carryAfter(orders, sortBook(epoch, orders));
        (int256 lo, int256 hi) =
            moved > 0 ? (100_000 + moved, int256(200_000)) : (int256(100_000), 200_000 + moved);
        carry.cells[0] = cellOf(
            0,
            0,
            hi == 200_000 ? int256(200_000) : type(int32).max,
            lo == 100_000 ? int256(100_000) : type(int32).min
        );
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IProof.EnergyUnsupported.selector, 0, 0));
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
    }

    /// More at the price than was posted is refused at once, and more filled than there is too.
    function test_marginals_are_the_books() external {
        Order[] memory orders = book(buy(BUYER, 1000, 100_000), sell(SELLER, 2000, 100_000));
        commit(epoch, orders);
        Posted memory posted = postedFor(orders);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        eq(posted.marginals[0], 1000 | 1000 << 64 | 2000 << 128 | 1000 << 192, "posted");
        bytes memory records = recordsOf(epoch, orders);
        posted.marginals[0] = 1000 | 1000 << 64 | 1999 << 128 | 1000 << 192;
        bytes32 hash = hashOf(epoch, orders[orders[0].side == 1 ? 0 : 1]);
        refuseRecords(posted, records, abi.encodeWithSelector(IClearing.MarginalExceeded.selector, hash));
        posted.marginals[0] = 1000 | 1001 << 64 | 2000 << 128 | 1000 << 192;
        refuseRecords(posted, records, abi.encodeWithSelector(IClearing.MarginalOutOfRange.selector, 0));
    }

    // --- helpers

    function honestBook() private view returns (Order[] memory orders) {
        orders = book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
        sortBook(epoch, orders);
    }

    function postHeaderOf(Order[] memory orders) private returns (Posted memory) {
        return postHeaderOf(orders, orders);
    }

    function postHeaderOf(Order[] memory counting, Order[] memory all)
        private
        returns (Posted memory posted)
    {
        commit(epoch, all);
        posted = postedFor(counting);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
    }

    function refuseOrder(Posted memory posted, Order memory o, bytes memory error) private {
        refuseRecords(posted, recordOf(epoch, o), error);
    }

    function refuseRecords(Posted memory posted, bytes memory records, bytes memory error) private {
        vm.prank(operator);
        vm.expectRevert(error);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }
}
