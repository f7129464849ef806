"""What every variable of the Exchange should hold, by the replay's state, under its name in
contracts/Ledger.sol.

The questions of `state` name what differs; the root of the tree over all words leaves nothing unasked: one
that no view shows, or that belongs to an account nobody heard of, changes it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from settlement.audit.state import NO_ADDRESS, NO_HASH, challenge_values, held_bits, member_word
from settlement.chain.exchange import RunStage, Stage
from settlement.reference import accounts, posting, session_key
from settlement.reference.accounts import PROSUMER
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.state import ChallengeStage, ClaimStage, Meter, SessionRecord
from settlement.reference.session import Grid, grid_hash

Values = dict[str, Any]
Table = dict[Any, Any]


def values(exchange: Exchange, authority: bytes) -> Values:
    """What each variable of the Exchange holds, for `layout.storage_words`."""
    return {
        "_authority": authority,
        "_consumingSchedule": False,
        "_nameFallback": "",
        "_versionFallback": "",
        **_emergency(exchange),
        **_accounts(exchange),
        **_auction(exchange),
        **_clearing(exchange),
        **_omission(exchange),
        **_tokens(exchange),
        **_metering(exchange),
        **_later(exchange),
        **_session_keys(exchange),
        "_nonces": exchange.state.nonces,
    }


def _emergency(exchange: Exchange) -> Values:
    state = exchange.state
    return {"_pausedAt": state.paused_at or 0, "_lastPauseEnd": state.last_pause_end or 0}


def _accounts(exchange: Exchange) -> Values:
    state, held = exchange.state, held_bits(exchange)
    requests = state.requests.items()
    return {
        "_balancingParty": exchange.balancing_party() or NO_ADDRESS,
        "_networkOperator": exchange.network_operator() or NO_ADDRESS,
        "_totalNegative": state.total_negative,
        "_meteredIn": Counter(one.zone for one in state.members.values() if one.role == PROSUMER),
        "_cash": {account: accounts.pack(cash) for account, cash in state.cash.items()},
        "_members": {one: member_word(exchange, one) | held[one] << 112 for one in state.members},
        "_withdrawals": {
            account: {"amountNano": one.amount_nano, "afterEpoch": one.epoch} for account, one in requests
        },
    }


# Sessions -----------------------------------------------------------------------------------------------


def _auction(exchange: Exchange) -> Values:
    state = exchange.state
    records = [exchange.session(id_) for id_ in state.epochs]
    rounds: Table = defaultdict(lambda: defaultdict(list))
    for one in records:
        rounds[one.params.day][one.params.kind].append(one.epoch)
    grids = dict(enumerate(state.grids, start=1))
    return {
        "_latestEpoch": len(state.epochs),
        "_ended": state.ended,
        "_gridVersions": len(state.grids),
        "_days": list(state.days),
        "_grids": {version: _grid(one) for version, one in grids.items()},
        "_lines": {version: _lines(one) for version, one in grids.items()},
        "_dayInfo": {day: _day(exchange, day) for day in state.days},
        "_rounds": rounds,
        "_sessions": {
            one.epoch: _session(exchange, id_) for one, id_ in zip(records, state.epochs, strict=True)
        },
        "_params": {one.epoch: _params(one) for one in records},
        "_books": {one.epoch: _books(one) for one in records},
    }


def _grid(grid: Grid) -> Values:
    pairs = bytes(giver << 4 | taker for giver, taker in grid.pairs())
    return {
        "hash": grid_hash(grid),
        "zones": grid.zones,
        **_qualities(grid),
        "deepestCharge": grid.deepest_charge,
        "substitutions": pairs.ljust(32, b"\0"),
    }


def _qualities(grid: Grid) -> Values:
    codes = bytes(grid.qualities)
    return {"qualityCount": len(codes), "qualities": codes.ljust(16, b"\0"), "pairs": len(grid.pairs())}


def _lines(grid: Grid) -> Table:
    """Children follow each other, zone after zone, from 1 on."""
    children, first, lines = Counter(grid.parents[1:]), 1, {}
    for zone, parent in enumerate(grid.parents):
        lines[zone] = {
            "parent": parent,
            "charge": grid.charges[zone],
            "capacityWh": grid.capacities[zone],
            "firstChild": first,
            "children": children[zone],
        }
        first += children[zone]
    return lines


def _day(exchange: Exchange, day: int) -> Values:
    record, grid = exchange.state.days[day], exchange.grid_of(day)
    return {
        "windows": record.windows,
        "gridVersion": record.grid_version,
        "zones": grid.zones,
        **_qualities(grid),
    }


def _session(exchange: Exchange, id_: bytes) -> Values:
    record = exchange.session(id_)
    submissions = exchange.state.submissions.items()
    return {
        "id": id_,
        "gate": record.params.gate,
        "commitBy": record.params.commit_by,
        "proveBy": record.params.prove_by,
        "extension": record.extension,
        "stage": Stage[record.stage.name],
        "zones": exchange.grid_of(record.params.day).zones,
        "committed": len(record.commitments),
        "submitted": sum(count for (epoch, _), count in submissions if epoch == record.epoch),
        "header": record.header_hash or NO_HASH,
    }


def _params(record: SessionRecord) -> Values:
    return {_camel(name): value for name, value in vars(record.params).items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _books(record: SessionRecord) -> Table:
    through, books = 0, {}
    for zone, one in enumerate(record.commitments):
        through += one.count
        books[zone] = {"count": one.count, "through": through, "root": one.root}
    return books


def _clearing(exchange: Exchange) -> Values:
    state = exchange.state
    progress = ((place, one.closed_hash or one.carry_hash or NO_HASH) for place, one in state.zones.items())
    energy = ((place, one.energy_hash) for place, one in state.zones.items() if one.energy_hash)
    return {
        "_progress": _nested(progress),
        "_energy": _nested(energy),
        "_gifts": _nested(
            (place, {"beneficiary": one.beneficiary, "nano": one.nano}) for place, one in state.gifts.items()
        ),
    }


# Omission -----------------------------------------------------------------------------------------------


def _omission(exchange: Exchange) -> Values:
    state = exchange.state
    return {
        "_submitted": {
            order: {"epoch": epoch, "byKey": order in state.keyed} for order, epoch in state.submitted.items()
        },
        "_submissions": _nested(state.submissions.items()),
        "_submissionOf": _nested(state.places.items()),
        "_bonds": {epoch: _bond(exchange, epoch) for epoch in state.bonds},
        "_claims": {
            order: {
                "trader": one.trader,
                "epoch": one.epoch,
                "kind": one.kind.value,
                "stage": one.stage.value,
                "byReceipt": one.by_receipt,
            }
            for order, one in state.claims.items()
        },
        "_claimsOf": _nested(_standing(exchange).items()),
    }


def _standing(exchange: Exchange) -> Counter[tuple[int, bytes]]:
    """Claims that stand, by epoch and trader."""
    claims = exchange.state.claims.values()
    return Counter((one.epoch, one.trader) for one in claims if one.stage is not ClaimStage.DEFEATED)


def _bond(exchange: Exchange, epoch: int) -> Values:
    state = exchange.state
    standing = {trader: count for (at, trader), count in _standing(exchange).items() if at == epoch}
    paid = [one for one in state.claims.values() if one.epoch == epoch and one.stage is ClaimStage.PAID]
    return {
        "operator": state.bonds[epoch].operator,
        "lockedNano": state.bonds[epoch].locked_nano,
        "claims": sum(standing.values()),
        "paid": len(paid),
        "traders": len(standing),
    }


# Tokens and metering ------------------------------------------------------------------------------------


def _tokens(exchange: Exchange) -> Values:
    state = exchange.state
    return {
        "_lanes": _nested(state.lanes.items()),
        "_operators": _nested((place, True) for place in state.operators),
        "_allowances": _nested(state.allowances.items()),
        "_accepted": _nested(state.accepted.items()),
    }


def _metering(exchange: Exchange) -> Values:
    state = exchange.state
    return {
        "_quorum": state.quorum,
        "_nodes": len(state.oracles),
        "_oracles": dict.fromkeys(state.oracles, True),
        "_meters": {id_: _meter(one) for id_, one in state.meters.items()},
        "_metered": _nested(
            (place, {"sequence": one.sequence, "hash": posting.struct_hash(one)})
            for place, one in state.postings.items()
        ),
        "_runs": {day: _run(exchange, day) for day in state.runs},
        "_statements": _nested(state.statements.items()),
        "_defaultParts": _nested(state.default_parts.items()),
    }


def _meter(meter: Meter) -> Values:
    x, y = meter.key or (NO_HASH, NO_HASH)
    return {"account": meter.account, "from": meter.since, "x": x, "y": y}


def _run(exchange: Exchange, day: int) -> Values:
    run = exchange.state.runs[day]
    return {
        "stage": RunStage[run.stage.name],
        "settledAt": run.settled_at,
        "zone": run.zone,
        "parts": run.parts,
        "accounts": run.accounts,
        "carry": run.carry_hash or NO_HASH,
        "consumed": run.consumed or NO_HASH,
    }


# Later runs and challenges ------------------------------------------------------------------------------


def _later(exchange: Exchange) -> Values:
    state = exchange.state
    open_ = [(id_, one) for id_, one in state.challenges.items() if one.stage is ChallengeStage.OPEN]
    return {
        "_zoneDays": _nested(
            (place, {_camel(name): value for name, value in vars(one).items()})
            for place, one in state.zone_days.items()
        ),
        "_formerKeys": _nested(
            (place, {"from": one.since, "until": one.until}) for place, one in state.former_keys.items()
        ),
        "_keyOwner": state.key_owners,
        "_challengeableUntil": state.challengeable_until,
        "_openChallenges": len(open_),
        "_challengeBond": state.challenge_bond,
        "_oracleBond": state.pot,
        "_challenges": {id_: challenge_values(one) for id_, one in state.challenges.items()},
        "_challengeOf": {one.read.key: id_ for id_, one in open_},
        "_upheld": {
            key: {"sequence": one.sequence, "wh": one.wh, "before": one.run + 1}
            for key, one in state.upheld.items()
        },
        "_holds": state.holds,
    }


def _session_keys(exchange: Exchange) -> Values:
    keys, uses = exchange.state.keys.items(), exchange.state.key_uses.items()
    return {
        "_keys": _nested((place, session_key.pack(one)) for place, one in keys),
        "_keyUses": _nested((place, session_key.pack_use(one)) for place, one in uses),
    }


def _nested(entries: Iterable[tuple[tuple[Any, ...], Any]]) -> Table:
    """Mappings of mappings, from entries by all their keys."""
    table: Table = {}
    for (*outer, last), value in entries:
        inner = table
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return table
