"""Planning: ``start`` says which records, and they are cut into scopes that keep groups whole."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from engine.job import Record
from engine.store.scopes import PlannedScope


def cut(records: Iterable[Record], size: int) -> Iterator[PlannedScope]:
    """Scopes of at most ``size`` records, in the order given.

    A group larger than that is a scope by itself; a group without a record counts as one, so that no scope locks
    more groups than it may hold records.
    """
    number, first, weight = 1, 1, 0
    keys, groups = array("q"), array("q")
    for group, members in _whole_groups(records):
        if weight and weight + max(1, len(members)) > size:
            yield PlannedScope(number, first, keys, groups)
            number, first, weight = number + 1, first + len(keys), 0
            keys, groups = array("q"), array("q")
        weight += max(1, len(members))
        keys.extend(members)
        if group is not None:
            groups.append(group)
    if weight:
        yield PlannedScope(number, first, keys, groups)


def _whole_groups(records: Iterable[Record]) -> Iterator[tuple[int | None, array[int]]]:
    """Each group with its record keys; a record without a group stands alone."""
    group: int | None = None
    members: array[int] = array("q")
    for record_key, record_group in records:
        if record_group is None or record_group != group:
            if members or group is not None:
                yield group, members
            group, members = record_group, array("q")
        if record_key is not None:
            members.append(record_key)
    if members or group is not None:
        yield group, members
