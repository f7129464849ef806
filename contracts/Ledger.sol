// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {IAuction, SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Challenge} from "./interfaces/IChallenges.sol";
import {GridInfo, Line} from "./interfaces/IDays.sol";
import {IEmergency} from "./interfaces/IEmergency.sol";
import {IMetering} from "./interfaces/IMetering.sol";
import {Bond, Claim} from "./interfaces/IOmission.sol";
import {RunStage} from "./interfaces/ISettlement.sol";
import {Cash, CashLib} from "./libraries/Cash.sol";
import {KeyUse} from "./libraries/KeyUse.sol";
import {Member, ROLE_NONE} from "./libraries/Member.sol";
import {SessionKey} from "./libraries/SessionKey.sol";

/// @dev What a deployment never changes. The Exchange and its modules are built with the same.
struct Terms {
    address authority;
    IERC20 settlementToken; // its unit is one nano
    uint16 windowLength; // seconds
    uint32 maxPause; // seconds
}

/// @dev How a session stands.
struct Session {
    bytes32 id;
    uint48 gate;
    uint48 commitBy;
    uint48 proveBy;
    uint32 extension;
    Stage stage;
    uint16 zones; // of its grid
    uint16 committed; // zones whose books are, from zone 0 on
    uint32 submitted; // orders submitted on chain, over all zones
    bytes32 header;
}

/// @dev A delivery day: its windows, and its grid's zones, quality codes (one a byte from the highest byte on) and substitutions.
struct Day {
    uint16 windows;
    uint32 gridVersion;
    uint32 zones;
    uint8 qualityCount;
    bytes16 qualities;
    uint8 pairs; // substitutions
}

struct Book {
    uint32 count;
    uint32 through; // orders of this zone and all before it
    bytes32 root;
}

/// @dev An order that was submitted on chain.
struct Submission {
    uint24 epoch;
    bool byKey; // a session key signed it
}

/// @dev To whom a trader donates in a session, and what of its sales as produced, once they are delivered.
struct Gift {
    address beneficiary;
    uint96 nano; // their worth, less what was given
}

struct PendingWithdrawal {
    uint128 amountNano;
    uint24 afterEpoch;
}

struct Meter {
    address account;
    uint32 from; // the first window that its key signs
    bytes32 x;
    bytes32 y;
}

/// @dev The windows that a rotated key of a meter signed: `from` up to and without `until`.
struct KeyTerm {
    uint32 from;
    uint32 until;
}

/// @dev The latest metering of a zone and day.
struct Metered {
    uint32 sequence;
    bytes32 hash;
}

/// @dev The settlement run of a day, zone after zone.
struct Run {
    RunStage stage;
    uint48 settledAt; // when the last zone was, then when all were certified, Unix seconds
    uint32 zone; // under way
    uint16 parts; // of it settled, then certified, so far
    uint32 accounts; // of it settled so far
    bytes32 carry;
    bytes32 consumed; // chain over the zone's parts settled and the prices they were settled at
}

/// @dev What later runs and challenges of a zone's day build on.
struct ZoneDay {
    bytes32 commitments; // to the readings as last posted
    bytes32 prices; // hash of the imbalance prices; zero while the day is settled by default
    bytes32 link; // the chain of runs and challenges settled
    bytes32 pending; // struct hash of the correction under way
    uint8 run; // the last posted, from 0
    uint16 parts; // of the correction under way, so far
    uint32 open; // challenges
    uint48 since; // when the last run was complete, Unix seconds
}

/// @dev A reading that was corrected by a challenge. It stands until the next run.
struct Upheld {
    uint64 sequence;
    uint32 wh;
    uint8 before; // the run before which it stands
}

