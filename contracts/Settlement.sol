// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger, Run} from "./Ledger.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RunCarry, RunStage} from "./interfaces/ISettlement.sol";
import {Certificates} from "./libraries/Certificates.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Member, ROLE_PROSUMER} from "./libraries/Member.sol";
import {PackedWindows} from "./libraries/PackedWindows.sol";
import {KIND_ENERGY, ProductIdLib, SIDE_CLAIM, SIDE_OBLIGATION} from "./libraries/ProductId.sol";
import {Postings} from "./libraries/Postings.sol";
import {Quality} from "./libraries/Quality.sol";

/// @title Settlement: contracted against metered, to the last nano
/// @dev A part flows one way: entry, tokens, imbalance, cash, event. What the accounts of all parts have in common is carried as a hash.
abstract contract Settlement is Ledger, ISettlement {
    /// @dev A proved session of the day.
    struct Round {
        uint8 number;
        uint256 first; // window, counted from the day's
        uint256 windows;
        uint256 buyReserve;
        uint256 sellReserve;
    }

    /// @dev What every entry of a call shares. Rows are those of `Imbalance`; those of tallies are three a quality: claims, obligations, delivered.
    struct DayContext {
        uint32 zone;
        uint32 day;
        uint256 windows;
        bytes16 qualities;
        uint256[] byMerit;
        Round[] rounds;
        uint256[] tallies; // as carried into the call
        uint256[] sums; // per window, as carried into the call
        uint256 rowBytes;
        uint256 tallyRows;
        uint256 injected;
        Imbalance.Rows rows;
        uint256 accounts; // settled in the call
        int256 cashNano;
        address lastAccount;
        Span span;
    }

    /// @dev One packed slot of an account within a round: `count` lanes from window `from` (of the day) on, above `skip` bits.
    struct Span {
        uint256 key;
        uint256 from;
        uint256 count;
        uint256 skip;
    }

    uint256 private constant ACCOUNT_BYTES = 20;

    /// @inheritdoc ISettlement
    function settle(Posting calldata posting, bytes calldata entries, RunCarry calldata carry)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        Run storage run = _requireRun(posting, carry);
        if (run.stage > RunStage.Settling) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        _requirePart(posting, entries, run.parts);
        DayContext memory c;
        _prepare(c, posting, carry);
        _prepareRows(c, posting);
        for (uint256 at; at < entries.length;) {
            at = _settleEntry(c, entries, at);
        }
        run.parts += 1;
        run.accounts += uint32(entries.length / _entryBytes(c.windows));
        run.stage = RunStage.Settling;
        run.consumed = Postings.consumed(posting, run.parts);
        _closePart(c);
        run.carry = _hashCarry(c, run.parts);
        emit PartSettled(posting.zone, posting.firstWindow, run.carry);
    }

    /// @inheritdoc ISettlement
    function closeRun(Posting calldata posting, RunCarry calldata carry)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        Run storage run = _requireRun(posting, carry);
        if (run.stage > RunStage.Settling) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        if (run.parts != posting.parts.length) revert IncompleteRun(run.parts, posting.parts.length);
        if (run.accounts != posting.accounts) revert IncompleteRun(run.accounts, posting.accounts);
        DayContext memory c;
        _prepare(c, posting, carry);
        _prepareRows(c, posting);
        _settleBalancingParty(c);
        run.stage = RunStage.Settled;
        run.parts = 0;
        c.lastAccount = address(0);
        run.carry = _hashCarry(c, 0);
    }

    /// @inheritdoc ISettlement
    function certify(Posting calldata posting, bytes calldata entries, RunCarry calldata carry)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        Run storage run = _requireRun(posting, carry);
        if (run.stage != RunStage.Settled) {
            revert WrongRunStage(posting.zone, posting.firstWindow, run.stage);
        }
        _requirePart(posting, entries, run.parts);
        DayContext memory c;
        _prepare(c, posting, carry);
        uint256[] memory amounts = Certificates.certified(c.tallies, c.windows, c.qualities, c.byMerit);
        for (uint256 at; at < entries.length; at += _entryBytes(c.windows)) {
            _certifyAccount(c, address(bytes20(entries[at:at + ACCOUNT_BYTES])), amounts);
        }
        run.parts += 1;
        run.carry = _hashCarry(c, run.parts);
        if (run.parts == posting.parts.length) {
            run.stage = RunStage.Certified;
            emit RunCertified(posting.zone, posting.firstWindow);
        }
    }

    /// @inheritdoc ISettlement
    function runOf(uint32 zone, uint32 day)
        external
        view
        returns (RunStage stage, uint32 sequence, bytes32 carryHash)
    {
        Run storage run = _runs[zone][day];
        return (run.stage, run.sequence, run.carry);
    }

    // --- one account

    function _settleEntry(DayContext memory c, bytes calldata entries, uint256 at)
        private
        returns (uint256 next)
    {
        unchecked {
            next = at + _entryBytes(c.windows);
            if (next > entries.length) revert BadEntry(address(0));
            address account = address(bytes20(entries[at:at + ACCOUNT_BYTES]));
            Member member = _members[account];
            if (account <= c.lastAccount || member.role() != ROLE_PROSUMER || member.zone() != c.zone) {
                revert BadEntry(account);
            }
            c.lastAccount = account;
            uint256 source;
            assembly ("memory-safe") {
                source := add(entries.offset, at)
            }
            bool fits = Imbalance.flagsFit(source + ACCOUNT_BYTES, c.windows)
                && Imbalance.readMetered(source + (next - at) - 4 * c.windows, c.windows, c.rows.metered);
            if (!fits) revert BadEntry(account);
            uint256 released = _takeTokens(c, account, member);
            (int256 imbalance, int256 cash) = Imbalance.price(c.rows, c.windows);
            c.cashNano += cash;
            ++c.accounts;
            _credit(account, cash + int256(released));
            emit AccountSettled(c.zone, c.day, account, imbalance, cash, released);
        }
    }

    /// @dev The balancing party takes the other side of every imbalance.
    function _settleBalancingParty(DayContext memory c) private {
        unchecked {
            address account = _balancingParty;
            uint256 released = _takeTokens(c, account, _requireMember(account));
            int256 imbalance;
            for (uint256 w; w < c.windows; ++w) {
                int256 contracted = int256(Imbalance.laneAt(c.rows.obligations, w))
                    - int256(Imbalance.laneAt(c.rows.claims, w));
                (int256 metered, int256 others) =
                    (int128(uint128(c.sums[w])), int128(uint128(c.sums[w] >> 128)));
                // Everyone's contracted energy sums to zero: metered - imbalance of the others, plus the balancing party's own.
                int256 sum = metered - others + contracted;
                if (sum != 0) revert EnergyNotConserved(w, sum);
                imbalance -= others;
            }
            _credit(account, int256(released) - c.cashNano);
            emit RunSettled(c.zone, c.day, 0, imbalance, -c.cashNano, released);
        }
    }

    /// @dev Counts the account's tokens of the day into `contracted` and the tallies, and burns them; claims that may become certificates stay.
    /// @return released what its filled energy kept reserved, nano
    function _takeTokens(DayContext memory c, address account, Member member)
        private
        returns (uint256 released)
    {
        unchecked {
            bool injects;
            bool keepsGreen = member.role() == ROLE_PROSUMER;
            for (uint256 r; r < c.rounds.length; ++r) {
                Round memory round = c.rounds[r];
                for (uint256 k; k < c.byMerit.length; ++k) {
                    uint256 dense = c.byMerit[k];
                    uint8 code = uint8(c.qualities[dense]);
                    if (member.holds(SIDE_OBLIGATION, code)) {
                        if (!injects) Imbalance.readInjected(c.rows.metered, c.windows, c.injected);
                        injects = true;
                        released += round.sellReserve
                        * _takeSide(c, account, member, round, dense, SIDE_OBLIGATION, true);
                    }
                    if (member.holds(SIDE_CLAIM, code)) {
                        bool burns = !keepsGreen || Quality.band(code) == 0;
                        released += round.buyReserve
                        * _takeSide(c, account, member, round, dense, SIDE_CLAIM, burns);
                    }
                }
            }
        }
    }

    function _takeSide(
        DayContext memory c,
        address account,
        Member member,
        Round memory round,
        uint256 dense,
        uint8 side,
        bool burns
    ) private returns (uint256 total) {
        unchecked {
            mapping(uint256 => uint256) storage slots = _lanes[account];
            bool wide = member.isWide();
            uint256 bits = PackedWindows.bitsOf(wide);
            uint256 family = ProductIdLib.family(
                side, round.number, KIND_ENERGY, uint8(c.qualities[dense]), c.zone, windowLength
            );
            uint256 tally = c.tallyRows + 3 * c.rowBytes * dense + 8 * round.first;
            uint256 offset = 8 * round.first;
            Span memory span = c.span;
            uint256 end = round.first + round.windows;
            for (uint256 from = round.first; from < end; from += span.count) {
                _spanAt(span, c, round, from, bits);
                uint256 at;
                uint256 slot;
                uint256 key = family | span.key;
                assembly ("memory-safe") {
                    // slots[key], found once for reading and writing
                    mstore(0x00, key)
                    mstore(0x20, slots.slot)
                    at := keccak256(0x00, 0x40)
                    slot := sload(at)
                }
                uint256 word = (slot >> span.skip) & _mask(span.count * bits);
                if (word != 0) {
                    total += PackedWindows.total(word, wide);
                    if (side == SIDE_CLAIM) {
                        Imbalance.takeClaims(word, wide, c.rows.claims + offset, tally);
                    } else {
                        Imbalance.takeObligations(
                            word,
                            wide,
                            c.rows.obligations + offset,
                            c.injected + offset,
                            tally + c.rowBytes,
                            c.rowBytes
                        );
                    }
                    if (burns) {
                        slot ^= word << span.skip;
                        assembly ("memory-safe") {
                            sstore(at, slot)
                        }
                    }
                }
                tally += 8 * span.count;
                offset += 8 * span.count;
            }
        }
    }

    function _certifyAccount(DayContext memory c, address account, uint256[] memory amounts) private {
        Member member = _members[account];
        uint256 total;
        for (uint256 r; r < c.rounds.length; ++r) {
            for (uint256 k; k < c.byMerit.length; ++k) {
                uint8 code = uint8(c.qualities[c.byMerit[k]]);
                if (Quality.band(code) == 0 || !member.holds(SIDE_CLAIM, code)) continue;
                total += _certifyQuality(c, account, member, c.rounds[r], c.byMerit[k], amounts);
            }
        }
        if (total != 0) emit AccountCertified(c.zone, c.day, account, total);
    }

    function _certifyQuality(
        DayContext memory c,
        address account,
        Member member,
        Round memory round,
        uint256 dense,
        uint256[] memory amounts
    ) private returns (uint256 total) {
        mapping(uint256 => uint256) storage slots = _lanes[account];
        uint256 bits = PackedWindows.bitsOf(member.isWide());
        uint256 family = ProductIdLib.family(
            SIDE_CLAIM, round.number, KIND_ENERGY, uint8(c.qualities[dense]), c.zone, windowLength
        );
        Span memory span;
        for (uint256 from = round.first; from < round.first + round.windows; from += span.count) {
            _spanAt(span, c, round, from, bits);
            uint256 slot = slots[family | span.key];
            uint256 word = (slot >> span.skip) & _mask(span.count * bits);
            if (word == 0) continue;
            (uint256 kept, uint256 part) =
                Certificates.share(word, span.count, bits, dense * c.windows + from, c.tallies, amounts);
            if (kept != word) slots[family | span.key] = slot ^ ((word ^ kept) << span.skip);
            total += part;
        }
    }

    /// @dev The lanes of one slot from window `from` to the end of the slot or the round.
    function _spanAt(Span memory span, DayContext memory c, Round memory round, uint256 from, uint256 bits)
        private
        pure
    {
        unchecked {
            uint256 lanes = 256 / bits;
            uint256 window = c.day + from;
            uint256 lane = window % lanes;
            uint256 left = round.first + round.windows - from;
            span.key = window / lanes;
            span.count = lanes - lane < left ? lanes - lane : left;
            span.skip = lane * bits;
        }
    }

    // --- around the entries

    function _prepare(DayContext memory c, Posting calldata posting, RunCarry calldata carry) private view {
        Day storage info = _dayInfo[posting.firstWindow];
        c.zone = posting.zone;
        c.day = posting.firstWindow;
        c.windows = info.windows;
        c.qualities = info.qualities;
        c.byMerit = Certificates.byMerit(info.qualities, info.qualityCount);
        c.rounds = _provedRounds(posting.firstWindow);
        c.tallies = carry.tallies.length == 0 ? new uint256[](info.qualityCount * c.windows) : carry.tallies;
        c.sums = carry.windows.length == 0 ? new uint256[](c.windows) : carry.windows;
        c.cashNano = carry.cashNano;
        c.lastAccount = carry.lastAccount;
    }

    /// @dev Fresh rows, and the imbalance prices, the last window first.
    function _prepareRows(DayContext memory c, Posting calldata posting) private pure {
        uint256 rowBytes = 8 * c.windows + 32;
        uint256 at = Imbalance.zeros(rowBytes * (8 + 3 * c.byMerit.length));
        c.rowBytes = rowBytes;
        Imbalance.Rows memory rows = c.rows;
        (rows.metered, rows.claims, rows.obligations) = (at, at + rowBytes, at + 2 * rowBytes);
        (rows.meteredSums, rows.imbalanceSums) = (at + 3 * rowBytes, at + 4 * rowBytes);
        c.injected = at + 5 * rowBytes;
        rows.surplus = Imbalance.writePrices(at + 6 * rowBytes, rowBytes, posting.surplusMicroPerKWh);
        rows.deficit = Imbalance.writePrices(at + 7 * rowBytes, rowBytes, posting.deficitMicroPerKWh);
        c.tallyRows = at + 8 * rowBytes;
    }

    /// @dev Adds what the part's rows gathered to what was carried into it.
    function _closePart(DayContext memory c) private pure {
        unchecked {
            (uint256 row, uint256 rowBytes, uint256 windows) = (c.tallyRows, c.rowBytes, c.windows);
            uint256 i;
            for (uint256 quality; quality < c.byMerit.length; ++quality) {
                for (uint256 w; w < windows; ++w) {
                    uint256 gathered = Imbalance.laneAt(row, w) | Imbalance.laneAt(row + rowBytes, w) << 64
                        | Imbalance.laneAt(row + 2 * rowBytes, w) << 128;
                    if (gathered != 0) c.tallies[i] += gathered;
                    ++i;
                }
                row += 3 * rowBytes;
            }
            for (uint256 w; w < windows; ++w) {
                int256 metered = int256(Imbalance.laneAt(c.rows.meteredSums, w))
                    - int256(c.accounts * Imbalance.METERED_BIAS) + int128(uint128(c.sums[w]));
                int256 imbalances = int256(Imbalance.laneAt(c.rows.imbalanceSums, w))
                    - int256(c.accounts * Imbalance.IMBALANCE_BIAS) + int128(uint128(c.sums[w] >> 128));
                c.sums[w] = uint256(uint128(int128(metered))) | uint256(uint128(int128(imbalances))) << 128;
            }
        }
    }

    /// @dev The day's proved sessions of energy; the day settles only when all its sessions have ended.
    function _provedRounds(uint32 day) private view returns (Round[] memory rounds) {
        uint24[] storage epochs = _rounds[day][KIND_ENERGY];
        rounds = new Round[](epochs.length);
        uint256 count;
        for (uint256 i; i < epochs.length; ++i) {
            Stage stage = _stageOf(epochs[i]);
            if (stage == Stage.Void) continue;
            if (stage != Stage.Proved) revert IAuction.WrongStage(epochs[i], stage);
            SessionParams storage p = _params[epochs[i]];
            rounds[count++] = Round(uint8(i), p.firstWindow - day, p.windows, p.buyReserve, p.sellReserve);
        }
        assembly ("memory-safe") {
            mstore(rounds, count)
        }
    }

    /// @dev The posting is the zone's last, and the carry is what its last part left.
    function _requireRun(Posting calldata posting, RunCarry calldata carry)
        private
        view
        returns (Run storage run)
    {
        run = _runs[posting.zone][posting.firstWindow];
        if (run.stage == RunStage.None || run.posting != Postings.hash(posting)) {
            revert WrongPosting(posting.zone, posting.firstWindow);
        }
        if (run.carry == 0) {
            bool fresh = carry.tallies.length == 0 && carry.windows.length == 0 && carry.cashNano == 0
                && carry.lastAccount == address(0) && carry.parts == 0;
            if (!fresh) revert WrongRunCarry(posting.zone, posting.firstWindow);
        } else if (!_isSized(posting.firstWindow, carry) || run.carry != _hashRunCarry(carry)) {
            revert WrongRunCarry(posting.zone, posting.firstWindow);
        }
    }

    /// @dev The hash does not tell where one array ends and the next begins.
    function _isSized(uint32 day, RunCarry calldata carry) private view returns (bool) {
        Day storage info = _dayInfo[day];
        uint256 windows = info.windows;
        return carry.windows.length == windows && carry.tallies.length == info.qualityCount * windows;
    }

    function _requirePart(Posting calldata posting, bytes calldata entries, uint256 part) private pure {
        if (part >= posting.parts.length || keccak256(entries) != posting.parts[part]) {
            revert WrongPart(part);
        }
    }

    function _hashRunCarry(RunCarry calldata carry) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                carry.tallies, carry.windows, carry.cashNano, uint256(uint160(carry.lastAccount)), carry.parts
            )
        );
    }

    function _hashCarry(DayContext memory c, uint256 parts) private pure returns (bytes32) {
        return
            keccak256(abi.encodePacked(c.tallies, c.sums, c.cashNano, uint256(uint160(c.lastAccount)), parts));
    }

    /// @dev account, two flag bits a window, four bytes a window
    function _entryBytes(uint256 windows) private pure returns (uint256) {
        unchecked {
            return ACCOUNT_BYTES + (windows + 3) / 4 + 4 * windows;
        }
    }

    function _mask(uint256 bits) private pure returns (uint256) {
        return bits == 256 ? type(uint256).max : (1 << bits) - 1;
    }
}
