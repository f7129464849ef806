// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Run, ZoneDay} from "./Ledger.sol";
import {Quorum} from "./Quorum.sol";
import {Restating} from "./Restating.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {Correction, ICorrections} from "./interfaces/ICorrections.sol";
import {IMetering, Posting} from "./interfaces/IMetering.sol";
import {ISettlement, RunStage} from "./interfaces/ISettlement.sol";
import {Statement} from "./interfaces/IStatements.sol";
import {Imbalance} from "./libraries/Imbalance.sol";
import {Postings} from "./libraries/Postings.sol";

/// @title Corrections: later runs, each only what differs from the last
/// @dev Every zone and day has a chain of its own: its posting, then each correction and each challenge that held, linked by their hashes. What is complete never
/// changes. Each part nets to zero with the balancing party by itself. What was delivered is shared once, in the first run.
abstract contract Corrections is Quorum, Restating, ICorrections {
    bytes32 private constant TYPE_HASH = keccak256(
        "Correction(uint32 zone,uint32 firstWindow,uint8 run,bytes32 previous,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,uint32[] statements,bytes32[] parts)"
    );

    uint8 private constant LAST_RUN = 15;
    uint256 private constant ACCOUNT_BYTES = 20;

    /// @inheritdoc ICorrections
    function openCorrections(Posting calldata posting) external {
        (uint32 zone, uint32 day) = (posting.zone, posting.firstWindow);
        Run storage run = _runs[day];
        if (run.stage != RunStage.Certified) revert ISettlement.WrongRunStage(zone, day, run.stage);
        bytes32 hash = Postings.hash(posting);
        if (_metered[zone][day].hash != hash) revert ISettlement.WrongPosting(zone, day);
        ZoneDay storage zoneDay = _zoneDays[zone][day];
        if (zoneDay.link != 0) revert AlreadyOpen(zone, day);
        zoneDay.commitments = posting.commitments;
        if (posting.sequence != Postings.BY_DEFAULT) {
            zoneDay.prices = _pricesOf(posting.surplusMicroPerKWh, posting.deficitMicroPerKWh);
        }
        (zoneDay.link, zoneDay.since) = (hash, run.settledAt);
        emit CorrectionsOpened(zone, day, hash);
    }

    /// @inheritdoc ICorrections
    function postCorrection(Correction calldata c, bytes[] calldata signatures)
        external
        restricted
        whenNotPaused
        whenNotClearing
    {
        bytes32 hash = _hash(c);
        _requireQuorum(hash, signatures);
        ZoneDay storage zoneDay = _requireNext(c);
        _requireStatements(c);
        emit CorrectionPosted(c.zone, c.firstWindow, c.run, hash, c);
        if (c.parts.length == 0) _complete(zoneDay, c, hash);
        else zoneDay.pending = hash;
        _keepChallengeable();
    }

    /// @inheritdoc ICorrections
    function correct(Correction calldata c, Statement calldata statement, bytes calldata differences)
        external
        whenNotPaused
        whenNotClearing
    {
        ZoneDay storage zoneDay = _zoneDays[c.zone][c.firstWindow];
        bytes32 hash = _hash(c);
        if (zoneDay.pending != hash) revert WrongCorrection(c.zone, c.firstWindow);
        uint256 part = zoneDay.parts;
        if (keccak256(differences) != c.parts[part]) revert ISettlement.WrongPart(part);
        _correctPart(c, c.statements[part], statement, differences);
        zoneDay.parts = uint16(part + 1);
        if (part + 1 == c.parts.length) _complete(zoneDay, c, hash);
    }

    /// @inheritdoc ICorrections
    function zoneDayOf(uint32 zone, uint32 day)
        external
        view
        returns (uint8, bytes32, bytes32, uint16, uint32, uint48)
    {
        ZoneDay storage z = _zoneDays[zone][day];
        return (z.run, z.link, z.pending, z.parts, z.open, z.since);
    }

    // --- one correction

    function _requireNext(Correction calldata c) private view returns (ZoneDay storage zoneDay) {
        zoneDay = _zoneDays[c.zone][c.firstWindow];
        if (zoneDay.link == 0) revert IChallenges.CorrectionsNotOpen(c.zone, c.firstWindow);
        if (zoneDay.pending != 0 && zoneDay.parts != 0) {
            revert IChallenges.CorrectionUnderWay(c.zone, c.firstWindow);
        }
        if (zoneDay.open != 0) revert ChallengeOpen(c.zone, c.firstWindow, zoneDay.open);
        if (c.run != zoneDay.run + 1 || c.run > LAST_RUN) revert WrongRun(c.run, zoneDay.run + 1);
        if (c.previous != zoneDay.link) revert WrongPrevious(zoneDay.link);
        if (zoneDay.prices == 0) _requireBounded(c.firstWindow, c.surplusMicroPerKWh, c.deficitMicroPerKWh);
        else _requirePrices(c.zone, c.firstWindow, c.surplusMicroPerKWh, c.deficitMicroPerKWh);
    }

    /// @dev They ascend, each is one of the zone's day, and each has its differences.
    function _requireStatements(Correction calldata c) private view {
        bool fit = c.statements.length == c.parts.length;
        for (uint256 i; fit && i < c.statements.length; ++i) {
            fit = (i == 0 || c.statements[i] > c.statements[i - 1])
                && _statements[c.zone][c.firstWindow][c.statements[i]] != 0;
        }
        if (!fit) revert IMetering.BadPosting("statements");
    }

    function _complete(ZoneDay storage zoneDay, Correction calldata c, bytes32 hash) private {
        bytes32 link = keccak256(abi.encodePacked(zoneDay.link, hash));
        (zoneDay.link, zoneDay.commitments) = (link, c.commitments);
        zoneDay.prices = _pricesOf(c.surplusMicroPerKWh, c.deficitMicroPerKWh);
        (zoneDay.run, zoneDay.pending, zoneDay.parts) = (c.run, 0, 0);
        zoneDay.since = uint48(block.timestamp);
        _keepChallengeable();
        emit RunCorrected(c.zone, c.firstWindow, c.run, link);
    }

    // --- one part

    function _correctPart(
        Correction calldata c,
        uint256 part,
        Statement calldata statement,
        bytes calldata differences
    ) private {
        (uint32 zone, uint32 day) = (c.zone, c.firstWindow);
        bytes32[] memory leaves = _openStatement(zone, day, part, statement);
        uint256 size = ACCOUNT_BYTES + (c.surplusMicroPerKWh.length + 3) / 4 + 4 * c.surplusMicroPerKWh.length;
        if (differences.length == 0 || differences.length % size != 0) {
            revert ISettlement.BadEntry(address(0));
        }
        uint256 place;
        int256 imbalance;
        int256 cash;
        for (uint256 at; at < differences.length; at += size) {
            bytes calldata entry = differences[at:at + size];
            place = _placeIn(statement.accounts, place, address(bytes20(entry[:ACCOUNT_BYTES])));
            (bytes32 leaf, int256 change, int256 earned) =
                _correctAccount(c, statement, at / size, leaves[place], entry);
            (leaves[place], imbalance, cash) = (leaf, imbalance + change, cash + earned);
            ++place;
        }
        bytes32 stated = _closeStatement(zone, day, part, statement, leaves, differences.length / size);
        _credit(_balancingParty, -cash);
        emit PartCorrected(zone, day, c.run, -imbalance, -cash, stated);
    }

    function _correctAccount(
        Correction calldata c,
        Statement calldata statement,
        uint256 row,
        bytes32 leaf,
        bytes calldata entry
    ) private returns (bytes32 restated, int256 change, int256 cash) {
        address account = address(bytes20(entry[:ACCOUNT_BYTES]));
        (bool well, int256[] memory changes) = _changesOf(entry, c.surplusMicroPerKWh.length);
        if (!well) revert ISettlement.BadEntry(account);
        (restated, cash) = _restate(
            account, statement, row, leaf, changes, c.surplusMicroPerKWh, c.deficitMicroPerKWh, true
        );
        for (uint256 w; w < changes.length; ++w) {
            change += changes[w];
        }
        _credit(account, cash);
        emit IChallenges.AccountCorrected(account, change, cash);
    }

    /// @return well whether the flags fit, and anything differs
    function _changesOf(bytes calldata entry, uint256 windows)
        private
        pure
        returns (bool well, int256[] memory changes)
    {
        uint256 source;
        assembly ("memory-safe") {
            source := entry.offset
        }
        changes = new int256[](windows);
        uint256 from = entry.length - 4 * windows;
        for (uint256 w; w < windows; ++w) {
            changes[w] = int32(uint32(bytes4(entry[from + 4 * w:from + 4 * w + 4])));
            if (changes[w] != 0) well = true;
        }
        well = well && Imbalance.flagsFit(source + ACCOUNT_BYTES, windows);
    }

    /// @dev The place of the next account that differs: they ascend as the statement's do.
    function _placeIn(address[] calldata accounts, uint256 from, address account)
        private
        pure
        returns (uint256 place)
    {
        for (place = from; place < accounts.length; ++place) {
            if (accounts[place] == account) return place;
        }
        revert ISettlement.BadEntry(account);
    }

    function _hash(Correction calldata c) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                TYPE_HASH,
                c.zone,
                c.firstWindow,
                c.run,
                c.previous,
                c.commitments,
                keccak256(abi.encodePacked(c.surplusMicroPerKWh)),
                keccak256(abi.encodePacked(c.deficitMicroPerKWh)),
                keccak256(abi.encodePacked(c.statements)),
                keccak256(abi.encodePacked(c.parts))
            )
        );
    }
}
