"""Planning: ``start`` says which records, and they are cut into scopes that keep groups whole."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from batchwright.engine.job import Group, Record
from batchwright.engine.store.scopes import PlannedScope


def split_into_scopes(records: Iterable[Record | Group], size: int) -> Iterator[PlannedScope]:
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
    for record in records:
        if isinstance(record, Group):
            if members:
                yield group, members
                group, members = None, array("q")
            yield record
            continue
        key, group_of_key = record
        if members and (group_of_key is None or group_of_key != group):
            yield group, members
            members = array("q")
        group = group_of_key
        members.append(key)
    if members:
        yield group, members


MOST_AT_ONCE = 2_000_000
"""Numbers that are held in memory together, to see whether one comes twice."""


class GivenTwice(Exception):
    """``start`` gave a record twice, or the records of a group apart."""


class Ascent:
    """Whether the numbers seen so far ascend: then none came twice, and nothing has to be remembered."""

    def __init__(self) -> None:
        self.is_unbroken = True
        self._last: int | None = None
        self.count = 0

    def see(self, numbers: array[int]) -> None:
        """Look at the next ones."""
        self.count += len(numbers)
        if not numbers or not self.is_unbroken:
            return
        follows = self._last is None or numbers[0] > self._last
        self.is_unbroken = follows and sorted(set(numbers)) == numbers.tolist()
        self._last = numbers[-1]


def first_twice(read: Callable[[], Iterable[array[int]]], count: int) -> int | None:
    """A number that comes twice among the ``count`` that ``read`` gives; ``None`` where none does.

    Reads them as often as it takes to hold a part of them at a time.
    """
    parts = max(1, -(-count // MOST_AT_ONCE))
    for part in range(parts):
        seen: set[int] = set()
        for numbers in read():
            mine = numbers if parts == 1 else [number for number in numbers if number % parts == part]
            if not seen.isdisjoint(mine):
                return next(number for number in mine if number in seen)
            before = len(seen)
            seen.update(mine)
            if len(seen) - before != len(mine):
                return Counter(mine).most_common(1)[0][0]
    return None
