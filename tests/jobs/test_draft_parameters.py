"""What a forecast is given: nothing, usage input ids, or asset line item ids."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright import jobs
from batchwright.engine.errors import Refused
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import amounts, billing_rows, draft, drafts, outcomes, submit


def fill(books: Company) -> None:
    """Two assets, each with an input in June and one in July."""
    for name in ("AL-1", "AL-2"):
        asset = books.metered(name)
        books.used(asset, f"{name}-june", "06-05", "1")
        books.used(asset, f"{name}-july", "07-05", "2")


def test_without_arguments_every_candidate_is_forecast(app: Application, write: Write) -> None:
    write(fill)
    run = draft(app)
    assert (run["total"], run["processed"], run["warnings"]) == (4, 4, [])
    assert amounts(app) == {
        "AL-1-june": "2.00",
        "AL-1-july": "4.00",
        "AL-2-june": "2.00",
        "AL-2-july": "4.00",
    }


def test_usage_input_ids_name_the_inputs_and_doubles_count_once(app: Application, write: Write) -> None:
    write(fill)
    run = draft(app, {"usage_input_ids": ["AL-2-july", "AL-2-june", "AL-2-july"]})
    assert outcomes(app, run) == {"AL-2-june": ("ok", None), "AL-2-july": ("ok", None)}
    assert drafts(app) == {"US-AL-2-06": ("1.00", "2.00"), "US-AL-2-07": ("2.00", "4.00")}


def test_asset_line_item_ids_name_all_their_inputs(app: Application, write: Write) -> None:
    write(fill)
    run = draft(app, {"asset_line_item_ids": ["AL-1", "AL-1"]})
    assert outcomes(app, run) == {"AL-1-june": ("ok", None), "AL-1-july": ("ok", None)}


def test_a_run_with_nothing_to_do_completes(app: Application, write: Write) -> None:
    write(lambda books: books.metered())
    for parameters in ({}, {"asset_line_item_ids": ["AL-1"]}):
        run = draft(app, parameters)
        assert (run["badge"], run["total"], run["totals"]) == ("Complete", 0, {})


@pytest.mark.parametrize(
    ("parameters", "said", "field"),
    [
        (
            {"usage_input_ids": ["AL-1-june"], "asset_line_item_ids": ["AL-1"]},
            "not both",
            "asset_line_item_ids",
        ),
        ({"usage_input_ids": []}, "usage_input_ids: an empty list", "usage_input_ids"),
        ({"asset_line_item_ids": []}, "asset_line_item_ids: an empty list", "asset_line_item_ids"),
        (
            {"usage_input_ids": ["IN-7", "AL-1-june", "IN-3"]},
            "unknown usage input ids: IN-7, IN-3",
            "usage_input_ids",
        ),
        ({"usage_input_ids": ["gone"]}, "unknown usage input id: gone", "usage_input_ids"),
        (
            {"asset_line_item_ids": ["AL-1", "AL-9"]},
            "unknown asset line item id: AL-9",
            "asset_line_item_ids",
        ),
        ({"usage_inputs": ["AL-1-june"]}, "usage_inputs: Extra inputs are not permitted", "usage_inputs"),
        ({"include_rated": "perhaps"}, "include_rated", "include_rated"),
        ({"usage_input_ids": [7]}, "usage_input_ids", "usage_input_ids.0"),
    ],
)
def test_bad_parameters_are_refused_and_nothing_is_written(
    app: Application, write: Write, parameters: dict[str, Any], said: str, field: str | None
) -> None:
    def fill_and_delete(books: Company) -> None:
        fill(books)
        books.used(books.metered("AL-3"), "gone", "06-05", deleted=True)

    write(fill_and_delete)
    before = billing_rows(app)
    with pytest.raises(Refused, match=said) as refusal:
        submit(app, parameters)
    assert refusal.value.field == field
    assert refusal.value.remedy
    assert (list_runs(app), billing_rows(app)) == ([], before)


def test_the_package_of_jobs_offers_the_job_by_name() -> None:
    assert jobs.DraftUsageRatingJob is DraftUsageRatingJob


def test_the_job_takes_its_arguments_by_position_as_the_vendor_s_does() -> None:
    assert DraftUsageRatingJob(["IN-1"], None).parameters.usage_input_ids == ["IN-1"]
    assert DraftUsageRatingJob(None, {"AL-1"}).parameters.asset_line_item_ids == ["AL-1"]
    assert DraftUsageRatingJob().parameters.include_rated is False


@pytest.mark.parametrize("name", ["usage_input_ids", "asset_line_item_ids"])
def test_a_single_id_in_place_of_a_list_is_refused(name: str) -> None:
    parameters: dict[str, Any] = {name: "IN-1"}
    with pytest.raises(Refused, match=f"{name}: .*list") as refusal:
        DraftUsageRatingJob(**parameters)
    assert refusal.value.field == name
