"""The read model in the database: blocks applied and taken back, each wholly or not at all.

A block's events, the rows they change, what those rows were before, and what the stream says of it are
written in one transaction. So wherever a process dies, the database is as it was behind some block, and who
starts again goes on from there; and two processes that read the same block cannot both write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, tuple_, update
from sqlalchemy.orm import Session as SyncSession

from api.db.chain_models import Block, Event, IndexedDeployment, Notice, Transaction, Undo
from api.db.engine import Sessions
from api.db.market_models import PROJECTED
from api.db.models import Base
from api.readmodel.blocks import Head, ReadBlock, Watched
from api.readmodel.notices import notices_of
from api.readmodel.project import project
from api.readmodel.rows import Key, Load, Model, Rows, Values, key_names
from api.readmodel.telling import Telling
from settlement.chain.rpc import to_bytes, to_hex
from settlement.errors import InputError

KEYS = 200
"""Of rows that one statement names."""
TABLES = {one.__tablename__: one for one in PROJECTED}


class TooDeep(Exception):
    """What would take blocks back this far is not kept any more."""


class Stale(Exception):
    """Another process moved the read model meanwhile: look where it stands."""


class Store:
    """The read model of one deployment."""

    def __init__(self, sessions: Sessions, watched: Watched) -> None:
        self.sessions, self.watched = sessions, watched

    async def adopt(self, first_block: int) -> int:
        """Makes an empty database this deployment's; the first block that it is read from. InputError if it
        is another's.
        """
        async with self.sessions.begin() as session:
            found = await session.get(IndexedDeployment, 1)
            if found is None:
                session.add(_deployment(self.watched, first_block))
                return first_block
        if (found.chain_id, found.exchange) != (self.watched.chain_id, to_hex(self.watched.exchange)):
            raise InputError(
                f"the database is of Exchange {found.exchange} on chain {found.chain_id}: name another one"
            )
        return found.first_block

    async def head(self) -> Head | None:
        """The block that the read model stands at; None before the first."""
        async with self.sessions() as session:
            found = await session.scalar(select(Block).order_by(Block.number.desc()).limit(1))
        return None if found is None else _head(found)

    async def hashes(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Hashes of blocks that are kept."""
        query = select(Block.number, Block.hash).where(Block.number.in_(numbers))
        async with self.sessions() as session:
            return {number: to_bytes(hash_) for number, hash_ in (await session.execute(query)).all()}

    async def apply(self, blocks: Sequence[ReadBlock]) -> int:
        """Adds blocks behind the head; how many events they told. Stale if they do not follow it."""
        async with self.sessions.begin() as session:
            return await session.run_sync(_apply, self.watched, blocks)

    async def take_back(self, number: int) -> int:
        """Back to how it was behind a block; how many events are gone. TooDeep if that is not kept."""
        async with self.sessions.begin() as session:
            return await session.run_sync(_take_back, number)

    async def forget_undo(self, below: int) -> None:
        """Gives up taking back blocks below a number, and their place in the chain if they told nothing."""
        async with self.sessions.begin() as session:
            await session.run_sync(_forget_undo, below)

    async def wipe(self, told_to: int) -> None:
        """Empties it, to be read again. What the stream said of blocks up to `told_to` stands and will not
        be said again.
        """
        async with self.sessions.begin() as session:
            await session.run_sync(_wipe, told_to)


def _deployment(watched: Watched, first_block: int) -> IndexedDeployment:
    return IndexedDeployment(
        id=1,
        chain_id=watched.chain_id,
        exchange=to_hex(watched.exchange),
        token=to_hex(watched.token),
        authority=to_hex(watched.authority),
        first_block=first_block,
        undo_from=first_block,
        told_to=first_block - 1,
        window_length=watched.window_length,
        max_pause=watched.max_pause,
    )


def _head(row: Block) -> Head:
    return Head(row.number, to_bytes(row.hash), to_bytes(row.parent_hash), row.time)


# Forward ------------------------------------------------------------------------------------------------


def _apply(session: SyncSession, watched: Watched, blocks: Sequence[ReadBlock]) -> int:
    told_to = _locked(session).told_to
    _require_head(session, blocks[0].head)
    rows = Rows(_loader(session))
    made: dict[type[Base], list[dict[str, Any]]] = {}
    for block in blocks:
        tellings = project(rows, watched, block)
        for model, each in _raw_rows(block.head, tellings, told_to):
            made.setdefault(model, []).append(each)
        made.setdefault(Undo, []).extend(_undo_rows(block.head.number, rows))
    for model in (Block, Transaction, Event, Notice, Undo):
        if made.get(model):
            session.execute(insert(model), made[model])
    _write(session, rows.changed())
    return len(made.get(Event, ()))


def _raw_rows(
    head: Head, tellings: Sequence[Telling], told_to: int
) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    """A block as it was, and what the stream says of it, unless it said so before."""
    yield Block, _block_row(head)
    for each in tellings:
        yield Transaction, _transaction_row(head, each)
        yield from ((Event, row) for row in _event_rows(head, each))
        if head.number > told_to:
            yield from ((Notice, row) for row in notices_of(head, each))


def _locked(session: SyncSession) -> IndexedDeployment:
    """The deployment's row, which one writer has at a time; a write first, so that SQLite need not turn a
    reader into a writer.
    """
    session.execute(update(IndexedDeployment).values(id=1))
    return session.get_one(IndexedDeployment, 1)


def _require_head(session: SyncSession, first: Head) -> None:
    top = session.execute(select(Block.number, Block.hash).order_by(Block.number.desc()).limit(1)).first()
    if top is not None and (top.number, top.hash) != (first.number - 1, to_hex(first.parent)):
        raise Stale(f"block {first.number} does not follow block {top.number}")


