"""A small company on which everything may happen, and what must hold whatever happens.

Whoever plays it (hypothesis in the suite, chance in the soak) calls the acts in any order and `check` in between.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, insert, select

from batchwright.billing import tables
from batchwright.billing.exact import EXACT
from batchwright.billing.records import forecast_blocks
from batchwright.billing.records.billing_schedules import LIVE, PENDING_BILLING, SUPERSEDED
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.amendments import amend_asset_line_item
from batchwright.operations.billing.billing_schedules import set_billing_schedule_status
from batchwright.operations.billing.forecast import CHOICES, forecast, refresh_forecast
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import edit_usage_input, reset_usage_inputs
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.views import View
from tests.jobs.company import INDEXED_TIERS, Company, Tier, last_day
from tests.jobs.drafting import draft, empty
from tests.jobs.rating import assert_books_balance, assert_windows_are_whole, rate, unrate
from tests.jobs.updates import update
from tests.support.application import ACTOR

FIRST_DAY, MONTHS = date(2023, 1, 1), 6
FIRST_PRICES = date(2000, 1, 1)
VOLUME_TIERS: tuple[Tier, ...] = (("20", "200", None), ("40", "400", None))
"""The vendor's; more than 40 is an error, `no_tier`."""

Input = tuple[str, date, str]
"""Asset line item id, usage date, quantity."""
Figures = tuple[Decimal | None, int | None]


