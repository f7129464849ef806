// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Ledger} from "./Ledger.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";

/// @title Relay: messages that a holder signs and anyone sends
/// @dev Participants need no gas. Each message is used once, in the order of its signer's nonces, before its deadline.
abstract contract Relay is Ledger, Nonces {
    function _useSigned(
        bytes32 structHash,
        address account,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) internal {
        if (block.timestamp > deadline) revert IAccounts.Expired(deadline);
        address signer = ECDSA.recover(_hashTypedDataV4(structHash), signature);
        if (signer != account) revert IAccounts.WrongSigner(signer, account);
        _useCheckedNonce(account, nonce);
    }
}
