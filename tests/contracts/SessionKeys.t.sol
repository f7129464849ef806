// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {SessionParams} from "../../contracts/interfaces/IAuction.sol";
import {IClearing, Posted} from "../../contracts/interfaces/IClearing.sol";
import {IEmergency} from "../../contracts/interfaces/IEmergency.sol";
import {ISessionKeys, KeyGrant, KeyRevocation} from "../../contracts/interfaces/ISessionKeys.sol";
import {ROLE_PROSUMER} from "../../contracts/libraries/Member.sol";
import {Keys} from "./support/Keys.sol";
import {Flexibly, Order} from "./support/Market.sol";
import {KeyWallet} from "./support/Wallets.sol";

/// @title A session key trades within its scope, until it ends
contract SessionKeysTest is Keys {
    // --- granting and revoking

    /// What is granted is told and kept; a new scope replaces it and keeps the time of the first.
    function test_a_key_is_granted_a_scope() external {
        vm.expectEmit(address(exchange));
        emit ISessionKeys.KeyGranted(buyer, agent, 0, ENERGY, MOST_WH, MOST_SPEND, EXPIRY);
        grant();
        uint64 first = uint64(block.timestamp);
        requireKey(ENERGY, MOST_WH, MOST_SPEND, EXPIRY, first, 0);
        vm.warp(first + 5);
        grant(15, 1, 0, first + 9);
        requireKey(15, 1, 0, first + 9, first, 0);
    }

    /// A holder needs no gas: anyone relays what it signed, once.
    function test_grants_and_revocations_are_relayed() external {
        KeyGrant memory message = grantMessage(0);
        bytes memory signature = signGrant(BUYER, message);
        vm.prank(stranger);
        exchange.relayKeyGrant(message, signature);
        requireKey(ENERGY, MOST_WH, MOST_SPEND, EXPIRY, uint64(block.timestamp), 0);
        refusedAs(
            abi.encodeCall(ISessionKeys.relayKeyGrant, (message, signature)),
            bytes4(keccak256("InvalidAccountNonce(address,uint256)"))
        );
        KeyRevocation memory end = KeyRevocation(buyer, agent, 1, block.timestamp);
        signature = signRevocation(AGENT, end);
        refused(
            abi.encodeCall(ISessionKeys.relayKeyRevocation, (end, signature)),
            abi.encodeWithSelector(IAccounts.WrongSigner.selector, agent, buyer)
        );
        signature = signRevocation(BUYER, end);
        vm.expectEmit(address(exchange));
        emit ISessionKeys.KeyRevoked(buyer, agent);
        exchange.relayKeyRevocation(end, signature);
        requireKey(ENERGY, MOST_WH, MOST_SPEND, EXPIRY, uint64(block.timestamp), uint64(block.timestamp));
        message = grantMessage(2);
        message.deadline = block.timestamp - 1;
        signature = signGrant(BUYER, message);
        refused(
            abi.encodeCall(ISessionKeys.relayKeyGrant, (message, signature)),
            abi.encodeWithSelector(IAccounts.Expired.selector, message.deadline)
        );
    }

    /// No member is another's key, and a scope that makes no sense is refused by its field.
    function test_scopes_that_make_no_sense_are_refused() external {
        address[3] memory wrong = [address(0), buyer, seller];
        for (uint256 i; i < 3; ++i) {
            vm.prank(buyer);
            refuse(abi.encodeWithSelector(ISessionKeys.BadKey.selector, wrong[i]));
            exchange.grantKey(wrong[i], 0, ENERGY, 1, 1, EXPIRY);
        }
        vm.prank(stranger);
        refuse(abi.encodeWithSelector(IAccounts.NotMember.selector, stranger));
        exchange.grantKey(agent, 0, ENERGY, 1, 1, EXPIRY);
        requireBadScope("zone", 1, ENERGY, 1, 1, EXPIRY);
        requireBadScope("kinds", 0, 0, 1, 1, EXPIRY);
        requireBadScope("kinds", 0, 16, 1, 1, EXPIRY);
        requireBadScope("maxWhPerWindow", 0, ENERGY, 0, 1, EXPIRY);
        requireBadScope("maxSpendNanoPerDay", 0, ENERGY, 1, 1 << 96, EXPIRY);
        requireBadScope("expiry", 0, ENERGY, 1, 1, uint64(block.timestamp - 1));
        requireBadScope("expiry", 0, ENERGY, 1, 1, 1 << 40);
        grant(15, type(uint32).max, (1 << 96) - 1, (1 << 40) - 1);
        requireKey(15, type(uint32).max, (1 << 96) - 1, (1 << 40) - 1, uint64(block.timestamp), 0);
    }

    /// What has ended, by revocation or expiry, never comes back.
    function test_an_ended_key_stays_ended() external {
        bytes memory ended = abi.encodeWithSelector(ISessionKeys.KeyEnded.selector, buyer, agent);
        bytes memory unknown = abi.encodeWithSelector(ISessionKeys.KeyNotGranted.selector, buyer, agent);
        vm.prank(buyer);
        refuse(unknown);
        exchange.revokeKey(agent);
        uint256 snapshot = vm.snapshotState();
        grant();
        revoke();
        vm.prank(buyer);
        refuse(unknown);
        exchange.revokeKey(agent);
        requireRefusedGrant(ended);
        vm.revertToState(snapshot);
        uint64 soon = uint64(block.timestamp + 60);
        grant(ENERGY, 1, 1, soon);
        vm.warp(soon);
        grant(ENERGY, 1, 2, soon); // its last moment
        vm.warp(soon + 1);
        requireRefusedGrant(ended);
        vm.prank(seller); // to whom it was never granted
        exchange.grantKey(agent, 0, ENERGY, 1, 1, EXPIRY);
    }

    /// From its gate to its end a session's keys stand still.
    function test_no_key_changes_while_a_session_clears() external {
        grant();
        vm.warp(exchange.sessionParams(epoch).gate);
        bytes memory clearing = abi.encodeWithSelector(IAccounts.ClearingInProgress.selector, epoch);
        vm.prank(buyer);
        refuse(clearing);
        exchange.revokeKey(agent);
        requireRefusedGrant(clearing);
        passDeadline(epoch);
        revoke();
    }

    /// During a pause nothing is granted, but a stolen key can be ended.
    function test_a_pause_does_not_keep_a_key_alive() external {
        grant();
        vm.prank(guardian);
        exchange.pause();
        requireRefusedGrant(
            abi.encodeWithSelector(IEmergency.ExchangePaused.selector, block.timestamp + MAX_PAUSE)
        );
        revoke();
    }

    /// Whatever it signs or sends beside orders counts for nothing.
    function test_a_key_does_nothing_but_trade() external {
        grant();
        vm.prank(agent);
        refuse(abi.encodeWithSelector(IAccounts.NotMember.selector, agent));
        exchange.requestWithdrawal(1);
        vm.prank(agent);
        refuse(abi.encodeWithSelector(IAccounts.NotMember.selector, agent));
        exchange.grantKey(stranger, 0, ENERGY, 1, 1, EXPIRY);
        vm.prank(agent);
        refuse(abi.encodeWithSelector(ISessionKeys.KeyNotGranted.selector, agent, agent));
        exchange.revokeKey(agent);
        KeyGrant memory message = grantMessage(0);
        message.key = stranger;
        bytes memory signature = signGrant(AGENT, message);
        refused(
            abi.encodeCall(ISessionKeys.relayKeyGrant, (message, signature)),
            abi.encodeWithSelector(IAccounts.WrongSigner.selector, agent, buyer)
        );
    }

    // --- trading

    /// Its order is the account's: tokens and cash are booked there, and the scope is used as of the proof.
    function test_a_keys_order_trades_for_its_account() external {
        grant();
        Order[] memory orders = book(byAgent(1000, 200_000), sold);
        prove(epoch, orders);
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 1000, "claims");
        eq(exchange.balanceOf(agent, claimOf(0, 0)), 0, "nothing of its own");
        Use memory use = useOf();
        eq(use.day, GATE / 1 days, "day");
        eq(use.epoch, 0, "folded");
        eq(use.spent, MOST_SPEND / 2, "at its limit, in both windows");
        requireNothingSpent(byAgent(1001, 400_000), BEYOND, 1); // what it spent remains spent
    }

    /// Until its session is proved what it may spend is pending; if the session is void it was nothing.
    function test_a_void_session_uses_nothing() external {
        grant();
        bring(epoch, book(byAgent(1000, 200_000), sold));
        Use memory use = useOf();
        eq(use.epoch, epoch, "of this session");
        eq(use.wh, 1000, "largest quantity");
        eq(use.pending, MOST_SPEND / 2, "pending");
        eq(use.spent, 0, "not spent");
        passDeadline(epoch);
        use = useOf();
        eq(use.pending + use.spent + use.wh + use.epoch, 0, "dropped");
    }

    /// All orders of a session together stay within the scope, to the last Wh and nano.
    function test_orders_share_the_scope() external {
        grant();
        uint256 snapshot = vm.snapshotState();
        bring(epoch, twoOrders());
        eq(useOf().wh, MOST_WH, "all of it");
        eq(useOf().pending, MOST_SPEND, "all of it");
        vm.revertToState(snapshot);
        Order[] memory orders = twoOrders();
        (orders[1].quantityWh[1], orders[1].limit[1]) = (1001, 0);
        requireSecondBeyond(orders);
        vm.revertToState(snapshot);
        orders = twoOrders();
        orders[1].limit[0] = 200_001;
        requireSecondBeyond(orders);
    }

    /// The day is that of the gate, and the next one is another.
    function test_spending_is_bounded_by_the_day() external {
        grant();
        prove(epoch, book(byAgent(1000, 200_000), sold));
        SessionParams memory p = bondedParams(1);
        p.gate = DAY_BEGINS;
        (p.commitBy, p.proveBy, p.claimBy) = (p.gate + 10 minutes, p.gate + ROUND_LASTS, p.claimBy + 1 days);
        uint24 next = openSession(p);
        Order memory whole = byAgent(2000, 200_000);
        prove(next, book(whole, sell(SELLER, 2000, 100_000)));
        Use memory use = useOf();
        eq(use.day, DAY_BEGINS / 1 days, "the next day");
        eq(use.spent, MOST_SPEND, "of its own");
    }

    /// A sale spends what its negative limits may cost; at others it spends nothing.
    function test_a_sale_spends_by_negative_limits() external {
        grant(ENERGY, MOST_WH, 100_000 * 2000, EXPIRY);
        bring(epoch, book(sell(AGENT, 1000, -100_000), buy(SELLER, 1000, 0)));
        eq(useOf().pending, 100_000 * 2000, "all of it");
        passDeadline(epoch);
        requireNothingSpent(sell(AGENT, 1000, -100_001), BEYOND, 1);
    }

    /// A flexible order counts with its maximum in a window, and all its energy at its limit.
    function test_a_flexible_order_is_within_the_scope() external {
        grant(ENERGY, 600, 1000 * 200_000, EXPIRY);
        requireFlexible(flexibly(AGENT, 0, 1000, 600, 200_000), 0);
        requireFlexible(flexibly(AGENT, 0, 1000, 601, 200_000), BEYOND);
        requireFlexible(flexibly(AGENT, 0, 1001, 600, 200_000), BEYOND);
    }

    /// A key that is revoked, or has expired by the gate, fills zero.
    function test_ended_keys_fill_zero() external {
        uint64 gate = exchange.sessionParams(epoch).gate;
        uint256 snapshot = vm.snapshotState();
        grant();
        revoke();
        requireReason(epoch, byAgent(1, 0), REVOKED);
        vm.revertToState(snapshot);
        grant(ENERGY, MOST_WH, MOST_SPEND, gate - 1);
        requireReason(epoch, byAgent(1, 0), REVOKED);
        grant(ENERGY, MOST_WH, MOST_SPEND, gate);
        bring(epoch, book(byAgent(1, 0)));
        eq(useOf().wh, 1, "at its last moment it counts");
    }

    /// Another kind, or a beneficiary, is beyond any scope that does not have it.
    function test_other_kinds_and_beneficiaries_are_beyond_the_scope() external {
        grant(14, MOST_WH, MOST_SPEND, EXPIRY); // all but energy
        requireReason(epoch, byAgent(1, 0), BEYOND);
        grant(15, MOST_WH, MOST_SPEND, EXPIRY);
        Order memory gift = sell(AGENT, 1, 0);
        gift.beneficiary = seller;
        requireReason(epoch, gift, BEYOND);
        requireReason(epoch, byAgent(2001, 0), BEYOND);
        requireReason(epoch, byAgent(1000, 400_001), BEYOND);
    }

    /// What fills zero for another reason is told by that, and uses nothing up.
    function test_the_scope_is_the_last_to_be_looked_at() external {
        grant();
        vm.prank(buyer);
        exchange.requestWithdrawal(RICH);
        uint24 second = openRound(1);
        passDeadline(epoch);
        requireReason(second, byAgent(2000, 200_000), 2);
        revoke();
        requireReason(second, byAgent(2000, 200_000), 2);
    }

    /// A key that was never granted signs nothing: its order is malformed.
    function test_a_key_never_granted_is_nobody() external {
        tradesFor[AGENT] = buyer;
        Order memory o = byAgent(1, 0);
        commit(epoch, book(o));
        Posted memory posted = postedFor(new Order[](0));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordOf(epoch, o);
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IClearing.BadSignature.selector, agent, buyer));
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    /// A contract, which signs nothing itself, trades by a key.
    function test_a_contract_wallet_trades_by_a_key() external {
        address wallet = address(new KeyWallet(stranger));
        register(wallet, ROLE_PROSUMER, 20_000, false);
        fund(wallet, RICH);
        vm.prank(wallet);
        exchange.grantKey(agent, 0, ENERGY, MOST_WH, MOST_SPEND, EXPIRY);
        tradesFor[AGENT] = wallet;
        prove(epoch, book(byAgent(1000, 200_000), sold));
        eq(exchange.balanceOf(wallet, claimOf(0, 1)), 1000, "claims");
    }

    // --- helpers

    function requireKey(
        uint8 kinds,
        uint32 wh,
        uint128 spend,
        uint64 expiry,
        uint64 grantedAt,
        uint64 revokedAt
    ) private view {
        (uint8 k, uint32 w, uint128 s, uint64 e, uint64 g, uint64 r) = exchange.keyOf(buyer, agent);
        eq(
            keccak256(abi.encode(k, w, s, e, g, r)),
            keccak256(abi.encode(kinds, wh, spend, expiry, grantedAt, revokedAt)),
            "as granted"
        );
    }

    function requireBadScope(
        string memory field,
        uint32 zone,
        uint8 kinds,
        uint32 wh,
        uint128 spend,
        uint64 expiry
    ) private {
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(ISessionKeys.BadScope.selector, field));
        exchange.grantKey(agent, zone, kinds, wh, spend, expiry);
    }

    function requireRefusedGrant(bytes memory error) private {
        vm.prank(buyer);
        refuse(error);
        exchange.grantKey(agent, 0, ENERGY, 1, 1, EXPIRY);
    }

    /// @dev In a later round the order fills zero for this reason.
    function requireNothingSpent(Order memory o, uint8 reason, uint8 round) private {
        uint24 later = openRound(round);
        requireReason(later, o, reason);
    }

    function twoOrders() private view returns (Order[] memory orders) {
        orders = book(byAgent(1000, 200_000), byAgent(1000, 200_000));
        orders[1].nonce = 2;
    }

    /// @dev Of two orders of the agent only the first, by hash, is within the scope.
    function requireSecondBeyond(Order[] memory orders) private {
        bytes32[] memory all = commit(epoch, orders);
        Posted memory posted = postedFor(book(orders[0]));
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        vm.expectEmit(address(exchange));
        emit IClearing.ScheduleIneligible(epoch, buyer, all[1], BEYOND);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
    }

    function requireFlexible(Flexibly memory o, uint8 reason) private {
        uint256 snapshot = vm.snapshotState();
        bytes32[] memory all = new bytes32[](1);
        all[0] = hashOf(epoch, o);
        vm.warp(exchange.sessionParams(epoch).gate);
        vm.prank(operator);
        exchange.commitBooks(epoch, oneCount(1), oneRoot(rootOf(all)));
        Posted memory posted = postedFor(new Order[](0));
        for (uint256 w; w < dayWindows; ++w) {
            posted.energyPotentials[w] = potential(200_001, OUTER);
        }
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordOf(epoch, o);
        if (reason != 0) {
            vm.expectEmit(address(exchange));
            emit IClearing.ScheduleIneligible(epoch, buyer, all[0], reason);
        }
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        eq(useOf().wh, reason == 0 ? o.maxWh : 0, "the most of a window");
        eq(useOf().pending, reason == 0 ? uint256(o.energyWh) * 200_000 : 0, "all its energy");
        vm.revertToState(snapshot);
    }
}
