// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC6909} from "@openzeppelin/contracts/interfaces/draft-IERC6909.sol";

/// @dev Signed by the holder, relayed by anyone.
struct TokenTransfer {
    address from;
    address to;
    uint256 id;
    uint256 amountWh;
    uint256 nonce;
    uint256 deadline;
}

/// @dev Signed by the recipient of a claim, relayed by anyone.
struct Acceptance {
    address to;
    address from;
    uint256 id;
    uint256 amountWh;
    uint256 nonce;
    uint256 deadline;
}

/// @title IEnergyToken: claims, obligations and certificates, one ERC-6909 token a product
/// @notice Balances are Wh. Claims and obligations exist once their session is proved and end when their day settles; certificates exist from the day's certification on.
/// Clearing mints through `ScheduleCleared`, a whole schedule an event; settlement burns through `AccountSettled`.
interface IEnergyToken is IERC6909 {
    event Accepted(address indexed to, address indexed from, uint256 indexed id, uint256 amountWh);

    /// @notice Only claims before delivery and certificates move.
    error NotTransferable(uint256 id);
    error InsufficientBalance(address owner, uint256 balanceWh, uint256 neededWh, uint256 id);
    error InsufficientAllowance(address spender, uint256 allowanceWh, uint256 neededWh, uint256 id);
    /// @notice The recipient of a claim is not a prosumer of its zone.
    error WrongRecipient(address to, uint256 id);
    /// @notice The recipient of a claim, who takes its reserve over, has not accepted as much.
    error NotAccepted(address to, address from, uint256 id, uint256 amountWh);

    /// @notice Agrees to receive up to `amountWh` of a claim from `from`, with its reserve.
    function accept(address from, uint256 id, uint256 amountWh) external;
    function relayAcceptance(Acceptance calldata message, bytes calldata signature) external;
    function relayTransfer(TokenTransfer calldata message, bytes calldata signature) external;

    /// @notice A packed slot as it is stored, for auditors. Key: docs/formats.md, Packed windows.
    function lanesOf(address account, uint256 groupKey) external view returns (uint256);
}
