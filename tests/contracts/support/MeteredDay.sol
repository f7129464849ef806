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

    /// @dev Rounds that may have been proved.
    uint256 private constant MOST_ROUNDS = 5;

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
        (carry.tallies, carry.pots) = (new uint256[](0), new uint256[](0));
    }

    function settle(Posting memory p, bytes memory entries, RunCarry memory carry) internal {
        RoundPrices[] memory prices = roundPrices();
        // Anyone settles what a quorum signed.
        vm.prank(p.sequence == type(uint32).max ? meterOperator : stranger);
        exchange.settle(p, entries, carry, prices);
    }

    function certify(Posting memory p, Statement memory statement, RunCarry memory carry) internal {
        RoundPrices[] memory prices = roundPrices();
        vm.prank(stranger); // anyone
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
        uint256 cells = roundPrices().length * grid.qualities.length * dayWindows;
        (carry.tallies, carry.pots) = (new uint256[](cells), new uint256[](cells));
    }

    /// @dev Counts an account into the carry, from its balances before it is settled, and states its imbalances.
    /// @return cash what its imbalance earns, and what it is paid for what it delivered
    function countAccount(
        RunCarry memory carry,
        address account,
        int256 metered,
        int256 surplus,
        int256 deficit
    ) internal returns (int256 cash) {
        delete stated[account];
        for (uint256 w; w < dayWindows; ++w) {
            (int256 contracted, int256 credit) = countTokens(carry, account, w, metered);
            int256 imbalance = metered - contracted;
            int256 earned = imbalance * (imbalance > 0 ? surplus : deficit);
            cash += earned + credit;
            carry.imbalanceWh += imbalance;
            carry.cashNano += earned;
            stated[account].push(imbalance);
        }
        carry.lastAccount = account;
    }

    /// @dev All qualities here are as produced: what is delivered is contracted and paid for, nothing else; at a negative price all that was sold is paid for.
    function countTokens(RunCarry memory carry, address account, uint256 w, int256 metered)
        private
        view
        returns (int256 contracted, int256 credit)
    {
        uint256 left = metered > 0 ? uint256(metered) : 0;
        for (uint8 round; round < MOST_ROUNDS; ++round) {
            (bool proved,) = provedPlaceOf(round);
            if (!proved) continue;
            for (uint256 k = grid.qualities.length; k != 0; --k) {
                // Ascending codes are of ascending merit in the grids used here.
                (uint256 claims, uint256 obligations) = tokensOf(account, round, grid.qualities[k - 1], w);
                uint256 delivered = obligations < left ? obligations : left;
                left -= delivered;
                int256 price = priceOf(round, k - 1, w);
                contracted += int256(delivered) - int256(claims);
                credit += int256(price < 0 ? obligations : delivered) * price;
                uint256 cell = tallyCell(round, k - 1, w);
                carry.tallies[cell] += claims | obligations << 64 | delivered << 128;
                carry.pots[cell] += (obligations - delivered) * uint256(price < 0 ? int256(0) : price);
            }
        }
    }

    /// @dev The balancing party's claims come last.
    function countBalancer(RunCarry memory carry) internal view {
        for (uint8 round; round < MOST_ROUNDS; ++round) {
            (bool proved,) = provedPlaceOf(round);
            for (uint256 q; proved && q < grid.qualities.length; ++q) {
                for (uint256 w; w < dayWindows; ++w) {
                    (uint256 claims,) = tokensOf(balancer, round, grid.qualities[q], w);
                    carry.tallies[tallyCell(round, q, w)] += claims;
                }
            }
        }
    }

    /// @dev Of a proved round, a quality's dense index and a window.
    function tallyCell(uint256 round, uint256 dense, uint256 w) internal view returns (uint256) {
        (, uint256 place) = provedPlaceOf(round);
        return (place * grid.qualities.length + dense) * dayWindows + w;
    }

    function tokensOf(address account, uint8 round, uint8 code, uint256 w)
        internal
        view
        returns (uint256 claims, uint256 obligations)
    {
        claims = exchange.balanceOf(account, idOf(0, round, 0, code, w));
        obligations = exchange.balanceOf(account, idOf(1, round, 0, code, w));
    }

    /// @dev What a settled run leaves to certification: of cash, what buyers paid for what was not delivered.
    function certifyStart(RunCarry memory carry) internal pure returns (RunCarry memory) {
        (carry.lastAccount, carry.parts, carry.cashNano) = (address(0), 0, 0);
        for (uint256 cell; cell < carry.pots.length; ++cell) {
            carry.cashNano += int256(carry.pots[cell]);
        }
        return carry;
    }

    function missedOf(uint256 tally) internal pure returns (uint256) {
        return uint256(uint64(tally >> 64)) - uint64(tally >> 128);
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
