"""A CSV attachment, built row by row in bounded memory: it gives up as soon as it cannot fit."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from batchwright.formulas import escape_formula

GZIP_FROM = 256 * 1024
"""Bytes of CSV above which the file is attached compressed."""

_GZIP_WINDOW = 31
"""zlib's sign for a gzip header and checksum around the data; no time of day goes into it."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A finished file. ``size`` is what it takes in the message, in bytes."""

    name: str
    maintype: str
    subtype: str
    content: bytes

    @property
    def size(self) -> int:
        return encoded_size(len(self.content))


class CsvFile:
    """A file that takes rows until it is ``full``: larger than ``limit`` bytes in the message."""

    def __init__(self, name: str, columns: Sequence[str], limit: int) -> None:
        self._name = name
        self._columns = columns
        self._limit = limit
        self._line = StringIO()
        self._writer = csv.writer(self._line)
        self._plain: bytearray | None = bytearray()
        self._packed = bytearray()
        self._packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
        self.full = False
        self._write(columns)

    def add(self, row: Mapping[str, str | None]) -> None:
        """Append one row; nothing once the file is full."""
        if not self.full:
            self._write([escape_formula(row.get(column) or "") for column in self._columns])

    def finish(self) -> Attachment | None:
        """The file, gzipped where it is large; ``None`` if it does not fit."""
        if self.full:
            return None
        if self._plain is not None:
            made = Attachment(self._name, "text", "csv", bytes(self._plain))
        else:
            packed = bytes(self._packed + self._packer.flush())
            made = Attachment(f"{self._name}.gz", "application", "gzip", packed)
        return made if made.size <= self._limit else None

    def _write(self, cells: Sequence[str]) -> None:
        self._writer.writerow(cells)
        line = self._line.getvalue().encode("utf-8", "replace")
        self._line.seek(0)
        self._line.truncate()
        self._packed += self._packer.compress(line)
        if self._plain is not None:
            self._plain += line
            if len(self._plain) > GZIP_FROM:
                self._plain = None
        if encoded_size(len(self._packed)) > self._limit:
            self.full = True
            self._packed.clear()
            self._plain = None


def encoded_size(length: int) -> int:
    """Bytes that ``length`` bytes take in a message: base64 in lines of 76, each with its line break."""
    characters = (length + 2) // 3 * 4
    return characters + (characters + 75) // 76 * 2
