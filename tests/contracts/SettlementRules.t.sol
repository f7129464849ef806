// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Grid} from "../../contracts/interfaces/IDays.sol";
import {Posting} from "../../contracts/interfaces/IMetering.sol";
import {Certificates} from "../../contracts/libraries/Certificates.sol";
import {ILibraries} from "./harness/ILibraries.sol";
import {Checks} from "./support/Vm.sol";

/// @title Imbalance, Certificates, Postings and grids, apart from the Exchange
contract SettlementRulesTest is Checks {
    ILibraries private libraries;

    function setUp() external {
        libraries = ILibraries(vm.deployCode("harness/Libraries.sol:Libraries", ""));
    }

    // --- imbalances

    /// @dev Sessions bound imbalance prices by 2^29.
    int32 private constant PRICE_LIMIT = 2 ** 29;
    int32 private constant METERED_LIMIT = 2 ** 30;

    /// An account's imbalance is metered less obligations plus claims, priced by its sign.
    function test_imbalance_is_metered_less_contracted(
        int32 metered,
        uint32 obligation,
        uint32 claim,
        int32 surplus,
        int32 deficit
    ) external view {
        metered %= METERED_LIMIT;
        (surplus, deficit) = (surplus % (PRICE_LIMIT + 1), deficit % (PRICE_LIMIT + 1));
        int256 expected = int256(metered) - int256(uint256(obligation)) + int256(uint256(claim));
        int256 worth = expected * (expected > 0 ? int256(surplus) : int256(deficit));
        uint32[] memory obligations = new uint32[](1);
        obligations[0] = obligation;
        // Only below 2^30 contracted is it valued four at a time.
        bool small = uint256(obligation) + claim < 1 << 30;
        for (uint256 each = small ? 0 : 1; each < 2; ++each) {
            (bool fits, int256 wh, int256 cash,) = libraries.imbalance(
                abi.encodePacked(metered), obligations, claim, one(surplus), one(deficit), each == 1
            );
            isTrue(fits, "fits");
            eq(wh, expected, "imbalance");
            eq(cash, worth, "cash");
        }
    }

    /// Days of any length are valued alike four windows at a time and one by one, at the ends of all ranges.
    function test_days_are_valued_alike(uint256 windows, uint256 seed) external view {
        windows = within(windows, 1, 128);
        bytes memory metered;
        (int32[] memory surplus, int32[] memory deficit) = (new int32[](windows), new int32[](windows));
        int256 expectedWh;
        int256 expectedCash;
        for (uint256 w; w < windows; ++w) {
            seed = uint256(keccak256(abi.encode(seed)));
            int32 wh = extreme(seed, METERED_LIMIT - 1);
            (surplus[w], deficit[w]) = (extreme(seed >> 64, PRICE_LIMIT), extreme(seed >> 128, PRICE_LIMIT));
            metered = abi.encodePacked(metered, wh);
            expectedWh += wh;
            expectedCash += int256(wh) * (wh > 0 ? surplus[w] : deficit[w]);
        }
        // What lies behind must not count.
        metered = abi.encodePacked(metered, type(uint128).max);
        for (uint256 each; each < 2; ++each) {
            (bool fits, int256 wh, int256 cash) = libraries.day(metered, surplus, deficit, each == 1);
            isTrue(fits, "fits");
            eq(wh, expectedWh, "imbalance");
            eq(cash, expectedCash, "cash");
        }
    }

    /// What is injected is allotted in order, to each obligation at most its quantity, and never more than there is.
    function test_delivery_is_allotted_in_order(int32 metered, uint32 first, uint32 second, uint32 third)
        external
        view
    {
        uint32[] memory obligations = new uint32[](3);
        (obligations[0], obligations[1], obligations[2]) = (first % 1e9, second % 1e9, third % 1e9);
        (,,, uint256[] memory tallies) =
            libraries.imbalance(abi.encodePacked(metered), obligations, 7, one(0), one(0), true);
        uint256 left = metered > 0 ? uint256(int256(metered)) : 0;
        for (uint256 i; i < 3; ++i) {
            uint256 delivered = obligations[i] < left ? obligations[i] : left;
            left -= delivered;
            eq(tallies[i], uint256(obligations[i]) << 64 | delivered << 128, "obligation and delivered");
        }
        eq(tallies[3], 7, "claim");
    }

    /// Quantities are below 2^30 in size; flags are 0 to 2, and what is unused of them zero.
    function test_entries_are_in_range(uint256 windows, uint256 seed, int32 wh) external view {
        windows = within(windows, 1, 128);
        uint256 which = seed % windows;
        uint256 flag = seed >> 128 & 3;
        bytes memory flags = new bytes((windows + 3) / 4);
        flags[which / 4] = bytes1(uint8(flag << (6 - 2 * (which % 4))));
        bytes memory quantities = new bytes(4 * windows);
        for (uint256 i; i < 4; ++i) {
            quantities[4 * which + i] = bytes4(uint32(wh))[i];
        }
        isTrue(libraries.flagsFit(flags, windows) == (flag != 3), "flags");
        int32[] memory none = new int32[](windows);
        for (uint256 each; each < 2; ++each) {
            (bool fits,,) = libraries.day(quantities, none, none, each == 1);
            isTrue(fits == (wh > -METERED_LIMIT && wh < METERED_LIMIT), "quantities");
        }
        if (windows % 4 == 0) return;
        flags[flags.length - 1] |= bytes1(uint8(1) << uint8(seed >> 64) % uint8(8 - 2 * (windows % 4)));
        isTrue(!libraries.flagsFit(flags, windows), "unused bits");
    }

    function one(int32 price) private pure returns (int32[] memory prices) {
        prices = new int32[](1);
        prices[0] = price;
    }

    /// One of both ends, their neighbours, zero, or anything between.
    function extreme(uint256 seed, int32 limit) private pure returns (int32) {
        int32[5] memory ends = [limit, -limit, limit - 1, 1 - limit, int32(0)];
        return seed % 8 < 5 ? ends[seed % 8] : int32(uint32(seed >> 8)) % limit;
    }

    /// Lanes are spread as they are read one by one.
    function test_words_spread_into_their_lanes(uint256 word, bool wide) external view {
        uint64[16] memory lanes = libraries.spread(word, wide);
        uint256 bits = wide ? 32 : 16;
        for (uint256 i; i < 256 / bits; ++i) {
            eq(lanes[i], word >> (i * bits) & ((1 << bits) - 1), "lane");
        }
    }

    // --- certificates

    /// Cumulative rounding: shares sum to what is lacking, to its refunds, and to what is certified, exactly, and none exceeds its claim.
    function test_shares_sum_exactly(uint32[] calldata seeds, uint256 short, uint256 amount, uint256 refunds)
        external
        view
    {
        uint256[] memory claims = new uint256[](seeds.length < 30 ? seeds.length : 30);
        uint256 total;
        for (uint256 i; i < claims.length; ++i) {
            total += claims[i] = seeds[i] % 4 == 0 ? 0 : seeds[i];
        }
        short = within(short, 0, total);
        amount = within(amount, 0, total - short);
        refunds = within(refunds, 0, short << 30);
        Certificates.Share[] memory parts = libraries.shares(claims, short, refunds, amount);
        (uint256 lacking, uint256 sum, uint256 money) = (0, 0, 0);
        for (uint256 i; i < parts.length; ++i) {
            (lacking, sum) = (lacking + parts[i].short, sum + parts[i].certified);
            money += parts[i].refund;
            if (parts[i].short == 0) eq(parts[i].refund, 0, "nothing for nothing");
            uint256 all = parts[i].short + parts[i].certified + parts[i].uncertified;
            eq(all, claims[i], "the whole claim, and no more");
        }
        eq(lacking, short, "lacking");
        eq(money, refunds, "refunds");
        eq(sum, amount, "certified");
    }

    /// The best quality is served first, and each from its own band or a greener one only.
    function test_greener_delivery_serves_browner_claims() external view {
        bytes16 codes = hex"00030b0d"; // none, 3 as produced, 3 firm, 5 firm
        uint256[] memory order = libraries.byMerit(codes, 4);
        eq(abi.encode(order), abi.encode(listOf(3, 2, 1, 0)), "5 firm, 3 firm, 3, none");

        // Claims 100 of each; delivered: 5 firm 250, 3 firm 0, 3 as produced 10, none 500.
        uint256[] memory tallies = listOf(tally(100, 500), tally(100, 10), tally(100, 0), tally(100, 250));
        (,, uint256[] memory amounts) = libraries.shared(tallies, listOf(0, 0, 0, 0), 1, codes, 4);
        eq(abi.encode(amounts), abi.encode(listOf(0, 60, 100, 100)), "what is left serves the next");
    }

    /// No more is certified of greener bands than was delivered of them, and no claim more than once.
    function test_no_more_is_certified_than_delivered(uint32[4] calldata claims, uint32[4] calldata delivered)
        external
        view
    {
        bytes16 codes = hex"00030b0d";
        uint256[] memory tallies = new uint256[](4);
        for (uint256 q; q < 4; ++q) {
            tallies[q] = tally(claims[q], delivered[q]);
        }
        (,, uint256[] memory amounts) = libraries.shared(tallies, listOf(0, 0, 0, 0), 1, codes, 4);
        for (uint256 q; q < 4; ++q) {
            isTrue(amounts[q] <= claims[q], "at most the claims");
        }
        eq(amounts[0], 0, "nothing of band 0");
        isTrue(amounts[3] <= delivered[3], "band 5");
        uint256 pool = uint256(delivered[1]) + delivered[2] + delivered[3];
        isTrue(amounts[1] + amounts[2] + amounts[3] <= pool, "band 3 and above");
    }

    /// What as-produced sellers lack is missed by their quality's claims, the best first, and what those leave by the next; firm ones make up for theirs.
    function test_shortfalls_go_from_the_best_to_the_least() external view {
        bytes16 codes = hex"00030b0d"; // none, 3 as produced, 3 firm, 5 firm
        // Claims 100, 30, 100, 100; lacking: 20 of none at 7 a Wh, 50 of 3 as produced at 11, 70 of 3 firm.
        uint256[] memory tallies = listOf(100 | 20 << 64, 30 | 50 << 64, 100 | 70 << 64, 100);
        uint256[] memory pots = listOf(20 * 7, 50 * 11, 0, 0);
        (uint256[] memory short, uint256[] memory refunds, uint256[] memory amounts) =
            libraries.shared(tallies, pots, 1, codes, 4);
        eq(abi.encode(short), abi.encode(listOf(40, 30, 0, 0)), "20 that nobody claims go on");
        eq(abi.encode(refunds), abi.encode(listOf(20 * 7 + 20 * 11, 30 * 11, 0, 0)), "and what they cost");
        eq(abi.encode(amounts), abi.encode(listOf(0, 0, 0, 0)), "nothing is delivered");
    }

    /// Whatever is lacking at whatever prices, no more is shared than is lacking, nor more refunded than was not paid for it; and all of it where claims bear it all.
    function test_no_more_is_refunded_than_was_not_paid(
        uint32[4] calldata claims,
        uint32[4] calldata lacks,
        uint32[4] calldata values
    ) external view {
        bytes16 codes = hex"00030b05"; // none, 3 as produced, 3 firm, 5 as produced
        (uint256[] memory tallies, uint256[] memory pots) = (new uint256[](4), new uint256[](4));
        (uint256 lost, uint256 unpaid, uint256 room) = (0, 0, 0);
        for (uint256 q; q < 4; ++q) {
            tallies[q] = claims[q] | uint256(lacks[q]) << 64;
            if (q == 2) continue;
            pots[q] = uint256(lacks[q]) * (values[q] >> 2);
            (lost, unpaid, room) = (lost + lacks[q], unpaid + pots[q], room + claims[q]);
        }
        (uint256[] memory short, uint256[] memory refunds,) = libraries.shared(tallies, pots, 1, codes, 4);
        eq(short[2] + refunds[2], 0, "firm claims bear nothing");
        (uint256 borne, uint256 refunded) = (0, 0);
        for (uint256 q; q < 4; ++q) {
            isTrue(short[q] <= claims[q], "at most the claims");
            (borne, refunded) = (borne + short[q], refunded + refunds[q]);
        }
        isTrue(borne <= lost && refunded <= unpaid, "no more than there is");
        bool least = uint256(claims[0]) >= lost;
        if (least) eq(borne, lost, "all is borne");
        if (borne == lost) eq(refunded, unpaid, "all is refunded");
    }

    /// Deliveries as produced are valued four windows at a time as they are one by one, and allotted as all obligations are.
    function test_deliveries_are_valued_alike(
        uint32[4] calldata obligations,
        uint32[4] calldata injected,
        int32[4] calldata prices
    ) external view {
        uint256 source;
        uint256 delivered;
        uint256 worth;
        uint256[4] memory values;
        for (uint256 w; w < 4; ++w) {
            uint256 left = injected[w] >> 2;
            source |= left << (224 - 32 * w);
            values[w] = uint256(within(int256(prices[w]), -(1 << 29) + 1, (1 << 29) - 1) + (1 << 29));
            uint256 some = obligations[w] < left ? obligations[w] : left;
            (delivered, worth) = (delivered + some, worth + some * values[w]);
        }
        (uint256 wh, uint256 earned, uint256 each) = libraries.produced(bytes32(source), obligations, values);
        eq(wh, delivered, "delivered");
        eq(earned, worth, "worth");
        worth = 0;
        for (uint256 w; w < 4; ++w) {
            worth += obligations[w] * values[w];
        }
        eq(each, worth, "of all that was sold");
    }

    /// @dev Of a quality whose sellers deliver all they sold.
    function tally(uint256 claims, uint256 delivered) private pure returns (uint256) {
        return claims | delivered << 64 | delivered << 128;
    }

    function listOf(uint256 a, uint256 b, uint256 c, uint256 d) private pure returns (uint256[] memory list) {
        list = new uint256[](4);
        (list[0], list[1], list[2], list[3]) = (a, b, c, d);
    }

    // --- hashes

    /// A posting's struct hash is the one of the shared vector.
    function test_postings_hash_as_in_the_vectors() external view {
        string memory json = vm.readFile("tests/vectors/postings.json");
        Posting memory p;
        p.zone = uint32(vm.parseJsonUint(json, ".posting.zone"));
        p.firstWindow = uint32(vm.parseJsonUint(json, ".posting.first_window"));
        p.windows = uint16(vm.parseJsonUint(json, ".posting.windows"));
        p.sequence = uint32(vm.parseJsonUint(json, ".posting.sequence"));
        p.accounts = uint32(vm.parseJsonUint(json, ".posting.accounts"));
        p.commitments = vm.parseJsonBytes32(json, ".posting.commitments");
        p.surplusMicroPerKWh = pricesOf(json, ".posting.surplus", p.windows);
        p.deficitMicroPerKWh = pricesOf(json, ".posting.deficit", p.windows);
        p.parts = vm.parseJsonBytes32Array(json, ".posting.parts");
        eq(libraries.postingHash(p), vm.parseJsonBytes32(json, ".struct_hash"), "struct hash");
    }

    function pricesOf(string memory json, string memory at, uint256 count)
        private
        pure
        returns (int32[] memory list)
    {
        list = new int32[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = int32(vm.parseJsonInt(json, string.concat(at, "[", vm.toString(i), "]")));
        }
    }

    /// A grid's hash is the one of the shared vectors.
    function test_grids_hash_as_in_the_vectors() external view {
        string memory json = vm.readFile("tests/vectors/sessions.json");
        for (uint256 i; i < 2; ++i) {
            string memory at = string.concat(".grids[", vm.toString(i), "]");
            uint256[][5] memory lists;
            lists[0] = vm.parseJsonUintArray(json, string.concat(at, ".qualities"));
            lists[1] = vm.parseJsonUintArray(json, string.concat(at, ".substitutions"));
            lists[2] = vm.parseJsonUintArray(json, string.concat(at, ".parents"));
            lists[3] = vm.parseJsonUintArray(json, string.concat(at, ".charges"));
            lists[4] = vm.parseJsonUintArray(json, string.concat(at, ".capacities"));
            // Arrays of small integers encode as arrays of words do.
            bytes memory encoded = abi.encode(lists[0], lists[1], lists[2], lists[3], lists[4]);
            Grid memory grid = abi.decode(bytes.concat(bytes32(uint256(32)), encoded), (Grid));
            eq(libraries.gridHash(grid), vm.parseJsonBytes32(json, string.concat(at, ".hash")), "grid hash");
        }
    }
}
