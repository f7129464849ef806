// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Absence, Inclusion, Membership} from "../../../contracts/libraries/Membership.sol";

/// @title Proofs: Membership as it is compiled for deployment
contract Proofs {
    function includes(uint256 count, bytes32 root, bytes32 hash, Inclusion calldata proof)
        external
        pure
        returns (bool)
    {
        return Membership.includes(count, root, hash, proof);
    }

    function lacks(uint256 count, bytes32 root, bytes32 hash, Absence calldata proof)
        external
        pure
        returns (bool)
    {
        return Membership.lacks(count, root, hash, proof);
    }
}
