"""What was loaded: `batchwright customers`, `accounts`, `price-books`, `prices`, `contracts`, `custom-line-items`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from batchwright.cli.groups import Group
from batchwright.cli.options import as_json_option, format_option, limit_option
from batchwright.cli.output import Column, Format, say, write_facts, write_json, write_rows, write_table
from batchwright.cli.session import application
from batchwright.cli.show import instant, joined
from batchwright.operations.billing.loaded import Kind, columns_of, list_loaded, show_loaded

NUMBERS = frozenset(
    "unit_price flat_fee percentage package_size included_quantity minimum_amount maximum_amount amount"
    " discount_percent from_quantity to_quantity revision".split()
)
TITLES = {
    "account_ids": "Accounts",
    "product_uom": "Product UoM",
    "created_at": "Created UTC",
    "account_count": "Accounts",
    "contract_count": "Contracts",
    "price_count": "Prices",
    "price_in_force": "Price in force",
}


def _group(kind: Kind, an_id: str, summary: str, what_an_id_is: str = "") -> Group:
    """The commands of one kind; `an_id` is one of the sample company's, `summary` says what they are."""
    name = kind.noun.replace(" ", "-") + "s"

    @click.group(name, cls=Group, example=f"batchwright {name} list", help=summary)
    def group() -> None:
        pass

    @group.command(
        "list",
        example=f"batchwright {name} list --format csv",
        help=f"List {kind.noun}s with the columns of {kind}s.csv, which takes them again.",
    )
    @limit_option
    @format_option
    def list_(limit: int | None, format: Format) -> None:
        with application() as app:
            rows = list_loaded(app, kind, limit)
            columns = [_column(field) for field in columns_of(kind)]
            write_rows(
                map(_as_in_file, rows) if format == "csv" else rows,
                columns,
                format=format,
                nothing=f"There is no {kind.noun}.",
            )

    @group.command(
        "show",
        example=f"batchwright {name} show {an_id} --on 2023-06-30",
        help=f"Show one {kind.noun}, and what is in force on a day.\n\n{what_an_id_is}",
    )
    @click.argument("record_id", metavar="ID")
    @click.option("--on", metavar="DATE", help="The day, YYYY-MM-DD (default: today).")
    @as_json_option
    def show(record_id: str, on: str | None, as_json: bool) -> None:
        with application() as app:
            shown = show_loaded(app, kind, record_id, on)
        if as_json:
            write_json(shown)
        else:
            _write(shown)

    return group


def _write(shown: Mapping[str, Any]) -> None:
    """The facts, and below them the tables of what there are several of."""
    tables = {name: rows for name, rows in shown.items() if name in ("tiers", "revisions") and rows}
    write_facts(
        (_title(name), _column(name).text(shown)) for name in shown if name not in ("tiers", "revisions")
    )
    for name, rows in tables.items():
        say(f"\n{_title(name)}")
        fields = [field for field in rows[0] if any(row[field] is not None for row in rows)]
        write_table(rows, [_column(field) for field in fields], indent="  ")


def _column(field: str) -> Column:
    return Column(field, _title(field), numeric=field in NUMBERS, show=_show(field))


def _title(field: str) -> str:
    return TITLES.get(field) or field.removesuffix("_id").replace("_", " ").capitalize()


def _show(field: str) -> Any:
    if field == "tiers":
        return _tiers
    if field == "created_at":
        return instant
    if field in ("account_ids", "contracts_in_force"):
        return joined
    return _yes_or_no if field in ("usage_indexing", "in_force") else None


def _tiers(tiers: Iterable[Mapping[str, Any]]) -> str:
    return joined(f"to {tier['to_quantity'] or 'open'}: {_prices_of(tier)}" for tier in tiers)


def _prices_of(tier: Mapping[str, Any]) -> str:
    return " + ".join(tier[name] for name in ("unit_price", "flat_fee") if tier[name] is not None)


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _as_in_file(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as its file writes it: ids separated by semicolons."""
    return {name: ";".join(value) if isinstance(value, list) else value for name, value in row.items()}


customers = _group(Kind.CUSTOMER, "C-1001", "Customers.")
accounts = _group(Kind.ACCOUNT, "HL-EAST", "Linked management accounts.")
price_books = _group(Kind.PRICE_BOOK, "PB-US-2023", "Price books.")
prices = _group(
    Kind.PRICE,
    "'PB-HL-API/API Calls'",
    "Prices, their tiers and revisions.",
    "ID is BOOK/PRODUCT/YYYY-MM-DD with the price's first day, a / within a book's or product's id written %2F;"
    " BOOK/PRODUCT is the price of the product that is in force on the day.",
)
contracts = _group(Kind.CONTRACT, "CT-HL-2023", "Contracts and their revisions.")
custom_line_items = _group(Kind.CUSTOM_LINE_ITEM, "CLI-001", "Custom line items.")
