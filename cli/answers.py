"""Answers on stdout: JSON, CSV, tables and lists of facts. Progress and messages go to stderr, not through here."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

import click

from notifications.csv_file import defused

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]
Format = Literal["table", "csv", "json"]

# What is longer may be broken in a table on a terminal.
LONGEST_WORD = 20

# A long listing is laid out in pages of so many rows, so that memory stays flat.
PAGE = 1000


class AnswerCutOff(Exception):
    """The answer broke off in the middle: part of a document is out, and nothing may follow it on stdout."""


@dataclass(frozen=True)
class Column:
    """One column of a table: the field of the row, its title, numbers to the right, how a value is shown."""

    field: str
    title: str
    numeric: bool = False
    show: Callable[[Any], str] | None = None

    def text(self, row: Row) -> str:
        """The cell as one line of printable text."""
        value = row.get(self.field)
        return printable(self.show(value) if self.show is not None else value)


def write_json(value: object) -> None:
    """Write one JSON document."""
    sys.stdout.write(_dumps(value, indent=2) + "\n")


def write_rows(rows: Iterable[Row], columns: Sequence[Column], *, format: Format, nothing: str) -> None:
    """Write a listing as it comes. ``nothing`` is said on stderr where a table would be empty."""
    if format == "json":
        _write_json_array(rows)
    elif format == "csv":
        _write_csv(rows, columns)
    else:
        _write_table(rows, columns, nothing)


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Write names and values below each other; several lines of a value stay below the first."""
    shown = [(name, str(value if value is not None else "").splitlines() or [""]) for name, value in facts]
    width = max(len(name) for name, _ in shown)
    for name, lines in shown:
        for label, line in zip(chain([name], [""] * len(lines)), lines, strict=False):
            sys.stdout.write(f"{label:<{width}}  {printable(line)}".rstrip() + "\n")


def write_table(rows: Sequence[Row], columns: Sequence[Column], *, indent: str = "") -> None:
    """Write a short table in plain aligned text, on a terminal too: for answers with more than a table in them."""
    cells = [[column.text(row) for column in columns] for row in rows]
    _write_aligned(cells, columns, _widths(cells, columns), with_titles=True, indent=indent)


def drop_further_output() -> None:
    """Send stdout nowhere from now on: its reader has gone, and the interpreter would complain on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(value: object) -> str:
    """``value`` as one line that cannot steer a terminal: control characters are written as escapes."""
    if value is None:
        return ""
    text = (
        value if isinstance(value, str) else _dumps(value) if isinstance(value, dict | list) else str(value)
    )
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _write_json_array(rows: Iterable[Row]) -> None:
    opening = "[\n"
    for row in _watched(rows):
        sys.stdout.write(opening + _dumps(row))
        opening = ",\n"
    sys.stdout.write("[]\n" if opening == "[\n" else "\n]\n")


def _write_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    is_first = True
    for row in _watched(rows):
        if is_first:
            writer.writerow(column.field for column in columns)
            is_first = False
        writer.writerow(defused(_cell(row.get(column.field))) for column in columns)
    if is_first:
        writer.writerow(column.field for column in columns)


def _cell(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _dumps(value)


def _write_table(rows: Iterable[Row], columns: Sequence[Column], nothing: str) -> None:
    iterator = _watched(rows)
    widths = [0] * len(columns)
    is_first = True
    while page := [[column.text(row) for column in columns] for row in islice(iterator, PAGE)]:
        if sys.stdout.isatty():
            _write_rich(page, columns)
        else:
            widths = [max(pair) for pair in zip(widths, _widths(page, columns), strict=True)]
            _write_aligned(page, columns, widths, with_titles=is_first)
        is_first = False
    if is_first:
        click.echo(nothing, err=True)


def _widths(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[int]:
    return [
        max([len(column.title), *(len(line[place]) for line in cells)])
        for place, column in enumerate(columns)
    ]


def _write_aligned(
    cells: Sequence[Sequence[str]],
    columns: Sequence[Column],
    widths: Sequence[int],
    *,
    with_titles: bool,
    indent: str = "",
) -> None:
    titles = [[column.title for column in columns]] if with_titles else []
    for line in [*titles, *cells]:
        parts = [
            text.rjust(width) if column.numeric else text.ljust(width)
            for text, column, width in zip(line, columns, widths, strict=True)
        ]
        sys.stdout.write(indent + "  ".join(parts).rstrip() + "\n")


def _write_rich(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    """A table in the width of the terminal; where that is too narrow for it, a block of lines for each row."""
    # Not at the top: in a pipe, and for JSON, rich is not needed.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout)
    narrowest = _narrowest(cells, columns)
    if sum(narrowest) + 2 * len(columns) > console.width:
        _write_blocks(console, cells, columns)
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for column, width in zip(columns, narrowest, strict=True):
        table.add_column(
            column.title,
            justify="right" if column.numeric else "left",
            no_wrap=_is_whole(column),
            overflow="fold",
            min_width=width,
        )
    for line in cells:
        table.add_row(
            *(Text(text, style=_style(column, text)) for text, column in zip(line, columns, strict=True))
        )
    console.print(table)


def _write_blocks(console: Console, cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    """What stands in the first column, and below it the names and values of the others; empty ones are left out."""
    from rich.text import Text

    for line in cells:
        console.print(Text(line[0], style="bold"), soft_wrap=True)
        rest = [(column, text) for column, text in zip(columns[1:], line[1:], strict=True) if text]
        width = max((len(column.title) for column, _ in rest), default=0)
        for column, text in rest:
            value = Text(text, style=_style(column, text))
            console.print(Text(f"  {column.title:<{width}}  ") + value, soft_wrap=True)
        console.print()


def _narrowest(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> list[int]:
    """The least width of each column in which no number, id or word of it is broken; a long word may be."""
    widths = _widths(cells, columns)
    for place, column in enumerate(columns):
        if not _is_whole(column):
            words = [word for line in cells for word in line[place].split()] + column.title.split()
            widths[place] = min(max(map(len, words)), LONGEST_WORD)
    return widths


def _is_whole(column: Column) -> bool:
    """Whether a value in two lines would be another: numbers and ids."""
    return column.numeric or column.field.endswith("_id")


def _style(column: Column, text: str) -> str:
    """The colour of a state: red for what went wrong, green for what is done, yellow for what is under way."""
    if column.field not in ("badge", "status", "outcome"):
        return ""
    if text.lower().startswith(("failed", "error", "aborted", "not_reached")) or "error" in text:
        return "red"
    return "green" if text.startswith(("Complete", "sent", "ok")) else "yellow" if text == "Running" else ""


def _watched(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows; a failure after the first is marked as one that left half an answer on stdout."""
    iterator = iter(rows)
    yield from islice(iterator, 1)
    try:
        yield from iterator
    except Exception as error:
        raise AnswerCutOff from error


def _dumps(value: object, indent: int | None = None) -> str:
    readable = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, indent=indent, ensure_ascii=not readable)
