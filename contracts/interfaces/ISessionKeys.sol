// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev Signed by the account holder, relayed by anyone.
struct KeyGrant {
    /// @notice The member who grants and signs.
    address account;
    /// @notice The key that may sign orders for it.
    address key;
    /// @notice The account's zone: elsewhere the key cannot trade either.
    uint32 zone;
    /// @notice Bit k: sessions of kind k. 1 energy, 2 flexibility up, 4 flexibility down, 8 certificates.
    uint8 kinds;
    /// @notice The most its orders of one session may ask for and offer in a window, Wh.
    uint32 maxWhPerWindow;
    /// @notice The most its orders may spend in the sessions whose gates are on one UTC day, nano.
    uint128 maxSpendNanoPerDay;
    /// @notice The last moment at which it counts, Unix seconds.
    uint64 expiry;
    /// @notice The next nonce of `account`.
    uint256 nonce;
    /// @notice The last moment at which the message counts, Unix seconds.
    uint256 deadline;
}

/// @dev Signed by the account holder, relayed by anyone.
struct KeyRevocation {
    /// @notice The member who revokes and signs.
    address account;
    /// @notice The key that signs for it no more.
    address key;
    /// @notice The next nonce of `account`.
    uint256 nonce;
    /// @notice The last moment at which the message counts, Unix seconds.
    uint256 deadline;
}

/// @title ISessionKeys: keys that sign orders for an account, within a scope
/// @notice A session key is for an agent that trades on its own. It signs schedules, flexible orders and their cancels, and nothing else: it cannot withdraw,
/// transfer, accept, grant or revoke, and an order of it that names a beneficiary fills zero. Contract wallets, which cannot sign orders themselves, trade by one.
/// What a key may do in a session is what it may at its gate: until the session has ended no key is granted or revoked. docs/session-keys.md has the rules.
interface ISessionKeys {
    /// @notice A key may sign orders of the account, within this scope alone from now on.
    /// @param kinds bit k: sessions of kind k
    /// @param maxWhPerWindow Wh
    /// @param maxSpendNanoPerDay nano
    /// @param expiry the last moment at which it counts, Unix seconds
    event KeyGranted(
        address indexed account,
        address indexed key,
        uint32 zone,
        uint8 kinds,
        uint32 maxWhPerWindow,
        uint128 maxSpendNanoPerDay,
        uint64 expiry
    );
    /// @notice A key signs for the account no more, and never will again.
    event KeyRevoked(address indexed account, address indexed key);

    /// @notice The key is the zero address, the account itself or another member: grant a key of its own.
    error BadKey(address key);
    /// @notice This field of a scope makes no sense: another zone than the account's, no kind or an unknown one, no Wh, 2^96 nano or more, an expiry in the past
    /// or beyond 2^40 seconds.
    error BadScope(string field);
    /// @notice The key was revoked or has expired, and cannot be granted again: grant another.
    error KeyEnded(address account, address key);
    /// @notice The account never granted the key, or revoked it already.
    error KeyNotGranted(address account, address key);

    /// @notice Grants a key of the caller a scope, in place of its present one. What it used of the day stays used.
    /// @param key an address that is no member
    /// @param zone the caller's
    /// @param kinds bit k: sessions of kind k
    /// @param maxWhPerWindow the largest quantities of a window of its orders that count in a session, added up, are at most this, Wh
    /// @param maxSpendNanoPerDay what its orders that count would pay if filled at their limits is at most this, over the sessions whose gates are on one UTC day
    /// @param expiry the last moment at which it counts, Unix seconds
    function grantKey(
        address key,
        uint32 zone,
        uint8 kinds,
        uint32 maxWhPerWindow,
        uint128 maxSpendNanoPerDay,
        uint64 expiry
    ) external;

    /// @notice Ends a key of the caller, for good.
    /// @param key what was granted
    function revokeKey(address key) external;

    /// @notice The same as `grantKey` for a holder who signed it.
    /// @param message what the holder signed
    /// @param signature 65 bytes, of `message.account`
    function relayKeyGrant(KeyGrant calldata message, bytes calldata signature) external;

    /// @notice The same as `revokeKey` for a holder who signed it.
    /// @param message what the holder signed
    /// @param signature 65 bytes, of `message.account`
    function relayKeyRevocation(KeyRevocation calldata message, bytes calldata signature) external;

    /// @notice What a key may do for an account, and until when. All zero if it was never granted.
    /// @param account who granted
    /// @param key what was granted
    /// @return kinds bit k: sessions of kind k
    /// @return maxWhPerWindow Wh
    /// @return maxSpendNanoPerDay nano
    /// @return expiry the last moment at which it counts, Unix seconds
    /// @return grantedAt when it was first granted, Unix seconds
    /// @return revokedAt when it was revoked, or zero
    function keyOf(address account, address key)
        external
        view
        returns (
            uint8 kinds,
            uint32 maxWhPerWindow,
            uint128 maxSpendNanoPerDay,
            uint64 expiry,
            uint64 grantedAt,
            uint64 revokedAt
        );

    /// @notice What a key used of its scope, as of now.
    /// @param account who granted
    /// @param key what was granted
    /// @return day of the gate of the last session it traded in, days since 1970
    /// @return epoch the session under way that it takes part in, or zero
    /// @return wh the largest quantities of a window of its orders in that session, added up
    /// @return pendingNano what they may spend
    /// @return spentNano what its orders in the sessions of `day` that were proved may have spent
    function keyUseOf(address account, address key)
        external
        view
        returns (uint24 day, uint24 epoch, uint32 wh, uint256 pendingNano, uint256 spentNano);
}
