"""The forecast: what the drafts come to, beside what is already rated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypedDict, Unpack

from sqlalchemy import Connection

from batchwright.billing.exact import EXACT, ZERO, canonical, exactly
from batchwright.billing.records import forecast_blocks
from batchwright.billing.records.charges import customers
from batchwright.billing.records.forecast import Kind, charged_inputs, figures
from batchwright.engine.errors import Refused
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import Unknown, check_one_of
from batchwright.operations.views import View
from batchwright.operations.workers import workers_there

By = Literal["month", "customer", "product"]
CHOICES: Final[tuple[By, ...]] = ("month", "customer", "product")
Sorted = Literal["month", "customer", "product", "cell"]
"""What the sums of a block are grouped by; those by cell by all of it at once."""
KEPT: Final[tuple[Sorted, ...]] = (*CHOICES, "cell")
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "month": ("month",),
    "customer": ("customer_id", "customer_name"),
    "product": ("product",),
}
"""What a line begins with."""

BLOCKS_AT_A_TIME: Final = 2
"""Blocks that are added up in one transaction: on SQLite everybody else waits meanwhile."""

BLOCKS_OF_A_LOOK: Final = 2
"""Blocks that a look adds up itself, some 20 ms each."""

BLOCKS_IN_MEMORY: Final = 10
"""Blocks of which a look has all prices and names at once."""

_Sums = dict[tuple[tuple[str, ...], str], "_Sum"]


class Only(TypedDict, total=False):
    """What narrows a forecast down, as a person writes it."""

    customer_id: str | None
    product: str | None
    since: str | None
    """The first month, YYYY-MM."""
    until: str | None
    """The last month, YYYY-MM, included."""


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


def forecast(
    app: Application, by: By = "month", *, actor: Actor | None = None, **only: Unpack[Only]
) -> list[View]:
    """Draft beside rated of the live usage schedules, a line for each month, customer or product and currency.

    Superseded schedules are left out, and so are those with neither figure. A period counts to the month it begins
    in. A draft is `None` where no schedule has one, a quantity where it would be one of several units. What is charged
    counts to the product that it was charged as. Sorted by month, customer id or product, then currency.

    `only` leaves out all but what is of a customer, a product, or months. Refuses an unknown customer, and months that
    cannot be read or end before they begin.

    Returns lines of `month` (YYYY-MM) | `customer_id, customer_name` | `product`, then
    `currency, draft_rated_quantity, draft_fee_amount, actual_quantity, fee_amount`.
    """
    return _look(app, by, actor, only, is_whole=True).lines


class Forecast(NamedTuple):
    """The lines, and of how many assets at most they do not have the newest changes; since when those are seen.

    The lines have nothing at all of up to `missing_assets`, which nobody has added up yet. `no_worker`: there is none
    that adds up what is left.
    """

    lines: list[View]
    changed_assets: int = 0
    changed_since: datetime | None = None
    missing_assets: int = 0
    no_worker: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to add up."""
        return not self.changed_assets and not self.missing_assets


def look_at_forecast(
    app: Application, by: By = "month", *, actor: Actor | None = None, **only: Unpack[Only]
) -> Forecast:
    """The same for who cannot wait: where much has just changed, with what it came to before.

    While a run rates all there is, the figures of one block of assets after the other change, quicker than anybody
    adds them up; after a first import or an upgrade none has figures. A few are added up at once; of more the answer
    says how many assets they are. A worker adds them up.
    """
    return _look(app, by, actor, only, is_whole=False)


def _look(app: Application, by: By, actor: Actor | None, only: Only, *, is_whole: bool) -> Forecast:
    permit(app, actor, Right.LOOK, "forecast")
    check_one_of(by, CHOICES, field="by")
    wanted = _Wanted(**only)
    wanted.check()
    kept_by = wanted.kept_by(by)
    with app.database.read() as connection:
        blocks = forecast_blocks.read(connection, kept_by, wanted.blocks(connection))
        old = {} if is_whole or len(blocks.stale) <= BLOCKS_OF_A_LOOK else blocks.old
        texts = [*blocks.good, *old.values()]
        left = sorted(blocks.stale - old.keys())
        now = left if is_whole else left[:BLOCKS_OF_A_LOOK]
        for first, last in forecast_blocks.ranges(now):
            for one in range(first, last + 1, BLOCKS_IN_MEMORY):
                fresh: _Sums = {}
                _add_up(connection, one, min(last, one + BLOCKS_IN_MEMORY - 1), {kept_by: fresh})
                texts.append(_dumped(fresh))
        is_left = bool(old) or len(now) < len(left)
        no_worker = is_left and not workers_there(connection, app.clock.now())
    if by == kept_by == "month":
        lines = [dict(line) for line in _months(tuple(texts), wanted)]
    else:
        lines = _lines(texts, by, wanted)
    changed, missing = (count * forecast_blocks.ASSETS for count in (len(old), len(left) - len(now)))
    return Forecast(lines, changed, blocks.changed_since if old else None, missing, no_worker)


