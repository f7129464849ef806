// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {Upheld, ZoneDay} from "./Ledger.sol";
import {MeterKeys} from "./MeterKeys.sol";
import {Restating} from "./Restating.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {
    Challenge,
    ChallengeStage,
    IChallenges,
    ReadingChallenge,
    SignedRead
} from "./interfaces/IChallenges.sol";
import {Statement} from "./interfaces/IStatements.sol";
import {Cash} from "./libraries/Cash.sol";
import {Membership} from "./libraries/Membership.sol";
import {MeterMessage, Reading} from "./libraries/MeterMessage.sol";

/// @title Challenges: a meter's own word against what was posted
/// @dev A reading has one challenge open at a time, and while any is, no correction of its zone and day is posted: what a challenge changes, the next run finds.
/// What is at stake, on either side, never pays for anything else.
abstract contract Challenges is MeterKeys, Restating, IChallenges {
    using MeterMessage for Reading;

    bytes32 private constant TYPE_HASH =
        keccak256("ReadingChallenge(uint32 zone,uint32 day,uint8 run,bytes32 commitment,bytes32 read)");

    /// @dev Seconds to answer.
    uint48 private constant ANSWER_WINDOW = 2 days;

    uint8 private constant ACTUAL = 0;

    // --- opening

    /// @inheritdoc IChallenges
    function challengeReading(ReadingChallenge calldata c)
        external
        whenNotPaused
        whenNotClearing
        returns (bytes32 id)
    {
        ZoneDay storage zoneDay = _requireChallengeable(c.zone, c.day);
        bytes32 commitment = keccak256(abi.encodePacked(bytes1(0), c.salt, c.committed, c.flag));
        (bool well, Reading memory committed) = MeterMessage.read(c.committed);
        if (!well || !Membership.isUnder(zoneDay.commitments, commitment, c.index, c.siblings)) {
            revert NotCommitted();
        }
        if (!_isInDay(c.day, committed.window)) revert NotTheSameReading();
        Reading memory read = _requireRead(committed.key(), c.read);
        if (_meters[read.meterId].x == 0) revert BadMeterKey(read.meterId);
        address account = _meters[read.meterId].account;
        _requireAccount(account, c, zoneDay.run, commitment);
        id = keccak256(abi.encodePacked(c.read.message, zoneDay.run));
        bool posted = !_applyUpheld(committed, zoneDay.run);
        if (read.sequence < committed.sequence) revert StaleRead(read.sequence, committed.sequence);
        if (read.wh == committed.wh) revert NothingContradicted(read.wh);
        if (_challenges[id].stage != ChallengeStage.None || _challengeOf[read.key()] != 0) {
            revert AlreadyChallenged(id);
        }
        _open(id, c, account, committed, read, posted && c.flag == ACTUAL);
        ++zoneDay.open;
        // A correction that was posted and not begun is signed anew, on what the challenge leaves.
        zoneDay.pending = 0;
    }

    function _open(
        bytes32 id,
        ReadingChallenge calldata c,
        address account,
        Reading memory committed,
        Reading memory read,
        bool actual
    ) private {
        uint88 bond = _challengeBond;
        _setAside(account, bond);
        _challengeOf[read.key()] = id;
        ++_holds[account];
        ++_openChallenges;
        uint48 answerBy = uint48(block.timestamp) + ANSWER_WINDOW;
        Challenge storage challenge = _challenges[id];
        (challenge.account, challenge.zone, challenge.day) = (account, c.zone, c.day);
        (challenge.stage, challenge.actual) = (ChallengeStage.Open, actual);
        (challenge.meterId, challenge.register, challenge.window) = (read.meterId, read.register, read.window);
        (challenge.committedWh, challenge.committedSequence) = (committed.wh, committed.sequence);
        (challenge.wh, challenge.sequence) = (read.wh, read.sequence);
        (challenge.answerBy, challenge.bondNano) = (answerBy, bond);
        emit ReadingChallenged(
            id,
            account,
            c.zone,
            c.day,
            read.meterId,
            read.register,
            read.window,
            committed.wh,
            read.wh,
            read.sequence,
            answerBy
        );
    }

    /// @dev What an earlier challenge corrected since the last run stands in place of what was committed to.
    /// @return stands whether anything does
    function _applyUpheld(Reading memory committed, uint8 run) private view returns (bool stands) {
        Upheld storage upheld = _upheld[committed.key()];
        stands = upheld.before == run + 1;
        if (stands) (committed.wh, committed.sequence) = (upheld.wh, upheld.sequence);
    }

    function _requireChallengeable(uint32 zone, uint32 day) private view returns (ZoneDay storage zoneDay) {
        zoneDay = _zoneDays[zone][day];
        if (zoneDay.link == 0) revert CorrectionsNotOpen(zone, day);
        if (zoneDay.parts != 0) revert CorrectionUnderWay(zone, day);
        uint256 until = zoneDay.since + CHALLENGE_WINDOW;
        if (block.timestamp > until) revert TooLateToChallenge(zone, day, until);
    }

    function _isInDay(uint32 day, uint32 window) private view returns (bool) {
        return window >= day && window < day + _dayInfo[day].windows;
    }

    /// @dev A read of the reading `key`, signed by the meter that it names; it may be revoked since: what it says still answers what it said.
    function _requireRead(bytes32 key, SignedRead calldata signed)
        private
        view
        returns (Reading memory read)
    {
        bool well;
        (well, read) = MeterMessage.read(signed.message);
        if (!well || read.key() != key || read.windowLength != windowLength) revert NotTheSameReading();
        if (!_signed(read.meterId, signed.x, signed.y, read.window)) revert BadMeterKey(read.meterId);
        bool verified = P256.verify(sha256(signed.message), signed.r, signed.s, signed.x, signed.y);
        if (!verified) revert BadReadSignature(read.meterId);
    }

    /// @dev Its participant alone discloses a reading.
    function _requireAccount(address account, ReadingChallenge calldata c, uint8 run, bytes32 commitment)
        private
        view
    {
        if (msg.sender == account) return;
        bytes32 read = keccak256(c.read.message);
        bytes32 structHash = keccak256(abi.encode(TYPE_HASH, c.zone, c.day, run, commitment, read));
        // slither-disable-next-line unused-return (of what is no signature the signer is zero)
        (address signer,,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), c.signature);
        if (signer != account) revert NotTheAccount(account);
    }

    // --- answering

    /// @inheritdoc IChallenges
    function answerChallenge(bytes32 id, SignedRead calldata signed) external whenNotPaused whenNotClearing {
        Challenge storage challenge = _requireOpen(id);
        if (block.timestamp > challenge.answerBy) revert AnswerClosed(id, challenge.answerBy);
        Reading memory read = _requireRead(_readingOf(challenge), signed);
        bool contradicts = read.sequence == challenge.sequence && read.wh != challenge.wh;
        if (contradicts && _meters[read.meterId].x != 0) _revoke(read.meterId);
        bool later = read.sequence > challenge.sequence && read.wh != challenge.wh;
        if (contradicts || later) {
            _end(id, challenge, ChallengeStage.Defeated);
            _oracleBond += challenge.bondNano;
            emit ChallengeAnswered(id, true);
            return;
        }
        bool shown = read.sequence == challenge.committedSequence && read.wh == challenge.committedWh
            && challenge.actual;
        if (!shown) revert IrrelevantAnswer(id);
        challenge.answered = true;
        emit ChallengeAnswered(id, false);
    }

    // --- settling

    /// @inheritdoc IChallenges
    function settleChallenge(
        bytes32 id,
        Statement calldata statement,
        uint256 part,
        int32[] calldata surplusMicroPerKWh,
        int32[] calldata deficitMicroPerKWh
    ) external whenNotPaused whenNotClearing {
        Challenge storage challenge = _requireOpen(id);
        if (block.timestamp <= challenge.answerBy) revert AnswerOpen(id, challenge.answerBy);
        _requirePrices(challenge.zone, challenge.day, surplusMicroPerKWh, deficitMicroPerKWh);
        (int256 imbalance, int256 cash) =
            _restateOne(challenge, statement, part, surplusMicroPerKWh, deficitMicroPerKWh);
        ZoneDay storage zoneDay = _zoneDays[challenge.zone][challenge.day];
        zoneDay.link = keccak256(abi.encodePacked(zoneDay.link, id));
        _upheld[_readingOf(challenge)] = Upheld(challenge.sequence, challenge.wh, zoneDay.run + 1);
        uint88 paid = _end(id, challenge, ChallengeStage.Upheld);
        emit ChallengeSettled(id, challenge.zone, challenge.day, -imbalance, -cash, paid);
    }

    /// @inheritdoc IChallenges
    function dropChallenge(bytes32 id) external whenNotPaused whenNotClearing {
        Challenge storage challenge = _requireOpen(id);
        uint256 until = challenge.answerBy + CHALLENGE_WINDOW;
        if (block.timestamp <= until) revert AnswerOpen(id, until);
        _end(id, challenge, ChallengeStage.Dropped);
        emit ChallengeDropped(id);
    }

    /// @return change of the account's imbalance, Wh
    /// @return cash that it earned by it, nano
    function _restateOne(
        Challenge storage challenge,
        Statement calldata statement,
        uint256 part,
        int32[] calldata surplus,
        int32[] calldata deficit
    ) private returns (int256 change, int256 cash) {
        address account = challenge.account;
        bytes32[] memory leaves = _openStatement(challenge.zone, challenge.day, part, statement);
        uint256 place = _placeOf(account, statement.accounts);
        change = int256(uint256(challenge.wh)) - int256(uint256(challenge.committedWh));
        if (challenge.register == MeterMessage.IMPORT) change = -change;
        int256[] memory changes = new int256[](surplus.length);
        changes[challenge.window - challenge.day] = change;
        (leaves[place], cash) =
            _restate(account, statement, 0, leaves[place], changes, surplus, deficit, true);
        _closeStatement(challenge.zone, challenge.day, part, statement, leaves, 1);
        _credit(account, cash);
        _credit(_balancingParty, -cash);
        emit AccountCorrected(account, change, cash);
    }

    /// @dev Returns what the account set at stake, unless the challenge is defeated, and what it gets beside if it holds.
    function _end(bytes32 id, Challenge storage challenge, ChallengeStage stage)
        private
        returns (uint88 paid)
    {
        challenge.stage = stage;
        delete _challengeOf[_readingOf(challenge)];
        --_holds[challenge.account];
        --_openChallenges;
        --_zoneDays[challenge.zone][challenge.day].open;
        if (stage == ChallengeStage.Defeated) return 0;
        uint88 bond = challenge.bondNano;
        bool costs = stage == ChallengeStage.Upheld && challenge.actual && !challenge.answered
            && _meters[challenge.meterId].x != 0;
        if (costs) paid = bond < _oracleBond ? bond : _oracleBond;
        _oracleBond -= paid;
        _credit(challenge.account, int256(uint256(bond) + paid));
    }

    function _requireOpen(bytes32 id) private view returns (Challenge storage challenge) {
        challenge = _challenges[id];
        if (challenge.stage != ChallengeStage.Open) revert NoChallenge(id);
    }

    function _readingOf(Challenge storage challenge) private view returns (bytes32) {
        return keccak256(abi.encodePacked(challenge.meterId, challenge.register, challenge.window));
    }

    // --- what is at stake

    /// @inheritdoc IChallenges
    function setChallengeBond(uint88 nano) external restricted {
        _challengeBond = nano;
        emit ChallengeBondChanged(nano);
    }

    /// @inheritdoc IChallenges
    function bondOracles(uint88 nano) external restricted whenNotPaused whenNotClearing {
        _requireMember(msg.sender);
        Cash cash = _folded(msg.sender);
        if (cash.free() < int256(uint256(nano))) {
            revert IAccounts.InsufficientCash(msg.sender, cash.free(), nano);
        }
        _credit(msg.sender, -int256(uint256(nano)));
        _oracleBond += nano;
        emit OracleBondChanged(msg.sender, int256(uint256(nano)));
    }

    /// @inheritdoc IChallenges
    function unbondOracles(uint88 nano) external restricted whenNotPaused whenNotClearing {
        _requireMember(msg.sender);
        if (_openChallenges != 0 || block.timestamp <= _challengeableUntil) {
            revert PotLocked(_openChallenges, _challengeableUntil);
        }
        if (nano > _oracleBond) {
            revert IAccounts.InsufficientCash(msg.sender, int256(uint256(_oracleBond)), nano);
        }
        _oracleBond -= nano;
        _credit(msg.sender, int256(uint256(nano)));
        emit OracleBondChanged(msg.sender, -int256(uint256(nano)));
    }

    /// @dev Nothing is asked of anyone while the bond is zero, not even of who owes.
    function _setAside(address account, uint88 bond) private {
        if (bond == 0) return;
        int256 free = _folded(account).free();
        if (free < int256(uint256(bond))) revert CannotBond(account, free, bond);
        _credit(account, -int256(uint256(bond)));
    }

    /// @inheritdoc IChallenges
    function challengeOf(bytes32 id) external view returns (Challenge memory) {
        return _challenges[id];
    }

    /// @inheritdoc IChallenges
    function holdsOf(address account) external view returns (uint32) {
        return _holds[account];
    }

    /// @inheritdoc IChallenges
    function challengeTerms() external view returns (uint88, uint88, uint48) {
        return (_oracleBond, _challengeBond, _challengeableUntil);
    }
}
