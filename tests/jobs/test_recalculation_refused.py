"""Who, when and why a recalculation is refused: with the field, a remedy, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import delete, update

from batchwright.billing import tables
from batchwright.engine.errors import KeyInUse, Refused
from batchwright.engine.store.tables import run as run_table
from batchwright.jobs import DataRecalculationJob
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.recalculation import recalculation_offer
from batchwright.operations.runs.batches import execute_batch
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import StandingClock
from tests.jobs.drafting import billing_rows
from tests.jobs.recalculating import JOB, Contracted, asked, recalculate, submitted
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.rungs import depth

Write = Callable[[Callable[[Contracted], object]], None]
TODAY = date(2023, 7, 1)


@pytest.fixture
def write(app: Application) -> Write:
    def call(fill: Callable[[Contracted], object]) -> None:
        with app.database.write() as connection:
            fill(Contracted(connection))

    return call


@pytest.fixture(autouse=True)
def _company(write: Write) -> None:
    write(lambda books: (books.begin(), books.of_account()))


def refusal(app: Application, **parameters: Any) -> Refused:
    """What a submit is refused with; nothing is there afterwards that was not there before."""
    before, runs = billing_rows(app), list_runs(app)
    with pytest.raises(Refused) as caught:
        submitted(app, **parameters)
    assert billing_rows(app) == before
    assert list_runs(app) == runs
    assert caught.value.remedy
    return caught.value


def offered(app: Application) -> list[str]:
    return [one["customer_id"] for one in recalculation_offer(app)["customers"]]


def set_contract(app: Application, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(tables.contract).values(**values))


def test_what_the_dialog_offers_is_taken(app: Application) -> None:
    run = submitted(app, periods=["2023-06"])
    assert (run["customer_id"], run["periods"], run["reason"]) == ("CU-1", ["2023-06"], "Incorrect Charges")
    assert drive_run(app, run["run_id"])["status"] == "Completed"


def test_an_unknown_customer_is_refused(app: Application) -> None:
    refused = refusal(app, customer_id="CU-77")
    assert (refused.field, "CU-77" in refused.message) == ("customer_id", True)


@pytest.mark.parametrize(
    "terms",
    [
        {"status": "Archived"},
        {"end_date": date(2023, 6, 30)},
        {"start_date": date(2023, 7, 2)},
    ],
    ids=["archived", "ended yesterday", "begins tomorrow"],
)
def test_a_customer_without_a_contract_that_is_active_today_is_refused_and_not_offered(
    app: Application, terms: dict[str, Any]
) -> None:
    assert offered(app) == ["CU-1"]
    set_contract(app, **terms)
    refused = refusal(app)
    assert refused.field == "customer_id"
    assert refused.message == "CU-1 has no contract that is active on 2023-07-01"
    assert offered(app) == []


def test_the_first_and_the_last_day_of_a_contract_belong_to_it(app: Application) -> None:
    set_contract(app, end_date=TODAY)
    assert offered(app) == ["CU-1"]
    set_contract(app, start_date=TODAY)
    [customer] = recalculation_offer(app)["customers"]
    assert customer["periods"] == [], "active, but no month of it is over"


def test_a_newer_revision_decides_whether_a_contract_is_active(app: Application, write: Write) -> None:
    def revise(books: Contracted) -> None:
        book = books.key_of(tables.price_book, "PB-USD")
        books.contract(books.customer(), book, "CO-1", revision=2, status="Archived")

    write(revise)
    assert refusal(app).field == "customer_id"
    assert offered(app) == []


def test_a_customer_without_a_linked_account_is_refused_and_not_offered(
    app: Application, write: Write
) -> None:
    with app.database.write() as connection:
        connection.execute(update(tables.asset_line_item).values(account_key=None))
        connection.execute(delete(tables.account))
    refused = refusal(app)
    assert (refused.field, refused.message) == (
        "customer_id",
        "no account is linked to CU-1 under its active contract CO-1",
    )
    assert offered(app) == []


@pytest.mark.parametrize("month", ["2023-07", "2023-08", "2099-01"])
def test_a_month_that_is_not_over_is_refused(app: Application, month: str) -> None:
    refused = refusal(app, periods=["2023-06", month])
    assert refused.field == "periods"
    assert refused.message == f"{month} is not over: today is 2023-07-01"


def test_months_that_the_contract_does_not_cover_are_refused_all_of_them_named(app: Application) -> None:
    set_contract(app, start_date=date(2023, 5, 31))
    refused = refusal(app, periods=["2023-03", "2023-05", "2023-04"])
    assert refused.field == "periods"
    assert "2023-03 is not under the active contract CO-1 (2023-05-31 to open)" in refused.message
    assert "2023-04 is not under" in refused.message
    assert "2023-05 is not" not in refused.message
    assert refused.remedy == "Months that can be recalculated: 2023-05 to 2023-06"
    assert recalculation_offer(app)["customers"][0]["periods"] == ["2023-06", "2023-05"]


@pytest.mark.parametrize("month", ["2023-6", "2023-13", "2023", "June", "2023-06-01", "0000-01", ""])
def test_what_is_no_month_is_refused(app: Application, month: str) -> None:
    refused = refusal(app, periods=[month])
    assert refused.field == "periods"
    assert "YYYY-MM" in refused.message


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"reason": "because"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "other"}, "reason"),
        ({"periods": []}, "periods"),
        ({"periods": "2023-06"}, "periods"),
        ({"customer_id": ""}, "customer_id"),
        ({"customer_id": "CU-1\n"}, "customer_id"),
        ({"customer_id": "CU\x00"}, "customer_id"),
        ({"months": ["2023-06"]}, "months"),
    ],
)
def test_other_parameters_are_refused(app: Application, wrong: dict[str, Any], field: str) -> None:
    assert refusal(app, **wrong).field == field


def test_an_unknown_reason_is_refused_with_those_there_are(app: Application) -> None:
    message = refusal(app, reason="because").message
    for reason in ("Credit and adjustment issues", "Incorrect Charges", "Other"):
        assert reason in message


def test_months_named_twice_or_in_disorder_are_taken_once_and_in_order(app: Application) -> None:
    assert submitted(app, periods=["2023-06", "2023-04", "2023-06"])["periods"] == ["2023-04", "2023-06"]


@pytest.mark.parametrize("mode", ["batch", "dry_run"])
def test_a_month_that_another_live_run_holds_is_refused_and_the_run_is_named(
    app: Application, mode: str
) -> None:
    held = ["2023-03", "2023-05"]
    first = submit_run(app, JOB, asked(held), actor=ACTOR, mode=mode, mail_actor=False).run_id
    for months in (["2023-05"], ["2023-04", "2023-05", "2023-06"], held):
        refused = refusal(app, periods=months)
        assert isinstance(refused, KeyInUse)
        assert refused.run_id == first
        assert refused.field == "periods"
        held_too = ", ".join(month for month in months if month in held)
        state = show_run(app, first)["status"]
        said = f"{held_too} of CU-1: {first} is about that and has not ended ({state})"
        assert refused.message == said
    assert recalculation_offer(app)["customers"][0]["live"] == [{"run_id": first, "periods": held}]
    other = submitted(app, periods=["2023-04"])["run_id"]
    drive_run(app, first)
    abort_run(app, other, actor=ACTOR)
    assert submitted(app, periods=["2023-04", "2023-05"])["run_id"]


def test_another_customer_may_be_recalculated_for_the_same_month(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        books.account("AC-2", "CU-2")
        books.contract(books.customer("CU-2"), books.key_of(tables.price_book, "PB-USD"), "CO-2")

    write(fill)
    submitted(app)
    assert submitted(app, customer_id="CU-2")["customer_id"] == "CU-2"


@pytest.mark.parametrize("seed", range(depth(1, 3)))
@pytest.mark.on_both
def test_of_submits_at_once_one_gets_the_month_and_the_others_are_told_of_it(
    app: Application, tmp_path: Path, seed: int
) -> None:
    url, rivals = app.database.url.render_as_string(hide_password=False), 4
    together = Barrier(rivals, timeout=60)

    def ask(number: int) -> str:
        other = make_application(make_settings(url, tmp_path), clock=StandingClock(NOW))
        try:
            other.database.require()
            together.wait()
            return str(submitted(other, periods=["2023-06", f"2023-0{number + 1}"])["run_id"])
        except KeyInUse as refused:
            return f"refused for {refused.run_id}"
        finally:
            other.close()

    with ThreadPoolExecutor(rivals) as pool:
        answers = list(pool.map(ask, range(rivals)))
    [run] = list_runs(app)
    assert sorted(answers) == sorted([run["run_id"], *[f"refused for {run['run_id']}"] * (rivals - 1)])


@pytest.mark.parametrize(
    ("zone", "is_over"), [("Pacific/Honolulu", False), ("UTC", True), ("Pacific/Kiritimati", True)]
)
def test_a_month_is_over_by_the_day_of_the_setting_time_zone(
    app: Application, tmp_path: Path, zone: str, is_over: bool
) -> None:
    url = app.database.url.render_as_string(hide_password=False)
    other = make_application(make_settings(url, tmp_path, time_zone=zone), clock=StandingClock(NOW))
    try:
        assert ("2023-06" in recalculation_offer(other)["customers"][0]["periods"]) is is_over
        if is_over:
            assert submitted(other)["run_id"]
        else:
            with pytest.raises(Refused, match="2023-06 is not over: today is 2023-06-30"):
                submitted(other)
    finally:
        other.close()


def test_from_python_it_is_checked_as_well(app: Application) -> None:
    job = DataRecalculationJob("CU-1", ["2023-07"], "Other", "a try")
    with pytest.raises(Refused, match="2023-07 is not over"):
        execute_batch(job, app=app)
    run_id = execute_batch(DataRecalculationJob("CU-1", ["2023-06"], "Other", "a try"), app=app)
    run = drive_run(app, run_id)
    assert (run["reason"], run["explanation"], run["type"]) == ("Other", "a try", "Recalc")


def test_the_audit_entry_of_a_submit_has_the_reason(app: Application) -> None:
    run = submitted(app)
    entry = list(list_audit(app))[0]  # noqa: RUF015  (read to its end: it is a stream)
    assert (entry["act"], entry["subject"], entry["reason"]) == (
        "run.submit",
        run["run_id"],
        "Incorrect Charges",
    )


def test_a_run_that_was_submitted_goes_on_whatever_becomes_of_the_contract(app: Application) -> None:
    run = submitted(app)
    set_contract(app, status="Archived")
    assert drive_run(app, run["run_id"])["status"] == "Completed"
    with app.database.read() as connection:
        assert connection.execute(run_table.select()).one().state == "Completed"
    with pytest.raises(Refused):
        recalculate(app)
