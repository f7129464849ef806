// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Emergency} from "./Emergency.sol";
import {IAccounts, Withdrawal} from "./interfaces/IAccounts.sol";
import {Stage} from "./interfaces/IAuction.sol";
import {Cash, CashLib} from "./libraries/Cash.sol";
import {
    FLAG_SUSPENDED,
    FLAG_WIDE,
    FLAG_WITHDRAWING,
    Member,
    MemberLib,
    ROLE_BALANCING_PARTY,
    ROLE_NONE,
    ROLE_OPERATOR,
    ROLE_PROSUMER
} from "./libraries/Member.sol";

/// @title Accounts: members, their cash and what may leave
abstract contract Accounts is Emergency, EIP712, Nonces, IAccounts {
    using SafeERC20 for IERC20;

    struct PendingWithdrawal {
        uint128 amountNano;
        uint24 afterEpoch;
    }

    bytes32 private constant WITHDRAWAL_TYPE_HASH =
        keccak256("Withdrawal(address account,uint256 amountNano,uint256 nonce,uint256 deadline)");

    /// @notice The token in which cash enters and leaves; its unit is one nano.
    IERC20 public immutable settlementToken;

    /// @inheritdoc IAccounts
    address public balancingParty;
    /// @inheritdoc IAccounts
    uint256 public totalNegative;
    /// @inheritdoc IAccounts
    mapping(uint32 zone => uint32 count) public meteredIn;

    mapping(address account => Cash) internal _cash;
    mapping(address account => Member) internal _members;
    mapping(address account => PendingWithdrawal) internal _withdrawals;

    modifier whenNotClearing() {
        uint24 epoch = _clearingEpoch();
        if (epoch != 0) revert ClearingInProgress(epoch);
        _;
    }

    constructor(IERC20 settlementToken_) EIP712("Trellis", "1") {
        settlementToken = settlementToken_;
    }

    /// @inheritdoc IAccounts
    function registerMember(
        address account,
        uint32 zone,
        uint8 role,
        uint8 maxQuality,
        uint32 capacityWh,
        bool wide
    ) external restricted whenNotClearing {
        if (_members[account].role() != ROLE_NONE) revert AlreadyMember(account);
        if (account == address(0) || role == ROLE_NONE || role > ROLE_OPERATOR) revert BadTerms(account);
        if (role == ROLE_BALANCING_PARTY) {
            if (balancingParty != address(0)) revert BadTerms(account);
            balancingParty = account;
        }
        if (role == ROLE_PROSUMER) ++meteredIn[zone];
        Member member = MemberLib.pack(zone, role, wide ? FLAG_WIDE : 0, maxQuality, capacityWh);
        _requireTerms(account, member);
        _members[account] = member;
        emit MemberRegistered(account, zone, role, member);
    }

    /// @inheritdoc IAccounts
    function changeMember(address account, uint8 maxQuality, uint32 capacityWh, bool suspended)
        external
        restricted
        whenNotClearing
    {
        Member old = _requireMember(account);
        Member member = MemberLib.pack(old.zone(), old.role(), old.flags(), maxQuality, capacityWh)
            .withFlag(FLAG_SUSPENDED, suspended).withHeldOf(old);
        _requireTerms(account, member);
        _members[account] = member;
        emit MemberChanged(account, member);
    }

    /// @inheritdoc IAccounts
    function deposit(address account, uint256 amountNano) external whenNotPaused whenNotClearing {
        _requireMember(account);
        Cash cash = _folded(account);
        _setFree(account, cash, cash.free() + int256(amountNano));
        settlementToken.safeTransferFrom(msg.sender, address(this), amountNano);
        emit Deposited(account, amountNano);
    }

    /// @inheritdoc IAccounts
    function requestWithdrawal(uint256 amountNano) external whenNotPaused whenNotClearing {
        _requestWithdrawal(msg.sender, amountNano);
    }

    /// @inheritdoc IAccounts
    function relayWithdrawal(Withdrawal calldata message, bytes calldata signature)
        external
        whenNotPaused
        whenNotClearing
    {
        _requireSigned(keccak256(abi.encode(WITHDRAWAL_TYPE_HASH, message)), message.account, message.deadline, signature);
        _useCheckedNonce(message.account, message.nonce);
        _requestWithdrawal(message.account, message.amountNano);
    }

    /// @inheritdoc IAccounts
    function executeWithdrawal(address account) external whenNotPaused whenNotClearing {
        PendingWithdrawal memory pending = _withdrawals[account];
        if (pending.amountNano == 0 || pending.afterEpoch > _endedThrough()) {
            revert WithdrawalNotReady(account, pending.afterEpoch);
        }
        uint256 amount = pending.amountNano;
        Cash cash = _folded(account);
        uint256 kept = account == balancingParty ? totalNegative : 0;
        if (cash.free() < int256(amount + kept)) revert InsufficientCash(account, cash.free(), amount + kept);
        _clearWithdrawal(account);
        _setFree(account, cash, cash.free() - int256(amount));
        emit Withdrawn(account, amount);
        settlementToken.safeTransfer(account, amount);
    }

    /// @inheritdoc IAccounts
    function cashOf(address account) external view returns (int256, uint256, int256, uint24) {
        Cash cash = _folded(account);
        return (cash.free(), cash.reserved(), cash.net(), cash.epoch());
    }

    /// @inheritdoc IAccounts
    function memberOf(address account) external view returns (Member) {
        return _members[account];
    }

    /// @notice What the account has announced to withdraw.
    function withdrawalOf(address account) external view returns (uint256 amountNano, uint24 afterEpoch) {
        return (_withdrawals[account].amountNano, _withdrawals[account].afterEpoch);
    }

    // --- for the other concerns

    /// @dev How session `epoch` stands now.
    function _stageOf(uint24 epoch) internal view virtual returns (Stage);

    /// @dev The session between its gate and its end, or zero.
    function _clearingEpoch() internal view virtual returns (uint24);

    /// @dev The last session such that it and all before it are proved or void.
    function _endedThrough() internal view virtual returns (uint24);

    function _latestEpoch() internal view virtual returns (uint24);

    /// @dev The account's cash with the result of an ended session folded into it.
    function _folded(address account) internal view returns (Cash) {
        return _fold(_cash[account]);
    }

    function _fold(Cash cash) internal view returns (Cash) {
        uint24 epoch = cash.epoch();
        if (epoch == 0) return cash;
        Stage stage = _stageOf(epoch);
        if (stage == Stage.Proved) return CashLib.pack(cash.free() + int256(cash.reserved()) + cash.net(), 0, 0, 0);
        if (stage == Stage.Void) return CashLib.pack(cash.free() + int256(cash.reserved()), 0, 0, 0);
        return cash;
    }

    /// @dev Stores `cash` with another free amount and keeps `totalNegative` right.
    function _setFree(address account, Cash cash, int256 free) internal {
        if (account != balancingParty) {
            int256 before = _cash[account].free();
            int256 owedBefore = before < 0 ? -before : int256(0);
            int256 owed = free < 0 ? -free : int256(0);
            if (owed != owedBefore) totalNegative = uint256(int256(totalNegative) + owed - owedBefore);
        }
        _cash[account] = CashLib.pack(free, cash.reserved(), cash.net(), cash.epoch());
    }

    /// @dev Moves free cash from one account to another that must have it.
    function _moveFree(address from, address to, uint256 amountNano) internal {
        Cash payer = _folded(from);
        int256 spendable = payer.free() - int256(uint256(_withdrawals[from].amountNano));
        if (spendable < int256(amountNano)) revert InsufficientCash(from, spendable, amountNano);
        _setFree(from, payer, payer.free() - int256(amountNano));
        Cash payee = _folded(to);
        _setFree(to, payee, payee.free() + int256(amountNano));
    }

    function _requireMember(address account) internal view returns (Member member) {
        member = _members[account];
        if (member.role() == ROLE_NONE) revert NotMember(account);
    }

    function _requireSigned(bytes32 structHash, address account, uint256 deadline, bytes calldata signature) internal view {
        if (block.timestamp > deadline) revert Expired(deadline);
        address signer = ECDSA.recover(_hashTypedDataV4(structHash), signature);
        if (signer != account) revert WrongSigner(signer, account);
    }

    function _requestWithdrawal(address account, uint256 amountNano) private {
        Member member = _requireMember(account);
        Cash cash = _folded(account);
        if (amountNano != 0 && cash.free() < int256(amountNano)) {
            revert InsufficientCash(account, cash.free(), amountNano);
        }
        uint24 epoch = _latestEpoch();
        _withdrawals[account] = PendingWithdrawal(uint128(amountNano), epoch);
        _members[account] = member.withFlag(FLAG_WITHDRAWING, amountNano != 0);
        emit WithdrawalRequested(account, amountNano, epoch);
    }

    function _clearWithdrawal(address account) private {
        delete _withdrawals[account];
        _members[account] = _members[account].withFlag(FLAG_WITHDRAWING, false);
    }

    function _requireTerms(address account, Member member) private pure {
        uint256 widest = member.isWide() ? type(uint32).max >> 2 : type(uint16).max;
        if (member.capacityWh() > widest || member.maxQuality() > 15) revert BadTerms(account);
    }
}
