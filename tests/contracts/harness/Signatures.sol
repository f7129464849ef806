// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {ISignatures} from "./ISignatures.sol";

/// @title Signatures: P-256 as it is deployed, by the chain's precompile and without
contract Signatures is ISignatures {
    function verify(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) external view returns (bool) {
        return P256.verify(digest, r, s, x, y);
    }

    function verifyNative(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        external
        view
        returns (bool)
    {
        return P256.verifyNative(digest, r, s, x, y);
    }

    function verifySolidity(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        external
        view
        returns (bool)
    {
        return P256.verifySolidity(digest, r, s, x, y);
    }
}
