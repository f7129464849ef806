// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Day, Ledger} from "./Ledger.sol";
import {SessionParams, Stage} from "./interfaces/IAuction.sol";
import {Carry, IClearing, Posted} from "./interfaces/IClearing.sol";
import {MerkleFrontier} from "./libraries/MerkleFrontier.sol";
import {Potential} from "./libraries/Posted.sol";

/// @title Chunks: what the transactions of a zone hand to each other
abstract contract Chunks is Ledger {
    /// @dev Posted and carried data are those of the session's header and of the chunk before. A closed zone's hash is of other data, so that it has no carry.
    function _requireProgress(uint24 epoch, uint32 zone, Posted calldata posted, Carry calldata carry)
        internal
        view
        returns (bytes32 zoneHash)
    {
        _requireStage(epoch, Stage.Posted);
        _requireHeader(epoch, posted.qualityPotentials);
        SessionParams storage session = _params[epoch];
        Day storage day = _dayInfo[session.day];
        if (zone >= day.zones) revert IClearing.ZoneClosed(epoch, zone);
        uint256 windows = session.windows;
        uint256 cells = day.qualityCount * windows;
        _requireLength("energyPotentials", posted.energyPotentials.length, windows);
        _requireLength("marginals", posted.marginals.length, cells);
        // slither-disable-next-line encode-packed-collision (both lengths are checked)
        zoneHash = keccak256(abi.encodePacked(posted.energyPotentials, posted.marginals));
        bytes32 progress = _progress[epoch][zone];
        if (progress == 0) {
            _requireFresh(epoch, zone, carry);
            _requireCanonical(posted.energyPotentials);
            return zoneHash;
        }
        _requireLength("cells", carry.cells.length, cells);
        if (_hashCarry(zoneHash, carry) != progress) revert IClearing.WrongCarry(epoch, zone);
    }

    function _requireHeader(uint24 epoch, uint256[] calldata qualityPotentials) internal view {
        if (_sessions[epoch].header != keccak256(abi.encodePacked(qualityPotentials))) {
            revert IClearing.WrongHeader(epoch);
        }
    }

    function _requireLength(string memory array, uint256 length, uint256 expected) internal pure {
        if (length != expected) revert IClearing.WrongLength(array, length, expected);
    }

    /// @dev Once is enough: the hash binds what follows to the same words.
    function _requireCanonical(uint256[] calldata energyPotentials) private pure {
        uint256 bits;
        assembly ("memory-safe") {
            let at := energyPotentials.offset
            for { let end := add(at, shl(5, energyPotentials.length)) } lt(at, end) { at := add(at, 0x20) } {
                bits := or(bits, calldataload(at))
            }
        }
        if (Potential.wrap(bits).isCanonical()) return;
        uint256 w;
        while (Potential.wrap(energyPotentials[w]).isCanonical()) ++w;
        revert IClearing.NotCanonical("energyPotentials", w);
    }

    function _hashCarry(bytes32 zoneHash, Carry calldata carry) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                zoneHash,
                carry.cells,
                carry.lastHash,
                carry.count,
                carry.frontier,
                carry.support,
                carry.submitted
            )
        );
    }

    function _requireFresh(uint24 epoch, uint32 zone, Carry calldata carry) private pure {
        bool fresh = carry.cells.length == 0 && carry.lastHash == 0 && carry.count == 0 && carry.support == 0
            && carry.submitted == 0;
        for (uint256 i; i < MerkleFrontier.DEPTH; ++i) {
            if (carry.frontier[i] != 0) fresh = false;
        }
        if (!fresh) revert IClearing.WrongCarry(epoch, zone);
    }
}
