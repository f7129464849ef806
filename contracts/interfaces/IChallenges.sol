// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Statement} from "./IStatements.sol";

/// @dev A message of a meter, with its signature and the key to check it with.
struct SignedRead {
    /// @notice The 52 bytes, docs/formats.md, Metering.
    bytes message;
    /// @notice Of the P-256 signature over their SHA-256; `s` in the lower half.
    bytes32 r;
    bytes32 s;
    /// @notice The meter's public key.
    bytes32 x;
    bytes32 y;
}

/// @dev A read that contradicts what was committed to, and the opening of that commitment.
struct ReadingChallenge {
    uint32 zone;
    /// @notice The index of the day's first window.
    uint32 day;
    /// @notice The 52 bytes that were committed to, and their flag and salt.
    bytes committed;
    uint8 flag;
    bytes32 salt;
    /// @notice The commitment's position, and the other nodes on its way to the root, lowest first.
    uint256 index;
    bytes32[20] siblings;
    SignedRead read;
    /// @notice The account's over the `ReadingChallenge` message; empty if it sends the challenge itself.
    bytes signature;
}

enum ChallengeStage {
    None,
    Open,
    Defeated,
    Upheld,
    Dropped
}

/// @dev What is kept of a challenge.
struct Challenge {
    address account;
    uint32 zone;
    uint32 day;
    ChallengeStage stage;
    bool actual; // what stood was posted, and flagged actual
    bool answered; // with the very read that was committed to
    bytes32 meterId;
    uint8 register;
    uint32 window;
    uint32 committedWh; // what stood when it was opened
    uint64 committedSequence;
    uint32 wh;
    uint64 sequence;
    uint48 answerBy;
    uint88 bondNano;
}

/// @title IChallenges: a meter's own word against what was posted
/// @notice A participant shows a read that its meter signed and the posting contradicts. Its cash waits, anyone may answer with another read, and then the
/// account's imbalance is corrected on the spot. An entry that was flagged actual, and that nobody shows a read for, costs the oracles.
interface IChallenges {
    /// @notice A reading is challenged: the account's withdrawals wait.
    /// @param id the hash of the read's message and the run that it contradicts
    /// @param committedWh what stands
    /// @param wh what the meter signed instead
    event ReadingChallenged(
        bytes32 indexed id,
        address indexed account,
        uint32 indexed zone,
        uint32 day,
        bytes32 meterId,
        uint8 register,
        uint32 window,
        uint32 committedWh,
        uint32 wh,
        uint64 sequence,
        uint48 answerBy
    );
    /// @notice A challenge is answered with a signed read.
    /// @param defeated whether the challenge falls; else it holds and costs the oracles nothing
    event ChallengeAnswered(bytes32 indexed id, bool defeated);
    /// @notice A challenge held: the account is corrected, and the balancing party took the other side.
    /// @param imbalanceWh the balancing party's change
    /// @param cashNano what the balancing party earned by it
    /// @param paidNano what the account got from the oracles
    event ChallengeSettled(
        bytes32 indexed id,
        uint32 indexed zone,
        uint32 indexed day,
        int256 imbalanceWh,
        int256 cashNano,
        uint256 paidNano
    );
    /// @notice A challenge that nobody settled is over, and nothing changed.
    event ChallengeDropped(bytes32 indexed id);
    /// @notice An account's imbalance is another one.
    /// @param imbalanceWh the change, over all windows
    /// @param cashNano what it earned by it; negative is what it cost
    event AccountCorrected(address indexed account, int256 imbalanceWh, int256 cashNano);
    /// @notice What the oracles have set aside changed.
    event OracleBondChanged(address indexed account, int256 nano);
    /// @notice What a challenge sets at stake, on either side, is another amount.
    event ChallengeBondChanged(uint88 nano);

