"""What windows have used is counted by price from the inputs that were Rated before the upgrade."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from batchwright.billing import tables
from batchwright.engine.store.database import Database
from batchwright.operations.app import make_application
from batchwright.testing.clock import StandingClock
from tests.jobs.company import Company
from tests.jobs.rating import rate, rated, stored
from tests.migrations.revisions import migrate
from tests.support.application import NOW, make_settings

TIERS = (("4", "3", None), (None, "1", None))


def fill(books: Company) -> dict[str, int]:
    """Two revisions of one price, and from the 16th on a fee; inputs Rated by each, and 4 that were imported."""
    first = books.priced("data", "tiered", tiers=TIERS, usage_indexing=True)
    second = books.priced("data", "tiered", tiers=TIERS, usage_indexing=True, revision=2)
    sixteenth = date(2023, 6, 16)
    fee = books.priced(
        *("data", "flat"), unit_price=None, flat_fee="99", usage_indexing=True, effective_from=sixteenth
    )
    asset = books.metered(actual={6: "9.6"})
    for name, day, quantity in (("next", "06-12", "1"), ("after", "06-20", "1")):
        books.used(asset, name, day, quantity)
    for name, day, quantity, price in (
        ("a", "06-01", "0.1", first),
        ("b", "06-02", "0.2", first),
        ("c", "06-03", "0.3", second),
        ("d", "06-17", "5", fee),
    ):
        books.used(asset, name, day, quantity, status="Rated", rated_price_key=price, rated_amount=0)
    return {"first": first, "fee": fee}


@pytest.mark.on_both
def test_rated_inputs_are_counted_by_price_and_the_next_rating_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url)
    migrate(database, "0020")
    meter, one, count = tables.usage_schedule, tables.usage_input, tables.usage_count
    with database.write() as connection:
        keys = fill(Company(connection))
        june = meter.c.usage_schedule_id == "US-AL-1-06"
        key = connection.execute(select(meter.c.id).where(june)).scalar_one()
        connection.execute(update(meter).where(june).values(rated_inputs=4))
        connection.execute(update(one).where(one.c.status == "Rated").values(rated_schedule_key=key))
    migrate(database, "head")
    with database.read() as connection:
        found = connection.execute(select(count).order_by(count.c.price_key)).all()
    database.close()
    assert [tuple(row) for row in found] == [
        (key, keys["first"], Decimal("0.6"), 3),
        (key, keys["fee"], Decimal(5), 1),
    ]
    app = make_application(make_settings(database_url, tmp_path), clock=StandingClock(NOW))
    rate(app)
    # 4 were imported when the tiers were in force: next goes on at 4.6, and the fee was paid by d.
    assert {
        name: (rated(app)[name], stored(app, name)["rated_prior_quantity"]) for name in ("next", "after")
    } == {
        "next": ("1.00", Decimal("4.6")),
        "after": ("0.00", Decimal(5)),
    }
    app.close()
