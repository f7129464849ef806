// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Ledger} from "./Ledger.sol";
import {IMetering} from "./interfaces/IMetering.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {IStatements, Statement} from "./interfaces/IStatements.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title Restating: an account's imbalance becomes another one
/// @dev A statement is opened, some of its leaves are exchanged, and it is closed again.
abstract contract Restating is Ledger {
    /// @dev The leaves of a part, once accounts and leaves are known to be what it left.
    function _openStatement(uint32 zone, uint32 day, uint256 part, Statement calldata statement)
        internal
        view
        returns (bytes32[] memory leaves)
    {
        leaves = statement.leaves;
        bool whole = statement.accounts.length == leaves.length;
        if (!whole || Statements.hash(statement.accounts, leaves) != _statements[zone][day][part]) {
            revert IStatements.WrongStatement(part);
        }
    }

    /// @param opened how many rows were read: there must be no other
    function _closeStatement(
        uint32 zone,
        uint32 day,
        uint256 part,
        Statement calldata statement,
        bytes32[] memory leaves,
        uint256 opened
    ) internal returns (bytes32 hash) {
        if (statement.rows.length != opened * Statements.rowBytes(_dayInfo[day].windows)) {
            revert IStatements.WrongRows();
        }
        hash = Statements.hash(statement.accounts, leaves);
        _statements[zone][day][part] = hash;
    }

    /// @dev Adds `changes` to the imbalances of the row number `row`, and values what they make of them.
    function _restate(
        address account,
        Statement calldata statement,
        uint256 row,
        bytes32 leaf,
        int256[] memory changes,
        int32[] calldata surplus,
        int32[] calldata deficit,
        bool bounded
    ) internal pure returns (bytes32 restated, int256 cash) {
        uint256 size = Statements.rowBytes(changes.length);
        int256[] memory imbalances = Statements.open(statement, row * size, changes.length, leaf);
        unchecked {
            // A lane has 64 bits, a change fewer, a price 32.
            for (uint256 w; w < changes.length; ++w) {
                int256 change = changes[w];
                if (change == 0) continue;
                int256 before = imbalances[w];
                int256 then = before + change;
                if (bounded && !Statements.fits(then)) revert IStatements.ImbalanceOutOfRange(account);
                imbalances[w] = then;
                (int32 above, int32 below) = (surplus[w], deficit[w]);
                cash += Statements.cash(then, above, below) - Statements.cash(before, above, below);
            }
        }
        restated = Statements.leafOf(imbalances);
    }

    /// @dev The place of an account in a statement.
    function _placeOf(address account, address[] calldata accounts) internal pure returns (uint256 place) {
        for (; place < accounts.length; ++place) {
            if (accounts[place] == account) return place;
        }
        revert IChallenges.NotInStatement(account);
    }

    /// @dev The prices are those that the zone's day was settled at.
    function _requirePrices(uint32 zone, uint32 day, int32[] calldata surplus, int32[] calldata deficit)
        internal
        view
    {
        uint256 windows = _dayInfo[day].windows;
        bool whole = surplus.length == windows && deficit.length == windows;
        if (!whole || _zoneDays[zone][day].prices != _pricesOf(surplus, deficit)) {
            revert IMetering.BadPosting("prices");
        }
    }

    function _pricesOf(int32[] calldata surplus, int32[] calldata deficit) internal pure returns (bytes32) {
        // slither-disable-next-line encode-packed-collision (both have as many as the day has windows)
        return keccak256(abi.encodePacked(surplus, deficit));
    }
}
