// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title SettlementToken: the currency of a deployment, issued by its administrators
/// @notice Nine decimals: one unit is one nano, which is Wh times micro-currency per kWh. Bring another ERC-20 of nine decimals instead where there is one.
contract SettlementToken is ERC20, AccessManaged {
    constructor(address authority, string memory name, string memory symbol)
        ERC20(name, symbol)
        AccessManaged(authority)
    {}

    function decimals() public pure override returns (uint8) {
        return 9;
    }

    function mint(address account, uint256 amountNano) external restricted {
        _mint(account, amountNano);
    }
}
