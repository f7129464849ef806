// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Carry, Posted} from "./IClearing.sol";

/// @dev What a closed zone leaves to its parent; only its hash is stored. docs/formats.md, Closed zone.
struct ClosedZone {
    /// @notice `lo`, `hi` and ranks in each window, as posted.
    uint256[] energyPotentials;
    /// @notice Net bought of each quality in each window, in the zone and those below that are joined, Wh: index `q * windows + w`, int64 in the low 64 bits.
    uint256[] nets;
    /// @notice What supports the zone's own potentials so far: bit 2w the lowest of window w, 2w+1 the highest.
    uint256 energySupport;
    /// @notice The same of each quality above 0, in the zone and those joined: index `q - 1`.
    uint256[] qualitySupport;
    /// @notice What the joined lines below earn: charges, and congestion rent.
    int256 rentNano;
    /// @notice Children joined so far.
    uint32 joined;
}

/// @title IProof: the header before clearing, and the closing of zones that proves the session
/// @notice Zones close in any order once their orders are cleared; a parent joins its children in the order of their numbers, each when it has joined all of its
/// own; the root, once it has joined all, proves the session. docs/clearing.md has the argument.
interface IProof {
    /// @notice The potentials of the qualities are posted.
    /// @param hash the hash of their words
    event HeaderPosted(uint24 indexed epoch, bytes32 hash);
    /// @notice A zone is closed, or has joined more of its children.
    /// @param hash of its `ClosedZone`, ABI-encoded: what its next transaction, or its parent's, must bring
    /// @param joined children joined so far
    event ZoneJoined(uint24 indexed epoch, uint32 indexed zone, bytes32 hash, uint32 joined);
    /// @notice The session's prices are proved: from now on its results count.
    event SessionProved(uint24 indexed epoch);
    /// @notice The network operator is paid what the session's lines earn.
    event NetworkPaid(uint24 indexed epoch, int256 rentNano);

    // A zone
    /// @notice A potential is beyond the outer bounds: 2^29 either way for energy, -2^29 to 0 for a quality.
    /// @param index the word's place in `qualityPotentials` (in `postHeader`) or `energyPotentials` (in `closeZone`)
    error PotentialOutOfRange(uint256 index);
    /// @notice The orders read are not the committed book: another count or another root.
    error BookMismatch(uint24 epoch, uint32 zone);
    /// @notice Orders that were submitted on chain are not all in the book.
    /// @param read how many were read
    /// @param submitted how many there are
    error SubmissionOmitted(uint24 epoch, uint32 zone, uint256 read, uint256 submitted);
    /// @notice The at-price quantity of the book is not the one posted.
    /// @param cell `q * windows + w`, as in every error that names one
    error MarginalMismatch(uint256 cell);
    /// @notice The potentials contradict a limit that fills or is left in this cell.
    error CellViolated(uint256 cell);

    // Lines
    /// @notice The child is not complete, or is not what its hash is stored of; or so is the zone that joins it.
    /// @param zone which of them
    error WrongClosedZone(uint24 epoch, uint32 zone);
    /// @notice More children are brought than the zone has.
    error TooManyChildren(uint24 epoch, uint32 zone);
    /// @notice More flows over a line than it carries.
    /// @param zone the line's lower end, as in every error that names a line
    /// @param window counted from the session's first, as in every error here
    error LineOverCapacity(uint32 zone, uint256 window);
    /// @notice The potentials at the ends of a line contradict its charge and what flows over it.
    error LineViolated(uint32 zone, uint256 window);
    /// @notice Nothing keeps the zone's energy potential of a window from being lower in `lo` or higher in `hi`.
    error EnergyUnsupported(uint32 zone, uint256 window);

    // The session
    /// @notice What is bought in a window is not what is sold in it, over all zones.
    /// @param netWh bought less sold
    error EnergyUnbalanced(uint256 window, int256 netWh);
    /// @notice A quality's potential is above that of the one it may serve, or differs from it where the substitution is used, or the flow is out of range.
    /// @param substitution its place in the grid
    error SubstitutionViolated(uint256 substitution, uint256 window);
    /// @notice A quality does not balance with the substitutions used.
    /// @param netWh bought less sold, and what serves other qualities less what others serve of it
    error QualityUnbalanced(uint256 cell, int256 netWh);
    /// @notice Nothing keeps the potential of a quality from being lower in `lo` or higher in `hi`.
    error QualityUnsupported(uint256 cell);

    /// @notice Posts the potentials of the qualities, once, after the books are committed.
    /// @param epoch the session's number
    /// @param qualityPotentials a word for each quality above 0 and window, docs/formats.md, Posted data
    function postHeader(uint24 epoch, uint256[] calldata qualityPotentials) external;

    /// @notice Closes a zone whose orders have all been cleared, and joins its first children. The root's last child, or its close if it has none, proves the session.
    /// @param epoch the session's number
    /// @param zone the zone to close
    /// @param posted the potentials and marginals, as in its chunks
    /// @param carry what the last chunk left, or nothing if the zone has no orders
    /// @param children the zone's first children, each with all of its own joined; as many as the transaction has room for
    /// @param substitutions Wh used of each substitution in each window if this proves the session, else empty
    function closeZone(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        ClosedZone[] calldata children,
        uint256[] calldata substitutions
    ) external;

    /// @notice Joins the next children of a closed zone.
    /// @param epoch the session's number
    /// @param zone the zone they are joined to
    /// @param self what the zone's last transaction left
    /// @param children the next children, each with all of its own joined
    /// @param qualityPotentials the header's words if this proves the session, else empty
    /// @param substitutions Wh used of each substitution in each window if this proves the session, else empty
    function joinChildren(
        uint24 epoch,
        uint32 zone,
        ClosedZone calldata self,
        ClosedZone[] calldata children,
        uint256[] calldata qualityPotentials,
        uint256[] calldata substitutions
    ) external;
}
