// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {PendingWithdrawal} from "./Ledger.sol";
import {Relay} from "./Relay.sol";
import {IAccounts, Withdrawal} from "./interfaces/IAccounts.sol";
import {Cash} from "./libraries/Cash.sol";
import {
    FLAG_SUSPENDED,
    FLAG_WIDE,
    FLAG_WITHDRAWING,
    Member,
    MemberLib,
    ROLE_BALANCING_PARTY,
    ROLE_NETWORK_OPERATOR,
    ROLE_NONE,
    ROLE_OPERATOR,
    ROLE_PROSUMER
} from "./libraries/Member.sol";

/// @title Accounts: members, their cash and what may leave
abstract contract Accounts is Relay, IAccounts {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    bytes32 private constant WITHDRAWAL_TYPE_HASH =
        keccak256("Withdrawal(address account,uint256 amountNano,uint256 nonce,uint256 deadline)");

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
        // What belongs to no single zone is accounted for at the root.
        bool atRoot = role == ROLE_BALANCING_PARTY || role == ROLE_NETWORK_OPERATOR;
        if (atRoot && zone != 0) revert BadTerms(account);
        if (role == ROLE_BALANCING_PARTY) {
            if (_balancingParty != address(0)) revert BadTerms(account);
            _balancingParty = account;
        }
        if (role == ROLE_NETWORK_OPERATOR) {
            if (_networkOperator != address(0)) revert BadTerms(account);
            _networkOperator = account;
        }
        if (role == ROLE_PROSUMER) ++_meteredIn[zone];
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
        _credit(account, amountNano.toInt256());
        uint256 before = settlementToken.balanceOf(address(this));
        settlementToken.safeTransferFrom(msg.sender, address(this), amountNano);
        uint256 received = settlementToken.balanceOf(address(this)) - before;
        if (received != amountNano) revert DepositShort(received, amountNano);
        emit Deposited(account, amountNano);
    }

    /// @inheritdoc IAccounts
    function requestWithdrawal(uint256 amountNano) external whenNotPaused {
        _requestWithdrawal(msg.sender, amountNano);
    }

    /// @inheritdoc IAccounts
    function relayWithdrawal(Withdrawal calldata message, bytes calldata signature) external whenNotPaused {
        bytes32 structHash = keccak256(abi.encode(WITHDRAWAL_TYPE_HASH, message));
        _useSigned(structHash, message.account, message.nonce, message.deadline, signature);
        _requestWithdrawal(message.account, message.amountNano);
    }

    /// @inheritdoc IAccounts
    /// @dev Also while a later session clears: what was requested is no cover for it, paid out or not.
    function executeWithdrawal(address account) external whenNotPaused {
        PendingWithdrawal memory pending = _withdrawals[account];
        if (pending.amountNano == 0 || pending.afterEpoch > _endedThrough()) {
            revert WithdrawalNotReady(account, pending.afterEpoch);
        }
        if (_holds[account] != 0) revert CreditHeld(account);
        uint256 amount = pending.amountNano;
        Cash stored = _cash[account];
        Cash cash = _folded(stored);
        uint256 kept = account == _balancingParty ? _totalNegative : 0;
        if (cash.free() < int256(amount + kept)) {
            revert InsufficientCash(account, cash.free(), amount + kept);
        }
        _clearWithdrawal(account);
        _setFree(account, stored.free(), cash, cash.free() - int256(amount));
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

    /// @inheritdoc IAccounts
    function meteredIn(uint32 zone) external view returns (uint32) {
        return _meteredIn[zone];
    }

    /// @inheritdoc IAccounts
    function totalNegative() external view returns (uint256) {
        return _totalNegative;
    }

    /// @inheritdoc IAccounts
    function balancingParty() external view returns (address) {
        return _balancingParty;
    }

    /// @inheritdoc IAccounts
    function networkOperator() external view returns (address) {
        return _networkOperator;
    }

    function _requestWithdrawal(address account, uint256 amountNano) private {
        Member member = _requireMember(account);
        // Cash promised already is no cover for the session that clears: a second request could make it some again.
        if (_withdrawals[account].amountNano != 0) _requireNotClearing();
        Cash cash = _folded(account);
        if (amountNano != 0 && cash.free() < amountNano.toInt256()) {
            revert InsufficientCash(account, cash.free(), amountNano);
        }
        uint24 epoch = _latestEpoch;
        _withdrawals[account] = PendingWithdrawal(amountNano.toUint128(), epoch);
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
