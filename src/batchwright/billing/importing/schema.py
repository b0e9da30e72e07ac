"""What the CSV files look like: their columns, and a line of one once it has been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Generic, NamedTuple, TypeVar, get_args, get_type_hints

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a file. ``read`` makes a cell's value or raises `CellError`; a blank cell is ``None``."""

    name: str
    read: Callable[[str], Any]
    optional: bool = False
    may_be_blank: bool = False


@dataclass(frozen=True, slots=True)
class FileKind(Generic[V]):
    """One of the files that can be imported: its name, its columns, and what makes a line's values of them."""

    name: str
    columns: tuple[Column, ...]
    make: Callable[..., V]


def file_kind(name: str, cells: type[V], *, all_columns: bool = False) -> FileKind[V]:
    """The file whose columns are the fields of a named tuple; each is annotated with what reads its cells.

    A column whose type has ``None`` may be missing, too, unless there have to be ``all_columns``.
    """
    columns = []
    for field_name, hint in get_type_hints(cells, include_extras=True).items():
        given = [one for one in get_args(hint) if one is not NoneType]
        read = (hint if hasattr(hint, "__metadata__") else given[0]).__metadata__[0]
        can_be_none = hint is not read and NoneType in get_args(hint)
        columns.append(Column(field_name, read, can_be_none and not all_columns, can_be_none and all_columns))
    return FileKind(name, tuple(columns), cells)


@dataclass(slots=True)
class FileTally:
    """What became of a file's lines, and the SHA-256 of its bytes."""

    file: str
    header: tuple[str, ...] = ()
    rows: int = 0
    loaded: int = 0
    updated: int = 0
    skipped: int = 0
    sha256: str = ""
    places: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CsvLine(Generic[V]):
    """A row of a file: the physical line it begins on, its cells as written, and their values."""

    file: FileTally
    number: int
    cells: list[str]
    values: V

    def text(self, column: str | None) -> str | None:
        """The cell as written; ``None`` without a column, or where the file has no such column."""
        place = None if column is None else self.file.places.get(column)
        return None if place is None or place >= len(self.cells) else self.cells[place]

    def over(self, current: Mapping[str, Any]) -> V:
        """The values, with those that stand in the columns that the file has not; an empty cell is a value."""
        places = self.file.places
        kept = {name: value for name, value in current.items() if name not in places}
        values: Any = self.values
        changed: V = values._replace(**kept) if kept else values
        return changed


class Fault(NamedTuple):
    """What is wrong with a line, the column at fault, and the remedy."""

    column: str | None
    problem: str
    remedy: str
