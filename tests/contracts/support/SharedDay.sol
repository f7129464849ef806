// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {RunCarry} from "../../../contracts/interfaces/ISettlement.sol";
import {Statement} from "../../../contracts/interfaces/IStatements.sol";
import {MeteredDay} from "./MeteredDay.sol";

/// @title SharedDay: a day of books of quality 0, settled and certified in one part each, and what certification pays worked out from balances
abstract contract SharedDay is MeteredDay {
    /// @dev What certifying comes to.
    struct Delivered {
        int256 refunds; // of prices, nano
        int256 revalued; // what imbalances of members changed by, nano
        int256 rest; // of what sellers were not paid, nano
    }

    /// @dev Of each claim before the run, Wh: by account, in the order of `prosumers`, then by cell.
    uint256[] private claimed;
    /// @dev Of each cell: claims gone over so far, Wh.
    mapping(uint256 cell => uint256 wh) private passed;
    /// @dev Of the claim in hand, Wh.
    int256 private newlyShort;
    /// @dev Of each account: what it lacks in all, Wh, and what it is paid back, reserves aside, nano.
    mapping(address account => uint256 wh) internal lacked;
    mapping(address account => int256 nano) internal paidBack;

    /// @dev Settles the day as metered, and certifies it; each account's cash is what it should be.
    function runDay(int256[] memory metered, int32 surplus, int32 deficit)
        internal
        returns (Delivered memory d)
    {
        noteClaims();
        RunCarry memory carry = settleAll(metered, surplus, deficit);
        return certifyAll(metered, carry, surplus, deficit);
    }

    /// @dev To be called before the run: when it has ended, claims count as nothing.
    function noteClaims() internal {
        delete claimed;
        for (uint256 i; i < prosumers.length; ++i) {
            eachCell(prosumers[i]);
        }
    }

    function eachCell(address account) private {
        for (uint8 round; round < 5; ++round) {
            (bool proved,) = provedPlaceOf(round);
            for (uint256 w; proved && w < dayWindows; ++w) {
                (uint256 claims,) = tokensOf(account, round, 0, w);
                claimed.push(claims);
            }
        }
    }

    function certifyAll(int256[] memory metered, RunCarry memory carry, int32 surplus, int32 deficit)
        internal
        returns (Delivered memory d)
    {
        Statement memory s = statementOf(accountsFrom(0, prosumers.length));
        int256[2] memory prices = [int256(surplus), deficit];
        int256[] memory expected = new int256[](prosumers.length);
        for (uint256 i; i < prosumers.length; ++i) {
            (address account, bytes memory row) = (prosumers[i], rowOf(prosumers[i]));
            expected[i] = freeOf(account) + shareAll(d, carry, i, prices);
            if (lacked[account] != 0) s.rows = bytes.concat(s.rows, row);
        }
        d.rest = carry.cashNano - d.refunds;
        int256 balancerHad = freeOf(balancer);
        certify(postingOf(entriesOfAll(metered), surplus, deficit), s, carry);
        for (uint256 i; i < prosumers.length; ++i) {
            eq(freeOf(prosumers[i]), expected[i], "certified");
        }
        eq(freeOf(balancer) - balancerHad, d.rest - d.revalued, "balancing party");
    }

    /// @dev Shares what is lacking among an account's claims.
    /// @return paid to it, its reserves included
    function shareAll(Delivered memory d, RunCarry memory carry, uint256 i, int256[2] memory prices)
        private
        returns (int256 paid)
    {
        address account = prosumers[i];
        (lacked[account], paidBack[account]) = (0, 0);
        uint256 cells = claimed.length / prosumers.length;
        for (uint256 k; k < cells; ++k) {
            uint256 claim = claimed[i * cells + k];
            if (claim == 0) continue;
            paid += int256(claim * BUY_RESERVE);
            paid += payBack(d, carry, account, k, claim);
            paid += revalue(d, account, k % dayWindows, prices);
        }
    }

    /// @param k the place of the claim's round, then its window
    function payBack(Delivered memory d, RunCarry memory carry, address account, uint256 k, uint256 claim)
        private
        returns (int256 refund)
    {
        uint256 cell = k / dayWindows * grid.qualities.length * dayWindows + k % dayWindows;
        uint256 short;
        (short, refund) = shareOne(carry, cell, claim);
        lacked[account] += short;
        paidBack[account] += refund;
        d.refunds += refund;
        newlyShort = int256(short);
    }

    function revalue(Delivered memory d, address account, uint256 w, int256[2] memory prices)
        private
        returns (int256 change)
    {
        int256 before = stated[account][w];
        int256 then = before - newlyShort;
        stated[account][w] = then;
        change = worthAt(then, prices) - worthAt(before, prices);
        d.revalued += change;
    }

    function worthAt(int256 wh, int256[2] memory prices) private pure returns (int256) {
        return wh * prices[wh > 0 ? 0 : 1];
    }

    /// @dev docs/formats.md, Delivery, of a cell whose claims all bear what it lacks.
    function shareOne(RunCarry memory carry, uint256 cell, uint256 claim)
        private
        returns (uint256 short, int256 refund)
    {
        uint256 claims = uint64(carry.tallies[cell]);
        uint256 loss = missedOf(carry.tallies[cell]);
        uint256 amount = claims < loss ? claims : loss;
        uint256 before = passed[cell] * amount / claims;
        passed[cell] += claim;
        short = passed[cell] * amount / claims - before;
        if (short == 0) return (0, 0);
        uint256 pot = carry.pots[cell] * amount / loss;
        uint256 part = (before + short) * pot / amount - before * pot / amount;
        refund = int256(part);
        uint256 perRound = grid.qualities.length * dayWindows;
        int256 most = int256(short) * paidAt(priceAt(cell / perRound, cell % dayWindows));
        if (refund > most) refund = most;
    }

    function priceAt(uint256 place, uint256 w) private view returns (int256) {
        for (uint8 round; round < 5; ++round) {
            (bool proved, uint256 found) = provedPlaceOf(round);
            if (proved && found == place) return priceOf(round, 0, w);
        }
        revert("no such round");
    }

    /// @dev What is paid for what is not delivered: nobody is paid for not taking it.
    function paidAt(int256 price) internal pure returns (int256) {
        return price < 0 ? int256(0) : price;
    }

    function entriesOfAll(int256[] memory metered) internal view returns (bytes memory entries) {
        for (uint256 i; i < prosumers.length; ++i) {
            entries = bytes.concat(entries, entry(prosumers[i], metered[i]));
        }
    }

    /// @dev All cash is what the vault holds.
    function requireConserved() internal view {
        int256 sum = freeOf(balancer);
        for (uint256 i; i < prosumers.length; ++i) {
            sum += freeOf(prosumers[i]);
        }
        eq(sum, int256(token.balanceOf(address(exchange))), "all cash");
    }
}
