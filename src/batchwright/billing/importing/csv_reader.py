"""The door for CSV files: bytes in, checked rows with their physical line numbers out.

UTF-8 with or without a byte order mark, comma separated, quoted as RFC 4180 says. What makes it uncertain where a
line begins or ends (another encoding, a NUL byte, a quote that is not closed) is `Unreadable`: reading stops there.
"""

from __future__ import annotations

import csv
import hashlib
import io
import stat
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from batchwright.billing.importing.cells import CellError
from batchwright.billing.importing.problems import Problem
from batchwright.billing.importing.schema import Column, CsvLine, Fault, FileKind, FileTally

CHUNK_LINES: Final = 5_000
MAX_LINE_BYTES: Final = 1 << 20
_BLOCK_BYTES: Final = 1 << 18

Reader = Callable[[str], Any]
Refuse = Callable[[CsvLine[Any], Sequence[Fault]], bool]


class Unreadable(Exception):
    """A file that cannot be split into lines and columns; ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class CsvFile:
    """One CSV file of a known kind. Making the object opens nothing."""

    def __init__(self, path: Path, kind: FileKind[Any]) -> None:
        self.path = path
        self.kind = kind
        self.tally = FileTally(kind.name)
        self._total_bytes = 1
        self._bytes: _HashedBytes | None = None

    def check(self) -> None:
        """Look at the header and at the first row. Raises `Unreadable`, also when there is no row, and for a stream,
        which cannot be read a second time.
        """
        self._refuse_stream()
        for _ in self._rows():
            return
        raise self._unreadable(1, "has a header and no line below it", "give lines, or leave the file out")

    def chunks(self, refuse: Refuse) -> Iterator[list[CsvLine[Any]]]:
        """The good lines, some thousand at a time; ``refuse`` gets the others.

        Raises `Unreadable`.
        """
        chunk: list[CsvLine[Any]] = []
        parse = self._parser(refuse)
        for number, cells in self._rows():
            self.tally.rows += 1
            line = parse(number, cells)
            if line is not None:
                chunk.append(line)
            if len(chunk) == CHUNK_LINES:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _refuse_stream(self) -> None:
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return  # who opens it says so
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            remedy = "save what comes through it to a file first"
            raise self._unreadable(None, "is not a regular file, and an import reads each file twice", remedy)

    @property
    def fraction_read(self) -> float:
        """How much of the file's bytes has been read, from 0 to 1."""
        return min(1.0, self._bytes.count / self._total_bytes) if self._bytes else 0.0

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        try:
            self._total_bytes = max(1, self.path.stat().st_size)
            with self.path.open("rb", buffering=0) as file:
                self._bytes = _HashedBytes(file)
                yield from self._rows_of(io.BufferedReader(self._bytes, _BLOCK_BYTES))
                self.tally.sha256 = self._bytes.digest.hexdigest()
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
            raise self._unreadable(None, problem, "check the path and its permissions") from error

    def _rows_of(self, stream: io.BufferedReader) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._texts(stream), strict=True)
        header_seen = False
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise self._broken(number, error) from None
            if cells is None:
                break
            if not cells:
                continue
            if header_seen:
                yield number, cells
            else:
                header_seen = True
                self._take_header(number, cells)
        if not header_seen:
            raise self._unreadable(None, "is empty", f"its first line names the columns: {self._names()}")

    def _texts(self, stream: io.BufferedReader) -> Iterator[str]:
        offset = 0
        number = 0
        while raw := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(raw) > MAX_LINE_BYTES:
                remedy = "end each line with a line break"
                raise self._unreadable(number, f"is longer than {MAX_LINE_BYTES} bytes", remedy)
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                place = offset + error.start
                problem = f"has the byte 0x{raw[error.start]:02x} at position {place}, which is not UTF-8"
                raise self._unreadable(number, problem, _encoding_remedy(raw)) from None
            if "\0" in text:
                problem = f"has a NUL byte at position {offset + raw.index(0)}"
                raise self._unreadable(number, problem, _encoding_remedy(raw))
            offset += len(raw)
            yield text.removeprefix("\ufeff") if number == 1 else text

    def _take_header(self, number: int, names: list[str]) -> None:
        known = [column.name for column in self.kind.columns]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise self._bad_header(
                    number, name, "appears twice in the header", "keep one column of that name"
                )
            if name not in known:
                problem = "is not a column of this file" if name else "is a column without a name"
                raise self._bad_header(number, name, problem, self._column_remedy(names, name, known))
        for column in self.kind.columns:
            if not column.optional and column.name not in names:
                problem = "the column is missing"
                raise self._bad_header(
                    number, column.name, problem, f"add it; the columns are {self._names()}"
                )
        self.tally.header = tuple(names)
        self.tally.places = {name: place for place, name in enumerate(names)}

    def _column_remedy(self, names: list[str], name: str, known: list[str]) -> str:
        for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if len(names) == 1 and sign in name:
                return f"it is separated by {word}: save it with commas"
        close = get_close_matches(name.strip().lower(), known, 1)
        return f"did you mean {close[0]}?" if close else f"take it out; the columns are {self._names()}"

    def _names(self) -> str:
        return ",".join(column.name + ("?" if column.optional else "") for column in self.kind.columns)

    def _parser(self, refuse: Refuse) -> Callable[[int, list[str]], CsvLine[Any] | None]:
        """A function that makes a `CsvLine` of a row's cells, or refuses it with every fault it has."""
        tally, make = self.tally, self.kind.make
        plan: list[tuple[Reader, Column, int]] = []

        def parse(number: int, cells: list[str]) -> CsvLine[Any] | None:
            if not plan:  # The header is known from the first row on.
                plan.extend(
                    (column.read, column, tally.places.get(column.name, -1)) for column in self.kind.columns
                )
            if len(cells) != len(tally.header):
                refuse(CsvLine(tally, number, cells, None), [_wrong_count(cells, tally.header)])
                return None
            padded = [*cells, ""]  # A column that the file has not (place -1) is blank.
            try:
                values = [
                    read(text) if (text := padded[place]) else _blank(column) for read, column, place in plan
                ]
            except CellError:
                refuse(CsvLine(tally, number, cells, None), list(_faults(plan, padded)))
                return None
            return CsvLine(tally, number, cells, make(*values))

        return parse

    def _broken(self, number: int, error: csv.Error) -> Unreadable:
        text = str(error)
        if "unexpected end" in text or "field limit" in text:
            problem, remedy = (
                "has a quote that is not closed",
                "close it, or double it where it is meant as text",
            )
        elif "new-line" in text:
            problem, remedy = (
                "has a carriage return without a line feed",
                "save the file with LF or CRLF line ends",
            )
        else:
            problem, remedy = "has text after a closing quote", "double a quote that is meant as text"
        return self._unreadable(number, problem, remedy)

    def _bad_header(self, number: int, column: str, problem: str, remedy: str) -> Unreadable:
        return Unreadable(Problem(self.kind.name, number, column or None, None, problem, remedy))

    def _unreadable(self, line: int | None, problem: str, remedy: str) -> Unreadable:
        return Unreadable(Problem(self.kind.name, line, None, None, problem, remedy))


class _HashedBytes(io.RawIOBase):
    """A raw stream that counts and hashes what is read through it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer) or 0
        self.digest.update(memoryview(buffer)[:count])
        self.count += count
        return count


def _blank(column: Column) -> Any:
    if not (column.optional or column.may_be_blank):
        raise CellError("the cell is empty", "give a value")
    return None


def _faults(plan: list[tuple[Reader, Column, int]], padded: list[str]) -> Iterator[Fault]:
    for read, column, place in plan:
        try:
            if padded[place]:
                read(padded[place])
            else:
                _blank(column)
        except CellError as error:
            yield Fault(column.name, error.problem, error.remedy)


def _wrong_count(cells: list[str], header: tuple[str, ...]) -> Fault:
    problem = f"the line has {len(cells)} cells, the header {len(header)} columns"
    remedy = "put text with a comma in quotes" if len(cells) > len(header) else "give every column a cell"
    return Fault(None, problem, remedy)


def _encoding_remedy(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        return "it looks like UTF-16: save it as UTF-8"
    return "save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
