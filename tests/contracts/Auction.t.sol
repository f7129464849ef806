// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid, IAuction, SessionParams, Stage} from "../../contracts/interfaces/IAuction.sol";
import {Market, Order} from "./support/Market.sol";

contract AuctionTest is Market {
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

    /// One zone, the root, until trees come with their proof.
    function test_a_grid_is_one_zone() external {
        Grid memory two = latticeOf(0, 3, 11, 1, 0, 2, 1);
        (two.parents, two.charges, two.capacities) = (new uint32[](2), new uint32[](2), new uint32[](2));
        two.parents[0] = type(uint32).max;
        refuseGrid(two);
        Grid memory rootless = latticeOf(0, 3, 11, 1, 0, 2, 1);
        rootless.parents[0] = 0;
        refuseGrid(rootless);
    }

    function refuseGrid(Grid memory bad) private {
        vm.prank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadGrid.selector));
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

    /// A day has 1 to 128 windows, does not begin within the day before, and brings its grid.
    function test_bad_days_are_refused() external {
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadDay.selector, DAY + 2));
        exchange.openDay(DAY + 2, 0, 1, grid);
        refuse(abi.encodeWithSelector(IAuction.BadDay.selector, DAY + 2));
        exchange.openDay(DAY + 2, 129, 1, grid);
        refuse(abi.encodeWithSelector(IAuction.BadDay.selector, DAY + 1));
        exchange.openDay(DAY + 1, 2, 1, grid);
        refuse(abi.encodeWithSelector(IAuction.UnknownGrid.selector, 2));
        exchange.openDay(DAY + 2, 2, 2, grid);
        exchange.openDay(DAY + 2, 128, 1, grid);
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
        refuse(abi.encodeWithSelector(IAuction.UnknownDay.selector, DAY + 1));
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
        p = paramsOf(0);
        p.imbalanceMin = p.imbalanceMax + 1;
        refuseSession(p, "imbalanceMin");
        p = paramsOf(0);
        p.maxOrders = 0;
        refuseSession(p, "maxOrders");
        p.maxOrders = 1 << 20;
        refuseSession(p, "maxOrders");
        p = paramsOf(0);
        p.certificateRun = 1;
        refuseSession(p, "certificateRun");
    }

    /// A gate lies ahead, its deadlines behind it in order, and none precedes the deadline of the session before.
    function test_gates_follow_one_another() external {
        SessionParams memory p = paramsOf(0);
        p.gate = uint64(block.timestamp);
        refuseSession(p, "gate");
        p = paramsOf(0);
        p.gate = uint64(block.timestamp) + 30 days + 1;
        refuseSession(p, "gate");
        p.gate = DAY_BEGINS + uint64(dayWindows) * exchange.windowLength() + 1;
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

    /// Rounds of a day count from 0, at most as many as settlement sums exactly; only energy trades.
    function test_rounds_count_and_only_energy_trades() external {
        SessionParams memory p = paramsOf(0);
        p.kind = 1;
        refuseSession(p, "kind");
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
        exchange.commitBook(epoch, 0, 0, 0);
        uint256 before = vm.snapshotState();
        vm.warp(GATE);
        exchange.commitBook(epoch, 0, 0, 0);
        vm.revertToState(before);
        vm.warp(GATE + 10 minutes);
        exchange.commitBook(epoch, 0, 3, bytes32(uint256(7)));
        (uint32 count, bytes32 root) = exchange.bookOf(epoch, 0);
        eq(count, 3, "count");
        eq(root, bytes32(uint256(7)), "root");
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Committed));
        exchange.commitBook(epoch, 0, 3, bytes32(uint256(8)));
        vm.revertToState(before);
        vm.warp(GATE + 10 minutes + 1);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, epoch, Stage.Void));
        exchange.commitBook(epoch, 0, 0, 0);
    }

    /// A commitment is for a zone of the grid and for no more orders than the session takes.
    function test_bad_commitments_are_refused() external {
        uint24 epoch = openRound(0);
        vm.warp(GATE);
        vm.startPrank(operator);
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 1));
        exchange.commitBook(epoch, 1, 0, 0);
        refuse(abi.encodeWithSelector(IAuction.BadCommitment.selector, epoch, 0));
        exchange.commitBook(epoch, 0, 1001, 0);
        refuse(abi.encodeWithSelector(IAuction.WrongStage.selector, 9, Stage.None));
        exchange.commitBook(9, 0, 0, 0);
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
        exchange.commitBook(second, 0, 0, 0);
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