    /// @notice Nobody opened the zone's day for corrections yet.
    error CorrectionsNotOpen(uint32 zone, uint32 day);
    /// @notice A correction of the zone's day is posted and not complete.
    error CorrectionUnderWay(uint32 zone, uint32 day);
    /// @notice The run was complete too long ago.
    error TooLateToChallenge(uint32 zone, uint32 day, uint256 until);
    /// @notice The commitment is not in the zone's posting at this position.
    error NotCommitted();
    /// @notice The read is not of the meter, register and window that was committed to.
    error NotTheSameReading();
    /// @notice It is not the key that the meter signs this window with.
    error BadMeterKey(bytes32 meterId);
    /// @notice The meter did not sign the read, or its `s` is high.
    error BadReadSignature(bytes32 meterId);
    /// @notice Neither sent nor signed by the account whose meter it is.
    error NotTheAccount(address account);
    /// @notice The read is older than the one that stands.
    error StaleRead(uint64 sequence, uint64 standing);
    /// @notice The read says what stands.
    error NothingContradicted(uint32 wh);
    /// @notice The read was used already, or the reading has a challenge open.
    error AlreadyChallenged(bytes32 id);
    /// @notice The account has not the cash to set at stake.
    error CannotBond(address account, int256 freeNano, uint256 bondNano);
    /// @notice There is no such challenge, or it is over.
    error NoChallenge(bytes32 id);
    /// @notice The time to answer is over.
    error AnswerClosed(bytes32 id, uint256 until);
    /// @notice The time to answer, or to settle, is not over.
    error AnswerOpen(bytes32 id, uint256 until);
    /// @notice The answer neither defeats the challenge nor shows what was committed to.
    error IrrelevantAnswer(bytes32 id);
    /// @notice The account is not in the statement.
    error NotInStatement(address account);
    /// @notice Challenges are open, or a run can still be challenged.
    error PotLocked(uint256 open, uint256 until);

    /// @notice Challenges a reading of the account's own meter.
    /// @param challenge what was committed to, and the read that contradicts it
    /// @return id of the challenge
    function challengeReading(ReadingChallenge calldata challenge) external returns (bytes32 id);
    /// @notice Answers a challenge with another read of the same reading: of a higher sequence, of the same sequence and another value, or the one that was
    /// committed to.
    /// @param id of an open challenge
    /// @param read the meter's
    function answerChallenge(bytes32 id, SignedRead calldata read) external;
    /// @notice Ends a challenge that was not defeated: corrects the account, pays and returns the bond.
    /// @param id of an open challenge, once nobody may answer it any more, or it was answered
    /// @param statement of the part that the account is in, with its row
    /// @param part the number of that part
    /// @param surplusMicroPerKWh the day's imbalance prices, as posted
    /// @param deficitMicroPerKWh the same
    function settleChallenge(
        bytes32 id,
        Statement calldata statement,
        uint256 part,
        int32[] calldata surplusMicroPerKWh,
        int32[] calldata deficitMicroPerKWh
    ) external;
    /// @notice Ends a challenge that nobody could settle for as long as there is to challenge: its account is in no statement, or leaves its range. Its bond returns.
    /// @param id of an open challenge
    function dropChallenge(bytes32 id) external;
    /// @notice Sets what challenges opened from now on set at stake.
    /// @param nano zero asks for nothing
    function setChallengeBond(uint88 nano) external;
    /// @notice Sets the caller's free cash aside for challenges that hold.
    /// @param nano how much
    function bondOracles(uint88 nano) external;
    /// @notice Takes back what was set aside, once nothing can be challenged.
    /// @param nano how much
    function unbondOracles(uint88 nano) external;

    /// @notice What is kept of a challenge.
    /// @param id the hash of its read's message and the run that it contradicts
    /// @return all of it, its stage zero if there is none
    function challengeOf(bytes32 id) external view returns (Challenge memory);
    /// @notice How many challenges an account's cash waits for.
    /// @param account of a member
    /// @return the number
    function holdsOf(address account) external view returns (uint32);
    /// @notice What oracles and challengers have at stake.
    /// @return potNano what the oracles have set aside
    /// @return bondNano what a challenge sets at stake
    /// @return until when runs that are complete may be challenged, Unix seconds
    function challengeTerms() external view returns (uint88 potNano, uint88 bondNano, uint48 until);
}
