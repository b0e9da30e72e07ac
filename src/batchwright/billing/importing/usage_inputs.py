"""usage_inputs.csv: the file that may have millions of lines. Dates and quantities are checked and stay text."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.importing.cells import Id, Text, day, decimal, decimal_text, short_text
from batchwright.billing.importing.loader import TableLoader, unknown
from batchwright.billing.importing.problems import ImportRefused, Problem
from batchwright.billing.importing.schema import CsvLine, Fault, FileTally, file_kind
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.records import usage_files
from batchwright.billing.records.ids import next_ids
from batchwright.billing.records.inputs import NO_DRAFT, NO_ERROR, NO_RATING, InputStatus
from batchwright.billing.records.loading import KnownInput, Stored, asset_keys, rename_input, usage_inputs
from batchwright.billing.tables import usage_input

PREFIX: Final = "IN-"
_ASSETS_REMEMBERED: Final = 200_000


@lru_cache(maxsize=4096)
def _day_text(text: str) -> str:
    day(text)
    return text


class InputCells(NamedTuple):
    usage_input_id: Id | None
    asset_line_item_id: Id
    usage_date: Annotated[str, _day_text]
    quantity: Annotated[str, decimal_text]
    product_uom: Annotated[str, lru_cache(maxsize=256)(short_text(64))]
    description: Text | None


USAGE_INPUTS = file_kind("usage_inputs.csv", InputCells)
# An input that is given anew begins anew: what a forecast or a rating said of the old one says nothing of it.
_BEGIN_ANEW: Final[dict[str, Any]] = {"status": InputStatus.LOADED, **NO_ERROR, **NO_RATING, **NO_DRAFT}


class UsageInputLoader(TableLoader[InputCells, KnownInput]):
    """Usage inputs. An update replaces what a line says and puts the input back to Loaded; a Rated one is refused."""

    kind = USAGE_INPUTS
    table = usage_input
    columns: ClassVar = (
        "usage_input_id asset_key usage_date quantity product_uom description status deleted".split()
    )
    _assets: dict[str, int]
    _file: FileTally
    _explicit: set[str]

    def __init__(self, session: ImportSession) -> None:
        super().__init__(session)
        self._nameless: list[list[Stored]] = []
        self._made_up = _Numbers()
        self._lines_without_ids = LinesDigest()
        self._adds_without_ids = False
        self._asset_keys = _AssetKeys(session.connection)

    def take(self, lines: Sequence[CsvLine[InputCells]]) -> None:
        for line in lines:
            if line.values.usage_input_id is None:
                self._lines_without_ids.add(line.values)
        super().take(lines)
        if lines:
            self._file = lines[0].file

    def refused(self, line: CsvLine[Any]) -> None:
        # What `take` refuses it has noted: a file of which some lines were left out is the same file the next time.
        if line.values is None and not line.text("usage_input_id"):
            self._lines_without_ids.add(line.text(column) for column in InputCells._fields)

    def finish(self) -> None:
        if not self._adds_without_ids or (self.session.count and not self.session.skips):
            return  # nothing is loaded that could be loaded twice
        lines, sha256 = self._lines_without_ids.hexdigest(), self._file.sha256
        before = usage_files.imported_at(self.connection, lines, sha256)
        if before is not None and not self.session.again:
            problem = f"has lines without ids that were imported before, at {before:%Y-%m-%d %H:%M:%S} UTC"
            remedy = "leave the file out, or import with --again to load them once more"
            raise ImportRefused([Problem(self.kind.name, None, None, None, problem, remedy)], 1)
        usage_files.remember(self.connection, lines, sha256, self.session.now)

    def existing(self, chunk: Collection[InputCells]) -> Mapping[str, KnownInput]:
        self.session.lock_for_update()
        self._assets = self._asset_keys.of({cells.asset_line_item_id for cells in chunk})
        self._explicit = {cells.usage_input_id for cells in chunk if cells.usage_input_id is not None}
        return self._give_way(usage_inputs(self.connection, self._explicit))

    def current(self, found: KnownInput) -> Mapping[str, Any]:
        return {"description": found.description}

    def faults(self, cells: InputCells, found: KnownInput | None) -> Sequence[Fault]:
        # Mostly none, of millions of lines: a generator for each would take time.
        faults = () if found is None else _state_faults(found)
        if cells.asset_line_item_id not in self._assets:
            return [*faults, unknown("asset_line_item_id", "asset line item")]
        return faults

    def new(self, cells: InputCells) -> list[Stored]:
        an_id, asset_id, *values = cells
        row = [an_id, self._assets[asset_id], *values, InputStatus.LOADED, False]
        if an_id is None:
            self._nameless.append(row)
            self._adds_without_ids = True
        return row

    def change(self, cells: InputCells) -> dict[str, Any]:
        return {
            "asset_key": self._assets[cells.asset_line_item_id],
            "usage_date": day(cells.usage_date),
            "quantity": decimal(cells.quantity),
            "product_uom": cells.product_uom,
            "description": cells.description,
            **_BEGIN_ANEW,
        }

    def insert(self, rows: Sequence[Sequence[Stored]]) -> None:
        """The same, once each row without an id has one of ours, which no line of the chunk has."""
        for row, an_id in zip(self._nameless, self._fresh_ids(len(self._nameless)), strict=True):
            row[0] = an_id
        self._nameless.clear()
        super().insert(rows)

    def _give_way(self, there: dict[str, KnownInput]) -> dict[str, KnownInput]:
        """Rename what this import named itself where a later line claims that id."""
        if not self._made_up:
            return there
        clashes = [an_id for an_id, row in there.items() if row.key > self.ceiling and an_id in self._made_up]
        for an_id, fresh in zip(clashes, self._fresh_ids(len(clashes)), strict=True):
            rename_input(self.connection, there[an_id].key, fresh)
            self._made_up.discard(an_id)
            del there[an_id]
        return there

    def _fresh_ids(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            ids = next_ids(self.connection, PREFIX, count - len(found))
            found += [an_id for an_id in ids if an_id not in self._explicit]
        for an_id in found:
            self._made_up.add(an_id)
        return found


class LinesDigest:
    """A digest of lines, whatever their order, their columns' order and how they are quoted."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, cells: Iterable[str | None]) -> None:
        """Take a line's cells in, in an order of columns that is always the same."""
        line = "\x1f".join(cell or "" for cell in cells)
        self._sum += int.from_bytes(hashlib.sha256(line.encode()).digest())

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum % (1 << 256):064x}"


