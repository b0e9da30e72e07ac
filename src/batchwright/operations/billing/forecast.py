"""The forecast: what the drafts come to, beside what is already rated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import Connection

from batchwright.billing.exact import EXACT, ZERO, canonical, exactly
from batchwright.billing.records import forecast_blocks
from batchwright.billing.records.forecast import Kind, charged_inputs, figures
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.views import View

By = Literal["month", "customer", "product"]
CHOICES: Final[tuple[By, ...]] = ("month", "customer", "product")


BLOCKS_AT_A_TIME: Final = 2
"""Blocks that are added up in one transaction: on SQLite everybody else waits meanwhile."""

BLOCKS_IN_MEMORY: Final = 10
"""Blocks of which a look has all prices and names at once."""

_Sums = dict[tuple[str, str], "_Sum"]


@dataclass
class _Sum:
    names: dict[str, str]
    draft_rated_quantity: Decimal | None = None
    draft_fee_amount: int | None = None
    actual_quantity: Decimal = ZERO
    fee_amount: int = 0
    draft_units: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)

    def add_draft(self, quantity: Decimal | None, fee: int | None, units: Iterable[str]) -> None:
        """A draft and the units of it; blanks add nothing."""
        if fee is not None:
            self.draft_fee_amount = (self.draft_fee_amount or 0) + fee
        if quantity is not None:
            self.draft_rated_quantity = EXACT.add(self.draft_rated_quantity or ZERO, quantity)
            self.draft_units.update(units)

    def add(self, quantity: Decimal, fee: int, units: Iterable[str]) -> None:
        """What is charged, and the units of it."""
        self.actual_quantity = EXACT.add(self.actual_quantity, quantity)
        self.fee_amount += fee
        self.units.update(units)


def forecast(app: Application, by: By = "month", *, actor: Actor | None = None) -> list[View]:
    """Draft beside rated of the live usage schedules, a line for each month, customer or product and currency.

    Superseded schedules are left out, and so are those with neither figure. A period counts to the month it begins
    in. A draft is `None` where no schedule has one, a quantity where it would be one of several units. What is charged
    counts to the product that it was charged as. Sorted by month, customer id or product, then currency.

    Returns lines of `month` (YYYY-MM) | `customer_id, customer_name` | `product`, then
    `currency, draft_rated_quantity, draft_fee_amount, actual_quantity, fee_amount`.
    """
    permit(app, actor, Right.LOOK, "forecast")
    check_one_of(by, CHOICES, field="by")
    sums: _Sums = {}
    with app.database.read() as connection:
        blocks = forecast_blocks.read(connection, by)
        for text in blocks.good:
            _merge(sums, text)
        for first, last in blocks.stale:
            for one in range(first, last + 1, BLOCKS_IN_MEMORY):
                _add_up(connection, one, min(last, one + BLOCKS_IN_MEMORY - 1), {by: sums})
    return [_line(total, currency or None) for (_, currency), total in sorted(sums.items(), key=_order)]


def refresh_forecast(app: Application) -> bool:
    """Add up some blocks that have changed, so that a look need not; whether there were any."""
    with app.database.read() as connection:
        if forecast_blocks.is_good(connection):
            return False
    with app.database.write() as connection:
        if not forecast_blocks.take_changes(connection):
            return False
        missing = forecast_blocks.missing(connection, BLOCKS_AT_A_TIME)
        for block in missing:
            every: dict[By, _Sums] = {by: {} for by in CHOICES}
            _add_up(connection, block, block, every)
            forecast_blocks.add(connection, block, {by: _dumped(sums) for by, sums in every.items()})
    return bool(missing)


def _add_up(connection: Connection, first: int, last: int, every: Mapping[By, _Sums]) -> None:
    """Add the figures of the assets in these blocks to the sums by month, customer or product."""
    groups, several = _grouped(connection, forecast_blocks.assets_of(first, last))
    for kind, group in groups.items():
        if group.draft_fee is not None or group.draft_quantity is not None:
            units = _draft_units(kind) if group.drafts_count else set()
            for by, sums in every.items():
                total = _sum(sums, kind, by, _draft_product(kind))
                total.add_draft(group.draft_quantity, group.draft_fee, units)
        is_priced = group.schedules and kind.rated_product is not None
        if is_priced or group.charges_count or group.has_fee:
            unit = kind.rated_uom if group.charges_count else None
            _charge(every, kind, kind.rated_product or kind.product, group.quantity, group.fee, unit)
    for one in charged_inputs(connection, list(several)):
        kind, quantity, fee = several[one["schedule_key"]]
        unit = one["product_uom"] if one["quantity"] else None
        _charge(every, kind, one["product"], one["quantity"], one["amount"], unit)
        left = EXACT.subtract(quantity, one["quantity"]), fee - one["amount"]
        several[one["schedule_key"]] = (kind, *left)
    for kind, quantity, fee in several.values():
        if quantity or fee:  # what the schedule was imported with
            _charge(every, kind, kind.product, quantity, fee, None)


@dataclass(slots=True)
class _Group:
    """What schedules of one kind come to; how many prices of one charged, and whether any figure is not zero."""

    draft_quantity: Decimal | None = None
    draft_fee: int | None = None
    drafts_count: bool = False
    quantity: Decimal = ZERO
    fee: int = 0
    schedules: int = 0
    charges_count: bool = False
    has_fee: bool = False


def _grouped(
    connection: Connection, assets: tuple[int, int]
) -> tuple[dict[Kind, _Group], dict[int, tuple[Kind, Decimal, int]]]:
    """The figures by kind of schedule; by key kind, quantity and fee of those that prices of several charged."""
    groups: dict[tuple[Any, ...], _Group] = {}
    several = {}
    with exactly():
        # A hot loop: a look goes through each schedule of the blocks that have changed.
        for key, kind, is_several, drafted, draft_fee, quantity, fee in figures(connection, *assets):
            if (group := groups.get(kind)) is None:
                group = groups[kind] = _Group()
            if draft_fee is not None:
                group.draft_fee = (group.draft_fee or 0) + draft_fee
            if drafted is not None:
                group.draft_quantity = (group.draft_quantity or ZERO) + drafted
                group.drafts_count = group.drafts_count or bool(drafted)
            if is_several:
                several[key] = Kind(*kind), quantity, fee
                continue
            group.quantity += quantity
            group.fee += fee
            group.schedules += 1
            group.charges_count = group.charges_count or bool(quantity)
            group.has_fee = group.has_fee or bool(fee)
    return {Kind(*kind): group for kind, group in groups.items()}, several


def _charge(
    every: Mapping[By, _Sums], kind: Kind, product: str, quantity: Decimal, fee: int, unit: str | None
) -> None:
    units = set() if unit is None else {unit}
    for by, sums in every.items():
        _sum(sums, kind, by, product).add(quantity, fee, units)


def _draft_product(kind: Kind) -> str:
    drafted = None if kind.several_drafts else kind.draft_product
    return drafted or kind.product


def _draft_units(kind: Kind) -> set[str]:
    if kind.draft_uom is None:
        return set()
    return {kind.draft_uom, ""} if kind.several_drafts else {kind.draft_uom}


def _dumped(sums: _Sums) -> str:
    rows = []
    for (_, currency), total in sums.items():
        drafted = total.draft_rated_quantity
        draft = (
            None if drafted is None else canonical(drafted),
            total.draft_fee_amount,
            sorted(total.draft_units),
        )
        rows.append(
            [
                total.names,
                currency,
                *draft,
                *(canonical(total.actual_quantity), total.fee_amount, sorted(total.units)),
            ]
        )
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def _merge(sums: _Sums, text: str) -> None:
    for names, currency, drafted, draft_fee, draft_units, quantity, fee, units in json.loads(text):
        total = _total(sums, names, currency)
        total.add_draft(None if drafted is None else Decimal(drafted), draft_fee, draft_units)
        total.add(Decimal(quantity), fee, units)


def _sum(sums: _Sums, kind: Kind, by: By, product: str) -> _Sum:
    return _total(sums, _names(kind, by, product), kind.currency or "")


def _total(sums: _Sums, names: dict[str, str], currency: str) -> _Sum:
    key = (next(iter(names.values())), currency)
    return sums.setdefault(key, _Sum(names))


def _order(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _names(kind: Kind, by: By, product: str) -> dict[str, str]:
    if by == "month":
        return {"month": kind.period_start_date.isoformat()[:7]}
    if by == "customer":
        return {"customer_id": kind.customer_id, "customer_name": kind.customer_name}
    return {"product": product}


def _line(total: _Sum, currency: str | None) -> View:
    return {
        **total.names,
        "currency": currency,
        "draft_rated_quantity": views.quantity(
            None if len(total.draft_units) > 1 else total.draft_rated_quantity
        ),
        "draft_fee_amount": views.money(total.draft_fee_amount, currency),
        "actual_quantity": views.quantity(None if len(total.units) > 1 else total.actual_quantity),
        "fee_amount": views.money(total.fee_amount, currency),
    }