@dataclass
class World:
    """The company, and what drafts and bills must still be by what was done so far.

    `drafts` are the draft figures by usage schedule, as the run that last wrote them left them. `billed` are the rows
    of what is invoiced, as they were when it was invoiced; `invoiced_once` has what no longer is, too.
    """

    app: Application
    assets: list[str] = field(default_factory=list)
    drafts: dict[int, Figures] = field(default_factory=dict)
    billed: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    invoiced_once: set[str] = field(default_factory=set)

    def begin(self, inputs: Iterable[Input], assets: int = 2) -> None:
        """Every other asset is billed quarterly by indexed tiers, the others monthly, at a discount, by volume."""
        empty(self.app)
        self.assets = [f"AL-{number}" for number in range(assets)]
        with self.app.database.write() as connection:
            company = Company(connection)
            company.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
            company.priced("plans", "volume", tiers=VOLUME_TIERS)
            account = company.account("AC-1")
            book = company.price_book("PB-USD")
            company.contract(company.customer(), book, discount_percent=Decimal("12.5"))
            keys = {}
            for number, name in enumerate(self.assets):
                product, months, frequency = (
                    ("plans", 1, "Monthly") if number % 2 else ("data", 3, "Quarterly")
                )
                keys[name] = company.metered(
                    name,
                    product,
                    months=MONTHS,
                    months_per_schedule=months,
                    billing_frequency=frequency,
                    account_key=account,
                    end_date=last_day(MONTHS),
                )
            rows = [
                {
                    "usage_input_id": f"IN-{place:06}",
                    "asset_key": keys[asset],
                    "usage_date": day,
                    "quantity": Decimal(quantity),
                    "product_uom": "Each",
                    "status": "Loaded",
                    "deleted": False,
                }
                for place, (asset, day, quantity) in enumerate(inputs)
            ]
            if rows:
                connection.execute(insert(tables.usage_input), rows)

    # --- acts --------------------------------------------------------------------------------------------------

    def load(self, inputs: Sequence[Input]) -> None:
        """Import usage inputs from a file."""
        lines = [f"{asset},{day.isoformat()},{quantity},Each" for asset, day, quantity in inputs]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "usage_inputs.csv"
            file.write_text("\n".join(["asset_line_item_id,usage_date,quantity,product_uom", *lines, ""]))
            import_paths(self.app, [file], again=True, actor=ACTOR)

    def forecast(self, parameters: Mapping[str, Any]) -> View:
        """Draft rating; `parameters` are those of the job."""
        inputs, schedules = self.inputs(), self.schedules()
        run = draft(self.app, dict(parameters))
        self._note_drafts(run, parameters, inputs, schedules)
        return run

    def rate(self, ids: Sequence[str] | None = None) -> View:
        """Rate all or these inputs."""
        return rate(self.app, _named(ids))

    def unrate(self, ids: Sequence[str] | None = None) -> View:
        """Unrate all or these inputs."""
        return unrate(self.app, _named(ids))

    def reset(self) -> None:
        """Make every input in Error Loaded."""
        reset_usage_inputs(self.app, status="Error", actor=ACTOR)

    def edit(self, an_id: str, day: date, quantity: str) -> bool:
        """Change an input, which is Loaded then unless it was unrated; False where it is Rated: that is refused."""
        [before] = [row for row in self.inputs() if row.usage_input_id == an_id]
        done = self.try_edit(an_id, day, quantity)
        [after] = [row for row in self.inputs() if row.usage_input_id == an_id]
        stays = not done or before.error_by == "unrating"
        assert (after.status, after.code, after.message) == (
            (before.status, before.code, before.message) if stays else ("Loaded", None, None)
        ), an_id
        return done

    def try_edit(self, an_id: str, day: date, quantity: str) -> bool:
        """The same where others act, too: what it is then is not known."""
        values = {"usage_date": day.isoformat(), "quantity": quantity}
        return _done(lambda: edit_usage_input(self.app, an_id, **values, actor=ACTOR))

    def amend(self, asset: str, **changes: Any) -> bool:
        """Amend an asset; False where that was refused."""
        return _done(lambda: amend_asset_line_item(self.app, asset, actor=ACTOR, **changes))

    def set_status(self, bill: str, status: str) -> bool:
        """Move a billing schedule; False where it has no way there."""
        if not _done(lambda: set_billing_schedule_status(self.app, [bill], status, actor=ACTOR)):
            return False
        self.billed.pop(bill, None)
        if status != "pending_billing":
            self.invoiced_once.add(bill)
        if status == "invoiced":
            self.billed[bill] = self._rows_of(bill)
        return True

    def reprice(self, product: str, factor: int) -> None:
        """Revise the price of a product: every unit price so many times the first."""
        tiers = INDEXED_TIERS if product == "data" else VOLUME_TIERS
        dearer = [(to, str(Decimal(unit or 0) * factor), fee) for to, unit, fee in tiers]
        with self.app.database.write() as connection:
            revision: int = connection.execute(
                select(func.max(tables.price.c.revision)).where(
                    tables.price.c.product == product, tables.price.c.effective_from == FIRST_PRICES
                )
            ).scalar_one()
            Company(connection).priced(
                product,
                "tiered" if product == "data" else "volume",
                tiers=dearer,
                usage_indexing=product == "data",
                revision=revision + 1,
            )

    def update_price(self, product: str, cells: Mapping[str, str]) -> None:
        """Revise the first price of a product by a file that names these columns of amounts; the others stand."""
        before = self._newest_price(product)
        start = before["effective_from"].isoformat()
        line = {"price_book_id": "PB-USD", "product": product, "effective_from": start}
        line |= {"model": before["model"], "product_uom": before["product_uom"], **cells}
        update(self.app, prices=[line])
        named = {name: Decimal(cell) if cell else None for name, cell in cells.items()}
        assert self._newest_price(product) == {**before, **named, "revision": before["revision"] + 1}

    def change_price(self, product: str, factor: int, day: date) -> None:
        """From that day on, within a window perhaps, the product has a price of another model."""
        with self.app.database.write() as connection:
            table = tables.price.c
            there = (table.product == product) & (table.effective_from == day)
            revisions = connection.execute(select(func.count()).where(there)).scalar_one()
            model, number = ("flat", "flat_fee") if product == "data" else ("per_unit", "unit_price")
            numbers: dict[str, Any] = {number: str(7 * factor)}
            Company(connection).priced(
                *(product, model), effective_from=day, usage_indexing=True, revision=revisions + 1, **numbers
            )

    def recalculate(self, months: Sequence[int]) -> View:
        """Rate these months of 2023 again, by the newest prices."""
        periods = [f"2023-{month:02}" for month in months]
        parameters = {"customer_id": "CU-1", "periods": periods, "reason": "Incorrect Charges"}
        return draft(self.app, parameters, job="data-recalculation")

    # --- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Every promise, whatever was done before."""
        self.check_books()
        found = {row.id: (row.draft_rated_quantity, row.draft_fee_amount) for row in self.schedules()}
        assert found == {key: self.drafts.get(key, (None, None)) for key in found}

    def check_books(self) -> None:
        """The promises about rated amounts: schedules are the sums of their inputs, nothing invoiced changes."""
        assert_books_balance(self.app)
        assert_windows_are_whole(self.app, but=self.invoiced_once)
        self._check_inputs()
        for schedule, rows in self.billed.items():
            assert self._rows_of(schedule) == rows, f"{schedule} is invoiced and changed"
        check_forecast(self.app)

    def _check_inputs(self) -> None:
        """A Rated input is part of a schedule in force, any other of none, and nothing is charged twice or lost."""
        in_force = {row.id for row in self.schedules() if row.status != SUPERSEDED}
        for row in self.inputs():
            if row.status == "Rated":
                assert row.rated_schedule_key in in_force, row.usage_input_id
                assert row.rated_amount is not None, row.usage_input_id
                assert (row.code, row.error_by) == (None, None), row.usage_input_id
            else:
                assert row.rated_schedule_key is None, row.usage_input_id
                assert row.rated_amount in (None, 0), row.usage_input_id
                assert (row.status == "Error") is (row.code is not None), row.usage_input_id

    def inputs(self) -> list[Row[Any]]:
        """The inputs that are not deleted."""
        with self.app.database.read() as connection:
            statement = select(tables.usage_input).where(tables.usage_input.c.deleted.is_(False))
            return list(connection.execute(statement.order_by(tables.usage_input.c.id)))

    def schedules(self) -> list[Row[Any]]:
        """The usage schedules, each with the status of its billing schedule."""
        bill, meter = tables.billing_schedule, tables.usage_schedule
        with self.app.database.read() as connection:
            return list(
                connection.execute(
                    select(meter, bill.c.status).join_from(
                        meter, bill, bill.c.id == meter.c.billing_schedule_key
                    )
                )
            )

    def billing_schedule_ids(self) -> list[str]:
        """Ids of the billing schedules in force."""
        schedule = tables.billing_schedule
        with self.app.database.read() as connection:
            statement = select(schedule.c.billing_schedule_id).where(LIVE).order_by(schedule.c.id)
            return list(connection.execute(statement).scalars())

    def _note_drafts(
        self, run: View, parameters: Mapping[str, Any], before: list[Row[Any]], schedules: list[Row[Any]]
    ) -> None:
        """What the forecast must have written, from the inputs it was given as they are after it."""
        ids, whole = parameters.get("usage_input_ids"), parameters.get("asset_line_item_ids")
        took = {
            row["record_id"]: row["outcome"]
            for row in run_outcomes(self.app, run["run_id"])
            if row["record_id"]
        }
        covering = _Covering(schedules)
        keys = self._asset_keys()
        after = {row.usage_input_id: row for row in self.inputs()}
        eligible: dict[int, set[str]] = defaultdict(set)
        for row in before:
            if row.status == "Loaded" or (row.status == "Error" and row.error_by == "draft"):
                eligible[row.asset_key].add(row.usage_input_id)
        visited = {keys[name] for name in whole} if whole is not None else set(keys.values())
        if ids is not None:
            visited = {row.asset_key for row in before if row.usage_input_id in set(ids)}
        named = None if ids is None else set(ids)
        partial = {asset for asset in visited if named is not None and not eligible[asset] <= named}
        sums: dict[int, Figures] = {}
        for row in before:
            outcome = took.get(row.usage_input_id)
            schedule = covering.on(row.asset_key, row.usage_date)
            if outcome in (None, "skipped") or schedule is None:
                continue
            quantity, fee = sums.get(schedule, (None, None))
            if outcome == "ok":
                now = after[row.usage_input_id]
                quantity = EXACT.add(quantity or Decimal(0), now.quantity)
                fee = (fee or 0) + now.draft_rated_amount
            sums[schedule] = (quantity, fee)
        for row in schedules:
            if row.asset_key in visited and row.asset_key not in partial and row.status == PENDING_BILLING:
                self.drafts[row.id] = (None, None)
        self.drafts.update(sums)

    def _newest_price(self, product: str) -> dict[str, Any]:
        """The newest revision of the first price of a product, with its tiers."""
        table, tier = tables.price, tables.price_tier
        first = (table.c.product == product) & (table.c.effective_from == FIRST_PRICES)
        columns = [column for column in tier.c if column.name not in ("id", "price_key")]
        with self.app.database.read() as connection:
            statement = select(table).where(first).order_by(table.c.revision.desc()).limit(1)
            price = dict(connection.execute(statement).one()._mapping)
            tiers = select(*columns).where(tier.c.price_key == price["id"]).order_by(tier.c.ordinal)
            price["tiers"] = [tuple(row) for row in connection.execute(tiers)]
        return {name: value for name, value in price.items() if name not in ("id", "created_at")}

    def _asset_keys(self) -> dict[str, int]:
        table = tables.asset_line_item.c
        with self.app.database.read() as connection:
            rows = connection.execute(select(table.asset_line_item_id, table.id)).all()
        return {row.asset_line_item_id: row.id for row in rows}

    def _rows_of(self, bill_id: str) -> list[tuple[Any, ...]]:
        """A billing schedule, its usage schedules and their Rated inputs, without draft values."""
        bill, meter, one = tables.billing_schedule, tables.usage_schedule, tables.usage_input
        with self.app.database.read() as connection:
            key = connection.execute(
                select(bill.c.id).where(bill.c.billing_schedule_id == bill_id)
            ).scalar_one()
            meters = select(meter.c.id).where(meter.c.billing_schedule_key == key)
            statements = (
                select(bill).where(bill.c.id == key),
                select(*_but_drafts(meter.c)).where(meter.c.id.in_(meters)).order_by(meter.c.id),
                select(*_but_drafts(one.c)).where(one.c.rated_schedule_key.in_(meters)).order_by(one.c.id),
            )
            return [tuple(row) for statement in statements for row in connection.execute(statement)]


