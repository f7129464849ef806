// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Book, Day, Ledger, Session} from "./Ledger.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {IDays} from "./interfaces/IDays.sol";
import {Bond, IOmission} from "./interfaces/IOmission.sol";
import {RunStage} from "./interfaces/ISettlement.sol";
import {ROLE_OPERATOR} from "./libraries/Member.sol";
import {KIND_ENERGY, KIND_FLEXIBILITY_DOWN} from "./libraries/ProductId.sol";

/// @title Auction: sessions and the commitment to their books
/// @dev Sessions follow one another: at most one is between its gate and its end.
abstract contract Auction is Ledger, IAuction {
    uint256 private constant MAX_BOOK = 1 << 20;
    uint256 private constant MAX_ROUND_QUALITIES = 255;
    uint256 private constant MAX_OPEN_SESSIONS = 64;

    /// @dev Seconds: how far ahead a gate may be, how long a session may take from its gate to its proof, and what lies between two at least.
    uint64 private constant MAX_AHEAD = 30 days;
    uint64 private constant MAX_CLEARING = 1 days;
    uint64 private constant MIN_OPEN = 1 minutes;
    /// @dev Seconds for claims behind the latest end of a session.
    uint64 private constant MIN_CLAIMS = 1 days;
    uint64 private constant MAX_CLAIMS = 30 days;
    int256 private constant PRICE_LIMIT = 1 << 29;

    /// @dev Bytes of a call: networks carry transactions of 2^17, of which a kibibyte is left to the envelope.
    uint256 private constant MAX_CALL = 127 << 10;
    /// @dev Bytes of what `settle` and `certify` bring of accounts: rows, addresses and leaves of a hundred of 48 windows each.
    uint256 private constant PART_BYTES = 44 << 10;
    /// @dev Bytes of their other arguments: heads, lengths, and the hashes of 64 parts.
    uint256 private constant RUN_HEADS = 3 << 10;

    /// @inheritdoc IAuction
    function openSession(SessionParams calldata params)
        external
        restricted
        whenNotPaused
        returns (uint24 epoch)
    {
        _ended = _endedThrough();
        _requireCarried();
        _checkParams(params);
        epoch = ++_latestEpoch;
        bytes32 id = keccak256(abi.encode(params));
        Session storage session = _sessions[epoch];
        session.id = id;
        // `_checkTimes` bounds all three.
        (session.gate, session.commitBy, session.proveBy) =
        (uint48(params.gate), uint48(params.commitBy), uint48(params.proveBy));
        (session.stage, session.zones) = (Stage.Open, uint16(_dayInfo[params.day].zones));
        _params[epoch] = params;
        _rounds[params.day][params.kind].push(epoch);
        emit SessionOpened(epoch, id, params);
        if (params.bondNano != 0) _lockBond(epoch, params);
    }

    /// @inheritdoc IAuction
    function commitBooks(uint24 epoch, uint32[] calldata counts, bytes32[] calldata roots)
        external
        restricted
        whenNotPaused
    {
        _requireStage(epoch, Stage.Open);
        Session storage session = _sessions[epoch];
        if (block.timestamp < session.gate) revert GateStillOpen(epoch, session.gate);
        if (_endedThrough() + 1 != epoch) revert WrongStage(epoch - 1, _stageOf(epoch - 1));
        (uint32 zones, uint32 zone) = (session.zones, session.committed);
        uint256 orders = zone == 0 ? 0 : _books[epoch][zone - 1].through;
        uint256 most = uint256(_params[epoch].maxOrders) + session.submitted;
        if (counts.length == 0 || counts.length != roots.length) revert BadCommitment(epoch, zone);
        for (uint256 i; i < counts.length; ++i) {
            orders += counts[i];
            if (zone == zones || orders > most) revert BadCommitment(epoch, zone);
            _books[epoch][zone] = Book(counts[i], uint32(orders), roots[i]);
            emit BookCommitted(epoch, zone, counts[i], roots[i]);
            ++zone;
        }
        session.committed = uint16(zone);
        if (zone == zones) session.stage = Stage.Committed;
    }

    /// @inheritdoc IAuction
    function sessionOf(uint24 epoch) external view returns (bytes32 id, Stage stage) {
        return (_sessions[epoch].id, _stageOf(epoch));
    }

    /// @inheritdoc IAuction
    function sessionParams(uint24 epoch) external view returns (SessionParams memory) {
        return _params[epoch];
    }

    /// @inheritdoc IAuction
    function deadlineOf(uint24 epoch) external view returns (uint64) {
        return _deadlineOf(epoch);
    }

    /// @inheritdoc IAuction
    function latestEpoch() external view returns (uint24) {
        return _latestEpoch;
    }

    /// @inheritdoc IAuction
    function bookOf(uint24 epoch, uint32 zone) external view returns (uint32 count, bytes32 root) {
        return (_books[epoch][zone].count, _books[epoch][zone].root);
    }

    /// @inheritdoc IAuction
    function commitmentOf(uint24 epoch) external view returns (uint32 zones, uint32 orders) {
        zones = _sessions[epoch].committed;
        orders = zones == 0 ? 0 : _books[epoch][zones - 1].through;
    }

    function _requireCarried() private view {
        int256 free = _folded(_balancingParty).free();
        if (free < int256(_totalNegative)) revert NotCarried(free, _totalNegative);
    }

    function _checkParams(SessionParams calldata p) private view {
        Day storage info = _dayInfo[p.day];
        if (info.windows == 0) revert IDays.UnknownDay(p.day);
        if (_runs[p.day].stage != RunStage.None) revert BadSession("day");
        if (p.kind > KIND_FLEXIBILITY_DOWN) revert BadSession("kind");
        // Flexibility clears by the same rule; nothing settles it yet, so nothing may be kept back for it.
        if (p.kind != KIND_ENERGY && (p.buyReserve | p.sellReserve) != 0) revert BadSession("buyReserve");
        if (p.gridVersion != info.gridVersion) revert BadSession("gridVersion");
        // Somebody must be there to be paid what the lines charge.
        if (info.zones > 1 && _networkOperator == address(0)) revert BadSession("gridVersion");
        if (p.firstWindow < p.day || p.windows == 0 || p.firstWindow + p.windows > p.day + info.windows) {
            revert BadSession("windows");
        }
        _checkRound(p, info.qualityCount);
        _checkSize(p, info);
        _checkTimes(p);
        _checkLimits(p, info);
        if (p.imbalanceMin < -PRICE_LIMIT || p.imbalanceMax > PRICE_LIMIT) revert BadSession("imbalanceMax");
        if (p.imbalanceMin > p.imbalanceMax) revert BadSession("imbalanceMin");
        if (p.maxOrders == 0 || p.maxOrders >= MAX_BOOK) revert BadSession("maxOrders");
        if (uint256(p.maxOrders) + p.maxSubmitted >= MAX_BOOK) revert BadSession("maxSubmitted");
        _checkClaims(p);
        if (p.certificateRun != 0) revert BadSession("certificateRun");
    }

    /// @dev Every book must have potentials within the outer bounds: they lie as far apart as a path of the residual network is long. A path from the ground that
    /// enters no new window passes no more than `min(qualities, zones) - 1` other qualities, at a loss of `cap - floor` each, and between them one way along the
    /// tree, at a loss of what two zones' lines to the root charge. Whatever a flexible order reaches in another window is held by the order's limit, or by
    /// the energy that it buys or sells there, which is no further from the ground than such a path without lines. docs/clearing.md, Floor and cap.
    function _checkLimits(SessionParams calldata p, Day storage info) private view {
        (int256 floor, int256 cap) = (p.floor, p.cap);
        if (floor > cap || floor < -PRICE_LIMIT || cap > PRICE_LIMIT) revert BadSession("floor");
        uint256 stops = info.qualityCount < info.zones ? info.qualityCount : info.zones;
        int256 span = cap - floor;
        int256 first = -floor > cap ? -floor : cap;
        if (span > first) first = span;
        uint256 charges = 2 * stops * _grids[p.gridVersion].deepestCharge;
        if (2 * int256(stops - 1) * span + first + int256(charges) > PRICE_LIMIT) revert BadSession("cap");
    }

    /// @dev Whatever carries words of qualities and windows must fit a transaction with the least that it can bring beside them. docs/clearing.md, Sizes.
    function _checkSize(SessionParams calldata p, Day storage info) private view {
        uint256 qualities = info.qualityCount;
        uint256 words = 40 + 3 * qualities * p.windows + (uint256(info.pairs) + 1) * p.windows + 2 * qualities;
        uint256 length = 4 + 32 * words;
        if (length > MAX_CALL) revert SessionTooLarge("joinChildren", length, MAX_CALL);
        uint256 rounds = uint256(p.round) + 1;
        words = 3 * rounds * qualities * info.windows + 2 * uint256(info.windows) + 5 * rounds;
        length = PART_BYTES + RUN_HEADS + 32 * words;
        if (length > MAX_CALL) revert SessionTooLarge("certify", length, MAX_CALL);
    }

    /// @dev What the first session of a day let its traders sign about imbalance prices holds for the day. Rounds times qualities stay within what
    /// `Imbalance` sums exactly.
    function _checkRound(SessionParams calldata p, uint256 qualityCount) private view {
        uint24[] storage epochs = _rounds[p.day][p.kind];
        if (p.round != epochs.length || (uint256(p.round) + 1) * qualityCount > MAX_ROUND_QUALITIES) {
            revert BadSession("round");
        }
        if (p.round == 0) return;
        SessionParams storage first = _params[epochs[0]];
        if (p.imbalanceMin != first.imbalanceMin || p.imbalanceMax != first.imbalanceMax) {
            revert BadSession("imbalanceMin");
        }
    }

    /// @dev Claims begin at the session's end, which pauses may put off by `maxPause`. They cannot be made in a pause, but as long a break follows each:
    /// half a day is left in any case.
    function _checkClaims(SessionParams calldata p) private view {
        uint256 from = uint256(p.proveBy) + 2 * uint256(maxPause);
        if (p.claimBy < from + MIN_CLAIMS || p.claimBy > from + MAX_CLAIMS) revert BadSession("claimBy");
        if (p.bondNano != 0 && p.receiptSigner == address(0)) revert BadSession("receiptSigner");
    }

    /// @dev All that the session's claims may cost leaves the operator's free cash. Since it may not trade, no session under way counts on that cash.
    function _lockBond(uint24 epoch, SessionParams calldata p) private {
        if (_members[msg.sender].role() != ROLE_OPERATOR) revert BadSession("bondNano");
        uint256 amount = uint256(p.bondNano) * (uint256(p.maxOrders) + p.maxSubmitted);
        int256 free = _folded(msg.sender).free();
        if (free < int256(amount)) revert IAccounts.InsufficientCash(msg.sender, free, amount);
        _bonds[epoch] = Bond(msg.sender, uint96(amount), 0, 0, 0);
        _credit(msg.sender, -int256(amount));
        emit IOmission.BondLocked(epoch, msg.sender, amount);
    }

    /// @dev Cash stands still from a gate to the session's end: that is bounded, and there is time in between to withdraw.
    function _checkTimes(SessionParams calldata p) private view {
        if (_latestEpoch - _ended >= MAX_OPEN_SESSIONS) revert BadSession("epoch");
        // What is traded has not begun.
        uint256 delivery = uint256(p.firstWindow) * windowLength;
        bool inTime = block.timestamp < p.gate && p.gate <= block.timestamp + MAX_AHEAD && p.gate <= delivery;
        bool follows = _latestEpoch == 0 || p.gate >= _sessions[_latestEpoch].proveBy + MIN_OPEN;
        if (!inTime || !follows) revert BadSession("gate");
        if (p.commitBy <= p.gate) revert BadSession("commitBy");
        if (p.proveBy <= p.commitBy || p.proveBy > p.gate + MAX_CLEARING) revert BadSession("proveBy");
    }
}
