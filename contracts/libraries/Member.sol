// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev An account's second slot, only read while clearing:
///
///   | 143..112 | 111..80    | 79..72     | 71..64 | 63..56 | 55..32 | 31..0 |
///   | held     | capacityWh | maxQuality | flags  | role   | zero   | zone  |
///
/// `held` has a bit for each (side, quality) the account ever had lanes of: bit `side * 16 + quality`.
type Member is uint256;

uint8 constant ROLE_NONE = 0;
uint8 constant ROLE_PROSUMER = 1;
uint8 constant ROLE_BALANCING_PARTY = 2;
uint8 constant ROLE_NETWORK_OPERATOR = 3;
uint8 constant ROLE_OPERATOR = 4;

uint8 constant FLAG_WIDE = 1;
uint8 constant FLAG_SUSPENDED = 2;
uint8 constant FLAG_WITHDRAWING = 4;
/// @dev It donated sales as produced once.
uint8 constant FLAG_DONOR = 8;

using MemberLib for Member global;

/// @title MemberLib: one packed word of who an account is and what it may do
library MemberLib {
    uint256 private constant FLAGS_AT = 64;
    uint256 private constant HELD_AT = 112;

    function pack(uint32 zone_, uint8 role_, uint8 flags_, uint8 maxQuality_, uint32 capacityWh_)
        internal
        pure
        returns (Member)
    {
        return Member.wrap(
            uint256(zone_) | uint256(role_) << 56 | uint256(flags_) << FLAGS_AT | uint256(maxQuality_) << 72
                | uint256(capacityWh_) << 80
        );
    }

    function zone(Member m) internal pure returns (uint32) {
        return uint32(Member.unwrap(m));
    }

    function role(Member m) internal pure returns (uint8) {
        return uint8(Member.unwrap(m) >> 56);
    }

    function flags(Member m) internal pure returns (uint8) {
        return uint8(Member.unwrap(m) >> FLAGS_AT);
    }

    function maxQuality(Member m) internal pure returns (uint8) {
        return uint8(Member.unwrap(m) >> 72);
    }

    /// @return wh the most the account may sell in one window
    function capacityWh(Member m) internal pure returns (uint32 wh) {
        return uint32(Member.unwrap(m) >> 80);
    }

    function held(Member m) internal pure returns (uint32) {
        return uint32(Member.unwrap(m) >> HELD_AT);
    }

    function has(Member m, uint8 flag) internal pure returns (bool) {
        return Member.unwrap(m) & (uint256(flag) << FLAGS_AT) != 0;
    }

    function isWide(Member m) internal pure returns (bool) {
        return has(m, FLAG_WIDE);
    }

    /// @notice The bit of `held` for a side and quality, alone.
    function heldBit(uint8 side, uint8 quality) internal pure returns (Member) {
        return Member.wrap(uint256(1) << (HELD_AT + uint256(side) * 16 + quality));
    }

    function holds(Member m, uint8 side, uint8 quality) internal pure returns (bool) {
        return m.hasAll(heldBit(side, quality));
    }

    /// @notice True if all bits of `bits` are set.
    function hasAll(Member m, Member bits) internal pure returns (bool) {
        return Member.unwrap(bits) & ~Member.unwrap(m) == 0;
    }

    /// @notice Prosumers and the balancing party trade; nobody else.
    function mayTrade(Member m) internal pure returns (bool) {
        return role(m) == ROLE_PROSUMER || role(m) == ROLE_BALANCING_PARTY;
    }

    function withHeld(Member m, uint8 side, uint8 quality) internal pure returns (Member) {
        return Member.wrap(Member.unwrap(m) | Member.unwrap(heldBit(side, quality)));
    }

    /// @notice With the `held` bits of another word.
    function withHeldOf(Member m, Member other) internal pure returns (Member) {
        return Member.wrap(Member.unwrap(m) | (uint256(held(other)) << HELD_AT));
    }

    function withFlag(Member m, uint8 flag, bool on) internal pure returns (Member) {
        uint256 bit = uint256(flag) << FLAGS_AT;
        return Member.wrap(on ? Member.unwrap(m) | bit : Member.unwrap(m) & ~bit);
    }
}
