// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev What a settled part left of its accounts' imbalances; only the hash of accounts and leaves is stored. docs/formats.md, Statements.
struct Statement {
    /// @notice The part's accounts, ascending.
    address[] accounts;
    /// @notice The hash of each account's row.
    bytes32[] leaves;
    /// @notice The rows of the accounts that the call changes, one behind the other in the accounts' order.
    bytes rows;
}

/// @title IStatements: what each account's imbalance is, for as long as it may still be corrected
interface IStatements {
    /// @notice The accounts and leaves are not what the part left.
    error WrongStatement(uint256 part);
    /// @notice The rows are not of the accounts that change, or too few or too many.
    error WrongRows();
    /// @notice The imbalance of an account would reach 2^31 Wh in a window.
    error ImbalanceOutOfRange(address account);
}
