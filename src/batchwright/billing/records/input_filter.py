"""Which usage inputs a filter matches, and a page of them, as quick at the end of a long list as at its beginning.

A page follows an index from where the one before it ended. What the index does not tell is looked up on the way, of
``MOST_LOOKED_AT`` inputs at most: a page may be short, or empty, and yet not be the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    TextClause,
    func,
    literal_column,
    select,
    tuple_,
)

from batchwright.billing.records import inputs
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.tables import (
    DRAFT_CANDIDATE,
    IN_ERROR,
    NOT_RATED,
    asset_line_item,
    customer,
    usage_input,
)

MOST_LOOKED_AT: Final = 20_000
ASSETS_AT_A_TIME: Final = 200
MOST_ASSETS: Final = 2_000

Place = tuple[Any, ...]
"""The key of an input in the order of its list; the next page begins after it."""


@dataclass(frozen=True, slots=True)
class InputFilter:
    """Usage inputs that are not deleted; of each field one of the values has to fit, and any where there is none.

    Their usage dates run from ``usage_from`` to the day before ``usage_before``. A ``code`` is that of an Error.
    Pages of a list know no ``usage_input_id``.
    """

    status: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    customer_id: tuple[str, ...] = ()
    asset_line_item_id: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    usage_input_id: tuple[str, ...] = ()
    usage_from: date | None = None
    usage_before: date | None = None

    @property
    def names_assets(self) -> bool:
        """Whether it is narrowed down to some assets."""
        return bool(self.customer_id or self.asset_line_item_id or self.product)

    @property
    def takes_whole_assets(self) -> bool:
        """Whether it tells no inputs of an asset apart."""
        return not (self.status or self.code or self.usage_input_id or self.usage_from or self.usage_before)


def matching(where: InputFilter) -> list[ColumnElement[bool]]:
    """The conditions on ``usage_input``."""
    _, indexed, rest = _walk(where)
    if where.usage_input_id:
        indexed = [literal_column("NOT deleted"), usage_input.c.usage_input_id.in_(where.usage_input_id)]
    if where.names_assets:
        rest.append(usage_input.c.asset_key.in_(select(asset_line_item.c.id).where(*_of_assets(where))))
    return indexed + rest


def order_of(where: InputFilter) -> tuple[type, ...]:
    """Of what types the places of its pages are."""
    if where.names_assets:
        return int, int
    return tuple(one.type.python_type for one in _walk(where)[0])


def known(connection: Connection, name: str, values: Sequence[str]) -> set[str]:
    """Those of the values that somebody has: customers, assets, products of assets."""
    column = customer.c.customer_id if name == "customer_id" else asset_line_item.c[name]
    return set(connection.execute(select(column).where(column.in_(values)).distinct()).scalars())


def page(
    connection: Connection, where: InputFilter, after: Place | None, size: int
) -> tuple[list[RowMapping], Place | None]:
    """The inputs after a place, ``size`` of them at most, and the place to go on from: ``None`` at the end.

    Asset by asset where assets are named; by usage date where dates are, but for Loaded and for Error alone; else in
    order of arrival, as are those of an asset and of a day.
    """
    if where.names_assets:
        return _page_by_asset(connection, where, after, size)
    key, indexed, rest = _walk(where)
    if after is not None and len(key) > 1:  # SQLite begins with the first condition on the day
        _, indexed, rest = _walk(replace(where, usage_from=after[0]))
    after_place = [] if after is None else [tuple_(*key) > after]
    end = None
    if rest:
        walked = select(*key).where(*indexed, *after_place).order_by(*key).offset(MOST_LOOKED_AT - 1).limit(1)
        end = connection.execute(walked).first()
    found = inputs.shown().where(*indexed, *rest, *after_place).order_by(*key).limit(size)
    if end is not None:
        found = found.where(tuple_(*key) <= tuple(end))
    shown = list(connection.execute(found).mappings())
    if len(shown) == size:
        return shown, tuple(shown[-1][one.name] for one in key)
    return shown, None if end is None else tuple(end)


def _page_by_asset(
    connection: Connection, where: InputFilter, after: Place | None, size: int
) -> tuple[list[RowMapping], Place | None]:
    last, shown = after or (0, 0), list[RowMapping]()
    key, (_, indexed, rest) = (asset_line_item.c.id, usage_input.c.id), _walk(where)
    for _ in range(MOST_ASSETS // ASSETS_AT_A_TIME):
        these = [*_of_assets(where), asset_line_item.c.id >= last[0]]
        following = select(asset_line_item.c.id).where(*these).order_by(asset_line_item.c.id)
        assets = connection.execute(following.limit(ASSETS_AT_A_TIME)).scalars().all()
        if not assets:
            return shown, None
        found = inputs.shown().where(*these, asset_line_item.c.id <= assets[-1], tuple_(*key) > last)
        found = found.where(*indexed, *rest).order_by(*key).limit(size - len(shown))
        shown += connection.execute(found).mappings()
        if len(shown) == size:
            return shown, (shown[-1]["asset_key"], shown[-1]["id"])
        if len(assets) < ASSETS_AT_A_TIME:
            return shown, None
        last = (assets[-1] + 1, 0)
    return shown, last


def stretch(
    connection: Connection, where: InputFilter, after: Place | None, size: int
) -> tuple[list[ColumnElement[bool]], Place | None]:
    """Those that match of the next so many inputs of the walk after a place: the conditions on ``usage_input`` joined
    with its asset, and the place to go on from, ``None`` at the end.
    """
    if where.names_assets:
        return _stretch_by_asset(connection, where, after, size)
    key, indexed, rest = _walk(where)
    if len(key) > 1:
        return _stretch_by_day(connection, where, after, size)
    these = indexed if after is None else [*indexed, key[0] > after[0]]
    end = connection.scalar(select(*key).where(*these).order_by(*key).offset(size - 1).limit(1))
    return [*these, *rest] if end is None else [*these, key[0] <= end, *rest], end and (end,)


def _stretch_by_day(
    connection: Connection, where: InputFilter, after: Place | None, size: int
) -> tuple[list[ColumnElement[bool]], Place | None]:
    """Of whole days, or of a part of one: SQLite finds a day by the index, and an id only within one day."""
    day, an_id = usage_input.c.usage_date, usage_input.c.id
    first, last = after or (None, 0)
    if last:
        these = [
            *_walk(replace(where, usage_from=None, usage_before=None)).indexed,
            day == first,
            an_id > last,
        ]
    else:
        these = _walk(where if first is None else replace(where, usage_from=first)).indexed
    end = connection.execute(
        select(day, an_id).where(*these).order_by(day, an_id).offset(size - 1).limit(1)
    ).first()
    rest = _walk(where).rest
    if end is None:
        return [*these, *rest], (first + timedelta(1), 0) if last and first < date.max else None
    begins = connection.scalar(select(day).where(*these).order_by(day, an_id).limit(1))
    if begins < end[0]:
        return [*these, day < end[0], *rest], (end[0], 0)
    return [*these, day == end[0], an_id <= end[1], *rest], tuple(end)


def _stretch_by_asset(
    connection: Connection, where: InputFilter, after: Place | None, size: int
) -> tuple[list[ColumnElement[bool]], Place | None]:
    """Of so many assets, or of fewer."""
    key, (_, indexed, rest) = (asset_line_item.c.id, usage_input.c.id), _walk(where)
    last = after or (0, 0)
    these = [*_of_assets(where), asset_line_item.c.id >= last[0]]
    ids = select(asset_line_item.c.id).where(*these).order_by(asset_line_item.c.id)
    beyond = connection.scalar(ids.offset(ASSETS_AT_A_TIME).limit(1))
    if beyond is not None:
        these.append(asset_line_item.c.id < beyond)
    these += [*indexed, tuple_(*key) > last]
    on = usage_input.c.asset_key == asset_line_item.c.id
    end = connection.execute(select(*key).where(on, *these).order_by(*key).offset(size - 1).limit(1)).first()
    if end is not None:
        return [*these, tuple_(*key) <= tuple(end), *rest], tuple(end)
    return [*these, *rest], beyond and (beyond, 0)


def ends(connection: Connection, where: InputFilter) -> tuple[Any, Any]:
    """The first part of the first place and of the last one, ``None`` where none is found."""
    key, indexed, _ = _walk(where)
    column = key[0]
    if where.names_assets:
        column, indexed = asset_line_item.c.id, _of_assets(where)
    # Each for itself: SQLite would go through all for both.
    both = (select(one(column)).where(*indexed).scalar_subquery() for one in (func.min, func.max))
    first, last = connection.execute(select(*both)).one()
    return first, last


class _Walk(NamedTuple):
    """The columns of the index by which inputs are read, what it tells of the filter, and what else is asked."""

    key: tuple[Column[Any], ...]
    indexed: list[ColumnElement[bool]]
    rest: list[ColumnElement[bool]]


def _walk(where: InputFilter) -> _Walk:
    dates = _dates(where)
    codes: list[ColumnElement[bool]] = [usage_input.c.code.in_(where.code)] if where.code else []
    statuses: list[ColumnElement[bool]] = [usage_input.c.status.in_(where.status)] if where.status else []
    by_asset = where.names_assets
    # In the words of the index's own condition: SQLite would not find that the one implies the other.
    if where.code and where.status in ((), (InputStatus.ERROR,)) and (by_asset or len(where.code) == 1):
        indexed: list[ColumnElement[bool]] = [literal_column(f"{IN_ERROR}"), *codes]
        return _Walk((usage_input.c.id,), indexed, dates)
    if where.status in _INDEXES:  # alone; few inputs are so for long
        words = _INDEXES[where.status][by_asset]
        indexed = [literal_column(f"{words} AND status = '{where.status[0]}'")]
        return _Walk((usage_input.c.id,), indexed, codes + dates)
    indexed = [literal_column("NOT deleted")]
    if dates:
        return _Walk((usage_input.c.usage_date, usage_input.c.id), indexed + dates, statuses + codes)
    return _Walk((usage_input.c.id,), indexed, statuses + codes)


_INDEXES: Final[Mapping[tuple[str, ...], tuple[TextClause, TextClause]]] = {
    (InputStatus.LOADED,): (NOT_RATED, DRAFT_CANDIDATE),
    (InputStatus.ERROR,): (NOT_RATED, IN_ERROR),
}
"""The condition of the index of a status in order of arrival, and of that by asset."""


def _of_assets(where: InputFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if where.customer_id:
        owners = select(customer.c.id).where(customer.c.customer_id.in_(where.customer_id))
        one = len(where.customer_id) == 1  # then the index on customers gives its assets in order
        key = asset_line_item.c.customer_key
        conditions.append(key == owners.scalar_subquery() if one else key.in_(owners))
    if where.asset_line_item_id:
        conditions.append(asset_line_item.c.asset_line_item_id.in_(where.asset_line_item_id))
    if where.product:
        conditions.append(asset_line_item.c.product.in_(where.product))
    return conditions


def _dates(where: InputFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if where.usage_from is not None:
        conditions.append(usage_input.c.usage_date >= where.usage_from)
    if where.usage_before is not None:
        conditions.append(usage_input.c.usage_date < where.usage_before)
    return conditions
