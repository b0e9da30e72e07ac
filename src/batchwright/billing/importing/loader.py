"""What loads the lines of a file: `Loader` for any file, `TableLoader` where a line is a row of one table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from sqlalchemy import Table

from batchwright.billing.importing.schema import CsvLine, Fault, FileKind, V
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.records.loading import Stored, highest_key, insert_rows, update_rows


class Loader(ABC, Generic[V]):
    """Loads the lines of one kind of file."""

    kind: FileKind[V]

    def __init__(self, session: ImportSession) -> None:
        self.session = session
        self.connection = session.connection

    @abstractmethod
    def take(self, lines: Sequence[CsvLine[V]]) -> None:
        """Check these lines against the database and against each other, and write the good ones."""

    def refused(self, line: CsvLine[Any]) -> None:
        """A line was refused: before it came here for what its cells say, or by `take`."""

    def finish(self) -> None:
        """What is left to do after the last line, or when there is no such file."""


class Existing(Protocol):
    """A row that the database has: anything with its key."""

    @property
    def key(self) -> int: ...


class Key(NamedTuple):
    """An existing row of which no more than the key matters."""

    key: int


E = TypeVar("E", bound=Existing)


class TableLoader(Loader[V], Generic[V, E]):
    """Loads lines that are rows of one table. The first column of the file is the row's id.

    Of each chunk of lines the good ones are inserted, or updated where the database has their id.
    """

    table: ClassVar[Table]
    columns: ClassVar[Sequence[str]]
    """The columns of what `new` makes."""
    updatable: ClassVar[bool] = True

    def __init__(self, session: ImportSession) -> None:
        super().__init__(session)
        id_column = self.kind.columns[0].name
        self.ceiling = highest_key(self.connection, self.table)
        self._id_of = attrgetter(id_column)
        self._duplicates = DuplicateCheck(
            id_column, update=session.update and self.updatable, ceiling=self.ceiling
        )

    @abstractmethod
    def existing(self, chunk: Collection[V]) -> Mapping[str, E]:
        """The rows that the database has under the ids of the chunk; read here what its lines refer to, too."""

    def current(self, found: E) -> Mapping[str, Any]:
        """What an existing row has in the optional columns of the file: where the file has not the column, it stays."""
        return {}

    def faults(self, cells: V, found: E | None) -> Iterable[Fault]:
        """What is wrong with a line. ``found`` is the row that it would update."""
        return ()

    def conflicts(self, cells: V) -> Iterable[Fault]:
        """What is wrong with a line in which nothing else is."""
        return ()

    @abstractmethod
    def new(self, cells: V) -> Sequence[Stored]:
        """The row to insert for a good line."""

    def change(self, cells: V) -> dict[str, Any]:
        """The columns that an update sets."""
        raise NotImplementedError

    def insert(self, rows: Sequence[Sequence[Stored]]) -> None:
        """Write the new rows of a chunk."""
        insert_rows(self.connection, self.table, self.columns, rows)

    def take(self, lines: Sequence[CsvLine[V]]) -> None:
        existing = self.existing([line.values for line in lines])
        self._duplicates.next_chunk()
        added: list[Sequence[Stored]] = []
        changed: list[dict[str, Any]] = []
        for line in lines:
            cells = line.values
            an_id = self._id_of(cells)
            found = existing.get(an_id)
            key = None if found is None else found.key
            duplicate = self._duplicates.fault(an_id, key)
            if found is not None and duplicate is None:
                cells = line.over(self.current(found))
            faults = [*self.faults(cells, None if duplicate else found)]
            faults = [duplicate, *faults] if duplicate else faults or [*self.conflicts(cells)]
            if faults:
                self.session.refuse(line, faults)
                self.refused(line)
                continue
            self._duplicates.accept(an_id, line.number, key)
            if key is None:
                added.append(self.new(cells))
            else:
                changed.append({"key": key, **self.change(cells)})
        self.insert(added)
        update_rows(self.connection, self.table, changed)
        self.session.count_in(lines, len(added), len(changed))


class DuplicateCheck:
    """Tells a new id from one that is there already, and from one that the file has twice."""

    def __init__(self, column: str, *, update: bool, ceiling: int) -> None:
        self._column = column
        self._update = update
        self._ceiling = ceiling
        self._chunk: dict[str, int] = {}
        self._updated: set[int] = set()

    def next_chunk(self) -> None:
        """Forget the lines of the chunk before: by now the database knows them."""
        self._chunk.clear()

    def fault(self, an_id: str | None, key: int | None) -> Fault | None:
        """What speaks against a line's id, if it has one; ``key`` is that of the row the database has under it."""
        if an_id in self._chunk:
            problem = f"appears twice, first on line {self._chunk[an_id]}"
            return Fault(self._column, problem, "keep one of the lines")
        if key is None:
            return None
        if key > self._ceiling or key in self._updated:
            return Fault(self._column, "appears on an earlier line of this file", "keep one of the lines")
        if not self._update:
            return Fault(
                self._column, "is already in the database", "leave the line out, or import with --update"
            )
        return None

    def accept(self, an_id: str | None, number: int, key: int | None) -> None:
        """The line of that number is good: its id is taken from here on."""
        if an_id is not None:
            self._chunk[an_id] = number
        if key is not None:
            self._updated.add(key)


def unknown(column: str, what: str) -> Fault:
    """The fault of a reference to something that is neither in the import nor in the database."""
    remedy = f"correct it, or import the {what} before or in the same import"
    return Fault(column, f"is not a known {what}", remedy)
