// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Member} from "../libraries/Member.sol";

/// @dev Signed by the account holder, relayed by anyone.
struct Withdrawal {
    /// @notice The member who withdraws and signs.
    address account;
    /// @notice The amount, nano; zero cancels.
    uint256 amountNano;
    /// @notice The next nonce of `account`.
    uint256 nonce;
    /// @notice The last moment at which the message counts, Unix seconds.
    uint256 deadline;
}

/// @title IAccounts: members, their cash and what may leave
/// @notice Cash is nano-currency. It enters and leaves as the settlement token, whose unit is one nano.
/// While a session clears (from its gate until it is proved or void) only clearing changes accounts.
interface IAccounts {
    /// @notice An account is a member, for good.
    /// @param role 1 prosumer, 2 balancing party, 3 network operator, 4 operator
    /// @param member the packed word as stored
    event MemberRegistered(address indexed account, uint32 indexed zone, uint8 role, Member member);
    /// @notice A member's terms changed.
    /// @param member the packed word as stored
    event MemberChanged(address indexed account, Member member);
    /// @notice Settlement token came in and is free cash of the account.
    event Deposited(address indexed account, uint256 amountNano);
    /// @notice A withdrawal is announced, or cancelled if the amount is zero.
    /// @param afterEpoch the last session opened so far: it and all before must end first
    event WithdrawalRequested(address indexed account, uint256 amountNano, uint24 afterEpoch);
    /// @notice An announced withdrawal was paid out.
    event Withdrawn(address indexed account, uint256 amountNano);

    /// @notice A session is between its gate and its end: only clearing changes accounts, lanes and keys.
    error ClearingInProgress(uint24 epoch);
    /// @notice The account is not a member.
    error NotMember(address account);
    /// @notice An account keeps the zone and role it was registered with.
    error AlreadyMember(address account);
    /// @notice The role is unknown, there is a balancing party or network operator already, it would not be in zone 0, or a capacity does not fit the account's
    /// lanes.
    error BadTerms(address account);
    /// @notice The settlement token moved less, or more, than was to be deposited.
    error DepositShort(uint256 receivedNano, uint256 amountNano);
    /// @notice Free cash does not cover the amount.
    /// @param freeNano free cash; for a recipient of a claim, less what it has announced to withdraw
    /// @param neededNano the amount; when the balancing party is paid out, with what members owe
    error InsufficientCash(address account, int256 freeNano, uint256 neededNano);
    /// @notice Nothing was requested, or a session that was open at the request is neither proved nor void.
    error WithdrawalNotReady(address account, uint24 afterEpoch);
    /// @notice A reading of the account is challenged: its cash waits for the outcome.
    error CreditHeld(address account);
    /// @notice The signer is not the account that the message names.
    error WrongSigner(address signer, address account);
    /// @notice The message expired.
    /// @param deadline Unix seconds
    error Expired(uint256 deadline);

    /// @notice Registers an account for good in one zone and role.
    /// @param account who becomes a member
    /// @param zone where it injects and draws
    /// @param role 1 prosumer, 2 balancing party, 3 network operator (one each at most, both in zone 0), 4 operator
    /// @param maxQuality the best quality it may sell
    /// @param capacityWh the most it may sell in one window
    /// @param wide 8 lanes of 32 bits instead of 16 of 16
    function registerMember(
        address account,
        uint32 zone,
        uint8 role,
        uint8 maxQuality,
        uint32 capacityWh,
        bool wide
    ) external;

    /// @notice Changes what a member may sell, or suspends it: its schedules then fill zero.
    /// @param account a member
    /// @param maxQuality the best quality it may sell
    /// @param capacityWh the most it may sell in one window
    /// @param suspended whether it is suspended from now on
    function changeMember(address account, uint8 maxQuality, uint32 capacityWh, bool suspended) external;

    /// @notice Takes `amountNano` of the settlement token from the caller into `account`.
    /// @param account a member, not necessarily the caller
    /// @param amountNano units of the token, each one nano
    function deposit(address account, uint256 amountNano) external;

    /// @notice Announces a withdrawal, replacing an earlier one (zero cancels). It stays cover for the sessions open now, and for no later ones.
    /// While a session clears, only an account that has announced nothing may announce something.
    /// @param amountNano at most the caller's free cash
    function requestWithdrawal(uint256 amountNano) external;

    /// @notice The same for a holder who signed it.
    /// @param message what the holder signed
    /// @param signature 65 bytes, of `message.account`
    function relayWithdrawal(Withdrawal calldata message, bytes calldata signature) external;

    /// @notice Pays out an announced withdrawal once every session open at its request is proved or void, whether a later one clears or not. Anyone may call.
    /// @param account who announced it and is paid
    function executeWithdrawal(address account) external;

    /// @notice An account's cash, as of now.
    /// @param account the account
    /// @return freeNano cash that is not reserved, with the results of ended sessions
    /// @return reservedNano what the schedules of the session `epoch` lock
    /// @return netNano what that session will add when proved
    /// @return epoch the session under way that the account takes part in, or zero
    function cashOf(address account)
        external
        view
        returns (int256 freeNano, uint256 reservedNano, int256 netNano, uint24 epoch);

    /// @notice Who an account is and what it may do.
    /// @param account the account
    /// @return the packed word, zero if it is not a member
    function memberOf(address account) external view returns (Member);

    /// @notice How many accounts a posting of a zone must cover.
    /// @param zone the zone
    /// @return count the metered members of a zone
    function meteredIn(uint32 zone) external view returns (uint32 count);

    /// @notice What the balancing party must cover: it may withdraw only what exceeds it.
    /// @return nano what members other than the balancing party owe together
    function totalNegative() external view returns (uint256 nano);

    /// @notice The one account that takes the other side of every imbalance.
    /// @return its address, zero before one is registered
    function balancingParty() external view returns (address);

    /// @notice The one account that is paid what lines charge and what congestion makes of them.
    /// @return its address, zero before one is registered
    function networkOperator() external view returns (address);
}
