"""Answers on stdout: JSON, CSV, tables and lists of facts. Progress and messages go to stderr, not through here."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal, NamedTuple

import click

from batchwright.config.texts import clean, wants_no_colour
from batchwright.formulas import escape_formula

Row = Mapping[str, Any]
Format = Literal["table", "csv", "json"]

# A long listing is laid out in pages of so many rows, so that memory stays flat.
PAGE = 1000
GAP = "  "


class AnswerCutOff(Exception):
    """The answer broke off in the middle: part of a document is out, and nothing may follow it on stdout."""


@dataclass(frozen=True)
class Column:
    """One column of a table: the field of the row, its title, numbers to the right, how a value is shown.

    One that is ``optional`` is left out on a terminal that is too narrow for all of them.
    """

    field: str
    title: str
    numeric: bool = False
    show: Callable[[Any], str] | None = None
    optional: bool = False

    def text(self, row: Row) -> str:
        """The cell as one line of printable text."""
        value = row.get(self.field)
        return printable(self.show(value) if self.show is not None else value)


def write_json(value: object) -> None:
    """Write one JSON document."""
    sys.stdout.write(_dumps(value, indent=2) + "\n")


def write_answer(value: object, said: str, *, as_json: bool) -> None:
    """Write an answer as JSON, or say it in words."""
    if as_json:
        write_json(value)
    else:
        say(said)


def write_view(row: Row, columns: Sequence[Column], *, as_json: bool) -> None:
    """Write one row as JSON, or the columns' titles and values below each other."""
    if as_json:
        write_json(row)
    else:
        write_facts((column.title, column.text(row)) for column in columns)


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
    shown = [
        (printable(name), str(value if value is not None else "").splitlines() or [""])
        for name, value in facts
    ]
    width = max(len(name) for name, _ in shown)
    for name, lines in shown:
        for label, line in zip(chain([name], [""] * len(lines)), lines, strict=False):
            sys.stdout.write(f"{label:<{width}}  {printable(line)}".rstrip() + "\n")


def write_table(rows: Sequence[Row], columns: Sequence[Column], *, indent: str = "") -> None:
    """Write a short table in plain aligned text, on a terminal too: for answers with more than a table in them."""
    cells = _cells(rows, columns)
    _write_aligned(cells, columns, _widths(cells, columns), with_titles=True, indent=indent)


class Coloured(NamedTuple):
    """A part of a line in a colour."""

    text: str
    colour: str | None


Line = str | tuple[str | Coloured, ...]


def say(line: Line = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Write a message, or a line of an answer. Everything but answers in rows is said here, and made harmless."""
    parts = (line,) if isinstance(line, str) else line
    said = "".join(
        click.style(clean(part.text), fg=part.colour)
        if isinstance(part, Coloured)
        else clean(part.expandtabs())
        for part in parts
    )
    click.echo(click.style(said, **style) if style else said, err=err, nl=nl, color=_colour())


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
    return clean(text).replace("\n", "\\n")


def _write_json_array(rows: Iterable[Row]) -> None:
    opening = "[\n"
    for row in _watched(rows):
        sys.stdout.write(opening + _dumps(row))
        opening = ",\n"
    sys.stdout.write("[]\n" if opening == "[\n" else "\n]\n")


def _write_csv(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = clean if sys.stdout.isatty() else str  # in a file the data are as they are
    is_first = True
    for row in _watched(rows):
        if is_first:
            writer.writerow(column.field for column in columns)
            is_first = False
        writer.writerow(shown(escape_formula(_cell(row.get(column.field)) or "")) for column in columns)
    if is_first:
        writer.writerow(column.field for column in columns)


def _cell(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _dumps(value)


def _write_table(rows: Iterable[Row], columns: Sequence[Column], nothing: str) -> None:
    iterator = _watched(rows)
    widths = [0] * len(columns)
    is_first = True
    while page := list(islice(iterator, PAGE)):
        if sys.stdout.isatty():
            _write_on_terminal(page, columns)
        else:
            cells = _cells(page, columns)
            widths = [max(pair) for pair in zip(widths, _widths(cells, columns), strict=True)]
            _write_aligned(cells, columns, widths, with_titles=is_first)
        is_first = False
    if is_first:
        say(nothing, err=True)


def _cells(rows: Iterable[Row], columns: Sequence[Column]) -> list[list[str]]:
    return [[column.text(row) for column in columns] for row in rows]


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
        sys.stdout.write(indent + GAP.join(parts).rstrip() + "\n")


def _write_on_terminal(page: Sequence[Row], columns: Sequence[Column]) -> None:
    """A table no wider than the terminal, without the spare columns unless all fit as they are.

    No column is made narrower than its longest word. Where that is too wide still, each row stands as names and values
    below each other: columns cut to nothing would look as if there were nothing in them.
    """
    available = shutil.get_terminal_size().columns
    shown, cells = columns, _cells(page, columns)
    if _across(_widths(cells, shown)) > available:
        shown = [column for column in columns if not column.optional]
        cells = _cells(page, shown)
    widths = _fitting(cells, shown, available)
    if widths is not None:
        _write_rich(cells, shown, widths)
        return
    for row in page:
        _write_block(row, columns)


def _across(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _fitting(cells: Sequence[Sequence[str]], columns: Sequence[Column], available: int) -> list[int] | None:
    """Widths that fit, the widest columns made narrower first; ``None`` where words would have to be broken."""
    widths = _widths(cells, columns)
    least = [
        max(len(word) for text in [column.title, *(line[place] for line in cells)] for word in _words(text))
        for place, column in enumerate(columns)
    ]
    for _ in range(_across(widths) - available):
        wide = [(width, place) for place, width in enumerate(widths) if width > least[place]]
        if not wide:
            return None
        widths[max(wide)[1]] -= 1
    return widths


def _words(text: str) -> list[str]:
    return text.split() or [""]


def _write_rich(cells: Sequence[Sequence[str]], columns: Sequence[Column], widths: Sequence[int]) -> None:
    # Not at the top: in a pipe, and for JSON, rich is not needed.
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Between two columns stand the padding and the separator, a blank each: as wide as GAP.
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, collapse_padding=True, pad_edge=False, header_style="bold"
    )
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column.title, width=width, justify="right" if column.numeric else "left")
    for line in cells:
        table.add_row(
            *(Text(text, style=_style(column, text)) for text, column in zip(line, columns, strict=True))
        )
    colours: Literal["auto"] | None = "auto" if _colour() is None else None
    Console(file=sys.stdout, width=_across(widths) + len(GAP), color_system=colours).print(table)


def _write_block(row: Row, columns: Sequence[Column]) -> None:
    """What stands in the first column, and below it the names and values of the others; empty ones are left out."""
    first, *rest = [(column, text) for column in columns if (text := column.text(row))]
    width = max((len(column.title) for column, _ in rest), default=0)
    click.echo(_styled(*first, bold=True), color=_colour())
    for column, text in rest:
        click.echo(f"{GAP}{column.title:<{width}}{GAP}{_styled(column, text)}", color=_colour())
    click.echo()


def _colour() -> Literal[False] | None:
    """``False`` where there is to be no colour at all; else ``None``, the stream decides."""
    return False if wants_no_colour(os.environ) else None


def _styled(column: Column, text: str, bold: bool | None = None) -> str:
    colour = _style(column, text)
    return click.style(text, fg=colour or None, bold=bold) if colour or bold else text


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
    text = json.dumps(value, indent=indent, ensure_ascii=not readable)
    # JSON itself leaves some that steer a terminal: DEL, C1, those that turn the direction of writing.
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text)
    )


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"
