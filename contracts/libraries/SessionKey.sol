// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What an account granted a key, and until when:
///
///   | 255..248 | 247..216       | 215..120           | 119..80 | 79..40    | 39..0     |
///   | kinds    | maxWhPerWindow | maxSpendNanoPerDay | expiry  | revokedAt | grantedAt |
///
/// Times are Unix seconds; zero in all of it: never granted. A key that ended, revoked or expired, has ended for good, and a new scope never expires before the
/// moment it is granted. So this word alone says of any gate, passed or to come, whether the key counts there.
type SessionKey is uint256;

using SessionKeyLib for SessionKey global;

/// @title SessionKeyLib: one packed word of what a session key may do
library SessionKeyLib {
    uint256 internal constant MOST_SPEND = type(uint96).max;
    uint256 internal constant LAST_TIME = type(uint40).max;

    uint256 private constant REVOKED_AT = 40;
    uint256 private constant EXPIRY_AT = 80;
    uint256 private constant SPEND_AT = 120;
    uint256 private constant WH_AT = 216;
    uint256 private constant KINDS_AT = 248;

    /// @dev All fit their fields: who grants has checked.
    function pack(uint8 kinds_, uint32 maxWh_, uint256 maxSpend_, uint256 expiry_, uint256 grantedAt_)
        internal
        pure
        returns (SessionKey)
    {
        return SessionKey.wrap(
            grantedAt_ | expiry_ << EXPIRY_AT | maxSpend_ << SPEND_AT | uint256(maxWh_) << WH_AT
                | uint256(kinds_) << KINDS_AT
        );
    }

    function withRevokedAt(SessionKey k, uint256 time) internal pure returns (SessionKey) {
        return SessionKey.wrap(SessionKey.unwrap(k) | time << REVOKED_AT);
    }

    function kinds(SessionKey k) internal pure returns (uint8) {
        return uint8(SessionKey.unwrap(k) >> KINDS_AT);
    }

    function maxWh(SessionKey k) internal pure returns (uint32) {
        return uint32(SessionKey.unwrap(k) >> WH_AT);
    }

    function maxSpend(SessionKey k) internal pure returns (uint96) {
        return uint96(SessionKey.unwrap(k) >> SPEND_AT);
    }

    function expiry(SessionKey k) internal pure returns (uint40) {
        return uint40(SessionKey.unwrap(k) >> EXPIRY_AT);
    }

    function revokedAt(SessionKey k) internal pure returns (uint40) {
        return uint40(SessionKey.unwrap(k) >> REVOKED_AT);
    }

    function grantedAt(SessionKey k) internal pure returns (uint40) {
        return uint40(SessionKey.unwrap(k));
    }

    /// @notice The hash of an order that a session key signed: of the digest and the key. Another signer's order of the same words is another order, so that
    /// nobody's signature stands in for another's.
    function orderHash(bytes32 digest, address signer) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(0x00, digest)
            mstore(0x20, shl(96, signer))
            hash := keccak256(0x00, 0x34)
        }
    }

    function isGranted(SessionKey k) internal pure returns (bool) {
        return SessionKey.unwrap(k) != 0;
    }

    /// @notice Whether it was granted before a gate, whatever became of it. From a gate on nothing is granted or revoked until the session has ended, which may be
    /// in the same second: what happens then is after it.
    function knownAt(SessionKey k, uint256 gate) internal pure returns (bool) {
        return isGranted(k) && grantedAt(k) < gate;
    }

    /// @notice Whether it was granted before a gate, and at the gate neither revoked nor expired.
    function countsAt(SessionKey k, uint256 gate) internal pure returns (bool) {
        uint256 revoked = revokedAt(k);
        return knownAt(k, gate) && gate <= expiry(k) && (revoked == 0 || gate <= revoked);
    }
}
