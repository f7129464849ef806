// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Relay} from "./Relay.sol";
import {Stage} from "./interfaces/IAuction.sol";
import {ISessionKeys, KeyGrant, KeyRevocation} from "./interfaces/ISessionKeys.sol";
import {KeyUse} from "./libraries/KeyUse.sol";
import {ROLE_NONE} from "./libraries/Member.sol";
import {KIND_CERTIFICATE} from "./libraries/ProductId.sol";
import {SessionKey, SessionKeyLib} from "./libraries/SessionKey.sol";

/// @title SessionKeys: keys that sign orders for an account, within a scope
/// @dev A key's word says of every past gate whether the key counted there, because nothing brings back what has ended: claims of a session that is over judge
/// signatures by it, whatever was granted or revoked since.
abstract contract SessionKeys is Relay, ISessionKeys {
    bytes32 private constant GRANT_TYPE_HASH = keccak256(
        "KeyGrant(address account,address key,uint32 zone,uint8 kinds,uint32 maxWhPerWindow,uint128 maxSpendNanoPerDay,uint64 expiry,"
        "uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant REVOCATION_TYPE_HASH =
        keccak256("KeyRevocation(address account,address key,uint256 nonce,uint256 deadline)");

    uint8 private constant ALL_KINDS = uint8((1 << (KIND_CERTIFICATE + 1)) - 1);

    /// @inheritdoc ISessionKeys
    function grantKey(
        address key,
        uint32 zone,
        uint8 kinds,
        uint32 maxWhPerWindow,
        uint128 maxSpendNanoPerDay,
        uint64 expiry
    ) external whenNotPaused {
        _grant(KeyGrant(msg.sender, key, zone, kinds, maxWhPerWindow, maxSpendNanoPerDay, expiry, 0, 0));
    }

    /// @inheritdoc ISessionKeys
    /// @dev Also during a pause: a key that was stolen should not outlast it.
    function revokeKey(address key) external {
        _revoke(msg.sender, key);
    }

    /// @inheritdoc ISessionKeys
    function relayKeyGrant(KeyGrant calldata message, bytes calldata signature) external whenNotPaused {
        bytes32 structHash = keccak256(abi.encode(GRANT_TYPE_HASH, message));
        _useSigned(structHash, message.account, message.nonce, message.deadline, signature);
        _grant(message);
    }

    /// @inheritdoc ISessionKeys
    function relayKeyRevocation(KeyRevocation calldata message, bytes calldata signature) external {
        bytes32 structHash = keccak256(abi.encode(REVOCATION_TYPE_HASH, message));
        _useSigned(structHash, message.account, message.nonce, message.deadline, signature);
        _revoke(message.account, message.key);
    }

    /// @inheritdoc ISessionKeys
    function keyOf(address account, address key)
        external
        view
        returns (uint8, uint32, uint128, uint64, uint64, uint64)
    {
        SessionKey k = _keys[account][key];
        return (k.kinds(), k.maxWh(), k.maxSpend(), k.expiry(), k.grantedAt(), k.revokedAt());
    }

    /// @inheritdoc ISessionKeys
    function keyUseOf(address account, address key)
        external
        view
        returns (uint24, uint24, uint32, uint256, uint256)
    {
        KeyUse use = _keyUses[account][key];
        if (use.epoch() != 0) {
            Stage stage = _stageOf(use.epoch());
            if (stage == Stage.Proved || stage == Stage.Void) use = use.folded(stage == Stage.Proved);
        }
        return (use.day(), use.epoch(), use.wh(), use.pending(), use.spent());
    }

    function _grant(KeyGrant memory g) private whenNotClearing {
        uint32 zone = _requireMember(g.account).zone();
        bool foreign = g.key == address(0) || _members[g.key].role() != ROLE_NONE;
        if (foreign) revert BadKey(g.key);
        if (g.zone != zone) revert BadScope("zone");
        if (g.kinds == 0 || g.kinds > ALL_KINDS) revert BadScope("kinds");
        if (g.maxWhPerWindow == 0) revert BadScope("maxWhPerWindow");
        if (g.maxSpendNanoPerDay > SessionKeyLib.MOST_SPEND) revert BadScope("maxSpendNanoPerDay");
        if (g.expiry < block.timestamp || g.expiry > SessionKeyLib.LAST_TIME) revert BadScope("expiry");
        SessionKey old = _keys[g.account][g.key];
        uint256 since = block.timestamp;
        if (old.isGranted()) {
            if (old.revokedAt() != 0 || old.expiry() < since) revert KeyEnded(g.account, g.key);
            since = old.grantedAt();
        }
        _keys[g.account][g.key] =
            SessionKeyLib.pack(g.kinds, g.maxWhPerWindow, g.maxSpendNanoPerDay, g.expiry, since);
        emit KeyGranted(g.account, g.key, zone, g.kinds, g.maxWhPerWindow, g.maxSpendNanoPerDay, g.expiry);
    }

    function _revoke(address account, address key) private whenNotClearing {
        SessionKey granted = _keys[account][key];
        if (!granted.isGranted() || granted.revokedAt() != 0) {
            revert KeyNotGranted(account, key);
        }
        _keys[account][key] = granted.withRevokedAt(block.timestamp);
        emit KeyRevoked(account, key);
    }
}