@dataclass(frozen=True)
class _Wanted:
    """What the lines of a forecast are about."""

    customer_id: str | None = None
    product: str | None = None
    since: str | None = None
    until: str | None = None

    def check(self) -> None:
        """Refuse months that are none."""
        for name, month in (("from", self.since), ("to", self.until)):
            if month is not None:
                _check_month(month, name)
        if self.since and self.until and self.until < self.since:
            raise Refused(
                f"the months end with {self.until}, before they begin with {self.since}",
                field="to",
                remedy="Give a later month, or none",
            )

    def kept_by(self, by: By) -> Sorted:
        """The sums that tell apart what is wanted."""
        asked = {"month": self.since or self.until, "customer": self.customer_id, "product": self.product}
        return by if all(value is None or name == by for name, value in asked.items()) else "cell"

    def blocks(self, connection: Connection) -> set[int] | None:
        """The blocks that hold the assets of the customer; `None` for all. Refuses an unknown customer."""
        if self.customer_id is None:
            return None
        found = customers(connection, self.customer_id)
        if not found:
            raise Unknown("customer", [self.customer_id], field="customer_id")
        return forecast_blocks.of_customer(connection, found[0].key)

    def takes(self, names: Mapping[str, str]) -> bool:
        """Whether sums of this customer and product are wanted; what they do not tell apart is not asked for."""
        return self.customer_id in (None, names.get("customer_id")) and self.product in (
            None,
            names.get("product"),
        )

    def takes_month(self, month: str) -> bool:
        """Whether sums of this month are wanted; it is empty where months are not told apart."""
        return not month or (self.since or "") <= month <= (self.until or "9999-12")


def _check_month(month: str, field: str) -> None:
    if not re.fullmatch(r"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])", month):
        raise Refused(
            f"{month!r} cannot be read as a month", field=field, remedy="Write it as YYYY-MM, such as 2023-06"
        )


def refresh_forecast(app: Application) -> bool:
    """Add up some blocks that have changed, so that a look need not; whether there were any."""
    if is_added_up(app):
        return False
    with app.database.write() as connection:
        if not forecast_blocks.take_changes(connection, app.clock.now()):
            return False
        missing = forecast_blocks.missing(connection, BLOCKS_AT_A_TIME)
        for block in missing:
            every: dict[Sorted, _Sums] = {by: {} for by in KEPT}
            _add_up(connection, block, block, every)
            forecast_blocks.add(connection, block, {by: _dumped(sums) for by, sums in every.items()})
    return bool(missing)


def is_added_up(app: Application) -> bool:
    """Whether every block is, with all that has changed; to be asked often."""
    with app.database.read() as connection:
        return forecast_blocks.is_good(connection)


def _add_up(connection: Connection, first: int, last: int, every: Mapping[Sorted, _Sums]) -> None:
    """Add the figures of the assets in these blocks to the sums by month, customer, product or cell."""
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
    for usage_input in charged_inputs(connection, list(several)):
        kind, quantity, fee = several[usage_input["schedule_key"]]
        unit = usage_input["product_uom"] if usage_input["quantity"] else None
        _charge(every, kind, usage_input["product"], usage_input["quantity"], usage_input["amount"], unit)
        left = EXACT.subtract(quantity, usage_input["quantity"]), fee - usage_input["amount"]
        several[usage_input["schedule_key"]] = (kind, *left)
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
    every: Mapping[Sorted, _Sums], kind: Kind, product: str, quantity: Decimal, fee: int, unit: str | None
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
    """The sums as JSON: names, currency, and by month (empty where months are not told apart) the figures.

    These are JSON within JSON: who wants few of them reads few.
    """
    groups: dict[tuple[str, ...], tuple[dict[str, str], str, dict[str, str]]] = {}
    for (_, currency), total in sums.items():
        names = {name: value for name, value in total.names.items() if name != "month"}
        *_, months = groups.setdefault((*names.values(), currency), (names, currency, {}))
        months[total.names.get("month", "")] = _packed(_figures(total))
    return _packed(list(groups.values()))


def _figures(total: _Sum) -> list[Any]:
    drafted = total.draft_rated_quantity
    return [
        None if drafted is None else canonical(drafted),
        total.draft_fee_amount,
        sorted(total.draft_units),
        canonical(total.actual_quantity),
        total.fee_amount,
        sorted(total.units),
    ]


def _packed(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=4)
def _months(texts: tuple[str, ...], wanted: _Wanted) -> list[View]:
    """Lines by month, kept: an overview adds up the same blocks at each look, and of a month they are short."""
    return _lines(texts, "month", wanted)


def _lines(texts: Iterable[str], by: By, wanted: _Wanted) -> list[View]:
    """The lines that the sums of all blocks come to."""
    sums: _Sums = {}
    for text in texts:
        _merge(sums, text, by, wanted)
    return [_line(total, currency or None) for (_, currency), total in sorted(sums.items(), key=_order)]


def _merge(sums: _Sums, text: str, by: By, wanted: _Wanted) -> None:
    for names, currency, months in json.loads(text):
        if not wanted.takes(names):
            continue
        for month in filter(wanted.takes_month, months):
            total = _total(sums, {"month": month} if by == "month" else _named(names, by), currency)
            drafted, draft_fee, draft_units, quantity, fee, units = json.loads(months[month])
            total.add_draft(None if drafted is None else Decimal(drafted), draft_fee, draft_units)
            total.add(Decimal(quantity), fee, units)


def _named(names: Mapping[str, str], by: By) -> dict[str, str]:
    return {name: names[name] for name in NAMES[by]}


def _sum(sums: _Sums, kind: Kind, by: Sorted, product: str) -> _Sum:
    all_of_it = {
        "month": kind.period_start_date.isoformat()[:7],
        "customer_id": kind.customer_id,
        "customer_name": kind.customer_name,
        "product": product,
    }
    return _total(sums, {name: all_of_it[name] for name in NAMES.get(by, all_of_it)}, kind.currency or "")


def _total(sums: _Sums, names: dict[str, str], currency: str) -> _Sum:
    key = tuple(value for name, value in names.items() if name != "customer_name"), currency
    return sums.setdefault(key, _Sum(names))


def _order(item: tuple[tuple[tuple[str, ...], str], Any]) -> tuple[tuple[str, ...], str]:
    return item[0]


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