class _Covering:
    """Which usage schedule covers a day: of those in force the pending one first."""

    def __init__(self, schedules: Iterable[Row[Any]]) -> None:
        self._on: dict[tuple[int, date], int] = {}
        in_force = [row for row in schedules if row.status != SUPERSEDED]
        for row in sorted(in_force, key=lambda row: (row.status == PENDING_BILLING, row.id)):
            day = row.period_start_date
            while day <= row.period_end_date:
                self._on[row.asset_key, day] = row.id
                day += timedelta(days=1)

    def on(self, asset: int, day: date) -> int | None:
        return self._on.get((asset, day))


def check_forecast(app: Application) -> None:
    """What is kept of the forecast is what it comes to when it is added up anew; all of it is kept then."""
    kept = [forecast(app, by) for by in CHOICES]
    with app.database.write() as connection:
        forecast_blocks.mark_all_changed(connection)
    assert kept == [forecast(app, by) for by in CHOICES]
    while refresh_forecast(app):
        pass
    with app.database.read() as connection:
        assert forecast_blocks.is_good(connection)
    assert kept == [forecast(app, by) for by in CHOICES]
    assert kept[1:] == [forecast(app, by, since="0001-01") for by in CHOICES[1:]]  # told apart by more


def _but_drafts(columns: Iterable[Any]) -> list[Any]:
    return [column for column in columns if not column.name.startswith("draft_")]


def _named(ids: Collection[str] | None) -> dict[str, Any]:
    return {} if ids is None else {"usage_input_ids": list(ids)}


def _done(act: Callable[[], object]) -> bool:
    try:
        act()
    except Refused:
        return False
    return True
