// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SignedRead, ReadingChallenge} from "../../../contracts/interfaces/IChallenges.sol";
import {Correction} from "../../../contracts/interfaces/ICorrections.sol";
import {Posting} from "../../../contracts/interfaces/IMetering.sol";
import {RunCarry} from "../../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../../contracts/interfaces/IStatements.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {MeteredDay} from "./MeteredDay.sol";

/// @dev What a meter says, before it is signed.
struct Told {
    address account;
    uint8 register;
    uint32 window; // of the day
    uint32 wh;
    uint64 sequence;
}

/// @title CertifiedDay: a day after its first run, with what its oracles committed to and can open
/// @dev The seller sold the buyer 1000 Wh as produced in both windows, and delivered 900: the buyer misses 100 in each. Two parts, cut behind the second prosumer.
abstract contract CertifiedDay is MeteredDay {
    bytes32 internal constant CORRECTION_TYPE_HASH = keccak256(
        "Correction(uint32 zone,uint32 firstWindow,uint8 run,bytes32 previous,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,uint32[] statements,bytes32[] parts)"
    );
    bytes32 internal constant CHALLENGE_TYPE_HASH =
        keccak256("ReadingChallenge(uint32 zone,uint32 day,uint8 run,bytes32 commitment,bytes32 read)");
    uint256 private constant N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;

    uint8 internal constant IMPORT = 1;
    uint8 internal constant EXPORT = 2;
    int32 internal constant SURPLUS = 80_000;
    int32 internal constant DEFICIT = 240_000;
    uint256 internal constant CUT = 2;
    int256 internal constant LACKS = 100;
    int256 internal constant PRICE = 150_000;

    Told[] internal committed;
    uint8[] internal flags;

    function setUpCertified() internal {
        setUpWorld(2);
        trade(0, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        commitTo(Told(buyer, IMPORT, 0, 1000, 5), 0);
        commitTo(Told(seller, EXPORT, 0, 900, 5), 0);
        commitTo(Told(buyer, IMPORT, 1, 1000, 5), 1);
        readings = rootOfReadings();
        vm.startPrank(registrar);
        for (uint256 i; i < prosumers.length; ++i) {
            (bytes32 x, bytes32 y) = publicKeyOf(meterKeyOf(prosumers[i]));
            exchange.registerMeter(meterOf(prosumers[i]), prosumers[i], x, y);
        }
        vm.stopPrank();
    }

    function commitTo(Told memory told, uint8 flag) private {
        committed.push(told);
        flags.push(flag);
    }

    // --- the first run

    function meteredOf(address account) internal view returns (int256) {
        return account == seller ? int256(900) : account == buyer ? -int256(1000) : int256(0);
    }

    function entriesOf(uint256 part) internal view returns (bytes memory entries) {
        address[] memory list = accountsOf(part);
        for (uint256 i; i < list.length; ++i) {
            entries = bytes.concat(entries, entry(list[i], meteredOf(list[i])));
        }
    }

    function accountsOf(uint256 part) internal view returns (address[] memory) {
        return part == 0 ? accountsFrom(0, CUT) : accountsFrom(CUT, prosumers.length);
    }

    function partOf(address account) internal view returns (uint256) {
        return account <= prosumers[CUT - 1] ? 0 : 1;
    }

    function dayPosting() internal view returns (Posting memory p) {
        p = postingOf("", SURPLUS, DEFICIT);
        p.parts = new bytes32[](2);
        (p.parts[0], p.parts[1]) = (keccak256(entriesOf(0)), keccak256(entriesOf(1)));
    }

    /// @dev Settles both parts.
    /// @return carry what certification begins with
    function settleBoth() internal returns (RunCarry memory carry) {
        vm.warp(AFTERWARDS);
        postDay(dayPosting());
        carry = initialRun();
        bytes memory halfway;
        for (uint256 i; i < prosumers.length; ++i) {
            if (i == CUT) {
                carry.parts = 1;
                halfway = abi.encode(carry);
            }
            countAccount(carry, prosumers[i], meteredOf(prosumers[i]), SURPLUS, DEFICIT);
        }
        countBalancer(carry);
        settle(dayPosting(), entriesOf(0), noRunCarry());
        settle(dayPosting(), entriesOf(1), abi.decode(halfway, (RunCarry)));
        return certifyStart(carry);
    }

    function certifyBoth(RunCarry memory carry) internal {
        for (uint256 part; part < 2; ++part) {
            Statement memory s = statementOf(accountsOf(part));
            if (partOf(buyer) == part) s = statementOf(accountsOf(part), buyer);
            certify(dayPosting(), s, carry);
            carry.parts = part + 1;
            if (partOf(buyer) != part) continue;
            for (uint256 w; w < 2; ++w) {
                carry.tallies[w] += 1000 << 192;
                carry.cashNano -= LACKS * PRICE;
                stated[buyer][w] -= LACKS;
            }
        }
    }

    function openCertified() internal {
        certifyBoth(settleBoth());
        exchange.openCorrections(dayPosting());
    }

    // --- later runs

    /// @dev Changes what is stated of an account.
    /// @return cash that it earns by it
    function restate(address account, uint256 w, int256 change) internal returns (int256 cash) {
        (int256 before, int256 then) = (stated[account][w], stated[account][w] + change);
        stated[account][w] = then;
        return valueOf(then) - valueOf(before);
    }

    function valueOf(int256 imbalance) internal pure returns (int256) {
        return imbalance * (imbalance > 0 ? int256(SURPLUS) : int256(DEFICIT));
    }

    function linkOf() internal view returns (bytes32 link) {
        (, link,,,,) = exchange.zoneDayOf(0, DAY);
    }

    /// @dev Of nothing: the next run, without differences.
    function nextRun() internal view returns (Correction memory c) {
        (uint8 run, bytes32 link,,,,) = exchange.zoneDayOf(0, DAY);
        Posting memory p = dayPosting();
        (c.firstWindow, c.run, c.previous, c.commitments) = (DAY, run + 1, link, readings);
        (c.surplusMicroPerKWh, c.deficitMicroPerKWh) = (p.surplusMicroPerKWh, p.deficitMicroPerKWh);
    }

    /// @dev Of one part.
    function runOver(uint256 part, bytes memory differences) internal view returns (Correction memory c) {
        c = nextRun();
        (c.statements, c.parts) = (new uint32[](1), new bytes32[](1));
        (c.statements[0], c.parts[0]) = (uint32(part), keccak256(differences));
    }

    function correctionStruct(Correction memory c) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                CORRECTION_TYPE_HASH,
                c.zone,
                c.firstWindow,
                c.run,
                c.previous,
                c.commitments,
                keccak256(abi.encodePacked(c.surplusMicroPerKWh)),
                keccak256(abi.encodePacked(c.deficitMicroPerKWh)),
                keccak256(abi.encodePacked(c.statements)),
                keccak256(abi.encodePacked(c.parts))
            )
        );
    }

    function signedBy(Correction memory c, uint256 count) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            signatures[i] = signStruct(oracleKeys[i], correctionStruct(c));
        }
    }

    function postRun(Correction memory c) internal {
        bytes[] memory signatures = signedBy(c, 2);
        vm.prank(meterOperator);
        exchange.postCorrection(c, signatures);
    }

    function correct(Correction memory c, Statement memory s, bytes memory differences) internal {
        vm.prank(stranger); // anyone
        exchange.correct(c, s, differences);
    }

    /// @dev A whole run that changes one account by the same in both windows.
    /// @return cash that it earned
    function correctOne(address account, int256 change) internal returns (int256 cash) {
        bytes memory differences = entry(account, change);
        Correction memory c = runOver(partOf(account), differences);
        postRun(c);
        correct(c, statementOf(accountsOf(partOf(account)), account), differences);
        return restate(account, 0, change) + restate(account, 1, change);
    }

    // --- meters

    function meterOf(address account) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("meter", account));
    }

    function meterKeyOf(address account) internal pure returns (uint256) {
        return uint256(keccak256(abi.encodePacked("key", account))) % (N - 1) + 1;
    }

    function publicKeyOf(uint256 key) internal pure returns (bytes32, bytes32) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        return (bytes32(x), bytes32(y));
    }

    function messageOf(Told memory t) internal pure returns (bytes memory) {
        return
            abi.encodePacked(
                uint8(1), meterOf(t.account), t.register, LENGTH, DAY + t.window, t.wh, t.sequence
            );
    }

    function signRead(uint256 key, bytes memory message) internal pure returns (SignedRead memory read) {
        read.message = message;
        (read.r, read.s) = vm.signP256(key, sha256(message));
        if (uint256(read.s) > N / 2) read.s = bytes32(N - uint256(read.s));
        (read.x, read.y) = publicKeyOf(key);
    }

    function readOf(Told memory t) internal pure returns (SignedRead memory) {
        return signRead(meterKeyOf(t.account), messageOf(t));
    }

    /// @dev The other half of `s` signs the same.
    function turned(SignedRead memory read) internal pure returns (SignedRead memory) {
        read.s = bytes32(N - uint256(read.s));
        return read;
    }

    // --- commitments

    function saltOf(uint256 index) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked("salt", index));
    }

    function commitmentAt(uint256 index) internal view returns (bytes32) {
        return
            keccak256(abi.encodePacked(bytes1(0), saltOf(index), messageOf(committed[index]), flags[index]));
    }

    function rootOfReadings() internal view returns (bytes32 root) {
        return walk(commitmentAt(0), 0, pathTo(0));
    }

    function walk(bytes32 node, uint256 index, bytes32[20] memory path) private pure returns (bytes32) {
        for (uint256 level; level < 20; ++level) {
            node = index >> level & 1 == 0
                ? MerkleFrontier.nodeHash(node, path[level])
                : MerkleFrontier.nodeHash(path[level], node);
        }
        return node;
    }

    /// @dev Of three leaves.
    function pathTo(uint256 index) internal view returns (bytes32[20] memory path) {
        bytes32 zero = MerkleFrontier.nodeHash(0, 0);
        path[0] = index == 2 ? bytes32(0) : commitmentAt(index ^ 1);
        path[1] = index == 2
            ? MerkleFrontier.nodeHash(commitmentAt(0), commitmentAt(1))
            : MerkleFrontier.nodeHash(commitmentAt(2), 0);
        for (uint256 level = 2; level < 20; ++level) {
            zero = MerkleFrontier.nodeHash(zero, zero);
            path[level] = zero;
        }
    }

    /// @dev The account challenges what was committed to at `index` with another value.
    function challengeOf(uint256 index, uint32 wh, uint64 sequence)
        internal
        view
        returns (ReadingChallenge memory c)
    {
        (c.day, c.committed, c.flag) = (DAY, messageOf(committed[index]), flags[index]);
        (c.salt, c.index, c.siblings) = (saltOf(index), index, pathTo(index));
        Told memory told = committed[index];
        (told.wh, told.sequence) = (wh, sequence);
        c.read = readOf(told);
    }

    /// @dev All cash, what is set aside included, is what the vault holds.
    function requireConserved(uint256 atStake) internal view {
        (uint88 pot,,) = exchange.challengeTerms();
        int256 sum = freeOf(balancer) + int256(uint256(pot)) + int256(atStake);
        for (uint256 i; i < prosumers.length; ++i) {
            sum += freeOf(prosumers[i]);
        }
        eq(sum, int256(token.balanceOf(address(exchange))), "all cash");
    }
}