/// @title Ledger: all state, and what more than one concern does with it
/// @dev Every concern is a base on this one and adds no storage, so that the Exchange and the modules it delegates to share one layout.
abstract contract Ledger is AccessManaged, EIP712 {
    /// @dev Seconds, from a run's end, in which its readings may be challenged.
    uint48 internal constant CHALLENGE_WINDOW = 10 days;

    /// @notice The token in which cash enters and leaves; its unit is one nano.
    IERC20 public immutable settlementToken;
    uint16 public immutable windowLength;
    uint32 public immutable maxPause;

    // Emergency
    uint64 internal _pausedAt;
    uint64 internal _lastPauseEnd;

    // Accounts
    address internal _balancingParty;
    address internal _networkOperator;
    uint256 internal _totalNegative;
    mapping(uint32 zone => uint32 count) internal _meteredIn;
    mapping(address account => Cash) internal _cash;
    mapping(address account => Member) internal _members;
    mapping(address account => PendingWithdrawal) internal _withdrawals;

    // Auction
    uint24 internal _latestEpoch;
    uint24 internal _ended;
    uint32 internal _gridVersions;
    uint32[] internal _days;
    mapping(uint32 version => GridInfo) internal _grids;
    mapping(uint32 version => mapping(uint32 zone => Line)) internal _lines;
    mapping(uint32 day => Day) internal _dayInfo;
    mapping(uint32 day => mapping(uint8 kind => uint24[] epochs)) internal _rounds;
    mapping(uint24 epoch => Session) internal _sessions;
    mapping(uint24 epoch => SessionParams) internal _params;
    mapping(uint24 epoch => mapping(uint32 zone => Book)) internal _books;

    // Clearing: the hash of what a zone's next transaction must bring, its carry or, once it is closed, its closed zone
    mapping(uint24 epoch => mapping(uint32 zone => bytes32 hash)) internal _progress;
    mapping(uint24 epoch => mapping(uint32 zone => bytes32 hash)) internal _energy; // of the zone's potentials, once it is closed
    mapping(uint24 epoch => mapping(address trader => Gift)) internal _gifts;

    // Omission
    mapping(bytes32 order => Submission) internal _submitted;
    mapping(uint24 epoch => mapping(uint32 zone => uint32 count)) internal _submissions;
    mapping(uint24 epoch => mapping(address trader => mapping(uint256 side => bytes32 order))) internal
        _submissionOf;
    mapping(uint24 epoch => Bond) internal _bonds;
    mapping(bytes32 order => Claim) internal _claims;
    mapping(uint24 epoch => mapping(address trader => uint32 count)) internal _claimsOf;

    // EnergyToken
    mapping(address account => mapping(uint256 groupKey => uint256 lanes)) internal _lanes;
    mapping(address owner => mapping(address spender => bool)) internal _operators;
    mapping(address owner => mapping(address spender => mapping(uint256 id => uint256))) internal _allowances;
    mapping(address to => mapping(address from => mapping(uint256 id => uint256))) internal _accepted;

    // Metering and settlement
    uint8 internal _quorum;
    uint8 internal _nodes;
    mapping(address node => bool) internal _oracles;
    mapping(bytes32 meterId => Meter) internal _meters;
    mapping(uint32 zone => mapping(uint32 day => Metered)) internal _metered;
    mapping(uint32 day => Run) internal _runs;
    mapping(uint32 zone => mapping(uint32 day => mapping(uint256 part => bytes32 hash))) internal _statements;
    mapping(uint32 zone => mapping(uint32 day => uint16 parts)) internal _defaultParts;

    // Later runs and challenges
    mapping(uint32 zone => mapping(uint32 day => ZoneDay)) internal _zoneDays;
    mapping(bytes32 meterId => mapping(bytes32 key => KeyTerm)) internal _formerKeys;
    mapping(bytes32 key => address account) internal _keyOwner;
    uint48 internal _challengeableUntil; // no run of any day can be challenged later
    uint32 internal _openChallenges;
    uint88 internal _challengeBond; // nano
    uint88 internal _oracleBond; // nano, all that the oracles have set aside
    mapping(bytes32 id => Challenge) internal _challenges;
    mapping(bytes32 reading => bytes32 id) internal _challengeOf; // the open one
    mapping(bytes32 reading => Upheld) internal _upheld;
    mapping(address account => uint32 challenges) internal _holds;

    // Session keys
    mapping(address account => mapping(address key => SessionKey)) internal _keys;
    mapping(address account => mapping(address key => KeyUse)) internal _keyUses;

    modifier whenNotPaused() {
        if (_isPaused()) revert IEmergency.ExchangePaused(_pausedAt + maxPause);
        _;
    }

    modifier whenNotClearing() {
        _requireNotClearing();
        _;
    }

    constructor(Terms memory terms) AccessManaged(terms.authority) EIP712("Trellis", "1") {
        uint16 length = terms.windowLength;
        if (length != 300 && length != 900 && length != 1800 && length != 3600) {
            revert IAuction.BadWindowLength(length);
        }
        settlementToken = terms.settlementToken;
        windowLength = length;
        maxPause = terms.maxPause;
    }

    // --- cash

    function _requireMember(address account) internal view returns (Member member) {
        member = _members[account];
        if (member.role() == ROLE_NONE) revert IAccounts.NotMember(account);
    }

    /// @dev The account's cash with the result of an ended session folded into it.
    function _folded(address account) internal view returns (Cash) {
        return _folded(_cash[account]);
    }

    function _folded(Cash cash) internal view returns (Cash) {
        uint24 epoch = cash.epoch();
        if (epoch == 0) return cash;
        return _foldAt(cash, _stageOf(epoch));
    }

    /// @dev Cash whose session stands at `stage`.
    function _foldAt(Cash cash, Stage stage) internal pure returns (Cash) {
        if (stage == Stage.Proved) {
            return CashLib.pack(cash.free() + int256(cash.reserved()) + cash.net(), 0, 0, 0);
        }
        if (stage == Stage.Void) return CashLib.pack(cash.free() + int256(cash.reserved()), 0, 0, 0);
        return cash;
    }

    /// @dev Stores `cash` with another free amount and keeps what members owe right.
    /// @param before free cash as it is stored
    function _setFree(address account, int256 before, Cash cash, int256 free) internal {
        _countDebt(account, before, free);
        _cash[account] = CashLib.pack(free, cash.reserved(), cash.net(), cash.epoch());
    }

    /// @dev Keeps what members owe right when an account's free cash is stored anew.
    function _countDebt(address account, int256 before, int256 free) internal {
        if ((before >= 0 && free >= 0) || account == _balancingParty) return;
        int256 owedBefore = before < 0 ? -before : int256(0);
        int256 owed = free < 0 ? -free : int256(0);
        _totalNegative = uint256(int256(_totalNegative) + owed - owedBefore);
    }

    function _credit(address account, int256 amountNano) internal {
        Cash stored = _cash[account];
        Cash cash = _folded(stored);
        _setFree(account, stored.free(), cash, cash.free() + amountNano);
    }

    // --- runs

    /// @dev A run is complete now.
    function _keepChallengeable() internal {
        _challengeableUntil = uint48(block.timestamp) + CHALLENGE_WINDOW;
    }

    // --- sessions

    /// @dev How a session stands now: past its deadline it is void, whatever was stored.
    function _stageOf(uint24 epoch) internal view returns (Stage stage) {
        stage = _sessions[epoch].stage;
        if (stage != Stage.None && stage != Stage.Proved && block.timestamp > _deadlineOf(epoch)) {
            stage = Stage.Void;
        }
    }

    function _requireStage(uint24 epoch, Stage expected) internal view {
        Stage stage = _stageOf(epoch);
        if (stage != expected) revert IAuction.WrongStage(epoch, stage);
    }

    /// @dev The deadline of the commitment, then of the proof. A pause counts for the sessions whose deadline it found ahead and whose gate came before its end.
    function _deadlineOf(uint24 epoch) internal view returns (uint64) {
        Session storage session = _sessions[epoch];
        uint64 deadline = _plainDeadline(session);
        uint64 extension = session.extension;
        uint64 elapsed = _pauseElapsed();
        bool heldUp =
            _pausedAt != 0 && deadline + extension >= _pausedAt && session.gate <= _pausedAt + elapsed;
        return deadline + (heldUp ? _extended(extension, elapsed) : extension);
    }

    function _plainDeadline(Session storage session) internal view returns (uint64) {
        return session.stage == Stage.Open ? session.commitBy : session.proveBy;
    }

    /// @dev Pauses extend a session by `maxPause` at most, all together.
    function _extended(uint64 extension, uint64 elapsed) internal view returns (uint64) {
        return extension + elapsed < maxPause ? extension + elapsed : maxPause;
    }

    /// @dev The last session such that it and all before it are proved or void.
    function _endedThrough() internal view returns (uint24 epoch) {
        epoch = _ended;
        while (epoch < _latestEpoch) {
            Stage stage = _stageOf(epoch + 1);
            if (stage != Stage.Proved && stage != Stage.Void) break;
            ++epoch;
        }
    }

    function _requireNotClearing() internal view {
        uint24 epoch = _clearingEpoch();
        if (epoch != 0) revert IAccounts.ClearingInProgress(epoch);
    }

    /// @dev The session between its gate and its end, or zero.
    function _clearingEpoch() internal view returns (uint24) {
        uint24 next = _endedThrough() + 1;
        return next <= _latestEpoch && block.timestamp >= _sessions[next].gate ? next : 0;
    }

    // --- pause

    function _isPaused() internal view returns (bool) {
        return _pausedAt != 0 && block.timestamp < _pausedAt + maxPause;
    }

    /// @dev Seconds the current or last unfinished pause has lasted, at most `maxPause`.
    function _pauseElapsed() internal view returns (uint64) {
        if (_pausedAt == 0) return 0;
        uint64 elapsed = uint64(block.timestamp) - _pausedAt;
        return elapsed < maxPause ? elapsed : maxPause;
    }
}
