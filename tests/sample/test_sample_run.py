"""The sample company from its files to its forecast, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchwright.billing.sample import folder, usage
from batchwright.config.settings import MailSettings, Settings, operating_system_user
from batchwright.operations.app import Actor, Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.runs.submitting import submit_run

ACTOR = Actor(name="ops@example.com", os_user=operating_system_user())

EXPECTED_ERRORS = {
    "IN-00007134": "superseded_only",
    "IN-00007142": "before_first_billing_date",
    "IN-00007149": "no_price",
    "IN-00007258": "no_usage_schedule",
    "IN-00007267": "uom_mismatch",
    "IN-00007391": "negative_quantity",
    "IN-00007430": "no_tier",
    "IN-00007442": "amount_out_of_range",
    "IN-00007473": "no_contract",
    "IN-00007600": "asset_not_active",
}

# Worked out by hand, one or two for each price model, with the contract's discount where there is one.
EXPECTED_AMOUNTS = {
    "IN-00007101": "0.00",  # per_unit: within the month's 10,000 included calls
    "IN-00007116": "3.42",  # the first beyond: 11,367 so far, so 1,367 * 0.0025 = 3.4175
    "IN-00007121": "2.67",  # all 1,068 of them beyond
    "IN-00007102": "12.76",  # tiered, 50 of the quarter's hours included: 30.38 * 0.42 = 12.7596
    "IN-00007113": "42.79",  # from 92.35 to 194.22 hours: 101.87 * 0.42 = 42.7854
    "IN-00007119": "38.52",  # across the bound of 200: 5.78 * 0.42 + 100.26 * 0.36 = 38.5212
    "IN-00007105": "180.00",  # package: the first package of 25 seats
    "IN-00007117": "0.00",  # 20 seats so far are still in it
    "IN-00007129": "180.00",  # 38 seats so far start the second
    "IN-00007112": "189.05",  # stairstep: 1,503 so far, so 199 less 5 percent
    "IN-00007118": "0.00",  # 4,665 so far: that step is paid
    "IN-00007123": "380.00",  # 8,131 so far: 599 less the 199 paid, less 5 percent
    "IN-00007103": "142.50",  # percentage: at most 150, less 5 percent
    "IN-00007110": "1.84",  # 66.76 * 2.9 % = 1.93604, less 5 percent
    "IN-00007141": "2280.00",  # discrete: three days 2,400, less 5 percent
    "IN-00007126": "24.45",  # tiered, each input alone with its fees: 25.73516, less 5 percent
    "IN-00007135": "11.61",  # 12.22016, less 5 percent
    "IN-00007111": "950.00",  # flat: the first input of the quarter
    "IN-00007137": "0.00",  # the fee of that quarter is paid
    "IN-00007158": "130.00",  # volume with a fee: 75 * 1.20 + 40
    "IN-00007166": "64.80",  # the same tier: 54 * 1.20
}


@pytest.fixture
def app(migrated_url: str, tmp_path: Path) -> Iterator[Application]:
    settings = Settings(database_url=migrated_url, mail=MailSettings(directory=tmp_path / "mail"))
    application = make_application(settings)
    import_paths(application, [folder()], actor=ACTOR)
    yield application
    application.close()


@pytest.fixture
def run(app: Application) -> dict[str, Any]:
    submitted = submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    return drive_submitted(app, submitted)


def test_every_file_is_imported_whole(app: Application) -> None:
    imported = list(list_usage_inputs(app))
    assert len(imported) == usage.text().count("\n") - 1
    assert {row["status"] for row in imported} == {"Loaded"}


def test_each_bad_input_gets_its_code_and_all_others_are_rated(app: Application, run: dict[str, Any]) -> None:
    errors = {row["record_id"]: row["code"] for row in run_outcomes(app, run["run_id"], outcome="error")}
    assert errors == EXPECTED_ERRORS
    assert set(EXPECTED_ERRORS.values()) == set(usage.BAD_INPUTS)
    assert run["status"] == "Completed"
    assert run["processed"] == run["total"] - len(EXPECTED_ERRORS)
    assert set(run["totals"]["draft_fee_amount"]) == {"USD", "EUR"}


def test_the_inputs_and_schedules_of_the_vendors_page_get_its_figures(
    app: Application, run: dict[str, Any]
) -> None:
    assert run["status"] == "Completed"
    inputs = {
        row["usage_input_id"]: row["draft_rated_amount"]
        for row in list_usage_inputs(app, asset_line_item_id="ALI-0001")
    }
    assert inputs == {"IN-00007052": "4000.00", "IN-00007053": "2000.00"}
    drafts = {
        row["usage_schedule_id"]: (row["draft_rated_quantity"], row["draft_fee_amount"])
        for row in list_usage_schedules(app, asset_line_item_id="ALI-0001")
        if row["draft_fee_amount"] is not None
    }
    assert drafts == {"US-00008316": ("20.00", "4000.00"), "US-00008317": ("10.00", "2000.00")}


def test_amounts_are_those_worked_out_by_hand(app: Application, run: dict[str, Any]) -> None:
    assert run["status"] == "Completed"
    found = {row["usage_input_id"]: row["draft_rated_amount"] for row in list_usage_inputs(app)}
    assert {name: found[name] for name in EXPECTED_AMOUNTS} == EXPECTED_AMOUNTS
