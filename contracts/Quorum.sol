// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Ledger} from "./Ledger.sol";
import {SessionParams} from "./interfaces/IAuction.sol";
import {IMetering} from "./interfaces/IMetering.sol";
import {KIND_ENERGY} from "./libraries/ProductId.sol";

/// @title Quorum: what enough oracle nodes say, within what traders signed
abstract contract Quorum is Ledger {
    /// @dev Signatures are of oracle nodes, in ascending order of their addresses.
    function _requireQuorum(bytes32 structHash, bytes[] calldata signatures) internal view {
        bytes32 digest = _hashTypedDataV4(structHash);
        if (signatures.length < _quorum || _quorum == 0) {
            revert IMetering.QuorumNotReached(signatures.length, _quorum);
        }
        address last;
        for (uint256 i; i < signatures.length; ++i) {
            address signer = ECDSA.recover(digest, signatures[i]);
            if (signer <= last || !_oracles[signer]) revert IMetering.BadOracleSignature(signer);
            last = signer;
        }
    }

    /// @dev One price each a window, the surplus price not above the deficit price, both within the bounds of the day's sessions.
    function _requireBounded(uint32 day, int32[] calldata surpluses, int32[] calldata deficits)
        internal
        view
    {
        uint256 windows = _dayInfo[day].windows;
        if (surpluses.length != windows) revert IMetering.BadPosting("surplusMicroPerKWh");
        if (deficits.length != windows) revert IMetering.BadPosting("deficitMicroPerKWh");
        uint24[] storage epochs = _rounds[day][KIND_ENERGY];
        (int32 low, int32 high) = (-(1 << 29), 1 << 29);
        if (epochs.length != 0) {
            SessionParams storage first = _params[epochs[0]]; // the others have its bounds
            (low, high) = (first.imbalanceMin, first.imbalanceMax);
        }
        for (uint256 w; w < windows; ++w) {
            (int32 surplus, int32 deficit) = (surpluses[w], deficits[w]);
            if (surplus > deficit || surplus < low || deficit > high) revert IMetering.BadPosting("prices");
        }
    }
}
