// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC6909} from "@openzeppelin/contracts/interfaces/draft-IERC6909.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {Acceptance, IEnergyToken, TokenTransfer} from "../../contracts/interfaces/IEnergyToken.sol";
import {PackedWindows} from "../../contracts/libraries/PackedWindows.sol";
import {MeteredDay} from "./support/MeteredDay.sol";

contract EnergyTokenTest is MeteredDay {
    bytes32 private constant TRANSFER_TYPE_HASH = keccak256(
        "Transfer(address from,address to,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant ACCEPTANCE_TYPE_HASH = keccak256(
        "Acceptance(address to,address from,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
    );

    uint256 private claim;
    uint256 private obligation;

    /// @dev The buyer holds claims of 1000 Wh in both windows, the seller the obligations.
    function setUp() external {
        setUpWorld(2);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        (claim, obligation) = (claimOf(0, 1), obligationOf(0, 1));
    }

    function accept(address to, uint256 amount) private {
        vm.prank(to);
        exchange.accept(buyer, claim, amount);
    }

    function give(address to, uint256 amount) private {
        vm.prank(buyer);
        exchange.transfer(to, claim, amount);
    }

    // --- balances

    /// A proved session's fills are balances: claims of buyers, obligations of sellers, in their windows alone.
    function test_fills_are_balances() external view {
        eq(exchange.balanceOf(buyer, claim), 1000, "claim");
        eq(exchange.balanceOf(seller, obligation), 1000, "obligation");
        eq(exchange.balanceOf(buyer, obligation), 0, "the buyer owes nothing");
        eq(exchange.balanceOf(buyer, claimOf(0, 2)), 0, "no further window");
        eq(exchange.balanceOf(buyer, claimOf(1, 1)), 0, "no other round");
        eq(exchange.balanceOf(buyer, idOf(0, 0, 1, 0, 1)), 0, "no other kind");
        eq(exchange.balanceOf(buyer, idOf(0, 0, 0, 3, 1)), 0, "no other quality");
    }

    /// An id is read in one way only: with higher bits or another window length it is no product.
    function test_ids_are_canonical(uint256 high) external view {
        eq(exchange.balanceOf(buyer, claim | within(high, 1, type(uint144).max) << 112), 0, "higher bits");
        eq(exchange.balanceOf(buyer, claim ^ (uint256(1800 ^ 900) << 32)), 0, "another length");
    }

    /// Before the day is certified, a certificate is none.
    function test_a_certificate_is_none_before_certification() external view {
        eq(exchange.balanceOf(buyer, idOf(0, 0, 3, 0, 1)), 0, "certificate");
    }

    // --- ERC-6909

    /// The interfaces of ERC-165 and ERC-6909 are told.
    function test_interfaces_are_told() external view {
        isTrue(exchange.supportsInterface(type(IERC165).interfaceId), "ERC-165");
        isTrue(exchange.supportsInterface(type(IERC6909).interfaceId), "ERC-6909");
        isTrue(exchange.supportsInterface(0x0f632fb3), "ERC-6909 by number");
        isTrue(!exchange.supportsInterface(0xffffffff), "not everything");
    }

    /// A transfer moves, tells who called, and returns true.
    function test_a_transfer_moves_and_tells() external {
        accept(secondBuyer, 400);
        vm.expectEmit(address(exchange));
        emit IERC6909.Transfer(buyer, buyer, secondBuyer, claim, 400);
        vm.prank(buyer);
        isTrue(exchange.transfer(secondBuyer, claim, 400), "returns true");
        eq(exchange.balanceOf(buyer, claim), 600, "left");
        eq(exchange.balanceOf(secondBuyer, claim), 400, "received");
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 1000, "the other window is untouched");
    }

    /// An allowance is for one token and is used up; the largest is not.
    function test_allowances_are_used_up() external {
        accept(secondBuyer, 1000);
        vm.expectEmit(address(exchange));
        emit IERC6909.Approval(buyer, stranger, claim, 300);
        vm.prank(buyer);
        isTrue(exchange.approve(stranger, claim, 300), "returns true");
        vm.startPrank(stranger);
        isTrue(exchange.transferFrom(buyer, secondBuyer, claim, 200), "returns true");
        eq(exchange.allowance(buyer, stranger, claim), 100, "left");
        refuse(abi.encodeWithSelector(IEnergyToken.InsufficientAllowance.selector, stranger, 100, 101, claim));
        exchange.transferFrom(buyer, secondBuyer, claim, 101);
        uint256 other = claimOf(0, 0);
        refuse(abi.encodeWithSelector(IEnergyToken.InsufficientAllowance.selector, stranger, 0, 1, other));
        exchange.transferFrom(buyer, secondBuyer, other, 1);
        vm.stopPrank();
        vm.prank(buyer);
        exchange.approve(stranger, claim, type(uint256).max);
        vm.prank(stranger);
        exchange.transferFrom(buyer, secondBuyer, claim, 1);
        eq(exchange.allowance(buyer, stranger, claim), type(uint256).max, "without end");
    }

    /// An operator moves any token of its owner and uses up no allowance, until it is one no more.
    function test_operators_move_anything() external {
        accept(secondBuyer, 1000);
        vm.expectEmit(address(exchange));
        emit IERC6909.OperatorSet(buyer, stranger, true);
        vm.prank(buyer);
        isTrue(exchange.setOperator(stranger, true), "returns true");
        isTrue(exchange.isOperator(buyer, stranger), "operator");
        vm.prank(stranger);
        exchange.transferFrom(buyer, secondBuyer, claim, 10);
        vm.prank(buyer);
        exchange.setOperator(stranger, false);
        vm.prank(stranger);
        vm.expectPartialRevert(IEnergyToken.InsufficientAllowance.selector);
        exchange.transferFrom(buyer, secondBuyer, claim, 10);
    }

    /// More than the balance does not move.
    function test_a_transfer_needs_the_balance() external {
        accept(secondBuyer, 5000);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IEnergyToken.InsufficientBalance.selector, buyer, 1000, 1001, claim));
        exchange.transfer(secondBuyer, claim, 1001);
    }

    // --- claims

    /// The recipient of a claim takes its reserve over, and all cash stays.
    function test_a_claim_carries_its_reserve() external {
        int256 giver = freeOf(buyer);
        accept(secondBuyer, 400);
        give(secondBuyer, 400);
        int256 reserve = 400 * int256(uint256(BUY_RESERVE));
        eq(freeOf(buyer), giver + reserve, "returned to the giver");
        eq(freeOf(secondBuyer), int256(RICH) - reserve, "taken over");
    }

    /// Nothing is received that was not accepted, or no longer.
    function test_a_claim_needs_acceptance() external {
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IEnergyToken.NotAccepted.selector, secondBuyer, buyer, claim, 1));
        exchange.transfer(secondBuyer, claim, 1);
        accept(secondBuyer, 400);
        give(secondBuyer, 300);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IEnergyToken.NotAccepted.selector, secondBuyer, buyer, claim, 101));
        exchange.transfer(secondBuyer, claim, 101);
        accept(secondBuyer, 0);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IEnergyToken.NotAccepted.selector, secondBuyer, buyer, claim, 1));
        exchange.transfer(secondBuyer, claim, 1);
    }

    /// A recipient who cannot cover the reserve receives nothing; what it is withdrawing covers nothing.
    function test_a_claim_needs_a_recipient_who_covers_it() external {
        vm.prank(secondBuyer);
        exchange.requestWithdrawal(RICH - 1);
        accept(secondBuyer, 400);
        uint256 reserve = 400 * uint256(BUY_RESERVE);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IAccounts.InsufficientCash.selector, secondBuyer, int256(1), reserve));
        exchange.transfer(secondBuyer, claim, 400);
    }

    /// Claims go to prosumers in good standing only.
    function test_a_claim_goes_to_prosumers() external {
        accept(stranger, 1);
        accept(balancer, 1);
        accept(secondBuyer, 1);
        vm.prank(registrar);
        exchange.changeMember(secondBuyer, 0, 1, true);
        address[3] memory wrong = [stranger, balancer, secondBuyer];
        for (uint256 i; i < 3; ++i) {
            vm.prank(buyer);
            refuse(abi.encodeWithSelector(IEnergyToken.WrongRecipient.selector, wrong[i], claim));
            exchange.transfer(wrong[i], claim, 1);
        }
    }

    /// A claim moves until its window begins, not from then on.
    function test_a_claim_moves_until_delivery() external {
        accept(secondBuyer, 10);
        uint256 starts = uint256(DAY_BEGINS) + LENGTH;
        vm.warp(starts - 1);
        give(secondBuyer, 1);
        vm.warp(starts);
        vm.prank(buyer);
        refuse(abi.encodeWithSelector(IEnergyToken.NotTransferable.selector, claim));
        exchange.transfer(secondBuyer, claim, 1);
    }

    /// Obligations stay with who took them.
    function test_obligations_do_not_move() external {
        vm.prank(secondSeller);
        exchange.accept(seller, obligation, 1);
        vm.prank(seller);
        refuse(abi.encodeWithSelector(IEnergyToken.NotTransferable.selector, obligation));
        exchange.transfer(secondSeller, obligation, 1);
    }

    /// A claim moves between accounts of other widths; what would not fit the recipient's lane is refused.
    function test_a_claim_changes_width() external {
        accept(wideMember, 700);
        give(wideMember, 700);
        eq(exchange.balanceOf(wideMember, claim), 700, "in a wide account");
        vm.prank(buyer);
        exchange.accept(wideMember, claim, 200);
        vm.prank(wideMember);
        exchange.transfer(buyer, claim, 200);
        eq(exchange.balanceOf(buyer, claim), 500, "and back");

        openLarge();
        uint256 large = claimOf(1, 1);
        vm.prank(buyer);
        exchange.accept(wideMember, large, 70_000);
        vm.prank(wideMember);
        refuse(abi.encodeWithSelector(PackedWindows.LaneOverflow.selector, 0, 70_000));
        exchange.transfer(buyer, large, 70_000);
    }

    /// @dev The wide member buys 80 kWh a window of the balancing party in round 1.
    function openLarge() private {
        trade(1, book(buy(WIDE, 80_000, 200_000), sell(BALANCER, 80_000, 100_000)));
    }

    /// Moving to oneself changes nothing.
    function test_a_transfer_to_oneself_changes_nothing() external {
        int256 free = freeOf(buyer);
        accept(buyer, 400);
        give(buyer, 400);
        eq(exchange.balanceOf(buyer, claim), 1000, "balance");
        eq(freeOf(buyer), free, "cash");
    }

    // --- relayed

    /// Holder and recipient sign; anyone brings both messages, once.
    function test_a_signed_transfer_is_relayed_once() external {
        Acceptance memory yes = Acceptance(secondBuyer, buyer, claim, 400, 0, block.timestamp);
        TokenTransfer memory move = TokenTransfer(buyer, secondBuyer, claim, 400, 0, block.timestamp);
        bytes memory yesSigned = signStruct(SECOND_BUYER, keccak256(abi.encode(ACCEPTANCE_TYPE_HASH, yes)));
        bytes memory moveSigned = signStruct(BUYER, keccak256(abi.encode(TRANSFER_TYPE_HASH, move)));
        vm.startPrank(stranger);
        exchange.relayAcceptance(yes, yesSigned);
        exchange.relayTransfer(move, moveSigned);
        eq(exchange.balanceOf(secondBuyer, claim), 400, "received");
        refuse(abi.encodeWithSelector(Nonces.InvalidAccountNonce.selector, buyer, 1));
        exchange.relayTransfer(move, moveSigned);
        refuse(abi.encodeWithSelector(Nonces.InvalidAccountNonce.selector, secondBuyer, 1));
        exchange.relayAcceptance(yes, yesSigned);
    }

    /// Neither message is another's, late, or taken for the other.
    function test_relayed_messages_are_their_signers_own() external {
        TokenTransfer memory move = TokenTransfer(buyer, secondBuyer, claim, 400, 0, block.timestamp);
        bytes memory signature = signStruct(STRANGER, keccak256(abi.encode(TRANSFER_TYPE_HASH, move)));
        refuse(abi.encodeWithSelector(IAccounts.WrongSigner.selector, stranger, buyer));
        exchange.relayTransfer(move, signature);
        signature = signStruct(BUYER, keccak256(abi.encode(ACCEPTANCE_TYPE_HASH, move)));
        vm.expectPartialRevert(IAccounts.WrongSigner.selector);
        exchange.relayTransfer(move, signature);
        signature = signStruct(BUYER, keccak256(abi.encode(TRANSFER_TYPE_HASH, move)));
        vm.warp(block.timestamp + 1);
        refuse(abi.encodeWithSelector(IAccounts.Expired.selector, move.deadline));
        exchange.relayTransfer(move, signature);
    }

    // --- at the end

    /// Claims and obligations end when their day settles, though the lanes of claims keep what certificates come from.
    function test_tokens_end_with_settlement() external {
        settleAll(new int256[](prosumers.length), 80_000, 240_000);
        eq(exchange.balanceOf(buyer, claim), 0, "claim");
        eq(exchange.balanceOf(seller, obligation), 0, "obligation");
        uint256 key = obligation - 972_289 + uint256(972_289) / 16;
        eq(exchange.lanesOf(seller, key), 0, "the lanes of obligations are empty too");
    }
}