class _AssetKeys:
    """Keys of assets by id, remembered from chunk to chunk up to a bound."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}

    def of(self, ids: set[str]) -> dict[str, int]:
        """The keys of at least these assets; an id that no asset has is left out."""
        if len(self._known) > _ASSETS_REMEMBERED:
            self._known.clear()
        self._known |= asset_keys(self._connection, ids - self._known.keys())
        return self._known


class _Numbers:
    """The ids that this import made up, as ranges of their numbers: a million in a row take no more than one."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._given_up: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def add(self, an_id: str) -> None:
        """Ids come in rising order."""
        number = int(an_id.removeprefix(PREFIX))
        if self._lasts and self._lasts[-1] == number - 1:
            self._lasts[-1] = number
        else:
            self._firsts.append(number)
            self._lasts.append(number)

    def discard(self, an_id: str) -> None:
        self._given_up.add(int(an_id.removeprefix(PREFIX)))

    def __contains__(self, an_id: str) -> bool:
        digits = an_id.removeprefix(PREFIX)
        if not (digits.isascii() and digits.isdigit()) or an_id != f"{PREFIX}{int(digits):08d}":
            return False
        number = int(digits)
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place] and number not in self._given_up


def _state_faults(found: KnownInput) -> Sequence[Fault]:
    if found.deleted:
        problem, remedy = "was deleted, and its id stays taken", "give the input another id"
    elif found.status == InputStatus.RATED:
        problem, remedy = "is Rated and stays as it is", "leave the line out, or unrate it first"
    else:
        return ()
    return [Fault("usage_input_id", problem, remedy)]
