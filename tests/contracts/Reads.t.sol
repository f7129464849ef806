// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ISignatures} from "./harness/ISignatures.sol";
import {Checks} from "./support/Vm.sol";

/// @title What meters signed, and what they did not: vectors/generate_reads.py had `cryptography` sign it
/// @dev The chains that the contracts are compiled for have no P-256 of their own; those of later rules have it at 0x100. Both are run here.
abstract contract Reads is Checks {
    uint256 private constant N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;

    struct Case {
        string name;
        bytes32 digest;
        bytes32 r;
        bytes32 s;
        bytes32 x;
        bytes32 y;
        bool valid;
    }

    ISignatures internal signatures;
    string private json;

    function setUp() external {
        signatures = ISignatures(vm.deployCode("harness/Signatures.sol:Signatures", ""));
        json = vm.readFile("tests/contracts/vectors/reads.json");
    }

    function caseAt(uint256 index) internal view returns (bool there, Case memory c) {
        string memory at = string.concat(".cases[", vm.toString(index), "]");
        if (!vm.keyExistsJson(json, at)) return (false, c);
        c.name = vm.parseJsonString(json, string.concat(at, ".name"));
        c.digest = sha256(vm.parseJsonBytes(json, string.concat(at, ".message")));
        eq(c.digest, vm.parseJsonBytes32(json, string.concat(at, ".digest")), "SHA-256");
        c.r = vm.parseJsonBytes32(json, string.concat(at, ".r"));
        c.s = vm.parseJsonBytes32(json, string.concat(at, ".s"));
        c.x = vm.parseJsonBytes32(json, string.concat(at, ".x"));
        c.y = vm.parseJsonBytes32(json, string.concat(at, ".y"));
        c.valid = vm.parseJsonBool(json, string.concat(at, ".valid"));
        return (true, c);
    }

    function verifies(Case memory c) internal view returns (bool) {
        return signatures.verify(c.digest, c.r, c.s, c.x, c.y);
    }

    /// What was signed verifies, and nothing else: neither the other half of `s` nor what is out of range.
    function test_signatures_are_judged_as_in_the_vectors() external view {
        for (uint256 i;; ++i) {
            (bool there, Case memory c) = caseAt(i);
            if (!there) {
                eq(i, 21, "cases");
                return;
            }
            isTrue(verifies(c) == c.valid, c.name);
        }
    }

    /// Any key's signature over any digest verifies in its lower half alone, under that key alone, over that digest alone.
    /// forge-config: default.fuzz.runs = 16
    function test_any_signature_verifies_once(uint256 key, bytes32 digest, uint8 bit) external view {
        key = within(key, 1, N - 1);
        Case memory c;
        c.digest = digest;
        (c.r, c.s) = vm.signP256(key, digest);
        if (uint256(c.s) > N / 2) c.s = bytes32(N - uint256(c.s));
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        (c.x, c.y) = (bytes32(x), bytes32(y));
        isTrue(verifies(c), "signed");
        c.s = bytes32(N - uint256(c.s));
        isTrue(!verifies(c), "high s");
        c.s = bytes32(N - uint256(c.s));
        c.digest = digest ^ bytes32(1 << bit);
        isTrue(!verifies(c), "another digest");
    }
}

/// @dev Without a precompile.
contract ReadsTest is Reads {
    /// The chain has no P-256 of its own.
    function test_there_is_no_precompile() external {
        (, Case memory c) = caseAt(0);
        vm.expectRevert();
        signatures.verifyNative(c.digest, c.r, c.s, c.x, c.y);
    }
}

/// @dev With one.
/// forge-config: default.evm_version = "osaka"
contract ReadsByPrecompileTest is Reads {
    /// The chain's own P-256 says of every case what the library says.
    function test_precompile_and_library_agree() external view {
        for (uint256 i;; ++i) {
            (bool there, Case memory c) = caseAt(i);
            if (!there) return;
            bool found = signatures.verifyNative(c.digest, c.r, c.s, c.x, c.y);
            isTrue(found == c.valid, c.name);
            isTrue(signatures.verifySolidity(c.digest, c.r, c.s, c.x, c.y) == c.valid, c.name);
        }
    }
}
