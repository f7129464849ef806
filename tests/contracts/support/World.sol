// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IAccounts} from "../../../contracts/interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "../../../contracts/interfaces/IAuction.sol";
import {IChallenges} from "../../../contracts/interfaces/IChallenges.sol";
import {IClearing} from "../../../contracts/interfaces/IClearing.sol";
import {ICorrections} from "../../../contracts/interfaces/ICorrections.sol";
import {Grid, IDays} from "../../../contracts/interfaces/IDays.sol";
import {IEmergency} from "../../../contracts/interfaces/IEmergency.sol";
import {IExchange} from "../../../contracts/interfaces/IExchange.sol";
import {IMetering} from "../../../contracts/interfaces/IMetering.sol";
import {IMeters} from "../../../contracts/interfaces/IMeters.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {ClosedZone, IProof} from "../../../contracts/interfaces/IProof.sol";
import {ROLE_BALANCING_PARTY, ROLE_OPERATOR, ROLE_PROSUMER} from "../../../contracts/libraries/Member.sol";
import {ProductId, ProductIdLib} from "../../../contracts/libraries/ProductId.sol";
import {Checks} from "./Vm.sol";

/// @dev What the Exchange answers to beyond IExchange.
interface IDeployed is IExchange {
    function nonces(address owner) external view returns (uint256);
    function withdrawalOf(address account) external view returns (uint256 amountNano, uint24 afterEpoch);
    function clearingModule() external view returns (address);
    function proofModule() external view returns (address);
    function settlementModule() external view returns (address);
    function omissionModule() external view returns (address);
    function deliveryModule() external view returns (address);
    function challengeModule() external view returns (address);
    function windowLength() external view returns (uint16);
    function authority() external view returns (address);
    function setAuthority(address authority) external;
}

interface IManager {
    function setTargetFunctionRole(address target, bytes4[] calldata selectors, uint64 role) external;
    function grantRole(uint64 role, address account, uint32 delay) external;
}

interface IMintable is IERC20 {
    function mint(address account, uint256 amountNano) external;
}

