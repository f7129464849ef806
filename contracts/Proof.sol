// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Chunks} from "./Chunks.sol";
import {Book, Day} from "./Ledger.sol";
import {SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Carry, Posted} from "./interfaces/IClearing.sol";
import {Line} from "./interfaces/IDays.sol";
import {ClosedZone, IProof} from "./interfaces/IProof.sol";
import {Fill, Table} from "./libraries/Fill.sol";
import {Lines} from "./libraries/Lines.sol";
import {MerkleFrontier} from "./libraries/MerkleFrontier.sol";
import {Slackness} from "./libraries/Slackness.sol";

/// @title Proof: a header before clearing, then zone by zone up to the root
/// @dev A zone is closed once, since its hash then is of other data than a carry. A child is joined once, by its only parent, in its place: the parent's hash
/// counts them.
abstract contract Proof is Chunks, IProof {
    /// @inheritdoc IProof
    function postHeader(uint24 epoch, uint256[] calldata qualityPotentials)
        external
        restricted
        whenNotPaused
    {
        _requireStage(epoch, Stage.Committed);
        SessionParams storage session = _params[epoch];
        Day storage day = _dayInfo[session.day];
        uint256 windows = session.windows;
        _requireLength("qualityPotentials", qualityPotentials.length, (day.qualityCount - 1) * windows);
        Slackness.requireHeader(qualityPotentials, _substitutions(session), day.pairs, windows);
        bytes32 header = keccak256(abi.encodePacked(qualityPotentials));
        _sessions[epoch].header = header;
        _sessions[epoch].stage = Stage.Posted;
        emit HeaderPosted(epoch, header);
    }

    /// @inheritdoc IProof
    function closeZone(
        uint24 epoch,
        uint32 zone,
        Posted calldata posted,
        Carry calldata carry,
        ClosedZone[] calldata children,
        uint256[] calldata substitutions
    ) external restricted whenNotPaused {
        _requireProgress(epoch, zone, posted, carry);
        _requireBook(epoch, zone, carry);
        Table memory table =
            Fill.load(posted.qualityPotentials, posted.energyPotentials, posted.marginals, carry.cells);
        ClosedZone memory self = Slackness.checkZone(posted, table, carry.support);
        _energy[epoch][zone] = keccak256(abi.encodePacked(posted.energyPotentials));
        if (_join(epoch, zone, self, children)) {
            _prove(epoch, self, posted.qualityPotentials, substitutions);
        } else {
            _requireLength("substitutions", substitutions.length, 0);
        }
    }

    /// @inheritdoc IProof
    function joinChildren(
        uint24 epoch,
        uint32 zone,
        ClosedZone calldata self,
        ClosedZone[] calldata children,
        uint256[] calldata qualityPotentials,
        uint256[] calldata substitutions
    ) external restricted whenNotPaused {
        _requireStage(epoch, Stage.Posted);
        _requireClosed(epoch, zone, self);
        ClosedZone memory zone_ = self;
        if (_join(epoch, zone, zone_, children)) {
            _requireHeader(epoch, qualityPotentials);
            _prove(epoch, zone_, qualityPotentials, substitutions);
        } else {
            _requireLength("qualityPotentials", qualityPotentials.length, 0);
            _requireLength("substitutions", substitutions.length, 0);
        }
    }

    // --- a zone

    /// @dev All orders of the committed book were read, and all that were submitted on chain are among them.
    function _requireBook(uint24 epoch, uint32 zone, Carry calldata carry) private view {
        Book storage book = _books[epoch][zone];
        bytes32[20] memory frontier = carry.frontier;
        if (book.count != carry.count || book.root != MerkleFrontier.root(frontier, carry.count)) {
            revert BookMismatch(epoch, zone);
        }
        uint256 submitted = _submissions[epoch][zone];
        if (carry.submitted != submitted) {
            revert SubmissionOmitted(epoch, zone, carry.submitted, submitted);
        }
    }

    function _requireClosed(uint24 epoch, uint32 zone, ClosedZone calldata closed) private view {
        if (_progress[epoch][zone] != keccak256(abi.encode(closed))) revert WrongClosedZone(epoch, zone);
    }

    // --- lines

    /// @dev Joins the zone's next children to it and stores what it is then.
    /// @return complete whether it is the root, and all its children are joined: with them the whole grid is
    function _join(uint24 epoch, uint32 zone, ClosedZone memory self, ClosedZone[] calldata children)
        private
        returns (bool complete)
    {
        mapping(uint32 => Line) storage lines = _lines[_params[epoch].gridVersion];
        (uint32 firstChild, uint32 count) = (lines[zone].firstChild, lines[zone].children);
        for (uint256 i; i < children.length; ++i) {
            if (self.joined == count) revert TooManyChildren(epoch, zone);
            uint32 child = firstChild + self.joined;
            Line memory line = lines[child];
            _requireClosed(epoch, child, children[i]);
            if (children[i].joined != line.children) revert WrongClosedZone(epoch, child);
            Lines.join(self, children[i], child, line);
            ++self.joined;
        }
        bytes32 hash = keccak256(abi.encode(self));
        _progress[epoch][zone] = hash;
        emit ZoneJoined(epoch, zone, hash, self.joined);
        return zone == 0 && self.joined == count;
    }

    // --- the session

    /// @param root with all zones joined
    function _prove(
        uint24 epoch,
        ClosedZone memory root,
        uint256[] calldata qualityPotentials,
        uint256[] calldata substitutions
    ) private {
        SessionParams storage session = _params[epoch];
        uint256 pairs = _dayInfo[session.day].pairs;
        _requireLength("substitutions", substitutions.length, pairs * session.windows);
        Slackness.checkRoot(root, qualityPotentials, _substitutions(session), pairs, substitutions);
        _sessions[epoch].stage = Stage.Proved;
        emit SessionProved(epoch);
        int256 rent = root.rentNano;
        if (rent != 0) {
            _credit(_networkOperator, rent);
            emit NetworkPaid(epoch, rent);
        }
    }

    function _substitutions(SessionParams storage session) private view returns (bytes32) {
        return _grids[session.gridVersion].substitutions;
    }
}
