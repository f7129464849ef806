// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev An account's first slot, in nano-currency:
///
///   | 255..232 | 231..160 | 159..88  | 87..0 |
///   | epoch    | net      | reserved | free  |
///
/// `reserved` and `net` belong to the session `epoch`: what its schedules lock, and what it will earn less pay less keep
/// reserved for filled energy. They fold into `free` once that session is proved or void.
type Cash is uint256;

using CashLib for Cash global;

/// @title CashLib: one packed word of an account's cash
library CashLib {
    /// @notice An amount does not fit its field.
    error CashOutOfRange(int256 free, uint256 reserved, int256 net);

    function pack(int256 free_, uint256 reserved_, int256 net_, uint24 epoch_) internal pure returns (Cash) {
        if (int88(free_) != free_ || uint72(reserved_) != reserved_ || int72(net_) != net_) {
            revert CashOutOfRange(free_, reserved_, net_);
        }
        return Cash.wrap(
            uint256(uint88(int88(free_))) | reserved_ << 88 | uint256(uint72(int72(net_))) << 160
                | uint256(epoch_) << 232
        );
    }

    function free(Cash c) internal pure returns (int256) {
        return int88(uint88(Cash.unwrap(c)));
    }

    function reserved(Cash c) internal pure returns (uint256) {
        return uint72(Cash.unwrap(c) >> 88);
    }

    function net(Cash c) internal pure returns (int256) {
        return int72(uint72(Cash.unwrap(c) >> 160));
    }

    function epoch(Cash c) internal pure returns (uint24) {
        return uint24(Cash.unwrap(c) >> 232);
    }
}
