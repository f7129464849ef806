// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What orders signed by a session key used of its scope:
///
///   | 247..224 | 223..200 | 199..168 | 167..96 | 95..0 |
///   | day      | epoch    | wh       | pending | spent |
///
/// `spent` is what sessions proved may have spent on `day`, the UTC day of their gates, nano. `wh` and `pending` belong to the session `epoch`: the largest
/// quantities of a window of its orders, added up, and what they may spend. `pending` folds into `spent` once that session is proved, and is dropped if it is void.
type KeyUse is uint256;

using KeyUseLib for KeyUse global;

/// @title KeyUseLib: one packed word of what a session key used
library KeyUseLib {
    uint256 private constant PENDING_AT = 96;
    uint256 private constant WH_AT = 168;
    uint256 private constant EPOCH_AT = 200;
    uint256 private constant DAY_AT = 224;

    /// @dev All fit their fields: `wh` and `spent` with `pending` are within the scope, and `pending` within the cover of one session.
    function pack(uint256 day_, uint256 epoch_, uint256 wh_, uint256 pending_, uint256 spent_)
        internal
        pure
        returns (KeyUse)
    {
        return
            KeyUse.wrap(spent_ | pending_ << PENDING_AT | wh_ << WH_AT | epoch_ << EPOCH_AT | day_ << DAY_AT);
    }

    /// @notice The use once its session has ended.
    function folded(KeyUse u, bool proved) internal pure returns (KeyUse) {
        return pack(day(u), 0, 0, 0, uint256(spent(u)) + (proved ? pending(u) : 0));
    }

    function day(KeyUse u) internal pure returns (uint24) {
        return uint24(KeyUse.unwrap(u) >> DAY_AT);
    }

    function epoch(KeyUse u) internal pure returns (uint24) {
        return uint24(KeyUse.unwrap(u) >> EPOCH_AT);
    }

    function wh(KeyUse u) internal pure returns (uint32) {
        return uint32(KeyUse.unwrap(u) >> WH_AT);
    }

    function pending(KeyUse u) internal pure returns (uint72) {
        return uint72(KeyUse.unwrap(u) >> PENDING_AT);
    }

    function spent(KeyUse u) internal pure returns (uint96) {
        return uint96(KeyUse.unwrap(u));
    }
}