/// @title World: a deployed Exchange, its roles, its members and a day
/// @dev Contracts come from their artifacts by name: tests compile without them, and they run as they are deployed.
abstract contract World is Checks {
    uint16 internal constant LENGTH = 1800;
    uint32 internal constant MAX_PAUSE = 6 hours;
    uint32 internal constant DAY = 972_288;
    uint64 internal constant DAY_BEGINS = uint64(DAY) * LENGTH;
    uint64 internal constant GATE = DAY_BEGINS - 12 hours;
    uint64 internal constant ROUND_LASTS = 1 hours;
    /// @dev From the deadline of a round to the gate of the next.
    uint64 internal constant BETWEEN = 1 minutes;
    uint256 internal constant RICH = 1e15;

    uint32 internal constant BUY_RESERVE = 100_000;
    uint32 internal constant SELL_RESERVE = 300_000;
    int32 internal constant FLOOR = -2_000_000;
    /// @dev What a metered account's sale as produced keeps reserved, nano a Wh.
    uint256 internal constant PRODUCED_RESERVE = 2_300_000;

    uint64 internal constant RUNS_MARKET = 1;
    uint64 internal constant RUNS_MEMBERSHIP = 2;
    uint64 internal constant RUNS_METERING = 3;
    uint64 internal constant GUARDS = 4;

    // Keys of members; what holds a role sends, and signs nothing.
    uint256 internal constant BALANCER = 0xACC1;
    uint256 internal constant SELLER = 0xACCA;
    uint256 internal constant BUYER = 0xACCB;
    uint256 internal constant SECOND_SELLER = 0xACCC;
    uint256 internal constant SECOND_BUYER = 0xACCD;
    uint256 internal constant WIDE = 0xACCE;
    uint256 internal constant NETWORK = 0xACCF;
    uint256 internal constant STRANGER = 0xBAD;

    address internal immutable operator = address(0x0901);
    address internal immutable registrar = address(0x0902);
    address internal immutable meterOperator = address(0x0903);
    address internal immutable guardian = address(0x0904);
    address internal immutable stranger = vm.addr(STRANGER);
    address internal immutable balancer = vm.addr(BALANCER);
    address internal immutable seller = vm.addr(SELLER);
    address internal immutable buyer = vm.addr(BUYER);
    address internal immutable secondSeller = vm.addr(SECOND_SELLER);
    address internal immutable secondBuyer = vm.addr(SECOND_BUYER);
    address internal immutable wideMember = vm.addr(WIDE);
    address internal immutable networkOperator = vm.addr(NETWORK);

    IManager internal manager;
    IMintable internal token;
    IDeployed internal exchange;
    Grid internal grid;
    uint16 internal dayWindows;
    address[] internal prosumers;
    uint256[] internal oracleKeys;

    // --- deployment

    /// @dev A community of five prosumers and their balancing party, all rich, and a day of `windows` windows.
    function setUpWorld(uint16 windows) internal {
        deploy();
        (uint8[] memory qualities, uint8[] memory substitutions) = (new uint8[](2), new uint8[](2));
        (qualities[1], substitutions[0]) = (3, 1);
        setUpGrid(qualities, substitutions);
        setUpMembers();
        setUpOracles(3, 2);
        openDay(DAY, windows);
        dayWindows = windows;
    }

    function deploy() internal {
        manager = IManager(vm.deployCode("Administration.sol:Administration", abi.encode(address(this))));
        token = IMintable(
            vm.deployCode(
                "SettlementToken.sol:SettlementToken", abi.encode(manager, "Settlement euro", "sEUR")
            )
        );
        bytes memory terms = abi.encode(manager, token, LENGTH, MAX_PAUSE);
        bytes memory list = modules(terms);
        // Signatures name the Exchange: those in vectors/ are for the address it has here, however many modules come before it.
        if (vm.getNonce(address(this)) < 100) vm.setNonce(address(this), 100);
        exchange = IDeployed(vm.deployCode("Exchange.sol:Exchange", bytes.concat(terms, list)));
        grantRoles();
        vm.label(address(exchange), "exchange");
        vm.label(operator, "operator");
        vm.label(registrar, "registrar");
        vm.label(guardian, "guardian");
        vm.label(seller, "seller");
        vm.label(buyer, "buyer");
        vm.label(balancer, "balancer");
    }

    /// @dev One of each module, as the Exchange's constructor takes them behind its terms.
    function modules(bytes memory terms) internal returns (bytes memory list) {
        string[6] memory names = [
            "ClearingModule",
            "ProofModule",
            "SettlementModule",
            "OmissionModule",
            "DeliveryModule",
            "ChallengeModule"
        ];
        for (uint256 i; i < names.length; ++i) {
            list = bytes.concat(
                list, abi.encode(vm.deployCode(string.concat("Exchange.sol:", names[i]), terms))
            );
        }
    }

    function grantRoles() internal {
        manager.setTargetFunctionRole(address(exchange), marketFunctions(), RUNS_MARKET);
        manager.setTargetFunctionRole(address(exchange), membershipFunctions(), RUNS_MEMBERSHIP);
        manager.setTargetFunctionRole(address(exchange), meteringFunctions(), RUNS_METERING);
        manager.setTargetFunctionRole(address(exchange), guardedFunctions(), GUARDS);
        manager.grantRole(RUNS_MARKET, operator, 0);
        manager.grantRole(RUNS_MEMBERSHIP, registrar, 0);
        manager.grantRole(RUNS_METERING, meterOperator, 0);
        manager.grantRole(GUARDS, guardian, 0);
    }

    function marketFunctions() internal pure returns (bytes4[] memory list) {
        list = new bytes4[](8);
        list[0] = IDays.setGrid.selector;
        list[1] = IDays.openDay.selector;
        list[2] = IAuction.openSession.selector;
        list[3] = IAuction.commitBooks.selector;
        list[4] = IProof.postHeader.selector;
        list[5] = IClearing.clear.selector;
        list[6] = IProof.closeZone.selector;
        list[7] = IProof.joinChildren.selector;
    }

    function membershipFunctions() internal pure returns (bytes4[] memory list) {
        list = new bytes4[](8);
        list[0] = IAccounts.registerMember.selector;
        list[1] = IAccounts.changeMember.selector;
        list[2] = IMeters.registerMeter.selector;
        list[3] = IMeters.revokeMeter.selector;
        list[4] = IMetering.setOracle.selector;
        list[5] = IMetering.setQuorum.selector;
        list[6] = IMeters.rotateMeter.selector;
        list[7] = IChallenges.setChallengeBond.selector;
    }

    function meteringFunctions() internal pure returns (bytes4[] memory list) {
        list = new bytes4[](5);
        list[0] = IMetering.postMetering.selector;
        list[1] = ICorrections.postCorrection.selector;
        list[2] = IChallenges.bondOracles.selector;
        list[3] = IChallenges.unbondOracles.selector;
        list[4] = ISettlement.settle.selector; // of a day by default
    }

    function guardedFunctions() internal pure returns (bytes4[] memory list) {
        list = new bytes4[](2);
        list[0] = IEmergency.pause.selector;
        list[1] = IEmergency.unpause.selector;
    }

    function setUpGrid(uint8[] memory qualities, uint8[] memory substitutions) internal {
        (uint32[] memory parents, uint32[] memory capacities) = (new uint32[](1), new uint32[](1));
        (parents[0], capacities[0]) = (type(uint32).max, type(uint32).max);
        grid = Grid(qualities, substitutions, parents, new uint32[](1), capacities);
        vm.prank(operator);
        exchange.setGrid(grid);
    }

    function setUpMembers() internal {
        register(balancer, ROLE_BALANCING_PARTY, (1 << 30) - 1, true);
        register(seller, ROLE_PROSUMER, 20_000, false);
        register(buyer, ROLE_PROSUMER, 20_000, false);
        register(secondSeller, ROLE_PROSUMER, 20_000, false);
        register(secondBuyer, ROLE_PROSUMER, 20_000, false);
        register(wideMember, ROLE_PROSUMER, (1 << 30) - 1, true);
        fund(balancer, RICH);
        for (uint256 i; i < prosumers.length; ++i) {
            fund(prosumers[i], RICH);
        }
    }

    function register(address account, uint8 role, uint32 capacityWh, bool wide) internal {
        registerIn(0, account, role, capacityWh, wide);
    }

    function registerIn(uint32 zone, address account, uint8 role, uint32 capacityWh, bool wide) internal {
        vm.prank(registrar);
        exchange.registerMember(account, zone, role, 15, capacityWh, wide);
        if (role != ROLE_PROSUMER) return;
        uint256 at = prosumers.length;
        prosumers.push(account);
        for (; at != 0 && prosumers[at - 1] > account; --at) {
            prosumers[at] = prosumers[at - 1];
        }
        prosumers[at] = account;
    }

    function fund(address account, uint256 amountNano) internal {
        token.mint(address(this), amountNano);
        token.approve(address(exchange), amountNano);
        exchange.deposit(account, amountNano);
    }

    /// @dev Oracle keys in ascending order of their addresses.
    function setUpOracles(uint256 count, uint8 quorum) internal {
        for (uint256 i; i < count; ++i) {
            uint256 key = 0xACC0 + 100 + i;
            uint256 at = oracleKeys.length;
            oracleKeys.push(key);
            for (; at != 0 && vm.addr(oracleKeys[at - 1]) > vm.addr(key); --at) {
                oracleKeys[at] = oracleKeys[at - 1];
            }
            oracleKeys[at] = key;
            vm.prank(registrar);
            exchange.setOracle(vm.addr(key), true);
        }
        vm.startPrank(registrar);
        exchange.setQuorum(quorum);
        vm.stopPrank();
    }

    // --- days and sessions

    function openDay(uint32 day, uint16 windows) internal {
        vm.prank(operator);
        exchange.openDay(day, windows, 1);
    }

    /// @dev Round `round` over the whole day; each round's gate follows the deadline of the one before by the least time there is.
    function paramsOf(uint8 round) internal view returns (SessionParams memory p) {
        p.round = round;
        p.windows = dayWindows;
        p.gridVersion = 1;
        (p.day, p.firstWindow) = (DAY, DAY);
        p.gate = GATE + round * (ROUND_LASTS + BETWEEN);
        p.commitBy = p.gate + 10 minutes;
        p.proveBy = p.gate + ROUND_LASTS;
        (p.floor, p.cap) = (FLOOR, 6_000_000);
        (p.buyReserve, p.sellReserve) = (BUY_RESERVE, SELL_RESERVE);
        (p.imbalanceMin, p.imbalanceMax) = (-500_000, 900_000);
        (p.maxOrders, p.maxSubmitted) = (1000, 10);
        p.claimBy = p.proveBy + 2 * MAX_PAUSE + 5 days;
    }

    function openSession(SessionParams memory params) internal returns (uint24 epoch) {
        vm.prank(operator);
        return exchange.openSession(params);
    }

    function openRound(uint8 round) internal returns (uint24 epoch) {
        return openSession(paramsOf(round));
    }

    // --- reading

    function freeOf(address account) internal view returns (int256 free) {
        (free,,,) = exchange.cashOf(account);
    }

    function stageOf(uint24 epoch) internal view returns (Stage stage) {
        (, stage) = exchange.sessionOf(epoch);
    }

    function idOf(uint8 side, uint8 round, uint8 kind, uint8 quality, uint256 window)
        internal
        pure
        returns (uint256)
    {
        return
            ProductId.unwrap(ProductIdLib.pack(side, round, kind, quality, 0, LENGTH, DAY + uint32(window)));
    }

    function claimOf(uint8 round, uint256 window) internal pure returns (uint256) {
        return idOf(0, round, 0, 0, window);
    }

    function obligationOf(uint8 round, uint256 window) internal pure returns (uint256) {
        return idOf(1, round, 0, 0, window);
    }

    // --- lists

    function oneCount(uint32 count) internal pure returns (uint32[] memory list) {
        list = new uint32[](1);
        list[0] = count;
    }

    function oneRoot(bytes32 root) internal pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = root;
    }

    function noChildren() internal pure returns (ClosedZone[] memory) {
        return new ClosedZone[](0);
    }

    // --- signing

    function domainSeparator() internal view returns (bytes32) {
        bytes32 domainType =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        return keccak256(
            abi.encode(domainType, keccak256("Trellis"), keccak256("1"), block.chainid, address(exchange))
        );
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), structHash));
    }

    /// @dev 65 bytes `r . s . v` over the EIP-712 digest of a struct.
    function signStruct(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(structHash));
        return abi.encodePacked(r, s, v);
    }

    /// @dev The next call reverts with exactly this error.
    function refuse(bytes memory error) internal {
        vm.expectRevert(error);
    }
}
