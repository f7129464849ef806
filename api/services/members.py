"""`trellis members`: who takes part, registered by the registrar's key."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from api.services.up_folder import ADMIN, REGISTRAR, Folder, deposit, write_whole
from oracle import registry_file
from oracle.cli import public_key
from oracle.messages import meter_id
from oracle.registry import Meter, MeterRegistry
from settlement.audit.cli import read_address
from settlement.chain import deploy
from settlement.chain.client import Chain
from settlement.chain.exchange import Account, Exchange
from settlement.chain.keystore import open_signer
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer
from settlement.errors import InputError
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, PROSUMER, Member
from settlement.units import WH_LIMIT

ROLES = {
    "prosumer": PROSUMER,
    "balancing-party": BALANCING_PARTY,
    "network-operator": NETWORK_OPERATOR,
    "operator": OPERATOR,
}
MOST_QUALITY = 15
MOST_ZONE = 2**32 - 1


def add(arguments: argparse.Namespace) -> int:
    """`trellis members add`. Said again it does what is left to do; cash is paid in each time."""
    account, exchange = read_address(arguments.account), _exchange(arguments)
    member, meter = _member(arguments), _meter(arguments, account)
    registrar = _signer(arguments, REGISTRAR)
    done = []
    if _register(exchange, registrar, account, member):
        done.append("registered")
    if meter is not None:
        done += _register_meter(exchange, registrar, meter)
        done += _write_meter(_registry_file(arguments), meter)
    if arguments.deposit_nano:
        deposit(exchange, registrar, account, arguments.deposit_nano)
        done.append("deposited")
    told = {"done": done, **_told(account, exchange.accounts([account])[account])}
    return _say(arguments, told, f"{told['account']}: {', '.join(done) or 'nothing was left to do'}")


def show(arguments: argparse.Namespace) -> int:
    """`trellis members show`."""
    account, exchange = read_address(arguments.account), _exchange(arguments)
    told = _told(account, exchange.accounts([account])[account])
    if told["member"] is None:
        return _say(arguments, told, f"{told['account']} is no member: `trellis members add` registers it")
    terms = ", ".join(f"{name} {value}" for name, value in told["member"].items())
    text = f"{told['account']}: {terms}; free {told['free_nano']} nano, reserved {told['reserved_nano']}"
    return _say(arguments, told, text)


def grant(arguments: argparse.Namespace, granted: bool) -> int:
    """`trellis members grant` and `revoke`. What is so already stays so."""
    account, exchange = read_address(arguments.account), _exchange(arguments)
    role = getattr(deploy, arguments.role.upper())
    chain, found = exchange.chain, exchange.deployment
    admin, changed = _signer(arguments, ADMIN), deploy.has_role(chain, found, role, account) is not granted
    if changed and granted:
        deploy.grant(chain, admin, found, role, [account])
    elif changed:
        deploy.revoke(chain, admin, found, role, account)
    told = {"account": to_hex(account), "role": arguments.role, "granted": granted, "changed": changed}
    is_now = f"is {arguments.role}" if granted else f"is not {arguments.role}"
    return _say(arguments, told, f"{to_hex(account)} {is_now}{'' if changed else ', as before'}")


def _register(exchange: Exchange, registrar: Signer, account: bytes, member: Member) -> bool:
    present = exchange.accounts([account])[account].member
    if present is None:
        exchange.register(registrar, account, member)
        return True
    if present != member:
        raise InputError(f"{to_hex(account)} is a member on other terms: `trellis members show` tells them")
    return False


def _register_meter(exchange: Exchange, registrar: Signer, meter: Meter) -> list[str]:
    owner, *point = exchange.view("meterOf", meter.meter_id)
    wanted = [coordinate.to_bytes(32, "big") for coordinate in (meter.public_x, meter.public_y)]
    if not any(to_account(owner)):
        exchange.send(registrar, "registerMeter", meter.meter_id, meter.account, *wanted)
        return ["meter registered"]
    if (to_account(owner), point) != (meter.account, wanted):
        raise InputError(f"meter {to_hex(meter.meter_id)} is registered already, with another account or key")
    return []


def to_account(owner: Any) -> bytes:
    """An address as the ABI gives it, 20 bytes."""
    return bytes.fromhex(owner.removeprefix("0x")) if isinstance(owner, str) else bytes(owner)


def _write_meter(file: Path | None, meter: Meter) -> list[str]:
    """Into the file that oracle nodes read, if there is one."""
    if file is None:
        return []
    known = registry_file.read(file) if file.exists() else MeterRegistry(())
    if meter.meter_id in known:
        return []
    write_whole(file, registry_file.dump(MeterRegistry([*known.values(), meter], known.members)))
    return ["meter written for oracle nodes"]


# What is asked ------------------------------------------------------------------------------------------


def _exchange(arguments: argparse.Namespace) -> Exchange:
    rpcs, deployment = arguments.rpc, arguments.deployment
    if arguments.data is not None:
        folder = Folder(arguments.data)
        rpcs, deployment = rpcs or _running(folder)["rpc"], deployment or folder.deployment
    if not rpcs or deployment is None:
        raise InputError("where the deployment is is not said: give --data, or --rpc and --deployment")
    chain = Chain(rpcs)
    return Exchange(chain, deploy.read_deployment(chain, deployment))


def _running(folder: Folder) -> dict[str, Any]:
    try:
        return dict(json.loads(folder.running.read_text()))
    except (OSError, ValueError) as cause:
        raise InputError(f"nothing runs in {folder.path}: start `trellis up`, or give --rpc") from cause


def _signer(arguments: argparse.Namespace, name: str) -> Signer:
    if arguments.key_file is not None:
        return open_signer(arguments.key_file)
    if arguments.data is None:
        raise InputError(f"no key of the {name}: give --key-file, or --data of `trellis up`")
    return Folder(arguments.data).signer(name)


def _registry_file(arguments: argparse.Namespace) -> Path | None:
    if arguments.registry is not None:
        return Path(arguments.registry)
    return None if arguments.data is None else Folder(arguments.data).registry


def _member(arguments: argparse.Namespace) -> Member:
    bounds = {
        "--zone": (arguments.zone, MOST_ZONE),
        "--max-quality": (arguments.max_quality, MOST_QUALITY),
        "--capacity-wh": (arguments.capacity_wh, WH_LIMIT - 1),
    }
    for option, (value, most) in bounds.items():
        if not 0 <= value <= most:
            raise InputError(f"{option} {value} is out of range: 0 to {most}")
    if arguments.deposit_nano < 0:
        raise InputError(f"--deposit-nano {arguments.deposit_nano} is below 0")
    terms = (arguments.zone, arguments.max_quality, arguments.capacity_wh)
    return Member(ROLES[arguments.role], *terms, wide=arguments.wide)


def _meter(arguments: argparse.Namespace, account: bytes) -> Meter | None:
    if (arguments.meter is None) != (arguments.meter_key is None):
        raise InputError("--meter and --meter-key belong together: give the serial and the public key")
    if arguments.meter is None:
        return None
    meter = Meter(meter_id(arguments.meter), *_point(arguments.meter_key), account)
    return replace(meter, capacity_w=arguments.meter_capacity_w)


def _point(given: str) -> tuple[int, int]:
    """A P-256 point. InputError."""
    data = public_key(given)
    try:
        if len(data) in (33, 65):
            key: Any = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
        else:
            key = load_der_public_key(data)
        if not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("another curve")
    except (ValueError, TypeError, AttributeError) as cause:
        raise InputError(f"--meter-key {given}: is no public key of the curve P-256") from cause
    numbers = key.public_numbers()
    return int(numbers.x), int(numbers.y)


def _told(account: bytes, found: Account) -> dict[str, Any]:
    names = {number: name for name, number in ROLES.items()}
    member = found.member
    return {
        "account": to_hex(account),
        "member": member
        and {
            "role": names[member.role],
            "zone": member.zone,
            "max_quality": member.max_quality,
            "capacity_wh": member.capacity_wh,
            "wide": member.wide,
            "suspended": member.suspended,
        },
        "free_nano": str(found.cash.free),
        "reserved_nano": str(found.cash.reserved),
    }


def _say(arguments: argparse.Namespace, told: dict[str, Any], text: str) -> int:
    print(json.dumps(told) if arguments.json else text)
    return 0
