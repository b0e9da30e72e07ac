"""Planning: ``start`` says which records, and they are cut into scopes that keep groups whole."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence

from batchwright.engine.job import Group, Record
from batchwright.engine.store.scopes import PlannedScope


def cut(records: Iterable[Record | Group], size: int) -> Iterator[PlannedScope]:
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


def _whole_groups(records: Iterable[Record | Group]) -> Iterator[tuple[int | None, Sequence[int]]]:
    """Each group with its record keys; a record without a group stands alone."""
    group: int | None = None
    members: array[int] = array("q")
    for one in records:
        if isinstance(one, Group):
            if members:
                yield group, members
                group, members = None, array("q")
            yield one
            continue
        key, group_of_key = one
        if members and (group_of_key is None or group_of_key != group):
            yield group, members
            members = array("q")
        group = group_of_key
        members.append(key)
    if members:
        yield group, members
