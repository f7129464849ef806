// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {IAccounts, Withdrawal} from "../../contracts/interfaces/IAccounts.sol";
import {IAuction, SessionParams} from "../../contracts/interfaces/IAuction.sol";
import {CashLib} from "../../contracts/libraries/Cash.sol";
import {
    FLAG_SUSPENDED,
    FLAG_WITHDRAWING,
    Member,
    ROLE_BALANCING_PARTY,
    ROLE_OPERATOR,
    ROLE_PROSUMER
} from "../../contracts/libraries/Member.sol";
import {Order} from "./support/Market.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

contract AccountsTest is MeteredDay {
    bytes32 private constant WITHDRAWAL_TYPE_HASH =
        keccak256("Withdrawal(address account,uint256 amountNano,uint256 nonce,uint256 deadline)");

    address private constant NEWCOMER = address(0xC0DE);

    function setUp() external {
        setUpWorld(2);
    }

    // --- members

    /// A member keeps the terms it was registered with.
    function test_registration_is_kept() external {
        vm.prank(registrar);
        exchange.registerMember(NEWCOMER, 0, ROLE_PROSUMER, 3, 9000, false);
        Member member = exchange.memberOf(NEWCOMER);
        eq(member.zone(), 0, "zone");
        eq(member.role(), ROLE_PROSUMER, "role");
        eq(member.maxQuality(), 3, "maxQuality");
        eq(member.capacityWh(), 9000, "capacity");
        isTrue(!member.isWide(), "home");
        eq(exchange.meteredIn(0), 6, "metered in the zone");
    }

    /// Zone and role are for good: nobody is registered twice.
    function test_a_member_is_registered_once() external {
        refuseNext(abi.encodeWithSelector(IAccounts.AlreadyMember.selector, seller));
        exchange.registerMember(seller, 0, ROLE_PROSUMER, 0, 1, false);
    }

    /// Unknown roles, the zero address, a second balancing party, a capacity beyond the lanes and an unknown quality are refused.
    function test_bad_terms_are_refused() external {
        bytes memory refusal = abi.encodeWithSelector(IAccounts.BadTerms.selector, NEWCOMER);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, 0, 0, 1, false);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_OPERATOR + 1, 0, 1, false);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_BALANCING_PARTY, 0, 1, false);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_PROSUMER, 16, 1, false);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_PROSUMER, 0, 1 << 16, false);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_PROSUMER, 0, 1 << 30, true);
        refuseNext(abi.encodeWithSelector(IAccounts.BadTerms.selector, address(0)));
        exchange.registerMember(address(0), 0, ROLE_PROSUMER, 0, 1, false);
    }

    /// A change keeps zone, role, width, what was held and what is being withdrawn.
    function test_a_change_keeps_the_rest() external {
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        vm.prank(seller);
        exchange.requestWithdrawal(1);
        vm.prank(registrar);
        exchange.changeMember(seller, 2, 77, true);
        Member member = exchange.memberOf(seller);
        isTrue(member.has(FLAG_SUSPENDED), "suspended");
        isTrue(member.has(FLAG_WITHDRAWING), "withdrawing");
        isTrue(member.holds(1, 0), "held");
        eq(member.capacityWh(), 77, "capacity");
        eq(member.role(), ROLE_PROSUMER, "role");
        vm.prank(registrar);
        exchange.changeMember(seller, 2, 77, false);
        isTrue(!exchange.memberOf(seller).has(FLAG_SUSPENDED), "no longer suspended");
    }

    // --- deposits

    /// Anyone may pay in for a member; the tokens are held one for one.
    function test_a_deposit_is_free_cash() external {
        fund(buyer, 5);
        eq(freeOf(buyer), int256(RICH + 5), "free");
        eq(token.balanceOf(address(exchange)), 6 * RICH + 5, "held");
    }

    /// Nobody pays in for an account that is no member.
    function test_a_deposit_needs_a_member() external {
        refuse(abi.encodeWithSelector(IAccounts.NotMember.selector, NEWCOMER));
        exchange.deposit(NEWCOMER, 1);
    }

    /// An amount that does not fit the account's field is refused, not cut off.
    function test_a_deposit_beyond_the_field_is_refused(uint256 amount) external {
        amount = within(amount, uint256(1 << 87) - RICH, uint256(type(int256).max) - RICH);
        vm.expectPartialRevert(CashLib.CashOutOfRange.selector);
        exchange.deposit(buyer, amount);
    }

    // --- withdrawals

    /// With no session open a withdrawal pays out at once, once.
    function test_a_withdrawal_pays_out_once() external {
        vm.prank(buyer);
        exchange.requestWithdrawal(700);
        exchange.executeWithdrawal(buyer);
        eq(token.balanceOf(buyer), 700, "paid");
        eq(freeOf(buyer), int256(RICH - 700), "free");
        refuse(abi.encodeWithSelector(IAccounts.WithdrawalNotReady.selector, buyer, 0));
        exchange.executeWithdrawal(buyer);
    }

    /// A withdrawal waits for every session open at its request, and for none opened later.
    function test_a_withdrawal_waits_for_open_sessions() external {
        uint24 epoch = openRound(0);
        vm.prank(buyer);
        exchange.requestWithdrawal(700);
        refuse(abi.encodeWithSelector(IAccounts.WithdrawalNotReady.selector, buyer, epoch));
        exchange.executeWithdrawal(buyer);
        openRound(1);
        prove(epoch, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        exchange.executeWithdrawal(buyer);
        eq(token.balanceOf(buyer), 700, "paid while a later session is open");
    }

    /// Sessions that became void are waited for no longer.
    function test_a_withdrawal_follows_a_void_session() external {
        openRound(0);
        vm.prank(buyer);
        exchange.requestWithdrawal(700);
        vm.warp(GATE + 10 minutes + 1);
        exchange.executeWithdrawal(buyer);
        eq(token.balanceOf(buyer), 700, "paid");
    }

    /// More than is free is refused at the request and, where cash was lost since, at the payment.
    function test_a_withdrawal_needs_free_cash() external {
        refuse(abi.encodeWithSelector(IAccounts.InsufficientCash.selector, buyer, int256(RICH), RICH + 1));
        vm.prank(buyer);
        exchange.requestWithdrawal(RICH + 1);

        uint24 epoch = openRound(0);
        vm.prank(buyer);
        exchange.requestWithdrawal(RICH);
        prove(epoch, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        int256 free = freeOf(buyer);
        refuse(abi.encodeWithSelector(IAccounts.InsufficientCash.selector, buyer, free, RICH));
        exchange.executeWithdrawal(buyer);
    }

    /// A request replaces the one before; zero cancels.
    function test_a_request_replaces_the_last() external {
        vm.startPrank(buyer);
        exchange.requestWithdrawal(700);
        exchange.requestWithdrawal(300);
        (uint256 amount,) = exchange.withdrawalOf(buyer);
        eq(amount, 300, "replaced");
        exchange.requestWithdrawal(0);
        vm.stopPrank();
        isTrue(!exchange.memberOf(buyer).has(FLAG_WITHDRAWING), "cancelled");
        refuse(abi.encodeWithSelector(IAccounts.WithdrawalNotReady.selector, buyer, 0));
        exchange.executeWithdrawal(buyer);
    }

    /// Cash requested back covers no schedule of a later session, but still those of the sessions open then.
    function test_a_pending_withdrawal_is_no_cover_for_later_sessions() external {
        uint24 first = openRound(0);
        vm.prank(buyer);
        exchange.requestWithdrawal(RICH);
        Order[] memory orders = book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
        prove(first, orders);
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 1000, "covered in the session open at the request");

        uint24 second = openRound(1);
        Order[] memory none = new Order[](0);
        (,,, uint24 epochBefore) = exchange.cashOf(buyer);
        bring(second, book(orders[0], orders[1]), only(orders, SELLER, none));
        (,,, uint24 epoch) = exchange.cashOf(buyer);
        eq(epoch, epochBefore, "nothing reserved in the session opened after it");
    }

    function only(Order[] memory orders, uint256 key, Order[] memory none)
        private
        pure
        returns (Order[] memory)
    {
        for (uint256 i; i < orders.length; ++i) {
            if (orders[i].key == key) return book(orders[i]);
        }
        return none;
    }

    // --- relayed

    /// A withdrawal that the holder signed is requested by whoever brings it, once.
    function test_a_signed_withdrawal_is_relayed_once() external {
        Withdrawal memory message = Withdrawal(buyer, 700, 0, block.timestamp);
        bytes memory signature = signed(BUYER, message);
        vm.prank(stranger);
        exchange.relayWithdrawal(message, signature);
        (uint256 amount,) = exchange.withdrawalOf(buyer);
        eq(amount, 700, "requested");
        refuse(abi.encodeWithSelector(Nonces.InvalidAccountNonce.selector, buyer, 1));
        exchange.relayWithdrawal(message, signature);
    }

    /// Another's signature, another amount or a passed deadline is refused.
    function test_a_relayed_withdrawal_is_the_holders_own_and_in_time() external {
        Withdrawal memory message = Withdrawal(buyer, 700, 0, block.timestamp + 1);
        bytes memory signature = signed(STRANGER, message);
        refuse(abi.encodeWithSelector(IAccounts.WrongSigner.selector, stranger, buyer));
        exchange.relayWithdrawal(message, signature);

        signature = signed(BUYER, message);
        message.amountNano = 701;
        vm.expectPartialRevert(IAccounts.WrongSigner.selector);
        exchange.relayWithdrawal(message, signature);

        message.amountNano = 700;
        vm.warp(message.deadline + 1);
        refuse(abi.encodeWithSelector(IAccounts.Expired.selector, message.deadline));
        exchange.relayWithdrawal(message, signature);
    }

    function signed(uint256 key, Withdrawal memory message) private view returns (bytes memory) {
        return signStruct(key, keccak256(abi.encode(WITHDRAWAL_TYPE_HASH, message)));
    }

    // --- while a session clears

    /// From the gate to the proof nothing but clearing changes accounts.
    function test_only_clearing_changes_accounts_while_a_session_clears() external {
        uint24 epoch = openRound(0);
        vm.warp(GATE);
        bytes memory refusal = abi.encodeWithSelector(IAccounts.ClearingInProgress.selector, epoch);
        refuse(refusal);
        exchange.deposit(buyer, 1);
        refuse(refusal);
        vm.prank(buyer);
        exchange.transfer(secondBuyer, claimOf(0, 0), 0);
        refuseNext(refusal);
        exchange.registerMember(NEWCOMER, 0, ROLE_PROSUMER, 0, 1, false);
        refuseNext(refusal);
        exchange.changeMember(buyer, 0, 1, false);
        refuseNext(refusal);
        exchange.registerMeter(0, buyer, 0, 0);
        refuseNext(refusal);
        exchange.setQuorum(1);

        vm.warp(GATE + 10 minutes + 1);
        fund(buyer, 1);
    }

    /// While a session clears a withdrawal can be announced, but none that was announced before is changed: it is no cover for the session, and stays none.
    function test_what_is_promised_stays_promised_while_a_session_clears() external {
        vm.prank(buyer);
        exchange.requestWithdrawal(700);
        uint24 epoch = openRound(0);
        vm.warp(GATE);
        bytes memory refusal = abi.encodeWithSelector(IAccounts.ClearingInProgress.selector, epoch);
        vm.prank(buyer);
        refuse(refusal);
        exchange.requestWithdrawal(0);
        Withdrawal memory message = Withdrawal(buyer, 1, 0, block.timestamp);
        bytes memory signature = signed(BUYER, message);
        refuse(refusal);
        exchange.relayWithdrawal(message, signature);

        vm.prank(seller);
        exchange.requestWithdrawal(1);
        refuse(abi.encodeWithSelector(IAccounts.WithdrawalNotReady.selector, seller, epoch));
        exchange.executeWithdrawal(seller);
    }

    /// Paid out before the session clears or after, a withdrawal leaves the session's outcome as it is.
    function test_a_withdrawal_paid_while_a_session_clears_changes_nothing_of_it() external {
        uint256 snapshot = vm.snapshotState();
        int256 paidBefore = freeAfterRound(true);
        vm.revertToState(snapshot);
        eq(paidBefore, freeAfterRound(false), "the same");
    }

    function freeAfterRound(bool paidWhileClearing) private returns (int256) {
        vm.prank(buyer);
        exchange.requestWithdrawal(RICH / 2);
        uint24 epoch = openRound(0);
        vm.warp(GATE);
        if (paidWhileClearing) exchange.executeWithdrawal(buyer);
        prove(epoch, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        if (!paidWhileClearing) exchange.executeWithdrawal(buyer);
        eq(token.balanceOf(buyer), RICH / 2, "paid");
        return freeOf(buyer);
    }

    // --- debts

    /// A seller who takes instead of delivering may owe; then it neither trades nor withdraws, and the balancing party carries it.
    function test_debts_are_carried_by_the_balancing_party() external {
        leaveSellerWith(48e8);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        settleAll(metered(-3000), -500_000, 900_000);

        int256 free = freeOf(seller);
        isTrue(free < 0, "the seller owes");
        eq(exchange.totalNegative(), uint256(-free), "and that is all that members owe");
        refuse(abi.encodeWithSelector(IAccounts.InsufficientCash.selector, seller, free, 1));
        vm.prank(seller);
        exchange.requestWithdrawal(1);

        uint256 all = uint256(freeOf(balancer));
        vm.prank(balancer);
        exchange.requestWithdrawal(all);
        refuse(
            abi.encodeWithSelector(
                IAccounts.InsufficientCash.selector, balancer, int256(all), all + exchange.totalNegative()
            )
        );
        exchange.executeWithdrawal(balancer);
        uint256 rest = all - exchange.totalNegative();
        vm.prank(balancer);
        exchange.requestWithdrawal(rest);
        exchange.executeWithdrawal(balancer);
        eq(token.balanceOf(balancer), rest, "only what exceeds the debts is paid");
    }

    /// A debt that is paid back is carried no longer.
    function test_a_deposit_pays_a_debt() external {
        leaveSellerWith(48e8);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        settleAll(metered(-3000), -500_000, 900_000);
        uint256 owed = uint256(-freeOf(seller));
        fund(seller, owed - 1);
        eq(exchange.totalNegative(), 1, "one nano is owed");
        fund(seller, 11);
        eq(exchange.totalNegative(), 0, "nothing is owed");
        eq(freeOf(seller), int256(10), "the rest is free");
    }

    /// No session opens while the balancing party does not carry what members owe.
    function test_no_session_opens_while_debts_are_not_carried() external {
        leaveSellerWith(48e8);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        vm.prank(balancer);
        exchange.requestWithdrawal(RICH);
        exchange.executeWithdrawal(balancer);
        int256[] memory wh = metered(-3000);
        for (uint256 i; i < wh.length; ++i) {
            if (prosumers[i] != seller) wh[i] = prosumers[i] == buyer ? int256(19_000) : int256(0);
        }
        settleAll(wh, 900_000, 900_000);
        (int256 free, uint256 owed) = (freeOf(balancer), exchange.totalNegative());
        SessionParams memory params = paramsOf(0);
        refuse(abi.encodeWithSelector(IAuction.NotCarried.selector, free, owed));
        vm.prank(operator);
        exchange.openSession(params);
    }

    // --- helpers

    function refuseNext(bytes memory error) private {
        vm.prank(registrar);
        vm.expectRevert(error);
    }

    /// @dev Takes the seller's cash out until `amount` is left.
    function leaveSellerWith(uint256 amount) private {
        uint256 spare = uint256(freeOf(seller)) - amount;
        vm.prank(seller);
        exchange.requestWithdrawal(spare);
        exchange.executeWithdrawal(seller);
    }

    /// @dev The seller metered at `wh`, everyone else at zero.
    function metered(int256 wh) private view returns (int256[] memory list) {
        list = new int256[](prosumers.length);
        for (uint256 i; i < list.length; ++i) {
            if (prosumers[i] == seller) list[i] = wh;
        }
    }
}