def _loader(session: SyncSession) -> Load:
    def load(model: Model, keys: Sequence[Key]) -> dict[Key, Values]:
        table, names = model.__table__, key_names(model)
        columns = [table.c[name] for name in names]
        found: dict[Key, Values] = {}
        for start in range(0, len(keys), KEYS):
            part = keys[start : start + KEYS]
            one = len(columns) == 1
            where = columns[0].in_([key[0] for key in part]) if one else tuple_(*columns).in_(part)
            for row in session.execute(select(table).where(where)).mappings():
                found[tuple(row[name] for name in names)] = dict(row)
        return found

    return load


def _block_row(head: Head) -> dict[str, Any]:
    hashes = {"hash": to_hex(head.hash), "parent_hash": to_hex(head.parent)}
    return {"number": head.number, "time": head.time, **hashes}


def _transaction_row(head: Head, each: Telling) -> dict[str, Any]:
    sent = each.sent
    return {
        "hash": to_hex(sent.hash),
        "block_number": head.number,
        "position": sent.position,
        "sender": to_hex(sent.sender),
        "to": None if sent.to is None else to_hex(sent.to),
        "input": sent.data,
    }


def _event_rows(head: Head, each: Telling) -> Iterable[dict[str, Any]]:
    for one in each.told:
        yield {
            "block_number": head.number,
            "log_index": one.log.index,
            "block_hash": to_hex(head.hash),
            "tx_hash": to_hex(one.log.tx_hash),
            "contract": to_hex(one.log.address),
            "topics": [to_hex(topic) for topic in one.log.topics],
            "data": one.log.data,
            "name": one.name,
            "args": one.args,
            "account": next(iter(one.subjects), None),
            **{name: one.number(name) for name in ("epoch", "zone", "day")},
        }


def _undo_rows(number: int, rows: Rows) -> list[dict[str, Any]]:
    return [
        {
            "block_number": number,
            "position": position,
            "table": model.__tablename__,
            "key": list(key),
            "before": before,
        }
        for position, ((model, key), before) in enumerate(rows.before.items())
    ]


def _write(session: SyncSession, changes: Iterable[tuple[Model, Key, Values | None, Values | None]]) -> None:
    """Rows as they should be; by table, in few statements."""
    fresh: dict[Model, list[Values]] = {}
    other: dict[Model, list[Values]] = {}
    gone: dict[Model, list[Key]] = {}
    for model, key, kept, values in changes:
        if values is None:
            gone.setdefault(model, []).append(key)
        else:
            (fresh if kept is None else other).setdefault(model, []).append(values)
    for model, keys in gone.items():
        _delete(session, model, keys)
    for model, each in fresh.items():
        session.execute(insert(model), each)
    for model, each in other.items():
        session.execute(update(model), each)  # by primary key, which the rows bring


def _delete(session: SyncSession, model: Model, keys: Sequence[Key]) -> None:
    columns = [getattr(model, name) for name in key_names(model)]
    for start in range(0, len(keys), KEYS):
        session.execute(delete(model).where(tuple_(*columns).in_(keys[start : start + KEYS])))


def _forget_undo(session: SyncSession, below: int) -> None:
    deployment = _locked(session)
    if below <= deployment.undo_from:
        return
    deployment.undo_from = below
    session.execute(delete(Undo).where(Undo.block_number < below))
    told = select(Transaction.block_number)
    session.execute(delete(Block).where(Block.number < below, Block.number.not_in(told)))


# Back ---------------------------------------------------------------------------------------------------


def _take_back(session: SyncSession, number: int) -> int:
    deployment = _locked(session)
    if number < deployment.undo_from:
        raise TooDeep(f"block {number} is too far back: what was before {deployment.undo_from} is not kept")
    deployment.told_to = min(deployment.told_to, number)
    events = session.scalar(select(func.count()).select_from(Event).where(Event.block_number > number)) or 0
    _take_back_notices(session, number)
    undo = select(Undo).where(Undo.block_number > number).order_by(Undo.block_number, Undo.position)
    first: dict[tuple[Model, Key], Values | None] = {}
    for one in session.scalars(undo):
        first.setdefault((TABLES[one.table], tuple(one.key)), one.before)
    load = _loader(session)
    by_model: dict[Model, list[Key]] = {}
    for model, key in first:
        by_model.setdefault(model, []).append(key)
    now = {model: load(model, keys) for model, keys in by_model.items()}
    _write(session, ((model, key, now[model].get(key), before) for (model, key), before in first.items()))
    for kind in (Undo, Event, Transaction):
        session.execute(delete(kind).where(kind.block_number > number))
    session.execute(delete(Block).where(Block.number > number))
    return events


def _take_back_notices(session: SyncSession, number: int) -> None:
    """The stream says, the last first, what did not happen after all."""
    standing = select(Notice).where(Notice.block_number > number).order_by(Notice.id.desc())
    taken: set[tuple[str, int, str | None]] = set()
    rows = []
    for one in session.scalars(standing):
        place = (one.block_hash, one.log_index, one.account)
        if one.removed:
            taken.add(place)
        elif place in taken:
            taken.discard(place)
        else:
            names = [c.key for c in Notice.__mapper__.columns if c.key not in ("id", "removed")]
            rows.append({"removed": True, **{name: getattr(one, name) for name in names}})
    if rows:
        session.execute(insert(Notice), rows)


def _wipe(session: SyncSession, told_to: int) -> None:
    deployment = _locked(session)
    deployment.told_to, deployment.undo_from = told_to, deployment.first_block
    _take_back_notices(session, told_to)
    kinds: list[Any] = [*PROJECTED, Undo, Event, Transaction, Block]
    for kind in kinds:
        table = kind.__table__
        assert isinstance(table, Table)
        session.execute(delete(table))
