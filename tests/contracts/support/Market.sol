// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {SessionParams} from "../../../contracts/interfaces/IAuction.sol";
import {Carry, Posted} from "../../../contracts/interfaces/IClearing.sol";
import {RoundPrices} from "../../../contracts/interfaces/ISettlement.sol";
import {MerkleFrontier} from "../../../contracts/libraries/MerkleFrontier.sol";
import {World} from "./World.sol";

/// @dev A schedule before it is signed.
struct Order {
    uint256 key;
    uint8 side;
    uint8 quality;
    uint32 firstWindow;
    uint64 nonce;
    bytes32 replaces;
    address beneficiary;
    uint32[] quantityWh;
    int32[] limit;
    uint32 zone;
    uint8 kind;
}

/// @dev A flexible order before it is signed, and its split, which is not signed.
struct Flexibly {
    uint256 key;
    uint8 side;
    uint32 firstWindow;
    uint64 nonce;
    address beneficiary;
    uint32 energyWh;
    uint32 maxWh;
    int32 limit;
    uint32[] shares;
    uint32 zone;
    uint8 kind;
}

/// @title Market: an honest operator for books of quality 0
/// @dev Without premiums a window is one crossing of supply and demand: the clearing prices are an interval whose ends are limits, or the outer bounds
/// where nothing limits it. Every potential is supported by the ground, at rank 0. Books of several qualities come from vectors/.
abstract contract Market is World {
    int256 internal constant OUTER = 1 << 29;

    bytes32 internal constant SCHEDULE_TYPE_HASH = keccak256(
        "Schedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint8 quality,uint32 firstWindow,uint64 nonce,"
        "bytes32 replaces,address beneficiary,uint32[] quantityWh,int32[] limitMicroPerKWh)"
    );

    bytes32 internal constant FLEXIBLE_TYPE_HASH = keccak256(
        "FlexibleSchedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint32 firstWindow,uint16 windows,uint64 nonce,"
        "bytes32 replaces,address beneficiary,uint32 energyWh,uint32 maxWhPerWindow,int32 limitMicroPerKWh)"
    );

    /// @dev What each proved round of energy of the day posted, in order, and its place, from 1.
    RoundPrices[] private _rounds;
    mapping(uint256 round => uint256 place) private _placeOf;

    /// @dev For whom a session key signs, where it does: the orders of such a key are that account's.
    mapping(uint256 key => address account) internal tradesFor;

    /// @dev Crossing of one window: the interval of clearing prices, and who trades at its middle.
    struct Crossing {
        int256 lo;
        int256 hi;
        int256 price;
        uint256 buysAt;
        uint256 buysFilled;
        uint256 sellsAt;
        uint256 sellsFilled;
    }

    // --- orders

    /// @dev Whose the orders are that a key signs.
    function traderOf(uint256 key) internal view returns (address account) {
        account = tradesFor[key];
        if (account == address(0)) account = vm.addr(key);
    }

    /// @dev An order of a session key goes by the hash of its digest and the key.
    function namedBy(uint256 key, bytes32 digest) private view returns (bytes32) {
        if (tradesFor[key] == address(0)) return digest;
        return keccak256(abi.encodePacked(digest, vm.addr(key)));
    }

    function order(uint256 key, uint8 side, uint256 wh, int256 limit) internal view returns (Order memory o) {
        (o.key, o.side, o.firstWindow, o.nonce) = (key, side, DAY, 1);
        (o.quantityWh, o.limit) = (new uint32[](dayWindows), new int32[](dayWindows));
        for (uint256 w; w < dayWindows; ++w) {
            (o.quantityWh[w], o.limit[w]) = (uint32(wh), int32(limit));
        }
    }

    function buy(uint256 key, uint256 wh, int256 limit) internal view returns (Order memory) {
        return order(key, 0, wh, limit);
    }

    function sell(uint256 key, uint256 wh, int256 limit) internal view returns (Order memory) {
        return order(key, 1, wh, limit);
    }

    function book(Order memory a) internal pure returns (Order[] memory list) {
        list = new Order[](1);
        list[0] = a;
    }

    function book(Order memory a, Order memory b) internal pure returns (Order[] memory list) {
        list = new Order[](2);
        (list[0], list[1]) = (a, b);
    }

    function book(Order memory a, Order memory b, Order memory c)
        internal
        pure
        returns (Order[] memory list)
    {
        list = new Order[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }

    function orderStruct(bytes32 session, Order memory o) internal view returns (bytes32) {
        return keccak256(
            bytes.concat(
                abi.encode(
                    SCHEDULE_TYPE_HASH,
                    traderOf(o.key),
                    session,
                    o.zone,
                    o.side,
                    o.kind,
                    o.quality,
                    o.firstWindow
                ),
                abi.encode(
                    o.nonce,
                    o.replaces,
                    o.beneficiary,
                    keccak256(abi.encodePacked(o.quantityWh)),
                    keccak256(abi.encodePacked(o.limit))
                )
            )
        );
    }

    function digestOf(uint24 epoch, Order memory o) internal view returns (bytes32) {
        (bytes32 session,) = exchange.sessionOf(epoch);
        return digestOf(orderStruct(session, o));
    }

    function hashOf(uint24 epoch, Order memory o) internal view returns (bytes32) {
        return namedBy(o.key, digestOf(epoch, o));
    }

    function recordOf(uint24 epoch, Order memory o) internal view returns (bytes memory record) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(o.key, digestOf(epoch, o));
        return packRecord(o, v, r, s);
    }

    function packRecord(Order memory o, uint8 v, bytes32 r, bytes32 s)
        internal
        view
        returns (bytes memory record)
    {
        uint8 flags = o.side | (v - 27) << 1;
        if (o.replaces != 0) flags |= 4;
        if (o.beneficiary != address(0)) flags |= 8;
        record = abi.encodePacked(
            traderOf(o.key), flags, o.quality, o.firstWindow, uint8(o.quantityWh.length), o.nonce, r, s
        );
        if (o.replaces != 0) record = bytes.concat(record, o.replaces);
        if (o.beneficiary != address(0)) record = bytes.concat(record, bytes20(o.beneficiary));
        for (uint256 i; i < o.quantityWh.length; ++i) {
            record = bytes.concat(record, bytes4(o.quantityWh[i]), bytes4(uint32(o.limit[i])));
        }
    }

    // --- flexible orders

    function flexibly(uint256 key, uint8 side, uint32 energyWh, uint32 maxWh, int32 limit)
        internal
        view
        returns (Flexibly memory o)
    {
        (o.key, o.side, o.firstWindow, o.nonce) = (key, side, DAY, 1);
        (o.energyWh, o.maxWh, o.limit, o.shares) = (energyWh, maxWh, limit, new uint32[](dayWindows));
    }

    function hashOf(uint24 epoch, Flexibly memory o) internal view returns (bytes32) {
        return namedBy(o.key, digestOf(epoch, o));
    }

    function digestOf(uint24 epoch, Flexibly memory o) internal view returns (bytes32) {
        (bytes32 session,) = exchange.sessionOf(epoch);
        bytes memory head =
            abi.encode(FLEXIBLE_TYPE_HASH, traderOf(o.key), session, o.zone, o.side, o.kind, o.firstWindow);
        bytes memory tail =
            abi.encode(o.shares.length, o.nonce, bytes32(0), o.beneficiary, o.energyWh, o.maxWh, o.limit);
        return digestOf(keccak256(bytes.concat(head, tail)));
    }

    function recordOf(uint24 epoch, Flexibly memory o) internal view returns (bytes memory record) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(o.key, digestOf(epoch, o));
        uint8 flags = o.side | (v - 27) << 1 | 16;
        if (o.beneficiary != address(0)) flags |= 8;
        record = abi.encodePacked(
            traderOf(o.key), flags, uint8(0), o.firstWindow, uint8(o.shares.length), o.nonce, r, s
        );
        if (o.beneficiary != address(0)) record = bytes.concat(record, bytes20(o.beneficiary));
        record = bytes.concat(record, bytes4(o.energyWh), bytes4(o.maxWh), bytes4(uint32(o.limit)));
        for (uint256 i; i < o.shares.length; ++i) {
            record = bytes.concat(record, bytes4(o.shares[i]));
        }
    }

    /// @dev Sorts a book by order hash, in place.
    function sortBook(uint24 epoch, Order[] memory orders) internal view returns (bytes32[] memory hashes) {
        hashes = new bytes32[](orders.length);
        for (uint256 i; i < orders.length; ++i) {
            (bytes32 hash, Order memory o) = (hashOf(epoch, orders[i]), orders[i]);
            uint256 at = i;
            for (; at != 0 && hashes[at - 1] > hash; --at) {
                (hashes[at], orders[at]) = (hashes[at - 1], orders[at - 1]);
            }
            (hashes[at], orders[at]) = (hash, o);
        }
    }

    function recordsOf(uint24 epoch, Order[] memory orders) internal view returns (bytes memory records) {
        for (uint256 i; i < orders.length; ++i) {
            records = bytes.concat(records, recordOf(epoch, orders[i]));
        }
    }

    // --- prices

    function crossing(Order[] memory orders, uint256 window) internal pure returns (Crossing memory x) {
        (x.lo, x.hi) = (OUTER, -OUTER);
        widen(x, orders, window, -OUTER);
        widen(x, orders, window, OUTER);
        for (uint256 i; i < orders.length; ++i) {
            (uint256 wh, int256 limit) = entryOf(orders[i], window);
            if (wh != 0) widen(x, orders, window, limit);
        }
        x.price = (x.lo + x.hi) >> 1;
        (uint256 demand, uint256 eager) = volumeOf(orders, window, 0, x.price);
        (uint256 supply, uint256 cheap) = volumeOf(orders, window, 1, x.price);
        uint256 traded = demand < supply ? demand : supply;
        (x.buysAt, x.buysFilled) = (demand - eager, traded - eager);
        (x.sellsAt, x.sellsFilled) = (supply - cheap, traded - cheap);
    }

    /// @dev Takes `price` into the interval if the market clears at it.
    function widen(Crossing memory x, Order[] memory orders, uint256 window, int256 price) private pure {
        (uint256 demand, uint256 eager) = volumeOf(orders, window, 0, price);
        (uint256 supply, uint256 cheap) = volumeOf(orders, window, 1, price);
        if (eager > supply || cheap > demand) return;
        if (price < x.lo) x.lo = price;
        if (price > x.hi) x.hi = price;
    }

    /// @return reaching what trades at `price` or would rather, Wh
    /// @return strict what would rather, Wh
    function volumeOf(Order[] memory orders, uint256 window, uint8 side, int256 price)
        private
        pure
        returns (uint256 reaching, uint256 strict)
    {
        for (uint256 i; i < orders.length; ++i) {
            if (orders[i].side != side) continue;
            (uint256 wh, int256 limit) = entryOf(orders[i], window);
            int256 gain = side == 0 ? limit - price : price - limit;
            if (gain >= 0) reaching += wh;
            if (gain > 0) strict += wh;
        }
    }

    /// @dev An order's quantity and limit in a window of the day; zero outside.
    function entryOf(Order memory o, uint256 window) internal pure returns (uint256 wh, int256 limit) {
        uint256 first = o.firstWindow - DAY;
        if (window < first || window >= first + o.quantityWh.length) return (0, 0);
        return (o.quantityWh[window - first], o.limit[window - first]);
    }

    // --- what is posted and carried

    function potential(int256 lo, int256 hi) internal pure returns (uint256) {
        return uint256(uint32(int32(lo))) | uint256(uint32(int32(hi))) << 32;
    }

    /// @dev The posting for the orders that count. Qualities beyond 0 trade nothing: lowest -2^29, highest 0.
    function postedFor(Order[] memory orders) internal view returns (Posted memory posted) {
        uint256 idle = (grid.qualities.length - 1) * dayWindows;
        posted.qualityPotentials = new uint256[](idle);
        for (uint256 i; i < idle; ++i) {
            posted.qualityPotentials[i] = potential(-OUTER, 0);
        }
        posted.energyPotentials = new uint256[](dayWindows);
        posted.marginals = new uint256[](idle + dayWindows);
        for (uint256 w; w < dayWindows; ++w) {
            Crossing memory x = crossing(orders, w);
            posted.energyPotentials[w] = potential(x.lo, x.hi);
            posted.marginals[w] = x.buysAt | x.buysFilled << 64 | x.sellsAt << 128 | x.sellsFilled << 192;
        }
    }

    /// @dev What the chain carries after `orders` (those that count) out of a book of `hashes`.
    function carryAfter(Order[] memory orders, bytes32[] memory hashes)
        internal
        view
        returns (Carry memory carry)
    {
        carry.cells = new uint256[](grid.qualities.length * dayWindows);
        for (uint256 i; i < carry.cells.length; ++i) {
            carry.cells[i] =
                i < dayWindows ? cellAfter(orders, i) : cellOf(0, 0, type(int32).max, type(int32).min);
        }
        carry.count = hashes.length;
        for (uint256 i; i < hashes.length; ++i) {
            MerkleFrontier.append(carry.frontier, i, MerkleFrontier.leafHash(hashes[i]));
            carry.lastHash = hashes[i];
        }
    }

    function cellAfter(Order[] memory orders, uint256 window) private pure returns (uint256) {
        Crossing memory x = crossing(orders, window);
        (int256 ub, int256 lb) = (int256(type(int32).max), int256(type(int32).min));
        for (uint256 i; i < orders.length; ++i) {
            (uint256 wh, int256 limit) = entryOf(orders[i], window);
            if (wh == 0 || limit < x.lo || limit > x.hi) continue;
            bool buys = orders[i].side == 0;
            (uint256 total, uint256 part) = buys ? (x.buysAt, x.buysFilled) : (x.sellsAt, x.sellsFilled);
            bool upper = limit > x.price || (limit == x.price && (buys ? part > 0 : part < total));
            bool lower = limit < x.price || (limit == x.price && (buys ? part < total : part > 0));
            if (upper && limit < ub) ub = limit;
            if (lower && limit > lb) lb = limit;
        }
        return cellOf(x.buysAt, x.sellsAt, ub, lb);
    }

    /// @dev A carried cell whose buys and sells balance, as those of quality 0 do when the book is read.
    function cellOf(uint256 buys, uint256 sells, int256 ub, int256 lb) internal pure returns (uint256) {
        return buys | sells << 64 | uint256(uint32(int32(ub))) << 128 | uint256(uint32(int32(lb))) << 160;
    }

    function rootOf(bytes32[] memory hashes) internal pure returns (bytes32) {
        bytes32[20] memory frontier;
        for (uint256 i; i < hashes.length; ++i) {
            MerkleFrontier.append(frontier, i, MerkleFrontier.leafHash(hashes[i]));
        }
        return MerkleFrontier.root(frontier, hashes.length);
    }

    function noCarry() internal pure returns (Carry memory carry) {
        carry.cells = new uint256[](0);
    }

    function noFlows() internal view returns (uint256[] memory) {
        return new uint256[](grid.substitutions.length / 2 * dayWindows);
    }

    // --- the operator at work

    function commit(uint24 epoch, Order[] memory orders) internal returns (bytes32[] memory hashes) {
        hashes = sortBook(epoch, orders);
        vm.warp(exchange.sessionParams(epoch).gate);
        vm.prank(operator);
        exchange.commitBooks(epoch, oneCount(uint32(orders.length)), oneRoot(rootOf(hashes)));
    }

    /// @dev Commits a book of orders that all count, and clears it in one chunk. What is left is to close.
    function bring(uint24 epoch, Order[] memory orders)
        internal
        returns (Posted memory posted, Carry memory carry)
    {
        return bring(epoch, orders, orders);
    }

    /// @dev The same where only `counting` of the orders count.
    function bring(uint24 epoch, Order[] memory orders, Order[] memory counting)
        internal
        returns (Posted memory posted, Carry memory carry)
    {
        bytes32[] memory hashes = commit(epoch, orders);
        posted = postedFor(counting);
        vm.prank(operator);
        exchange.postHeader(epoch, posted.qualityPotentials);
        bytes memory records = recordsOf(epoch, orders);
        vm.prank(operator);
        exchange.clear(epoch, 0, posted, noCarry(), records);
        carry = carryAfter(counting, hashes);
    }

    function close(uint24 epoch, Posted memory posted, Carry memory carry) internal {
        vm.prank(operator);
        exchange.closeZone(epoch, 0, posted, carry, noChildren(), noFlows());
        noteRound(epoch, posted);
    }

    /// @dev What was proved is what settlement reads prices from.
    function noteRound(uint24 epoch, Posted memory posted) internal {
        SessionParams memory params = exchange.sessionParams(epoch);
        if (params.kind != 0 || params.day != DAY) return; // only energy settles
        _rounds.push(RoundPrices(posted.energyPotentials, posted.qualityPotentials));
        _placeOf[params.round] = _rounds.length;
    }

    /// @dev Where the round is among the day's proved ones.
    function provedPlaceOf(uint256 round) internal view returns (bool proved, uint256 place) {
        place = _placeOf[round];
        return place == 0 ? (false, place) : (true, place - 1);
    }

    /// @dev What `settle` and `certify` read prices from.
    function roundPrices() internal view returns (RoundPrices[] memory) {
        return _rounds;
    }

    function noPrices() internal pure returns (RoundPrices[] memory) {
        return new RoundPrices[](0);
    }

    /// @dev What a Wh of a quality was traded at, micro/kWh: the floors of the averages of what was posted.
    /// @param dense index of the quality in the grid
    function priceOf(uint256 round, uint256 dense, uint256 window) internal view returns (int256 price) {
        RoundPrices storage p = _rounds[_placeOf[round] - 1];
        price = midOf(p.energyPotentials[window]);
        if (dense != 0) {
            price -= midOf(p.qualityPotentials[(dense - 1) * p.energyPotentials.length + window]);
        }
    }

    function midOf(uint256 word) private pure returns (int256) {
        return (int256(int32(uint32(word))) + int32(uint32(word >> 32))) >> 1;
    }

    function prove(uint24 epoch, Order[] memory orders) internal {
        (Posted memory posted, Carry memory carry) = bring(epoch, orders);
        close(epoch, posted, carry);
    }

    /// @dev Opens round `round` and proves it.
    function trade(uint8 round, Order[] memory orders) internal returns (uint24 epoch) {
        epoch = openRound(round);
        prove(epoch, orders);
    }
}
