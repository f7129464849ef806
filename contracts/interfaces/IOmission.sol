// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Absence, Inclusion} from "../libraries/Membership.sol";

/// @dev What an operator set aside for the claims of a session, and what became of it.
struct Bond {
    /// @notice Who opened the session.
    address operator;
    /// @notice What is set aside still, nano.
    uint96 lockedNano;
    /// @notice Claims that stand, paid or not.
    uint32 claims;
    /// @notice How many of them are paid.
    uint32 paid;
    /// @notice How many traders have claims that stand.
    uint32 traders;
}

/// @dev What the operator did wrong.
enum ClaimKind {
    None,
    Omitted, // it gave a receipt for the order and left it out
    WronglyIncluded, // it gave a receipt for the order's cancel or replacement and cleared it all the same
    Void // it did not prove the session
}

/// @dev How far a claim is.
enum ClaimStage {
    None,
    Open,
    Defeated,
    Paid
}

/// @dev A claim for one order.
struct Claim {
    /// @notice The order's, who is paid.
    address trader;
    /// @notice The session's number.
    uint24 epoch;
    ClaimKind kind;
    ClaimStage stage;
    /// @notice Whether it rests on the order's receipt, so that the trader's own cancel or replacement defeats it.
    bool byReceipt;
}

/// @dev The receipt of an order or a cancel. Session and hash are known from what it is shown with.
struct Receipt {
    /// @notice Below the session's `maxOrders`.
    uint32 sequence;
    /// @notice 65 bytes `r . s . v` of the session's `receiptSigner`.
    bytes signature;
}

/// @title IOmission: orders the operator cannot leave out, and what it owes for those it did
/// @notice A trader whom the operator does not serve submits its order here before the gate: a session cannot be proved without it. A trader with a receipt whose
/// order was left out, or cleared against its word, or whose session was never proved, is paid from the bond that the operator set aside for the session.
/// Everything can be sent by anyone; payment goes to the order's trader. docs/omission.md has the argument.
interface IOmission {
    /// @notice A session's bond left the free cash of the operator who opened it.
    event BondLocked(uint24 indexed epoch, address indexed operator, uint256 amountNano);
    /// @notice An order must be in its zone's book.
    /// @param record the order as it was submitted; clearing reads the same but for the split of a flexible order
    event OrderSubmitted(uint24 indexed epoch, uint32 indexed zone, bytes32 indexed order, bytes record);
    /// @notice An order submitted before need not be in the book any more: its trader submitted another that replaces it.
    event SubmissionReplaced(uint24 indexed epoch, bytes32 indexed order);
    /// @notice A claim is made for an order.
    event ClaimOpened(uint24 indexed epoch, bytes32 indexed order, address indexed trader, ClaimKind kind);
    /// @notice The trader's own word defeats the claim.
    event ClaimDefeated(uint24 indexed epoch, bytes32 indexed order);
    /// @notice A claim is paid.
    event ClaimPaid(uint24 indexed epoch, bytes32 indexed order, address indexed trader, uint256 amountNano);
    /// @notice What no claim needs of a bond returned to the operator's free cash.
    event BondReleased(uint24 indexed epoch, address indexed operator, uint256 amountNano);

    // Submitting
    /// @notice Orders are submitted before the session's gate.
    error GateClosed(uint24 epoch, uint64 gate);
    /// @notice The record is not flagged as submitted on chain (bit 5).
    error NotFlagged(bytes32 order);
    /// @notice The trader is registered in another zone.
    error ForeignZone(address trader, uint32 zone);
    /// @notice The order is submitted already.
    error AlreadySubmitted(bytes32 order);
    /// @notice The trader has submitted another order of this side, and this one does not replace it, or is a session key's and that one the trader's own.
    error SubmissionTaken(address trader, bytes32 order);
    /// @notice The session takes no more orders on chain.
    error TooManySubmissions(uint24 epoch);

    // Claiming
    /// @notice The session has no bond.
    error NoBond(uint24 epoch);
    /// @notice The session is neither proved nor void.
    error SessionNotEnded(uint24 epoch);
    /// @notice Claims are made until then.
    /// @param claimBy Unix seconds
    error ClaimsClosed(uint24 epoch, uint64 claimBy);
    /// @notice There was a claim for this order.
    error AlreadyClaimed(bytes32 order);
    /// @notice The receipt is not signed by the session's receipt signer, or is for something else.
    error ForeignReceipt(address signer, address receiptSigner);
    /// @notice The session has no receipts of this sequence.
    error SequenceOutOfRange(uint32 sequence, uint32 maxOrders);
    /// @notice The order is not where the proof says under the root of its zone.
    error NotIncluded(bytes32 order);
    /// @notice The proof does not show that the order is missing under the root of its zone.
    error NotAbsent(bytes32 order);
    /// @notice The order was submitted on chain: the operator had to clear it, whatever was cancelled.
    error Forced(bytes32 order);
    /// @notice The order was not submitted on chain in this session.
    error NotForced(bytes32 order);
    /// @notice The order does not replace the one before it, is another trader's, or was signed neither by its trader nor by who signed the one before.
    error NotReplacing(bytes32 order, bytes32 replaced);

