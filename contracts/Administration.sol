// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Administration: who may call what
/// @notice OpenZeppelin's AccessManager under a name of its own, so that it is compiled with the rest. Roles: settlement/chain/deploy.py.
contract Administration is AccessManager {
    constructor(address admin) AccessManager(admin) {}
}
