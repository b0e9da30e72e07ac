"""What a preview shows: old and new, by customer, by schedule, by input, the largest difference first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.conftest import Open, Write
from tests.jobs.drafting import amounts, change, draft, drafts
from tests.jobs.mixture import filled
from tests.jobs.rating import rate, rated, unrate
from tests.support.rungs import depth


def fill(books: Company) -> None:
    """Two customers, each unit at 2.00: CU-1 has 10 in May and 30 in June, CU-2 has 25 in June."""
    asset = books.metered()
    books.used(asset, "may", "05-05", "10")
    books.used(asset, "june", "06-05", "30")
    books.used(books.metered("AL-2", customer_id="CU-2"), "other", "06-05", "25")


def lines(app: Application, run: View, by: Any = None, limit: int | None = None) -> list[View]:
    return list(run_preview(app, run["run_id"], by, limit))


def in_short(found: list[View]) -> list[tuple[Any, ...]]:
    return [(line["record_id"], line["before"], line["after"], line["difference"]) for line in found]


def test_a_preview_names_customers_then_schedules_then_inputs_the_largest_difference_first(
    app: Application, write: Write
) -> None:
    write(fill)
    dry = draft(app, mode="dry_run", scope_size=1)
    found = lines(app, dry)
    assert [line["kind"] for line in found] == ["customer"] * 2 + ["usage_schedule"] * 3 + ["usage_input"] * 3
    assert in_short(found) == [
        ("CU-1", None, "80.00", "80.00"),
        ("CU-2", None, "50.00", "50.00"),
        ("US-AL-1-06", None, "60.00", "60.00"),
        ("US-AL-2-06", None, "50.00", "50.00"),
        ("US-AL-1-05", None, "20.00", "20.00"),
        ("june", None, "60.00", "60.00"),
        ("other", None, "50.00", "50.00"),
        ("may", None, "20.00", "20.00"),
    ]
    assert {line["customer_id"] for line in found} == {"CU-1", "CU-2"}


def test_a_preview_shows_what_stands_there_beside_what_would(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    change(app, tables.usage_input, "june", quantity=Decimal(5))
    change(app, tables.usage_input, "may", product_uom="Hour")
    found = lines(app, draft(app, mode="dry_run"))
    assert in_short(found) == [
        ("CU-1", "80.00", "10.00", "-70.00"),
        ("CU-2", "50.00", "50.00", "0.00"),
        ("US-AL-1-06", "60.00", "10.00", "-50.00"),
        ("US-AL-1-05", "20.00", None, "-20.00"),
        ("US-AL-2-06", "50.00", "50.00", "0.00"),
        ("june", "60.00", "10.00", "-50.00"),
        ("may", "20.00", None, "-20.00"),
        ("other", "50.00", "50.00", "0.00"),
    ]
    (bad,) = (line for line in found if line["record_id"] == "may")
    assert (bad["amount"], bad["detail"]["code"]) == (None, "uom_mismatch")


def test_a_preview_of_a_rating_and_of_an_unrating_shows_fees_as_they_are_and_as_they_would_be(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app, {"usage_input_ids": ["may"]})
    write(lambda books: books.used(_asset_key(app), "more", "05-06", "1"))
    dry = rate(app, mode="dry_run")
    assert in_short(lines(app, dry, "schedule"))[-1] == ("US-AL-1-05", "20.00", "22.00", "2.00")
    dry = unrate(app, mode="dry_run")
    assert in_short(lines(app, dry)) == [
        ("CU-1", "20.00", None, "-20.00"),
        ("US-AL-1-05", "20.00", "0.00", "-20.00"),
        ("may", "20.00", None, "-20.00"),
    ]


def test_a_preview_can_be_read_by_one_thing_alone_and_only_its_first_lines(
    app: Application, write: Write
) -> None:
    write(fill)
    dry = draft(app, mode="dry_run")
    assert [line["record_id"] for line in lines(app, dry, "customer")] == ["CU-1", "CU-2"]
    assert [line["record_id"] for line in lines(app, dry, "input")] == ["june", "other", "may"]
    assert [line["record_id"] for line in lines(app, dry, "schedule", 1)] == ["US-AL-1-06"]
    with pytest.raises(Refused, match="day") as refused:
        lines(app, dry, "day")
    assert refused.value.field == "by"


def test_a_preview_holds_sums_that_are_larger_than_any_single_amount(app: Application, write: Write) -> None:
    most = 2**63 - 1

    def priced(books: Company) -> None:
        books.priced("data", unit_price="0.01")
        for number in range(3):
            name = f"AL-{number}"
            books.used(books.metered(name), f"IN-{number}", "06-05", str(most))

    write(priced)
    dry = draft(app, mode="dry_run")
    (line,) = lines(app, dry, "customer")
    assert Decimal(line["difference"]) * 100 == 3 * most
    assert Decimal(dry["totals"]["draft_fee_amount"]["USD"]) * 100 == 3 * most


@pytest.mark.parametrize("seed", depth([3], [3, 17, 29]))
def test_what_a_preview_foretells_is_what_stands_there_after_the_run(applications: Open, seed: int) -> None:
    app = applications("sqlite")
    filled(app, seed)
    for job, inputs, figures in ((draft, amounts, _draft_fees), (rate, rated, _fees)):
        dry = job(app, mode="dry_run", scope_size=5)
        found = {kind: lines(app, dry, kind) for kind in ("customer", "schedule", "input")}
        assert _befores(found["input"]) == _present(inputs(app), found["input"])
        assert job(app, scope_size=11)["totals"] == dry["totals"]
        assert _afters(found["input"]) == _present(inputs(app), found["input"])
        assert _afters(found["schedule"]) == _present(figures(app), found["schedule"])
        assert _sums(found["customer"]) == _sums(found["input"])


def _asset_key(app: Application) -> int:
    asset = tables.asset_line_item
    with app.database.read() as connection:
        key = connection.execute(select(asset.c.id).where(asset.c.asset_line_item_id == "AL-1")).scalar_one()
    return int(key)


def _draft_fees(app: Application) -> dict[str, str | None]:
    return {name: fee for name, (_, fee) in drafts(app).items()}


def _fees(app: Application) -> dict[str, str | None]:
    return {row["usage_schedule_id"]: row["fee_amount"] for row in list_usage_schedules(app)}


def _befores(found: list[View]) -> dict[str, str | None]:
    return {line["record_id"]: line["before"] for line in found}


def _afters(found: list[View]) -> dict[str, str | None]:
    return {line["record_id"]: line["after"] for line in found}


def _present(values: dict[str, Any], found: list[View]) -> dict[str, Any]:
    return {line["record_id"]: values.get(line["record_id"]) for line in found}


def _sums(found: list[View]) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = {}
    for line in found:
        name = line["customer_id"], line["currency"]
        sums[name] = sums.get(name, Decimal(0)) + Decimal(line["difference"] or 0)
    return sums
