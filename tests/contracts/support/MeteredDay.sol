// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Posting} from "../../../contracts/interfaces/IMetering.sol";
import {RoundPrices, RunCarry} from "../../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../../contracts/interfaces/IStatements.sol";
import {Market} from "./Market.sol";

/// @title MeteredDay: honest oracle nodes, and what a settlement run carries, worked out from balances
abstract contract MeteredDay is Market {
    bytes32 internal constant POSTING_TYPE_HASH = keccak256(
        "Posting(uint32 zone,uint32 firstWindow,uint16 windows,uint32 sequence,uint32 accounts,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,bytes32[] parts)"
    );

    uint64 internal constant AFTERWARDS = DAY_BEGINS + 3 days;

    bytes32 internal readings = keccak256("readings");

    /// @dev Rounds whose tokens the run counts.
    uint8 internal provedRounds = 1;

    /// @dev Imbalances of each account as it was counted, and as they are changed, Wh a window.
    mapping(address account => int256[]) internal stated;

    /// @dev A posting of all prosumers in one part, the same prices in every window.
    function postingOf(bytes memory entries, int32 surplus, int32 deficit)
        internal
        view
        returns (Posting memory p)
    {
        (p.firstWindow, p.windows, p.sequence, p.accounts) = (DAY, dayWindows, 1, uint32(prosumers.length));
        p.commitments = readings;
        (p.surplusMicroPerKWh, p.deficitMicroPerKWh) = (new int32[](dayWindows), new int32[](dayWindows));
        for (uint256 w; w < dayWindows; ++w) {
            (p.surplusMicroPerKWh[w], p.deficitMicroPerKWh[w]) = (surplus, deficit);
        }
        p.parts = new bytes32[](1);
        p.parts[0] = keccak256(entries);
    }

    /// @dev One account's entry, the same metered energy in every window.
    function entry(address account, int256 wh) internal view returns (bytes memory) {
        bytes memory metered;
        for (uint256 w; w < dayWindows; ++w) {
            metered = bytes.concat(metered, bytes4(uint32(int32(wh))));
        }
        return bytes.concat(bytes20(account), new bytes((dayWindows + 3) / 4), metered);
    }

    function postingStruct(Posting memory p) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                POSTING_TYPE_HASH,
                p.zone,
                p.firstWindow,
                p.windows,
                p.sequence,
                p.accounts,
                p.commitments,
                keccak256(abi.encodePacked(p.surplusMicroPerKWh)),
                keccak256(abi.encodePacked(p.deficitMicroPerKWh)),
                keccak256(abi.encodePacked(p.parts))
            )
        );
    }

    /// @dev Signatures of the first `count` nodes, in ascending order of their addresses.
    function signaturesOf(Posting memory p, uint256 count) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i; i < count; ++i) {
            signatures[i] = signStruct(oracleKeys[i], postingStruct(p));
        }
    }

    function postDay(Posting memory p) internal {
        bytes[] memory signatures = signaturesOf(p, 2);
        vm.prank(meterOperator);
        exchange.postMetering(p, signatures);
    }

    function noRunCarry() internal pure returns (RunCarry memory carry) {
        carry.tallies = new uint256[](0);
    }

    function settle(Posting memory p, bytes memory entries, RunCarry memory carry) internal {
        RoundPrices[] memory prices = roundPrices();
        vm.prank(meterOperator);
        exchange.settle(p, entries, carry, prices);
    }

    function certify(Posting memory p, Statement memory statement, RunCarry memory carry) internal {
        RoundPrices[] memory prices = roundPrices();
        vm.prank(meterOperator);
        exchange.certify(p, statement, carry, prices);
    }

    /// @dev Settles every prosumer at `metered` (in the order of `prosumers`), which ends the run.
    function settleAll(int256[] memory metered, int32 surplus, int32 deficit)
        internal
        returns (RunCarry memory carry)
    {
        bytes memory entries;
        for (uint256 i; i < prosumers.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], metered[i]));
        }
        Posting memory p = postingOf(entries, surplus, deficit);
        carry = initialRun();
        for (uint256 i; i < prosumers.length; ++i) {
            countAccount(carry, prosumers[i], metered[i], surplus, deficit);
        }
        countBalancer(carry);
        vm.warp(AFTERWARDS);
        postDay(p);
        settle(p, entries, noRunCarry());
        return certifyStart(carry);
    }

    // --- the rules again, from docs/formats.md

    function initialRun() internal view returns (RunCarry memory carry) {
        carry.tallies = new uint256[](grid.qualities.length * dayWindows);
    }

    /// @dev Counts an account into the carry, from its balances before it is settled, and states its imbalances.
    /// @return cash what its imbalance earns, less what it gives back
    function countAccount(
        RunCarry memory carry,
        address account,
        int256 metered,
        int256 surplus,
        int256 deficit
    ) internal returns (int256 cash) {
        delete stated[account];
        for (uint256 w; w < dayWindows; ++w) {
            (int256 contracted, int256 owed) = countTokens(carry, account, w, metered);
            int256 imbalance = metered - contracted;
            cash += imbalance * (imbalance > 0 ? surplus : deficit) - owed;
            carry.imbalanceWh += imbalance;
            stated[account].push(imbalance);
        }
        carry.cashNano += cash;
        carry.lastAccount = account;
    }

    /// @dev All qualities here are as produced: what is not delivered is neither contracted nor paid for.
    function countTokens(RunCarry memory carry, address account, uint256 w, int256 metered)
        private
        view
        returns (int256 contracted, int256 owed)
    {
        uint256 left = metered > 0 ? uint256(metered) : 0;
        for (uint8 round; round < provedRounds; ++round) {
            for (uint256 k = grid.qualities.length; k != 0; --k) {
                // Ascending codes are of ascending merit in the grids used here.
                (uint256 claims, uint256 obligations) = tokensOf(account, round, grid.qualities[k - 1], w);
                uint256 delivered = obligations < left ? obligations : left;
                left -= delivered;
                carry.tallies[(k - 1) * dayWindows + w] += claims | obligations << 64 | delivered << 128;
                contracted += int256(delivered) - int256(claims);
                if (delivered < obligations) {
                    owed += int256(obligations - delivered) * priceOf(round, k - 1, w);
                }
            }
        }
    }

    /// @dev The balancing party's claims come last.
    function countBalancer(RunCarry memory carry) internal view {
        for (uint8 round; round < provedRounds; ++round) {
            for (uint256 q; q < grid.qualities.length; ++q) {
                for (uint256 w; w < dayWindows; ++w) {
                    (uint256 claims,) = tokensOf(balancer, round, grid.qualities[q], w);
                    carry.tallies[q * dayWindows + w] += claims;
                }
            }
        }
    }

    function tokensOf(address account, uint8 round, uint8 code, uint256 w)
        private
        view
        returns (uint256 claims, uint256 obligations)
    {
        claims = exchange.balanceOf(account, idOf(0, round, 0, code, w));
        obligations = exchange.balanceOf(account, idOf(1, round, 0, code, w));
    }

    /// @dev What a settled run leaves to certification.
    function certifyStart(RunCarry memory carry) internal pure returns (RunCarry memory) {
        (carry.lastAccount, carry.parts) = (address(0), 0);
        return carry;
    }

    // --- statements

    /// @dev A row: a lane of 8 bytes a window, up to a multiple of four.
    function rowOf(address account) internal view returns (bytes memory row) {
        int256[] storage imbalances = stated[account];
        for (uint256 w; w < (imbalances.length + 3) / 4 * 4; ++w) {
            int256 lane = (1 << 40) + (1 << 31) + (w < imbalances.length ? imbalances[w] : int256(0));
            row = bytes.concat(row, bytes8(uint64(uint256(lane))));
        }
    }

    /// @dev The prosumers from one place up to another.
    function accountsFrom(uint256 from, uint256 end) internal view returns (address[] memory list) {
        list = new address[](end - from);
        for (uint256 i; i < list.length; ++i) {
            list[i] = prosumers[from + i];
        }
    }

    /// @dev Of these accounts, ascending, without rows.
    function statementOf(address[] memory accounts) internal view returns (Statement memory s) {
        (s.accounts, s.leaves) = (accounts, new bytes32[](accounts.length));
        for (uint256 i; i < accounts.length; ++i) {
            s.leaves[i] = keccak256(rowOf(accounts[i]));
        }
    }

    /// @dev The same with the row of one account.
    function statementOf(address[] memory accounts, address changing)
        internal
        view
        returns (Statement memory s)
    {
        s = statementOf(accounts);
        s.rows = rowOf(changing);
    }

    /// @dev What is stored of a part.
    function hashOf(Statement memory s) internal pure returns (bytes32) {
        bytes memory words;
        for (uint256 i; i < s.accounts.length; ++i) {
            words = abi.encodePacked(words, uint256(uint160(s.accounts[i])), s.leaves[i]);
        }
        return keccak256(words);
    }
}
