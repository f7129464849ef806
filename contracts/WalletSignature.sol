// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title WalletSignature: whether a contract wallet, deployed or still to be deployed, accepts a signature (EIP-6492)
/// @dev Never deployed. A node runs its creation in an eth_call without a destination, which changes nothing; the "code" it
/// would leave is one word, 1 or 0. It holds nothing and nobody trusts its address, so the factory may be anything.
contract WalletSignature {
    /// @param wallet the account that is said to have signed
    /// @param digest the 32 bytes that were signed
    /// @param factory what deploys the wallet, or prepares it if it is deployed but does not accept yet
    /// @param factoryCall the calldata for it
    /// @param signature the wallet's own, without the wrapper of EIP-6492
    constructor(
        address wallet,
        bytes32 digest,
        address factory,
        bytes memory factoryCall,
        bytes memory signature
    ) {
        bool accepted = _accepts(wallet, digest, signature);
        if (!accepted) {
            // The wallet's answer counts, not the factory's.
            // slither-disable-next-line low-level-calls
            (bool deployed,) = factory.call(factoryCall);
            accepted = deployed && _accepts(wallet, digest, signature);
        }
        assembly ("memory-safe") {
            mstore(0, accepted)
            return(0, 32)
        }
    }

    function _accepts(address wallet, bytes32 digest, bytes memory signature) private view returns (bool) {
        if (wallet.code.length == 0) return false;
        // slither-disable-next-line low-level-calls
        (bool success, bytes memory answer) =
            wallet.staticcall(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        if (!success || answer.length < 32) return false;
        return bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }
}
