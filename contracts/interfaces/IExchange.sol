// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccounts} from "./IAccounts.sol";
import {IAuction} from "./IAuction.sol";
import {IChallenges} from "./IChallenges.sol";
import {IClearing} from "./IClearing.sol";
import {ICorrections} from "./ICorrections.sol";
import {IDays} from "./IDays.sol";
import {IDelivery} from "./IDelivery.sol";
import {IEmergency} from "./IEmergency.sol";
import {IEnergyToken} from "./IEnergyToken.sol";
import {IMetering} from "./IMetering.sol";
import {IMeters} from "./IMeters.sol";
import {IOmission} from "./IOmission.sol";
import {IProof} from "./IProof.sol";
import {ISessionKeys} from "./ISessionKeys.sol";
import {ISettlement} from "./ISettlement.sol";

/// @title IExchange: all that the Exchange answers to, in its own code or a module's
interface IExchange is
    IEmergency,
    IAccounts,
    IDays,
    IAuction,
    IEnergyToken,
    IClearing,
    IProof,
    IMetering,
    ISettlement,
    IDelivery,
    ICorrections,
    IMeters,
    IChallenges,
    IOmission,
    ISessionKeys
{}
