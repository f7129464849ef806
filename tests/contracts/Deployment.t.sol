// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IAccounts} from "../../contracts/interfaces/IAccounts.sol";
import {ROLE_PROSUMER} from "../../contracts/libraries/Member.sol";
import {IDeployed, IMintable, World} from "./support/World.sol";

/// @dev A currency of any decimals that keeps a part of every transfer.
contract TaxedToken is ERC20 {
    uint8 private immutable _decimals;
    uint256 private immutable _tax;

    constructor(uint8 decimals_, uint256 tax) ERC20("Taxed", "TAX") {
        (_decimals, _tax) = (decimals_, tax);
    }

    function decimals() public view override returns (uint8) {
        return _decimals;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        super.transferFrom(from, to, amount);
        _burn(to, _tax);
        return true;
    }
}

/// What an Exchange may be built with.
contract DeploymentTest is World {
    function setUp() external {
        deploy();
    }

    /// An Exchange is not built with a module of other terms, whichever it is.
    function test_modules_have_the_terms_of_their_exchange() external {
        bytes memory terms = termsOf(address(token), MAX_PAUSE);
        bytes memory own = modules(terms);
        bytes memory foreign = modules(termsOf(address(token), MAX_PAUSE + 1));
        for (uint256 at = 32; at <= own.length; at += 32) {
            bytes memory mixed = bytes.concat(own);
            address module;
            assembly ("memory-safe") {
                module := mload(add(foreign, at))
                mstore(add(mixed, at), module)
            }
            (address built, bytes memory reason) = build(terms, mixed);
            eq(built, address(0), "not built");
            eq(reason, abi.encodeWithSignature("ForeignModule(address)", module), "and says why");
        }
        (address exchange_,) = build(terms, own);
        isTrue(exchange_ != address(0), "built of its own");
    }

    /// The settlement token's unit is a nano of the currency.
    function test_the_settlement_token_has_nine_decimals() external {
        bytes memory terms = termsOf(address(new TaxedToken(18, 0)), MAX_PAUSE);
        (address built, bytes memory reason) = build(terms, modules(terms));
        eq(built, address(0), "not built");
        eq(reason, abi.encodeWithSignature("NotNineDecimals(uint8)", 18), "and says why");
    }

    /// A token that charges for transfers brings less than is credited: such a deposit is refused whole.
    function test_a_deposit_arrives_in_full() external {
        TaxedToken taxed = new TaxedToken(9, 3);
        bytes memory terms = termsOf(address(taxed), MAX_PAUSE);
        (address built,) = build(terms, modules(terms));
        (token, exchange) = (IMintable(address(taxed)), IDeployed(built));
        grantRoles();
        register(buyer, ROLE_PROSUMER, 1, false);
        taxed.mint(address(this), 100);
        taxed.approve(built, 100);
        refuse(abi.encodeWithSelector(IAccounts.DepositShort.selector, 97, 100));
        exchange.deposit(buyer, 100);
        eq(taxed.balanceOf(address(this)), 100, "kept");
        eq(freeOf(buyer), 0, "nothing credited");
    }

    function termsOf(address currency, uint32 maxPause) private view returns (bytes memory) {
        return abi.encode(manager, currency, LENGTH, maxPause);
    }

    function build(bytes memory terms, bytes memory list)
        private
        returns (address built, bytes memory reason)
    {
        bytes memory code = bytes.concat(vm.getCode("Exchange.sol:Exchange"), terms, list);
        assembly ("memory-safe") {
            built := create(0, add(code, 0x20), mload(code))
            reason := mload(0x40)
            mstore(reason, returndatasize())
            returndatacopy(add(reason, 0x20), 0, returndatasize())
            mstore(0x40, add(reason, and(add(returndatasize(), 0x3f), not(0x1f))))
        }
    }
}
