"""Which parts of the forecast are added up already: by block of assets, each with what it comes to.

A block is good until a change that names it; who changes an asset's inputs or schedules locks it first, and the lock
writes the change. Changes commit with what they are about, so a reader sees both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

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
    """The sums, as JSON, of the blocks that are good; the others, and what those came to before they changed."""

    good: list[str]
    stale: set[int]
    old: dict[int, str]
    changed_since: datetime | None
    """When the first change was seen that ``old`` does not have; ``None`` where none was seen yet."""


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
    statement = select(forecast_block.c.block, forecast_block.c[by], forecast_block.c.stale_since)
    if among is not None:
        statement = statement.where(forecast_block.c.block.in_(among))
    good, old, seen = dict[int, str](), dict[int, str](), list[datetime]()
    for block, sums, stale_since in connection.execute(statement):
        if stale_since is not None:
            seen.append(stale_since)
        is_good = stale_since is None and changed is not None and block not in changed
        (good if is_good else old)[block] = sums
    every = set(range(_blocks(connection))) if among is None else among
    return Blocks(list(good.values()), every - good.keys(), old, min(seen, default=None))


def of_customer(connection: Connection, customer_key: int) -> set[int]:
    """The blocks that hold assets of a customer."""
    mine = asset_line_item.c.customer_key == customer_key
    return set(connection.execute(select(asset_line_item.c.id // ASSETS).where(mine).distinct()).scalars())


def take_changes(connection: Connection, now: datetime) -> bool:
    """Note which blocks have changed, and forget the changes; ``False`` while another transaction adds up.

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
        note = update(forecast_block).where(forecast_block.c.stale_since.is_(None)).values(stale_since=now)
        connection.execute(note if blocks is None else note.where(forecast_block.c.block.in_(blocks)))
        connection.execute(delete(forecast_change).where(forecast_change.c.id.in_([key for key, _ in rows])))
    return True


def missing(connection: Connection, at_most: int) -> list[int]:
    """Blocks that are not added up, and then those that have changed, the longest first."""
    rows = connection.execute(select(forecast_block.c.block, forecast_block.c.stale_since)).all()
    absent = sorted(set(range(_blocks(connection))) - {block for block, _ in rows})
    changed = sorted((since, block) for block, since in rows if since is not None)
    return [*absent, *(block for _, block in changed)][:at_most]


def add(connection: Connection, block: int, sums: Mapping[str, str]) -> None:
    """Store what a block comes to: JSON by month, customer, product and cell."""
    connection.execute(delete(forecast_block).where(forecast_block.c.block == block))
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


def ranges(blocks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Blocks that follow one another: the first and the last of each row of them."""
    first = last = None
    for block in sorted(blocks):
        if first is None or last is None or block != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = block
        last = block
    if first is not None and last is not None:
        yield first, last
