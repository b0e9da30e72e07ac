"""Pages of a listing, and the cursors between them.

A cursor says behind which place the next page begins, as text that whoever pages hands back unread. It is good for the
listing and the filter that it was made for, and for no other: there its place would mean something else. The cursor of
what is worked out part by part also carries what the parts before came to, signed: nobody else can put a sum into it.
"""

from __future__ import annotations

import hmac
import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from sqlalchemy import RowMapping

from batchwright.engine.errors import Refused, storable
from batchwright.engine.store.database import Database
from batchwright.engine.store.pages import Listing

Item = TypeVar("Item")
Filter = Mapping[str, Any]

VERSION = 1
PAGE = 100
"""Items of a page of which no length was given."""
LONGEST_PAGE = 1_000
LONGEST_CURSOR = 4_000
LONGEST_WALK = 20_000
PART_SECONDS = 0.07
"""So long a part of what is worked out part by part takes, about."""
_SIGNED = 16
_KEYS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a listing, and the cursor of the page after them: `None` at the end, and nowhere else."""

    items: list[Item]
    next: str | None


def check_page(limit: int) -> None:
    """Refuse a length of a page below 1 or above 1,000."""
    if not 1 <= limit <= LONGEST_PAGE:
        raise Refused(
            f"a page of {limit} items",
            field="limit",
            remedy=f"Give a whole number from 1 to {LONGEST_PAGE:,}; `after` leads to the next page",
        )


def cursor(listing: str, wanted: Filter, place: Sequence[int | str | date]) -> str:
    """The cursor of the page that begins behind `place`, the sort key of an item; times at full precision."""
    parts = [VERSION, _digest(listing, wanted), *(_text(part) for part in place)]
    return urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def place_after(after: str, listing: str, wanted: Filter, kinds: Sequence[type]) -> tuple[Any, ...]:
    """The place that a cursor names, its parts of these kinds: `int`, `str`, `date` or `datetime` (in UTC).

    Refuses, naming `after`, what is not a cursor, or one of another listing, filter or version.
    """
    try:
        given = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4))[:LONGEST_CURSOR])
        version, digest, *parts = given
        place = tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
        # Made again it is the same text, or it was not made here: every place has one cursor.
        is_ours = (version, cursor(listing, wanted, place)) == (VERSION, after)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise _refused("it is none that a page of this listing gave") from None
    if not is_ours:
        other = version == VERSION and digest != _digest(listing, wanted)
        raise _refused(
            "it belongs to another listing or filter"
            if other
            else "it is none that a page of this listing gave"
        )
    return place


def carrying(key: bytes, listing: str, wanted: Filter, carried: Any) -> str:
    """The cursor of the part that comes after those which came to ``carried``, as JSON has it; signed with the key."""
    body = zlib.compress(json.dumps(carried, default=_text, separators=(",", ":")).encode())
    return urlsafe_b64encode(_signature(key, listing, wanted, body) + body).decode().rstrip("=")


def carried_by(after: str, key: bytes, listing: str, wanted: Filter, *, field: str = "after") -> Any:
    """What such a cursor carries. Refuses, naming the field, one that was made elsewhere, or of another filter."""
    try:
        given = urlsafe_b64decode(after + "=" * (-len(after) % 4))
    except ValueError:
        given = b""
    body = given[_SIGNED:]
    if not hmac.compare_digest(given[:_SIGNED], _signature(key, listing, wanted, body)):
        raise _refused("it is none that a part before gave, or belongs to another filter", field)
    return json.loads(zlib.decompress(body))


def _signature(key: bytes, listing: str, wanted: Filter, body: bytes) -> bytes:
    return hmac.digest(key, f"{VERSION} {_digest(listing, wanted)} ".encode() + body, "sha256")[:_SIGNED]


def page_of(
    database: Database,
    name: str,
    listing: Listing,
    wanted: Filter,
    view: Callable[[RowMapping], Item],
    *,
    limit: int,
    after: str | None,
    walk: Listing | None = None,
) -> Page[Item]:
    """A page of a listing that is kept in the order of columns; its whole sort key is the place in a cursor.

    With `walk`, the same listing without what no index finds, a page looks at the next `LONGEST_WALK` rows of that at
    most: it may be short, and yet not the last.
    """
    check_page(limit)
    kinds = [column.type.python_type for column in listing.key]
    place = None if after is None else place_after(after, name, wanted, kinds)
    columns = [column.name for column in listing.key]
    last = None if place is None else dict(zip(columns, place, strict=True))
    with database.read() as connection:
        end = None
        if walk is not None:
            end = connection.execute(walk.page(last, 1).offset(LONGEST_WALK)).mappings().one_or_none()
        rows = connection.execute(listing.page(last, limit + 1, end)).mappings().all()
    leads_on = rows[limit - 1] if len(rows) > limit else end
    place_of = None if leads_on is None else [leads_on[column] for column in columns]
    following = None if place_of is None else cursor(name, wanted, place_of)
    return Page(list(map(view, rows[:limit])), following)


def _refused(why: str, field: str = "after") -> Refused:
    return Refused(
        f"cannot go on after that cursor: {why}",
        field=field,
        remedy="Give the `next` of the one before with the same filter, or leave it out to begin anew",
    )


def _digest(listing: str, wanted: Filter) -> str:
    """Of the listing and of what is asked of it; a filter that is not set is none."""
    asked = {name: value for name, value in sorted(wanted.items()) if value is not None}
    said = json.dumps([listing, asked], default=_text, sort_keys=True)
    return blake2b(said.encode(), digest_size=9).hexdigest()


def _text(part: Any) -> int | str:
    if isinstance(part, datetime):
        return part.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(part, date):
        return part.isoformat()
    return part if isinstance(part, int) else str(part)


def _part(part: Any, kind: type) -> Any:
    if kind is int and type(part) is int and part in _KEYS:
        return part
    if kind is int or not isinstance(part, str):
        raise TypeError(part)
    if kind is datetime:
        instant = datetime.fromisoformat(part)
        if instant.tzinfo is None:
            raise ValueError(part)
        return instant.astimezone(UTC)
    if kind is date:
        return date.fromisoformat(part)
    if storable(part) != part:  # a NUL or half of a surrogate pair: no database takes it
        raise ValueError(part)
    return part