    // Defending, paying
    /// @notice There is no open claim for this order.
    error NoClaim(bytes32 order);
    /// @notice The claim rests on more than a receipt.
    error NotDefensible(bytes32 order);
    /// @notice No order replaces the claimed one.
    error NoReplacement(bytes32 order);
    /// @notice Claims are defended until then.
    /// @param until Unix seconds
    error DefenceClosed(uint24 epoch, uint64 until);
    /// @notice Claims can still be defended: nothing is paid or released before.
    /// @param until Unix seconds
    error DefenceOpen(uint24 epoch, uint64 until);
    /// @notice All that is left of the bond is owed to claims.
    error NothingToRelease(uint24 epoch);

    /// @notice Before the gate: forces an order into the session. One order of each trader and side, or another that replaces it.
    /// @param epoch the session's number
    /// @param zone the trader's zone
    /// @param record the order, flagged as submitted, docs/formats.md, Schedule record
    function submit(uint24 epoch, uint32 zone, bytes calldata record) external;

    /// @notice In a proved session: an order that has a receipt and is not under the root of its zone.
    /// @param epoch the session's number
    /// @param zone the zone that the order names
    /// @param record the order
    /// @param receipt the order's receipt
    /// @param proof its neighbours in the book
    function claimOmission(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Receipt calldata receipt,
        Absence calldata proof
    ) external;

    /// @notice In a proved session: an order that is under the root, though its cancel has a receipt.
    /// @param epoch the session's number
    /// @param zone the zone that the order names
    /// @param record the order
    /// @param proof its place in the book
    /// @param cancel the signature of its `Cancel`, by its trader or by who signed the order
    /// @param receipt the cancel's receipt
    function claimCancelled(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Inclusion calldata proof,
        bytes calldata cancel,
        Receipt calldata receipt
    ) external;

    /// @notice In a proved session: an order that is under the root, though one that replaces it has a receipt.
    /// @param epoch the session's number
    /// @param zone the zone that both orders name
    /// @param record the order
    /// @param proof its place in the book
    /// @param replacement the record of the order that replaces it
    /// @param receipt the replacement's receipt
    function claimReplaced(
        uint24 epoch,
        uint32 zone,
        bytes calldata record,
        Inclusion calldata proof,
        bytes calldata replacement,
        Receipt calldata receipt
    ) external;

    /// @notice In a void session: an order that has a receipt.
    /// @param epoch the session's number
    /// @param zone the zone that the order names
    /// @param record the order
    /// @param receipt the order's receipt
    function claimVoid(uint24 epoch, uint32 zone, bytes calldata record, Receipt calldata receipt) external;

    /// @notice In a void session: an order that is under the root of its zone.
    /// @param epoch the session's number
    /// @param zone the zone that the order names
    /// @param record the order
    /// @param proof its place in the book
    function claimCommitted(uint24 epoch, uint32 zone, bytes calldata record, Inclusion calldata proof)
        external;

    /// @notice In a void session: an order that was submitted on chain.
    /// @param epoch the session's number
    /// @param zone the zone that the order names
    /// @param record the order
    function claimSubmitted(uint24 epoch, uint32 zone, bytes calldata record) external;

    /// @notice Defeats a claim by receipt: the trader took the order back, or the last of those that replaced it.
    /// @param order the claimed order's hash
    /// @param zone the zone that the replacing orders name
    /// @param records the orders that replace it, each the one before; none if the order itself was taken back. The claimed order itself may come first: so it
    /// must where a session key signed it, and that key took it back
    /// @param cancel the signature of the last one's `Cancel`, by the trader or by who signed the last one
    function defendCancelled(bytes32 order, uint32 zone, bytes calldata records, bytes calldata cancel)
        external;

    /// @notice Defeats a claim by receipt: the trader replaced the order, and the last of those that replaced it was cleared or, in a void session, is claimed.
    /// @param order the claimed order's hash
    /// @param zone the zone that the replacing orders name
    /// @param records the orders that replace it, each the one before; the claimed order itself may come first, as in `defendCancelled`
    /// @param proof the last one's place in the book; of a void session it is not read
    function defendReplaced(bytes32 order, uint32 zone, bytes calldata records, Inclusion calldata proof)
        external;

    /// @notice Pays a claim that nothing defeated in time: `bondNano`, or less where more claims stand than the bond was made for.
    /// @param order the claimed order's hash
    function payClaim(bytes32 order) external;

    /// @notice Once nothing can be claimed or defended any more: returns what no claim needs.
    /// @param epoch the session's number
    function releaseBond(uint24 epoch) external;

    /// @notice A session's bond.
    /// @param epoch the session's number
    function bondOf(uint24 epoch) external view returns (Bond memory);

    /// @notice The claim for an order.
    /// @param order the order's hash
    function claimOf(bytes32 order) external view returns (Claim memory);

    /// @notice In which session an order was submitted.
    /// @param order the order's hash
    /// @return epoch zero if in none
    function submittedIn(bytes32 order) external view returns (uint24 epoch);

    /// @notice How many orders of a zone were submitted.
    /// @param epoch the session's number
    /// @param zone the zone
    /// @return count those that its book must have
    function submissionsOf(uint24 epoch, uint32 zone) external view returns (uint32 count);
}
