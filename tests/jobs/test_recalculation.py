"""A recalculation: Rated inputs get what they come to now, their schedules the difference; nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import update

from batchwright.billing import tables
from batchwright.config.settings import operating_system_user
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.access.users import add_user
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import reset_usage_inputs
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.previews import apply_run
from tests.jobs.company import INDEXED_TIERS
from tests.jobs.drafting import billing_rows, change, draft, drafts, outcomes, statuses
from tests.jobs.rating import (
    assert_books_balance,
    fees,
    figures,
    invoice,
    previewed,
    rate,
    rated,
    rated_results,
    stored,
    unrate,
)
from tests.jobs.recalculating import Contracted, recalculate, reprice, warnings
from tests.support.application import ACTOR

Write = Callable[[Callable[[Contracted], object]], None]


@pytest.fixture
def write(app: Application) -> Write:
    def call(fill: Callable[[Contracted], object]) -> None:
        with app.database.write() as connection:
            fill(Contracted(connection))

    return call


def two_inputs(books: Contracted) -> None:
    books.begin()
    asset = books.of_account()
    books.used(asset, "IN-1", "06-05", "10")
    books.used(asset, "IN-2", "06-20", "5")


def test_a_price_changed_after_rating_leaves_the_rated_amounts_alone_until_a_recalculation(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    rate(app)
    before = rated_results(app)
    reprice(app, "3")
    assert rated_results(app) == before
    run = recalculate(app)
    assert rated(app) == {"IN-1": "30.00", "IN-2": "15.00"}
    assert figures(app) == {"US-AL-1-06": ("15.00", "45.00")}
    assert fees(app) == {"BS-AL-1-06": "45.00"}
    assert (run["status"], run["total"], run["processed"]) == ("Completed", 2, 2)
    assert run["totals"] == {
        "rated_amount_before": {"USD": "30.00"},
        "rated_amount_after": {"USD": "45.00"},
        "difference": {"USD": "15.00"},
    }
    assert_books_balance(app)


def test_a_second_recalculation_changes_nothing(app: Application, write: Write) -> None:
    write(two_inputs)
    rate(app)
    reprice(app, "3")
    recalculate(app)
    before = billing_rows(app)
    run = recalculate(app)
    assert billing_rows(app) == before
    assert run["totals"]["difference"] == {"USD": "0.00"}


def test_the_newest_revision_of_the_price_of_the_usage_date_counts(app: Application, write: Write) -> None:
    write(two_inputs)
    rate(app)
    reprice(app, "7", effective_from=date(2023, 6, 10), revision=1)
    recalculate(app)
    assert rated(app) == {"IN-1": "20.00", "IN-2": "35.00"}


def test_what_an_amount_rests_on_is_what_it_was_recalculated_with(app: Application, write: Write) -> None:
    write(two_inputs)
    rate(app)
    old = stored(app, "IN-1")
    reprice(app, "3")
    run = recalculate(app)
    new = stored(app, "IN-1")
    assert new["rated_price_key"] != old["rated_price_key"]
    assert new["rated_schedule_key"] == old["rated_schedule_key"]
    assert f"JR-{new['rated_run_key']:08d}" == run["run_id"]


def test_an_input_whose_price_did_not_change_keeps_the_run_that_rated_it(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    first = rate(app)
    recalculate(app)
    assert f"JR-{stored(app, 'IN-1')['rated_run_key']:08d}" == first["run_id"]


def test_the_discount_of_the_newest_contract_revision_counts(app: Application, write: Write) -> None:
    write(two_inputs)
    rate(app)
    with app.database.write() as connection:
        books = Contracted(connection)
        book = books.key_of(tables.price_book, "PB-USD")
        books.contract(books.customer(), book, "CO-1", revision=2, discount_percent=Decimal(10))
    recalculate(app)
    assert rated(app) == {"IN-1": "18.00", "IN-2": "9.00"}


def test_the_active_contract_counts_for_the_days_of_its_first_month_before_its_own(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        two_inputs(books)
        other = books.price_book("PB-NEW")
        books.priced_in(other, "data", unit_price="5")

    write(fill)
    rate(app)
    with app.database.write() as connection:
        table = tables.contract
        connection.execute(
            update(table).where(table.c.contract_id == "CO-1").values(end_date=date(2023, 6, 14))
        )
        books = Contracted(connection)
        book = books.key_of(tables.price_book, "PB-NEW")
        books.contract(books.customer(), book, "CO-2", start_date=date(2023, 6, 15))
    recalculate(app)
    assert rated(app) == {"IN-1": "50.00", "IN-2": "25.00"}


def test_only_the_months_that_were_named_are_recalculated(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        two_inputs(books)
        books.used(books.key_of(tables.asset_line_item, "AL-1"), "IN-MAY", "05-31")

    write(fill)
    rate(app)
    reprice(app, "3")
    run = recalculate(app)
    assert rated(app)["IN-MAY"] == "20.00"
    assert run["total"] == 2
    run = recalculate(app, ["2023-05", "2023-06"])
    assert rated(app)["IN-MAY"] == "30.00"
    assert run["periods"] == ["2023-05", "2023-06"]


def test_a_month_takes_the_whole_window_of_the_usage_schedules_that_overlap_it(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account(months=6, months_per_schedule=3)
        books.used(asset, "IN-MARCH", "03-31", "5")
        books.used(asset, "IN-APRIL", "04-01", "10")
        books.used(asset, "IN-JUNE", "06-05", "5")

    write(fill)
    rate(app)
    assert rated(app) == {"IN-MARCH": "15.00", "IN-APRIL": "30.00", "IN-JUNE": "10.00"}
    change(app, tables.usage_input, "IN-APRIL", quantity=Decimal(12))  # as a broken import would have it
    run = recalculate(app)
    assert rated(app) == {"IN-MARCH": "15.00", "IN-APRIL": "34.00", "IN-JUNE": "10.00"}
    assert run["total"] == 2


def test_usage_is_indexed_in_the_order_of_usage_date_whatever_order_it_was_rated_in(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account()
        books.used(asset, "IN-1", "06-05", "10")
        books.used(asset, "IN-2", "06-20", "10")

    write(fill)
    rate(app, {"usage_input_ids": ["IN-2"]})
    rate(app, {"usage_input_ids": ["IN-1"]})
    assert rated(app) == {"IN-1": "20.00", "IN-2": "30.00"}
    recalculate(app)
    assert rated(app) == {"IN-1": "30.00", "IN-2": "20.00"}
    assert_books_balance(app)


def test_it_comes_to_what_unrating_and_rating_again_come_to(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        for name in ("AL-1", "AL-2"):
            asset = books.of_account(name, months=6, months_per_schedule=6)
            for number in range(8):
                books.used(asset, f"IN-{name}-{number}", f"0{number % 6 + 1}-1{number}", "3.125")

    write(fill)
    rate(app, scope_size=1)
    reprice(app, "0", model="flat", flat_fee=Decimal("1.23"), usage_indexing=True)
    recalculate(app)
    recalculated = rated_results(app)
    unrate(app)
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    rate(app)
    assert rated_results(app) == recalculated


def test_loaded_and_error_inputs_of_the_months_are_counted_and_not_touched(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    rate(app)

    def more(books: Contracted) -> None:
        asset = books.key_of(tables.asset_line_item, "AL-1")
        books.used(asset, "IN-3", "06-06")
        books.used(asset, "IN-4", "06-30", status="Error", error_by="rating", code="no_price", message="x")
        books.used(asset, "IN-JULY", "07-01")
        books.used(asset, "IN-GONE", "06-07", deleted=True)

    write(more)
    before = {name: stored(app, name) for name in ("IN-3", "IN-4", "IN-JULY")}
    reprice(app, "3")
    run = recalculate(app)
    assert warnings(run) == [
        ("not_rated", "2 usage inputs of these months are not rated and left alone: 1 Loaded, 1 Error")
    ]
    assert {name: stored(app, name) for name in before} == before
    assert run["total"] == 2


@pytest.mark.parametrize("status", ["pending_invoice", "invoiced"])
def test_what_is_on_its_way_to_an_invoice_is_not_changed_but_told_with_the_difference(
    app: Application, write: Write, status: str
) -> None:
    def fill(books: Contracted) -> None:
        two_inputs(books)
        books.used(books.key_of(tables.asset_line_item, "AL-1"), "IN-MAY", "05-10", "10")

    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-06", status=status)
    before = rated_results(app)
    reprice(app, "3")
    run = recalculate(app, ["2023-05", "2023-06"])
    shown = {"pending_invoice": "Pending Invoice", "invoiced": "Invoiced"}[status]
    assert warnings(run) == [
        (
            "invoiced",
            f"BS-AL-1-06 is {shown}: what was rated under it stays at 30.00 USD, and would be 45.00"
            " (difference +15.00)",
        )
    ]
    assert outcomes(app, run) == {
        "IN-MAY": ("ok", None),
        "IN-1": ("skipped", "invoiced"),
        "IN-2": ("skipped", "invoiced"),
    }
    after = rated_results(app)
    assert [row for row in after["inputs"] if row[0] != "IN-MAY"] == [
        row for row in before["inputs"] if row[0] != "IN-MAY"
    ]
    assert fees(app) == {"BS-AL-1-05": "30.00", "BS-AL-1-06": "30.00"}
    assert run["totals"]["difference"] == {"USD": "10.00"}


def test_late_usage_is_priced_after_what_was_billed_before_it(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account()
        books.used(asset, "IN-1", "06-20", "10")
        books.used(asset, "IN-LATE", "06-05", "10")

    write(fill)
    rate(app, {"usage_input_ids": ["IN-1"]})
    invoice(app, "BS-AL-1-06")
    rate(app)
    assert rated(app) == {"IN-1": "30.00", "IN-LATE": "20.00"}
    run = recalculate(app)
    assert rated(app) == {"IN-1": "30.00", "IN-LATE": "20.00"}
    assert run["totals"]["difference"] == {"USD": "0.00"}
    assert warnings(run) == []


def test_a_month_that_is_pending_before_a_billed_one_keeps_to_its_own_window(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account()
        books.used(asset, "IN-APRIL", "04-05", "10")
        books.used(asset, "IN-MAY", "05-05", "10")
        books.used(asset, "IN-JUNE", "06-20", "10")

    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-06")
    assert rated(app) == {"IN-APRIL": "30.00", "IN-MAY": "30.00", "IN-JUNE": "30.00"}
    run = recalculate(app, ["2023-04", "2023-05", "2023-06"])
    assert rated(app) == {"IN-APRIL": "30.00", "IN-MAY": "30.00", "IN-JUNE": "30.00"}
    assert run["totals"]["difference"] == {"USD": "0.00"}
    assert_books_balance(app)


def test_an_input_that_cannot_be_priced_any_more_keeps_its_amount_and_is_an_error(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account()
        books.used(asset, "IN-1", "06-05", "10")
        books.used(asset, "IN-2", "06-20", "10")

    write(fill)
    rate(app)
    change(app, tables.usage_input, "IN-1", product_uom="Crate")
    run = recalculate(app)
    assert outcomes(app, run) == {"IN-1": ("error", "uom_mismatch"), "IN-2": ("ok", None)}
    assert rated(app) == {"IN-1": "30.00", "IN-2": "20.00"}
    assert statuses(app)["IN-1"] == ("Rated", None)
    assert run["totals"]["rated_amount_before"] == {"USD": "20.00"}
    assert_books_balance(app)


def test_superseded_schedules_and_their_inputs_stay_as_they_are(app: Application, write: Write) -> None:
    write(two_inputs)
    rate(app)

    def more(books: Contracted) -> None:
        asset = books.key_of(tables.asset_line_item, "AL-1")
        billing_schedule = books.billing_schedule_from(
            asset, "BS-OLD", 6, status="Superseded", fee_amount=999
        )
        books.usage_schedule_of(
            asset, billing_schedule, "US-OLD", 6, fee_amount=999, actual_quantity=Decimal(5), rated_inputs=0
        )

    write(more)
    reprice(app, "3")
    recalculate(app)
    assert fees(app) == {"BS-AL-1-06": "45.00", "BS-OLD": "9.99"}
    assert rated(app) == {"IN-1": "30.00", "IN-2": "15.00"}


def test_draft_values_stay_as_they_are(app: Application, write: Write) -> None:
    write(two_inputs)
    draft(app)
    rate(app)
    before = drafts(app)
    assert before
    reprice(app, "3")
    recalculate(app)
    assert drafts(app) == before


def test_usage_of_other_customers_stays_as_it_is(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        two_inputs(books)
        other = books.metered("AL-9", customer_id="CU-9")
        books.used(other, "IN-9", "06-05")

    write(fill)
    rate(app)
    reprice(app, "3")
    recalculate(app)
    assert rated(app)["IN-9"] == "20.00"


def test_a_schedule_taken_over_with_a_fee_keeps_it_below_the_difference(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        books.begin()
        asset = books.of_account(actual={6: "100"})
        books.used(asset, "IN-1", "06-05", "10")

    write(fill)
    change(app, tables.usage_schedule, "US-AL-1-06", fee_amount=5000)
    change(app, tables.billing_schedule, "BS-AL-1-06", fee_amount=7000)
    rate(app)
    reprice(app, "3")
    recalculate(app)
    assert figures(app) == {"US-AL-1-06": ("110.00", "80.00")}
    assert fees(app) == {"BS-AL-1-06": "100.00"}


def test_a_dry_run_shows_old_and_new_changes_nothing_and_has_the_totals_of_the_run(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    rate(app)
    reprice(app, "3")
    before = billing_rows(app)
    dry = recalculate(app, mode="dry_run")
    assert billing_rows(app) == before
    inputs = previewed(app, dry, "input")
    assert (inputs["IN-1"]["before"], inputs["IN-1"]["after"], inputs["IN-1"]["difference"]) == (
        "20.00",
        "30.00",
        "10.00",
    )
    usage_schedules = previewed(app, dry, "usage_schedule")
    assert (usage_schedules["US-AL-1-06"]["before"], usage_schedules["US-AL-1-06"]["after"]) == (
        "30.00",
        "45.00",
    )
    customers = previewed(app, dry, "customer")
    assert (customers["CU-1"]["before"], customers["CU-1"]["after"]) == ("30.00", "45.00")
    wet = recalculate(app)
    assert dry["totals"] == wet["totals"]
    assert (dry["total"], dry["processed"], warnings(dry)) == (wet["total"], wet["processed"], warnings(wet))


def test_the_preview_of_a_recalculation_is_applied_or_refused_where_a_price_changed_again(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    rate(app)
    reprice(app, "3")
    dry = recalculate(app, mode="dry_run")
    reprice(app, "4")
    failed = drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    assert (failed["status"], "price revision" in failed["error"]) == ("Failed", True)
    assert rated(app) == {"IN-1": "20.00", "IN-2": "10.00"}
    dry = recalculate(app, mode="dry_run")
    run = drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    assert (run["status"], run["totals"], run["reason"]) == ("Completed", dry["totals"], dry["reason"])
    assert rated(app) == {"IN-1": "40.00", "IN-2": "20.00"}
    assert_books_balance(app)


def test_who_may_not_recalculate_does_not_apply_the_preview_of_a_recalculation(
    app: Application, write: Write
) -> None:
    write(two_inputs)
    rate(app)
    dry = recalculate(app, mode="dry_run")
    ada = Actor("ada", operating_system_user())
    add_user(app, "ada@example.com", Right.ADMINISTER, os_user="u-ada", actor=ada)
    add_user(app, "olga@example.com", Right.OPERATE, os_user="u-olga", actor=Actor("ada", "u-ada"))
    with pytest.raises(Forbidden, match="Billing Utilities Admin"):
        apply_run(app, dry["run_id"], actor=Actor("olga", "u-olga"))
