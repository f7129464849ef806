// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title ISignatures: what `Signatures` shows
interface ISignatures {
    function verify(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) external view returns (bool);
    function verifyNative(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        external
        view
        returns (bool);
    function verifySolidity(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        external
        view
        returns (bool);
}
