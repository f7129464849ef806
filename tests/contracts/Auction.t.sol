// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Grid, GridInfo, IDays, Line} from "../../contracts/interfaces/IDays.sol";
import {ROLE_NETWORK_OPERATOR} from "../../contracts/libraries/Member.sol";
import {Market, Order} from "./support/Market.sol";

contract AuctionTest is Market {
    uint32 private constant ROOT = type(uint32).max;

    int32 private constant PRICE_LIMIT = 1 << 29;

    function setUp() external {
        setUpWorld(2);
    }

    // --- grids

    /// A lattice of qualities that all reach the least is a grid; versions count from 1.
    function test_a_grid_gets_the_next_version() external {
        vm.prank(operator);
        eq(exchange.setGrid(latticeOf(0, 3, 11, 1, 0, 2, 1)), 2, "version");
    }

    /// Qualities begin with 0, ascend and are codes.
    function test_a_grid_needs_ascending_qualities() external {
        refuseGrid(latticeOf(1, 3, 11, 1, 0, 2, 1));
        refuseGrid(latticeOf(0, 3, 3, 1, 0, 2, 1));
        refuseGrid(latticeOf(0, 11, 3, 1, 0, 2, 1));
        refuseGrid(latticeOf(0, 3, 16, 1, 0, 2, 1));
    }

    /// A substitution goes down the lattice, between two qualities of the grid, and every quality reaches 0 by some.
    function test_a_grid_needs_substitutions_that_reach_the_least() external {
        refuseGrid(latticeOf(0, 3, 11, 1, 0, 1, 2));
        refuseGrid(latticeOf(0, 3, 11, 1, 0, 1, 0));
        refuseGrid(latticeOf(0, 3, 11, 1, 0, 2, 2));
        refuseGrid(latticeOf(0, 3, 11, 1, 0, 2, 3));
        refuseGrid(latticeOf(0, 2, 9, 1, 0, 2, 1));
        Grid memory odd = latticeOf(0, 3, 11, 1, 0, 2, 1);
        odd.substitutions = new uint8[](3);
        (odd.substitutions[0], odd.substitutions[2]) = (1, 2);
        refuseGrid(odd);
    }

    /// Zones are a tree, numbered breadth-first from its root on.
    function test_zones_are_numbered_breadth_first() external {
        refuseGrid(treeOf(none(), 1));
        refuseGrid(treeOf(parentsOf(0, 0, 0), 1));
        refuseGrid(treeOf(parentsOf(ROOT, 1, 0), 1));
        refuseGrid(treeOf(parentsOf(ROOT, ROOT, 0), 1));
        refuseGrid(treeOf(parentsOf(ROOT, 0, 2), 1));
        Grid memory falling = treeOf(parentsOf(ROOT, 0, 0), 1);
        (falling.parents, falling.charges, falling.capacities) =
        (new uint32[](5), new uint32[](5), new uint32[](5));
        (falling.parents[0], falling.parents[3]) = (ROOT, 1);
        for (uint256 z = 1; z < 5; ++z) {
            falling.charges[z] = 1;
        }
        refuseGrid(falling);
        falling.parents[4] = 1;
        vm.prank(operator);
        eq(exchange.setGrid(falling), 2, "a second version");
    }

    /// A line charges at least 1 and less than 2^29, and every zone has one.
    function test_lines_charge() external {
        refuseGrid(treeOf(parentsOf(ROOT, 0, 0), 0));
        refuseGrid(treeOf(parentsOf(ROOT, 0, 0), 1 << 29));
        Grid memory uneven = treeOf(parentsOf(ROOT, 0, 0), 1);
        uneven.charges = new uint32[](2);
        uneven.charges[1] = 1;
        refuseGrid(uneven);
        uneven = treeOf(parentsOf(ROOT, 0, 0), 1);
        uneven.capacities = new uint32[](4);
        refuseGrid(uneven);
        uneven.capacities = new uint32[](3);
        vm.prank(operator);
        exchange.setGrid(uneven);
    }

    /// What later calls need of a grid is stored: its lines, qualities and substitutions.
    function test_a_grid_is_stored() external {
        Grid memory tree = treeOf(parentsOf(ROOT, 0, 0), 7);
        tree.capacities[2] = 5000;
        vm.prank(operator);
        exchange.setGrid(tree);
        GridInfo memory info = exchange.gridOf(2);
        eq(info.hash, keccak256(abi.encode(tree)), "hash");
        eq(info.zones, 3, "zones");
        eq(info.qualityCount, 2, "qualities");
        eq(bytes32(info.qualities), bytes32(hex"0003"), "codes");
        eq(info.pairs, 1, "pairs");
        eq(info.deepestCharge, 7, "the deepest zone's charges");
        eq(info.substitutions, bytes32(hex"10"), "substitutions");
        Line memory line = exchange.lineOf(2, 0);
        eq(line.firstChild * 10 + line.children, 12, "the root's children");
        line = exchange.lineOf(2, 2);
        eq(line.charge, 7, "charge");
        eq(line.capacityWh, 5000, "capacity");
        eq(line.parent + line.children, 0, "a leaf below the root");
    }

    function treeOf(uint32[] memory parents, uint32 charge) private view returns (Grid memory tree) {
        uint256 zones = parents.length;
        (tree.qualities, tree.substitutions) = (grid.qualities, grid.substitutions);
        (tree.parents, tree.charges, tree.capacities) = (parents, new uint32[](zones), new uint32[](zones));
        for (uint256 zone = 1; zone < zones; ++zone) {
            tree.charges[zone] = charge;
        }
    }

    function parentsOf(uint32 a, uint32 b, uint32 c) private pure returns (uint32[] memory parents) {
        parents = new uint32[](3);
        (parents[0], parents[1], parents[2]) = (a, b, c);
    }

    function none() private pure returns (uint32[] memory) {
        return new uint32[](0);
    }

    function refuseGrid(Grid memory bad) private {
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IDays.BadGrid.selector));
        exchange.setGrid(bad);
    }

    function latticeOf(uint8 a, uint8 b, uint8 c, uint8 from, uint8 to, uint8 from2, uint8 to2)
        private
        view
        returns (Grid memory lattice)
    {
        lattice = grid;
        lattice.qualities = new uint8[](3);
        (lattice.qualities[0], lattice.qualities[1], lattice.qualities[2]) = (a, b, c);
        lattice.substitutions = new uint8[](4);
        (lattice.substitutions[0], lattice.substitutions[1]) = (from, to);
        (lattice.substitutions[2], lattice.substitutions[3]) = (from2, to2);
    }

    // --- days

    /// A day keeps its windows and its grid's qualities.
    function test_a_day_is_kept() external view {
        (uint16 windows, uint32 version, bytes16 qualities, uint8 count) = exchange.dayOf(DAY);
        eq(windows, 2, "windows");
        eq(version, 1, "grid version");
        eq(count, 2, "qualities");
        eq(bytes32(qualities), bytes32(hex"0003"), "codes");
    }

    /// A day has 1 to 128 windows, does not begin within the day before, and has a grid that was set.
    function test_bad_days_are_refused() external {
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IDays.BadDay.selector, DAY + 2));
        exchange.openDay(DAY + 2, 0, 1);
        refuse(abi.encodeWithSelector(IDays.BadDay.selector, DAY + 2));
        exchange.openDay(DAY + 2, 129, 1);
        refuse(abi.encodeWithSelector(IDays.BadDay.selector, DAY + 1));
        exchange.openDay(DAY + 1, 2, 1);
        refuse(abi.encodeWithSelector(IDays.UnknownGrid.selector, 2));
        exchange.openDay(DAY + 2, 2, 2);
        exchange.openDay(DAY + 2, 128, 1);
    }

    // --- sessions

    /// A session's id is the hash of all its parameters.
    function test_a_session_is_its_parameters() external {
        SessionParams memory params = paramsOf(0);
        uint24 epoch = openSession(params);
        (bytes32 id, Stage stage) = exchange.sessionOf(epoch);
        eq(id, keccak256(abi.encode(params)), "id");
        isTrue(stage == Stage.Open, "open");
        eq(abi.encode(exchange.sessionParams(epoch)), abi.encode(params), "parameters");
        eq(epoch, 1, "numbers begin with 1");
        eq(exchange.latestEpoch(), 1, "latest");
    }

    /// Each parameter out of range is refused by name.
    function test_bad_parameters_are_refused_by_name() external {
        SessionParams memory p = paramsOf(0);
        p.day = DAY + 1;
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IDays.UnknownDay.selector, DAY + 1));
        exchange.openSession(p);

        p = paramsOf(0);
        p.kind = 3;
        refuseSession(p, "kind");
        p = paramsOf(0);
        p.round = 1;
        refuseSession(p, "round");
        p = paramsOf(0);
        p.gridVersion = 2;
        refuseSession(p, "gridVersion");
        p = paramsOf(0);
        p.windows = 0;
        refuseSession(p, "windows");
        p.windows = 3;
        refuseSession(p, "windows");
        (p.windows, p.firstWindow) = (2, DAY + 1);
        refuseSession(p, "windows");
        (p.windows, p.firstWindow) = (1, DAY - 1);
        refuseSession(p, "windows");
    }

    /// Prices, bounds, the book's size and the certificate run are within their ranges.
    function test_bad_ranges_are_refused_by_name() external {
        SessionParams memory p = paramsOf(0);
        p.floor = p.cap + 1;
        refuseSession(p, "floor");
        (p.floor, p.cap) = (-PRICE_LIMIT - 1, 0);
        refuseSession(p, "floor");
        (p.floor, p.cap) = (0, PRICE_LIMIT + 1);
        refuseSession(p, "floor");
        (p.floor, p.cap) = (-PRICE_LIMIT / 2 - 1, PRICE_LIMIT / 2);
        refuseSession(p, "cap");
        p = paramsOf(0);
        p.imbalanceMin = p.imbalanceMax + 1;
        refuseSession(p, "imbalanceMin");
        p = paramsOf(0);
        p.maxOrders = 0;
        refuseSession(p, "maxOrders");
        p.maxOrders = 1 << 20;
        refuseSession(p, "maxOrders");
        (p.maxOrders, p.maxSubmitted) = (1000, (1 << 20) - 1000);
        refuseSession(p, "maxSubmitted");
        p = paramsOf(0);
        p.bondNano = 1;
        refuseSession(p, "receiptSigner");
        p = paramsOf(0);
        p.claimBy = p.proveBy + 2 * MAX_PAUSE + 1 days - 1;
        refuseSession(p, "claimBy");
        p.claimBy = p.proveBy + 2 * MAX_PAUSE + 30 days + 1;
        refuseSession(p, "claimBy");
        p = paramsOf(0);
        p.certificateRun = 1;
        refuseSession(p, "certificateRun");
    }

    /// Floor and cap are so close that every book has potentials within 2^29: with two qualities over three zones three times their distance, and four times the
    /// deepest zone's charges, fit.
    function test_floor_and_cap_leave_every_book_its_potentials() external {
        openTree(treeOf(parentsOf(ROOT, 0, 1), 10_000));
        SessionParams memory p = paramsOf(0);
        (p.day, p.firstWindow, p.windows, p.gridVersion) = (DAY + 48, DAY + 48, 1, 2);
        (p.floor, p.cap) = (-89_465_152, 89_465_153);
        refuseSession(p, "cap");
        --p.cap;
        openSession(p);
    }

    /// Zones apart do not add up: what counts of a tree of many is the number of qualities, and conversely.
    function test_the_default_floor_and_cap_suit_any_tree_of_ordinary_charges() external {
        uint256 zones = 435;
        Grid memory wide;
        (wide.qualities, wide.substitutions) = (new uint8[](16), new uint8[](30));
        for (uint8 i = 1; i < 16; ++i) {
            (wide.qualities[i], wide.substitutions[2 * i - 2]) = (i, i);
        }
        (wide.parents, wide.charges, wide.capacities) =
        (new uint32[](zones), new uint32[](zones), new uint32[](zones));
        wide.parents[0] = ROOT;
        for (uint256 zone = 1; zone < zones; ++zone) {
            (wide.parents[zone], wide.charges[zone]) = (uint32((zone - 1) / 15), 40_000);
        }
        openTree(wide);
        eq(exchange.gridOf(2).deepestCharge, 120_000, "three lines to the root");
        SessionParams memory p = paramsOf(0);
        (p.day, p.firstWindow, p.windows, p.gridVersion) = (DAY + 48, DAY + 48, 1, 2);
        openSession(p);
    }

    function openTree(Grid memory tree) private {
        register(networkOperator, ROLE_NETWORK_OPERATOR, 0, true);
        vm.startPrank(operator);
        exchange.openDay(DAY + 48, 1, exchange.setGrid(tree));
        vm.stopPrank();
    }

    /// A gate lies ahead, its deadlines behind it in order, and none precedes the deadline of the session before.
    function test_gates_follow_one_another() external {
        SessionParams memory p = paramsOf(0);
        p.gate = uint64(block.timestamp);
        refuseSession(p, "gate");
        p = paramsOf(0);
        p.gate = uint64(block.timestamp) + 30 days + 1;
        refuseSession(p, "gate");
        p.gate = DAY_BEGINS + 1; // what is traded has begun
        refuseSession(p, "gate");
        p = paramsOf(0);
        p.commitBy = p.gate;
        refuseSession(p, "commitBy");
        p = paramsOf(0);
        p.proveBy = p.commitBy;
        refuseSession(p, "proveBy");
        p.proveBy = p.gate + 1 days + 1;
        refuseSession(p, "proveBy");

        openRound(0);
        p = paramsOf(1);
        --p.gate;
        refuseSession(p, "gate");
        ++p.gate;
        eq(openSession(p), 2, "a minute behind the deadline of the session before");
    }

    /// Energy and flexibility up and down trade, nothing else. What settles nothing keeps nothing back.
    function test_energy_and_flexibility_trade() external {
        SessionParams memory p = paramsOf(0);
        p.kind = 3;
        refuseSession(p, "kind");
        p.kind = 1;
        refuseSession(p, "buyReserve");
        p.buyReserve = 0;
        refuseSession(p, "buyReserve");
        p.sellReserve = 0;
        openSession(p);
    }

    /// Rounds of a day count from 0, at most as many as settlement sums exactly.
    function test_rounds_count() external {
        SessionParams memory p = paramsOf(0);
        openRound(0);
        p = paramsOf(1);
        p.round = 0;
        refuseSession(p, "round");
        p.round = 2;
        refuseSession(p, "round");
        p.round = 1;
        openSession(p);
    }

    /// What the first session of a day says of imbalance prices holds for the day: no later one moves the bounds its traders signed.
    function test_bounds_of_imbalance_prices_stay() external {
        openRound(0);
        SessionParams memory p = paramsOf(1);
        ++p.imbalanceMin;
        refuseSession(p, "imbalanceMin");
        p = paramsOf(1);
        --p.imbalanceMax;
        refuseSession(p, "imbalanceMin");
    }

    /// No session opens whose root could not join its last child in one transaction: of 16 qualities with 32 substitutions over 49 windows it can, not over 50.
    function test_calls_about_a_session_fit_a_transaction() external {
        SessionParams memory p = openWide(32, 51);
        p.windows = 50;
        refuseSize(p, 4 + 32 * 4122, "joinChildren");
        p.windows = 49;
        openSession(p);
    }

    /// No session opens that makes the run of its day too long for one: of 16 qualities over 51 windows there is one round, and none over 52.
    function test_calls_about_a_days_run_fit_a_transaction() external {
        SessionParams memory p = openWide(15, 51);
        openSession(p);
        p.round = 1;
        (p.gate, p.commitBy, p.proveBy, p.claimBy) =
        (p.gate + 1 days, p.commitBy + 1 days, p.proveBy + 1 days, p.claimBy + 1 days);
        refuseSize(p, (47 << 10) + 32 * (2 * 3 * 16 * 51 + 2 * 51 + 2 * 5), "certify");
        vm.prank(operator);
        exchange.openDay(DAY + 200, 52, 2);
        (p.round, p.day, p.firstWindow, p.windows) = (0, DAY + 200, DAY + 200, 1);
        refuseSize(p, (47 << 10) + 32 * 2605, "certify");
    }

    /// A day of so many windows over a grid of 16 qualities with so many substitutions, and a session of all of it.
    function openWide(uint8 substitutions, uint16 windows) private returns (SessionParams memory p) {
        Grid memory wide = treeOf(parentsOf(ROOT, 0, 0), 1);
        (wide.qualities, wide.substitutions) = (new uint8[](16), new uint8[](2 * uint256(substitutions)));
        uint256 at;
        for (uint8 distance = 0; at < wide.substitutions.length; ++distance) {
            for (uint8 from = distance + 1; from < 16 && at < wide.substitutions.length; ++from) {
                // A greener or firmer quality serves the least; then the next below, and the next but one, of like firmness.
                uint8 to = distance == 0 ? 0 : from - distance;
                if (to == 0 && distance != 0 || from / 8 != to / 8 && distance != 0) continue;
                (wide.substitutions[at], wide.substitutions[at + 1]) = (from, to);
                at += 2;
            }
        }
        for (uint8 i = 1; i < 16; ++i) {
            wide.qualities[i] = i;
        }
        register(networkOperator, ROLE_NETWORK_OPERATOR, 0, true);
        vm.startPrank(operator);
        exchange.openDay(DAY + 48, windows, exchange.setGrid(wide));
        vm.stopPrank();
        p = paramsOf(0);
        (p.day, p.firstWindow, p.windows, p.gridVersion) = (DAY + 48, DAY + 48, windows, 2);
    }

    function refuseSize(SessionParams memory params, uint256 length, string memory call) private {
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.SessionTooLarge.selector, call, length, 127 << 10));
        exchange.openSession(params);
    }

    function refuseSession(SessionParams memory params, string memory parameter) private {
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadSession.selector, parameter));
        exchange.openSession(params);
    }

    // --- commitments

    /// A book is committed from the gate until `commitBy`, both included, and once.
    function test_a_book_is_committed_within_its_time_and_once() external {
        uint24 epoch = openRound(0);
        vm.warp(GATE - 1);
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IAuction.GateStillOpen.selector, epoch, GATE));
        exchange.commitBooks(epoch, oneCount(0), oneRoot(bytes32(0)));
        uint256 before = vm.snapshotState();
        vm.warp(GATE);
        exchange.commitBooks(epoch, oneCount(0), oneRoot(bytes32(0)));
        vm.revertToState(before);
        vm.warp(GATE + 10 minutes);
        exchange.commitBooks(epoch, oneCount(3), oneRoot(bytes32(uint256(7))));
        (uint32 count, bytes32 root) = exchange.bookOf(epoch, 0);
        eq(count, 3, "count");
        eq(root, bytes32(uint256(7)), "root");
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Committed));
        exchange.commitBooks(epoch, oneCount(3), oneRoot(bytes32(uint256(8))));
        vm.revertToState(before);
        vm.warp(GATE + 10 minutes + 1);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Void));
        exchange.commitBooks(epoch, oneCount(0), oneRoot(bytes32(0)));
    }

    /// A commitment is for a zone of the grid and for no more orders than the session takes.
    function test_bad_commitments_are_refused() external {
        uint24 epoch = openRound(0);
        vm.warp(GATE);
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 1));
        exchange.commitBooks(epoch, new uint32[](2), new bytes32[](2));
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 0));
        exchange.commitBooks(epoch, oneCount(1001), oneRoot(bytes32(0)));
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, 9, Stage.None));
        exchange.commitBooks(9, oneCount(0), oneRoot(bytes32(0)));
    }

    /// Sessions clear one after another, also where a pause moved a deadline behind the next gate.
    function test_sessions_clear_one_after_another() external {
        uint24 first = openRound(0);
        uint24 second = openRound(1);
        commit(first, new Order[](0));
        vm.prank(guardian);
        exchange.pause();
        vm.warp(GATE + ROUND_LASTS + BETWEEN);
        vm.prank(guardian);
        exchange.unpause();
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, first, Stage.Committed));
        exchange.commitBooks(second, oneCount(0), oneRoot(bytes32(0)));
    }

    // --- void sessions

    /// A session not proved by its deadline leaves no trace but returned reserves.
    function test_a_void_session_returns_reserves() external {
        uint24 epoch = openRound(0);
        bring(epoch, book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000)));
        (int256 free, uint256 reserved, int256 net, uint24 under) = exchange.cashOf(buyer);
        eq(reserved, 2 * 1000 * (200_000 + BUY_RESERVE), "reserved in full");
        eq(free, int256(RICH - reserved), "less is free");
        eq(net, -2 * 1000 * (150_000 + int256(uint256(BUY_RESERVE))), "price and kept reserve");
        eq(under, epoch, "under the session");
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 0, "no token before the proof");

        vm.warp(GATE + ROUND_LASTS);
        isTrue(stageOf(epoch) == Stage.Posted, "alive at its deadline");
        vm.warp(GATE + ROUND_LASTS + 1);
        isTrue(stageOf(epoch) == Stage.Void, "void behind it");
        (free, reserved, net, under) = exchange.cashOf(buyer);
        eq(free, int256(RICH), "all is free again");
        eq(reserved + under, 0, "nothing is reserved");
        eq(freeOf(seller), int256(RICH), "the seller's too");
        eq(exchange.balanceOf(buyer, claimOf(0, 0)), 0, "and no token remains");
    }

    /// After a void session the next trades as if it had not been.
    function test_a_session_follows_a_void_one() external {
        openRound(0);
        Order[] memory orders = book(buy(BUYER, 1000, 200_000), sell(SELLER, 1000, 100_000));
        bring(1, orders);
        SessionParams memory params = paramsOf(1);
        ++params.gate;
        vm.warp(params.gate - 1);
        prove(openSession(params), orders);
        eq(exchange.balanceOf(buyer, claimOf(1, 1)), 1000, "bought in the second round");
        eq(exchange.balanceOf(buyer, claimOf(0, 1)), 0, "not in the first");
        eq(freeOf(buyer), int256(RICH) - 2 * 1000 * (150_000 + int256(uint256(BUY_RESERVE))), "paid once");
    }
}
