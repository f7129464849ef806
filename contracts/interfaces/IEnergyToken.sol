// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC6909} from "@openzeppelin/contracts/interfaces/draft-IERC6909.sol";

/// @dev Signed by the holder, relayed by anyone.
struct TokenTransfer {
    /// @notice The holder, who signs.
    address from;
    /// @notice The recipient.
    address to;
    /// @notice The product: a claim or a certificate.
    uint256 id;
    /// @notice How much moves, Wh.
    uint256 amountWh;
    /// @notice The next nonce of `from`.
    uint256 nonce;
    /// @notice The last moment at which the message counts, Unix seconds.
    uint256 deadline;
}

/// @dev Signed by the recipient of a claim, relayed by anyone.
struct Acceptance {
    /// @notice The recipient, who signs.
    address to;
    /// @notice The holder it may come from.
    address from;
    /// @notice The product: a claim.
    uint256 id;
    /// @notice The most that may move, Wh, in one transfer or several.
    uint256 amountWh;
    /// @notice The next nonce of `to`.
    uint256 nonce;
    /// @notice The last moment at which the message counts, Unix seconds.
    uint256 deadline;
}

/// @title IEnergyToken: claims, obligations and certificates, one ERC-6909 token a product
/// @notice Balances are Wh. Claims and obligations exist once their session is proved and end when their day settles; certificates exist from the day's certification on.
/// Clearing mints through `ScheduleCleared`, a whole schedule an event; settlement burns through `AccountSettled`.
interface IEnergyToken is IERC6909 {
    /// @notice `to` agrees to receive up to `amountWh` of a claim from `from`, in place of what it agreed to before.
    event Accepted(address indexed to, address indexed from, uint256 indexed id, uint256 amountWh);

    /// @notice Only claims before delivery and certificates move.
    error NotTransferable(uint256 id);
    /// @notice The holder has less than is to move.
    error InsufficientBalance(address owner, uint256 balanceWh, uint256 neededWh, uint256 id);
    /// @notice The spender may move less than is to move.
    error InsufficientAllowance(address spender, uint256 allowanceWh, uint256 neededWh, uint256 id);
    /// @notice The recipient is not a prosumer, is suspended, or is in another zone than the claim.
    error WrongRecipient(address to, uint256 id);
    /// @notice The recipient of a claim, who takes its reserve over, has not accepted as much.
    error NotAccepted(address to, address from, uint256 id, uint256 amountWh);

    /// @notice Agrees to receive up to `amountWh` of a claim from `from`, with its reserve.
    /// @param from the holder it may come from
    /// @param id the claim
    /// @param amountWh in place of what was agreed before; zero takes it back
    function accept(address from, uint256 id, uint256 amountWh) external;
    /// @notice The same for a recipient who signed it.
    /// @param message what the recipient signed
    /// @param signature 65 bytes, of `message.to`
    function relayAcceptance(Acceptance calldata message, bytes calldata signature) external;
    /// @notice Moves a claim or a certificate for a holder who signed it.
    /// @param message what the holder signed
    /// @param signature 65 bytes, of `message.from`
    function relayTransfer(TokenTransfer calldata message, bytes calldata signature) external;

    /// @notice A packed slot as it is stored, for auditors. Key: docs/formats.md, Packed windows.
    /// @param account the holder
    /// @param groupKey the product's id with its window's group for the window
    /// @return the lanes, Wh, whether or not they count as a balance now
    function lanesOf(address account, uint256 groupKey) external view returns (uint256);
}
