"""price_books.csv, prices.csv and price_tiers.csv.

A price is checked as a whole, so its lines are kept until the last tier has been read: a catalogue fits in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.exact import canonical
from batchwright.billing.importing.cells import (
    Day,
    Id,
    NotNegative,
    Number,
    Text,
    YesOrNo,
    currency,
    one_of,
    short_text,
)
from batchwright.billing.importing.loader import Loader, TableLoader, unknown
from batchwright.billing.importing.schema import CsvLine, Fault, file_kind
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.rating import MODELS, Price, PriceError, unused
from batchwright.billing.records import catalog
from batchwright.billing.records.catalog import Book, KnownPrice
from batchwright.billing.records.loading import Stored, insert_rows, new_keys, stored
from batchwright.billing.tables import price, price_book, price_tier

Identity = tuple[str, str, date]


class BookCells(NamedTuple):
    price_book_id: Id
    name: Text
    currency: Annotated[str, currency]


class PriceCells(NamedTuple):
    price_book_id: Id
    product: Id
    effective_from: Day
    model: Annotated[str, one_of(*MODELS)]
    product_uom: Annotated[str, short_text(64)]
    unit_price: NotNegative | None
    flat_fee: NotNegative | None
    percentage: NotNegative | None
    package_size: NotNegative | None
    included_quantity: NotNegative | None
    minimum_amount: NotNegative | None
    maximum_amount: NotNegative | None
    usage_indexing: YesOrNo | None
    flat_fee_per: Annotated[str, one_of("window", "input")] | None

    @property
    def identity(self) -> Identity:
        return self.price_book_id, self.product, self.effective_from


class TierCells(NamedTuple):
    price_book_id: Id
    product: Id
    effective_from: Day
    from_quantity: NotNegative
    to_quantity: NotNegative | None
    unit_price: Number | None
    flat_fee: Number | None

    @property
    def identity(self) -> Identity:
        return self.price_book_id, self.product, self.effective_from


_NUMBERS = (
    "unit_price flat_fee percentage package_size included_quantity minimum_amount maximum_amount"
).split()

BOOKS = file_kind("price_books.csv", BookCells)
PRICES = file_kind("prices.csv", PriceCells)
TIERS = file_kind("price_tiers.csv", TierCells)


class BookLoader(TableLoader[BookCells, Book]):
    """Price books. An update changes the name; the currency stays."""

    kind = BOOKS
    table = price_book
    columns = BookCells._fields

    def existing(self, chunk: Collection[BookCells]) -> Mapping[str, Book]:
        return catalog.price_books(self.connection, {cells.price_book_id for cells in chunk})

    def faults(self, cells: BookCells, found: Book | None) -> Iterator[Fault]:
        if found is not None and found.currency != cells.currency:
            problem = f"differs from the book's currency {found.currency}"
            yield Fault("currency", problem, "a book keeps its currency: make another book")

    def new(self, cells: BookCells) -> BookCells:
        return cells

    def change(self, cells: BookCells) -> dict[str, Any]:
        return {"name": cells.name}


AnyLine = CsvLine[PriceCells] | CsvLine[TierCells]
Found = tuple[AnyLine, Fault]


@dataclass
class Catalogue:
    """The lines of both price files, until they are checked together."""

    prices: dict[Identity, CsvLine[PriceCells]] = field(default_factory=dict)
    tiers: dict[Identity, list[CsvLine[TierCells]]] = field(default_factory=lambda: defaultdict(list))
    # Books and products of lines that could not be read: a price without one of its tiers is another price.
    unreadable: dict[tuple[str | None, str | None], CsvLine[Any]] = field(default_factory=dict)

    def note_unreadable(self, line: CsvLine[Any]) -> None:
        self.unreadable[line.text("price_book_id"), line.text("product")] = line

    def lines(self, identity: Identity) -> list[AnyLine]:
        head = self.prices.get(identity)
        return [*([head] if head else []), *_in_order(self.tiers.get(identity, []))]


class PriceLoader(Loader[PriceCells]):
    """Keeps the prices; `TierLoader` checks and writes them."""

    kind = PRICES

    def __init__(self, session: ImportSession, catalogue: Catalogue) -> None:
        super().__init__(session)
        self._catalogue = catalogue

    def refused(self, line: CsvLine[Any]) -> None:
        self._catalogue.note_unreadable(line)

    def take(self, lines: Sequence[CsvLine[PriceCells]]) -> None:
        for line in lines:
            earlier = self._catalogue.prices.get(line.values.identity)
            if earlier is None:
                self._catalogue.prices[line.values.identity] = line
            else:
                problem = f"is there twice for this book and first day, first on line {earlier.number}"
                self.session.refuse(line, [Fault("product", problem, "keep one of the lines")])


class TierLoader(Loader[TierCells]):
    """Tiers, and with them the prices: a price is written with all its tiers, or not at all."""

    kind = TIERS

    def __init__(self, session: ImportSession, catalogue: Catalogue) -> None:
        super().__init__(session)
        self._catalogue = catalogue

    def refused(self, line: CsvLine[Any]) -> None:
        self._catalogue.note_unreadable(line)

    def take(self, lines: Sequence[CsvLine[TierCells]]) -> None:
        for line in lines:
            self._catalogue.tiers[line.values.identity].append(line)

    def finish(self) -> None:
        catalogue, connection = self._catalogue, self.session.connection
        identities = {*catalogue.prices, *catalogue.tiers}
        if not identities:
            return
        books = catalog.price_books(connection, {book for book, _, _ in identities})
        known = catalog.prices(connection, [book.key for book in books.values()])
        accepted = []
        for identity in sorted(identities):
            book = books.get(identity[0])
            there = known.get((book.key, *identity[1:])) if book else None
            lines = catalogue.lines(identity)
            unreadable = catalogue.unreadable.get(identity[:2])
            fault = self._reference_fault(identity, there) if book else unknown("price_book_id", "price book")
            if unreadable is not None:
                self._refuse_companions(lines, unreadable)
            elif book is None or fault is not None:
                for line in lines:
                    self.session.refuse(line, [fault] if fault else [])
            else:
                accepted += self._checked(_whole_price(connection, lines, book.key, there))
        _write(self.session, accepted)

    def _reference_fault(self, identity: Identity, there: KnownPrice | None) -> Fault | None:
        if there is not None and not self.session.update:
            problem = "has a price from that day in the database already"
            return Fault("product", problem, "leave the line out, or import with --update for a new revision")
        if identity not in self._catalogue.prices and there is None:
            problem = "has no price from that day"
            return Fault(
                "product", problem, "give its line in prices.csv, with the same book, product and day"
            )
        return None

    def _checked(self, new: _NewPrice) -> list[_NewPrice]:
        faults = [*_seam_faults(new.tier_lines, new.cells.model)] or [*_price_faults(new)]
        if not faults:
            return [new]
        for line, fault in faults:
            self.session.refuse(line, [fault])
        cause = {id(line) for line, _ in faults}
        self._refuse_companions([line for line in new.lines if id(line) not in cause], faults[0][0])
        return []

    def _refuse_companions(self, lines: Sequence[AnyLine], because: CsvLine[Any]) -> None:
        """Set the rest of a refused price aside. Where nothing is set aside, one message for one fault is enough."""
        if not self.session.skips:
            return
        problem = f"the line belongs to a price that is refused for {because.file.file} line {because.number}"
        for line in lines:
            self.session.refuse(line, [Fault(None, problem, "correct that line and import the whole price")])


@dataclass(frozen=True, slots=True)
class _NewPrice:
    """A price about to be checked and written."""

    head: CsvLine[PriceCells] | None
    tier_lines: list[CsvLine[TierCells]]
    book_key: int
    there: KnownPrice | None
    cells: PriceCells
    tiers: list[catalog.KnownTier]

    @property
    def lines(self) -> list[AnyLine]:
        return [*([self.head] if self.head else []), *self.tier_lines]


def _whole_price(
    connection: Connection, lines: Sequence[AnyLine], book_key: int, there: KnownPrice | None
) -> _NewPrice:
    """The price that the lines make; what an update does not give is carried over from the revision before."""
    head = next((line for line in lines if isinstance(line.values, PriceCells)), None)
    tier_lines = [line for line in lines if isinstance(line.values, TierCells)]
    if head is not None:
        cells = head.values if there is None else head.over(_current(there, head.values.model))
    elif there is None:
        raise ValueError("tiers without a price are refused before")
    else:
        cells = PriceCells(
            *tier_lines[0].values.identity, *(getattr(there.row, name) for name in PriceCells._fields[3:])
        )
    tiers = [catalog.KnownTier(*line.values[3:]) for line in tier_lines]
    if not tiers and there is not None and there.model == cells.model:
        tiers = catalog.tiers(connection, there.key)
    return _NewPrice(head, tier_lines, book_key, there, cells, tiers)


def _current(there: KnownPrice, model: str) -> dict[str, Any]:
    """What a price has in the optional columns of its file, but for amounts that only another model than its own uses.

    They go with that model, as its tiers do.
    """
    return {
        column.name: None if unused(model, column.name) else getattr(there.row, column.name)
        for column in PRICES.columns
        if column.optional
    }


def _in_order(lines: list[CsvLine[TierCells]]) -> list[CsvLine[TierCells]]:
    return sorted(
        lines, key=lambda line: (line.values.to_quantity is None, line.values.to_quantity or Decimal(0))
    )


def _seam_faults(lines: list[CsvLine[TierCells]], model: str) -> Iterator[Found]:
    """Tiers that overlap, or leave a gap of more than one unit.

    Vendors write the seam as 20|21 or as 20|20; both are taken. A discrete price is a table with gaps.
    """
    end = Decimal(0)
    for place, line in enumerate(lines):
        start, to = line.values.from_quantity, line.values.to_quantity
        if to is not None and start > to:
            yield line, Fault("from_quantity", f"is more than to_quantity {canonical(to)}", "swap the two")
        elif place and start < end:
            problem = f"overlaps the tier before, which ends at {canonical(end)}"
            yield line, Fault("from_quantity", problem, "begin where that one ends, or one unit later")
        elif start > end + 1 and model != "discrete":
            problem = f"leaves a gap of more than one unit after {canonical(end)}"
            yield line, Fault("from_quantity", problem, "begin where the tier before ends, or one unit later")
        end = end if to is None else to


def _price_faults(new: _NewPrice) -> Iterator[Found]:
    """What `Price.from_mapping` says against the price, at the line and column where it is written."""
    cells = new.cells
    mapping: dict[str, object] = {"model": cells.model, "flat_fee_per": cells.flat_fee_per}
    mapping |= {name: _text(getattr(cells, name)) for name in _NUMBERS}
    mapping["tiers"] = [
        {
            "to": _text(tier.to_quantity),
            "unit_price": _text(tier.unit_price),
            "flat_fee": _text(tier.flat_fee),
        }
        for tier in new.tiers
    ] or None
    try:
        Price.from_mapping(mapping)
    except PriceError as error:
        yield _place(new, error.field), _fault(error)


def _place(new: _NewPrice, field_name: str) -> AnyLine:
    if field_name.startswith("tiers[") and new.tier_lines:
        return new.tier_lines[int(field_name.removeprefix("tiers[").partition("]")[0])]
    return new.lines[0]


def _fault(error: PriceError) -> Fault:
    if error.field == "tiers":
        return Fault(
            "model",
            f"has tiers that do not fit: the list {error.problem}",
            f"{error.remedy}, in price_tiers.csv",
        )
    column = error.field.rpartition(".")[2]
    return Fault({"to": "to_quantity"}.get(column, column), error.problem, error.remedy)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else canonical(value)


def _write(session: ImportSession, prices: list[_NewPrice]) -> None:
    keys = new_keys(session.connection, price, len(prices))
    tier_rows: list[list[Stored]] = []
    rows: list[list[Stored]] = []
    created = stored(session.now)
    for key, new in zip(keys, prices, strict=True):
        revision = new.there.revision + 1 if new.there else 1
        cells = new.cells
        rows.append(
            [
                key,
                new.book_key,
                cells.product,
                stored(cells.effective_from),
                revision,
                cells.model,
                cells.product_uom,
                *(stored(getattr(cells, name)) for name in _NUMBERS),
                bool(cells.usage_indexing),
                cells.flat_fee_per or "window",
                created,
            ]
        )
        tier_rows += [[key, place, *map(stored, tier)] for place, tier in enumerate(new.tiers, 1)]
        for line in new.lines:
            session.count_in([line], int(not new.there), int(bool(new.there)))
    identity = "id price_book_key product effective_from revision model product_uom".split()
    columns = [*identity, *_NUMBERS, "usage_indexing", "flat_fee_per", "created_at"]
    insert_rows(session.connection, price, columns, rows)
    insert_rows(
        session.connection, price_tier, ("price_key", "ordinal", *catalog.KnownTier._fields), tier_rows
    )
