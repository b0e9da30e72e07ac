"""Which parts of the forecast are added up already: by block of assets, each with what it comes to.

A block is good until a change that names it; who changes an asset's inputs or schedules locks it first, and the lock
writes the change. Changes commit with what they are about, so a reader sees both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from batchwright.billing.records.driver import Driver
from batchwright.billing.tables import asset_line_item, forecast_block, forecast_change
from batchwright.engine.store.scopes import pack, unpack

ASSETS: Final = 500
"""Assets of a block."""
_CHANGES: Final = 5_000
"""Changes that are forgotten at a time, by their keys: one with a lower key may commit later."""
_ADDING_UP: Final = 7_215_301
"""The advisory lock of whoever adds up."""


class Blocks(NamedTuple):
    """The sums, as JSON, of the blocks that are good, and the others, as ranges: first and last."""

    good: list[str]
    stale: list[tuple[int, int]]


def mark_changed(connection: Connection, asset_keys: Iterable[int]) -> None:
    """What the forecast knows of these assets is not to be trusted once this transaction has committed."""
    blocks = sorted({key // ASSETS for key in asset_keys})
    if blocks:
        _mark(connection, pack(blocks))


def mark_all_changed(connection: Connection) -> None:
    """The same of every asset."""
    _mark(connection, b"")


def _mark(connection: Connection, blocks: bytes) -> None:
    Driver(connection).execute("INSERT INTO forecast_change (blocks) VALUES (?)", blocks)


def read(connection: Connection, by: str, among: set[int] | None = None) -> Blocks:
    """What is added up, by ``month``, ``customer``, ``product`` or ``cell``, in a transaction that sees one state.

    Only of the blocks ``among`` them, where these are given.
    """
    changed = _changed(connection)
    statement = select(forecast_block.c.block, forecast_block.c[by])
    if among is not None:
        statement = statement.where(forecast_block.c.block.in_(among))
    rows = connection.execute(statement).all()
    good = {} if changed is None else {block: sums for block, sums in rows if block not in changed}
    every = set(range(_blocks(connection))) if among is None else among
    return Blocks(list(good.values()), list(_ranges(every - good.keys())))


def of_customer(connection: Connection, customer_key: int) -> set[int]:
    """The blocks that hold assets of a customer."""
    mine = asset_line_item.c.customer_key == customer_key
    return set(connection.execute(select(asset_line_item.c.id // ASSETS).where(mine).distinct()).scalars())


def take_changes(connection: Connection) -> bool:
    """Forget the blocks that have changed, and the changes; ``False`` while another transaction adds up.

    Until this one ends no other does; what it adds up from now on sees all that these changes are about.
    """
    driver = Driver(connection)
    if driver.is_postgresql:
        [(is_mine,)] = driver.rows("SELECT pg_try_advisory_xact_lock(?)", _ADDING_UP)
        if not is_mine:
            return False
    rows = connection.execute(select(forecast_change.c.id, forecast_change.c.blocks).limit(_CHANGES)).all()
    if rows:
        blocks = _union(blocks for _, blocks in rows)
        forget = delete(forecast_block)
        connection.execute(forget if blocks is None else forget.where(forecast_block.c.block.in_(blocks)))
        connection.execute(delete(forecast_change).where(forecast_change.c.id.in_([key for key, _ in rows])))
    return True


def missing(connection: Connection, at_most: int) -> list[int]:
    """Blocks that are not added up."""
    there = set(connection.execute(select(forecast_block.c.block)).scalars())
    return sorted(set(range(_blocks(connection))) - there)[:at_most]


def add(connection: Connection, block: int, sums: Mapping[str, str]) -> None:
    """Store what a block comes to: JSON by month, customer, product and cell."""
    connection.execute(insert(forecast_block).values(block=block, **sums))


def is_good(connection: Connection) -> bool:
    """Whether every block is added up, and none has changed since."""
    changes = connection.execute(select(forecast_change.c.id).limit(1)).first()
    return changes is None and not missing(connection, 1)


def assets_of(first: int, last: int) -> tuple[int, int]:
    """The first and the last asset key of a range of blocks."""
    return first * ASSETS, (last + 1) * ASSETS - 1


def _changed(connection: Connection) -> set[int] | None:
    return _union(connection.execute(select(forecast_change.c.blocks)).scalars())


def _union(packed: Iterable[bytes]) -> set[int] | None:
    """The blocks of these changes; ``None`` for all there are."""
    found: set[int] = set()
    for blocks in set(packed):
        if not blocks:
            return None
        found.update(unpack(blocks))
    return found


def _blocks(connection: Connection) -> int:
    newest = connection.execute(select(func.max(asset_line_item.c.id))).scalar()
    return 0 if newest is None else newest // ASSETS + 1


def _ranges(blocks: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for block in sorted(blocks):
        if first is None or last is None or block != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = block
        last = block
    if first is not None and last is not None:
        yield first, last
