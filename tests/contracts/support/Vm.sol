// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @dev Forge's cheatcodes, as far as these tests use them.
interface Vm {
    struct Gas {
        uint64 gasLimit;
        uint64 gasTotalUsed;
        uint64 gasMemoryUsed;
        int64 gasRefunded;
        uint64 gasRemaining;
    }

    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function warp(uint256 timestamp) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function label(address account, string calldata name) external;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function signP256(uint256 key, bytes32 digest) external pure returns (bytes32 r, bytes32 s);
    function publicKeyP256(uint256 key) external pure returns (uint256 x, uint256 y);
    function assume(bool condition) external pure;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectPartialRevert(bytes4 selector) external;
    function expectEmit(address emitter) external;
    function getNonce(address account) external view returns (uint64);
    function setNonce(address account, uint64 nonce) external;
    function deployCode(string calldata artifact, bytes calldata arguments) external returns (address);
    function getCode(string calldata artifact) external view returns (bytes memory);
    function getDeployedCode(string calldata artifact) external view returns (bytes memory);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);
    function cool(address target) external;
    function lastCallGas() external view returns (Gas memory);
    function envOr(string calldata name, bool otherwise) external view returns (bool);
    function readFile(string calldata path) external view returns (string memory);
    function writeJson(string calldata json, string calldata path, string calldata key) external;
    function toString(uint256 value) external pure returns (string memory);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key)
        external
        pure
        returns (uint256[] memory);
    function parseJsonInt(string calldata json, string calldata key) external pure returns (int256);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonBytes32Array(string calldata json, string calldata key)
        external
        pure
        returns (bytes32[] memory);
    function parseJsonBytes(string calldata json, string calldata key) external pure returns (bytes memory);
    function parseJsonBool(string calldata json, string calldata key) external pure returns (bool);
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonString(string calldata json, string calldata key) external pure returns (string memory);
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function assertTrue(bool condition, string calldata what) external pure;
    function assertEq(uint256 left, uint256 right, string calldata what) external pure;
    function assertEq(int256 left, int256 right, string calldata what) external pure;
    function assertEq(address left, address right, string calldata what) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata what) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata what) external pure;
}

/// @title Checks: what every test starts from
abstract contract Checks {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function isTrue(bool condition, string memory what) internal pure {
        vm.assertTrue(condition, what);
    }

    function eq(uint256 found, uint256 expected, string memory what) internal pure {
        vm.assertEq(found, expected, what);
    }

    function eq(int256 found, int256 expected, string memory what) internal pure {
        vm.assertEq(found, expected, what);
    }

    function eq(address found, address expected, string memory what) internal pure {
        vm.assertEq(found, expected, what);
    }

    function eq(bytes32 found, bytes32 expected, string memory what) internal pure {
        vm.assertEq(found, expected, what);
    }

    function eq(bytes memory found, bytes memory expected, string memory what) internal pure {
        vm.assertEq(found, expected, what);
    }

    /// @dev `seed` brought into `low..high`, both included.
    function within(uint256 seed, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + seed % (high - low + 1);
    }

    function within(int256 seed, int256 low, int256 high) internal pure returns (int256) {
        return low + int256(uint256(seed) % uint256(high - low + 1));
    }
}
