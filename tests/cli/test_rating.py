"""Rating and unrating from the command line, and the explanation of an amount."""

from __future__ import annotations

import json

from tests.cli.answers_of_runs import RUN_FIELDS, answer
from tests.cli.conftest import Batchwright

SEED = ["--usage-input", "IN-00007052", "--usage-input", "IN-00007053"]


def test_the_seed_s_inputs_are_rated_and_their_schedules_get_the_amounts(
    company: str, batchwright: Batchwright
) -> None:
    run = answer(batchwright, "run", "usage-rating", *SEED)
    assert list(run) == RUN_FIELDS
    assert run["totals"] == {"rated_amount": {"USD": "6000.00"}}
    shown = answer(batchwright, "usage-inputs", "show", "IN-00007052")
    assert (shown["status"], shown["rated_amount"]) == ("Rated", "4000.00")
    listed = json.loads(batchwright("usage-schedules", "list", "--json").stdout)
    fees = {row["usage_schedule_id"]: (row["actual_quantity"], row["fee_amount"]) for row in listed}
    assert (fees["US-00008316"], fees["US-00008317"]) == (("20.00", "4000.00"), ("10.00", "2000.00"))


def test_a_synchronous_rating_prints_its_outcomes_and_a_second_one_skips(
    company: str, batchwright: Batchwright
) -> None:
    first = answer(batchwright, "run", "usage-rating", *SEED, "--sync")
    assert [(row["outcome"], row["amount"]) for row in first["outcomes"]] == [
        ("ok", "4000.00"),
        ("ok", "2000.00"),
    ]
    second = answer(batchwright, "run", "usage-rating", *SEED, "--sync")
    assert {row["code"] for row in second["outcomes"]} == {"not_eligible"}
    assert (second["skipped"], second["totals"]) == (2, {})


def test_errored_inputs_end_with_3_and_runs_retry_rates_them_after_the_repair(
    company: str, batchwright: Batchwright
) -> None:
    bad = answer(batchwright, "usage-inputs", "add", *_usage("-5"))["usage_input_id"]
    run = answer(batchwright, "run", "usage-rating", "--usage-input", bad, code=3)
    assert run["errored"] == 1
    batchwright("usage-inputs", "edit", bad, "--quantity", "5")
    dry = answer(batchwright, "runs", "retry", run["run_id"], "--dry-run")
    assert (dry["mode"], dry["totals"]) == ("dry_run", {"rated_amount": {"USD": "1000.00"}})
    again = answer(batchwright, "runs", "retry", run["run_id"])
    assert again["totals"] == {"rated_amount": {"USD": "1000.00"}}


def test_unrating_takes_back_and_reset_makes_loaded_again(company: str, batchwright: Batchwright) -> None:
    answer(batchwright, "run", "usage-rating", *SEED)
    run = answer(batchwright, "run", "usage-unrating", *SEED)
    assert run["totals"] == {"unrated_amount": {"USD": "6000.00"}}
    shown = answer(batchwright, "usage-inputs", "show", "IN-00007052")
    assert (shown["status"], shown["code"], shown["rated_amount"]) == ("Error", "unrated", None)
    reset = answer(batchwright, "usage-inputs", "reset", "--status", "Error", "--code", "unrated")
    assert reset["reset"] == ["IN-00007052", "IN-00007053"]


def test_runs_show_tells_what_an_unrating_restated(company: str, batchwright: Batchwright) -> None:
    hours = ["--asset-line-item", "ALI-0003", "--usage-date", "2024-03-05", "--product-uom", "Hour"]
    first, second = (
        answer(batchwright, "usage-inputs", "add", *hours, "--quantity", "50")["usage_input_id"]
        for _ in range(2)
    )
    answer(batchwright, "run", "usage-rating", "--usage-input", first, "--usage-input", second)
    had = answer(batchwright, "usage-inputs", "show", second)["rated_amount"]
    run = answer(batchwright, "run", "usage-unrating", "--usage-input", first)
    assert run["totals"] == {"unrated_amount": {"USD": "0.00"}, "restated_amount": {"USD": f"-{had}"}}
    assert answer(batchwright, "runs", "show", run["run_id"])["restated"] == [
        {"record_id": second, "before": had, "after": "0.00", "currency": "USD"}
    ]
    shown = batchwright("runs", "show", run["run_id"]).stdout.splitlines()
    assert [line.split() for line in shown[-2:]] == [
        ["Restated", "Currency", "Before", "After"],
        [second, "USD", had, "0.00"],
    ]
    last = batchwright("usage-inputs", "show", second).stdout.splitlines()[-1]
    assert f"{had} before: an input ahead of it in its window was unrated" in last


def test_a_dry_rating_says_what_it_would_charge(company: str, batchwright: Batchwright) -> None:
    run = answer(batchwright, "run", "usage-rating", *SEED, "--dry-run")
    assert (run["mode"], run["totals"]) == ("dry_run", {"rated_amount": {"USD": "6000.00"}})
    lines = json.loads(batchwright("runs", "preview", run["run_id"], "--format", "json").stdout)
    assert {line["record_id"]: line["difference"] for line in lines} == {
        "C-1001": "6000.00",
        "IN-00007052": "4000.00",
        "IN-00007053": "2000.00",
        "US-00008316": "4000.00",
        "US-00008317": "2000.00",
    }
    assert answer(batchwright, "usage-inputs", "show", "IN-00007052")["status"] == "Loaded"


def test_show_tells_people_how_the_amount_came_about_and_what_became_of_the_input(
    company: str, batchwright: Batchwright
) -> None:
    batchwright("run", "draft-usage-rating", *SEED)
    batchwright("run", "usage-rating", *SEED)
    shown = batchwright("usage-inputs", "show", "IN-00007052").stdout
    assert "Rated amount: USD 4000.00" in shown
    assert "(Draft) rated amount: USD 4000.00" in shown
    assert "volume, without usage indexing" in shown
    assert "tier:1:usage     20.00      200.00  4000.00" in shown
    history = shown[shown.index("History") :]
    assert history.index("JR-00000001") < history.index("JR-00000002")
    assert history.count("4000.00") == 2
    document = answer(batchwright, "usage-inputs", "show", "IN-00007052")
    assert list(document)[-4:] == ["explanation", "history", "history_next", "acts"]
    assert document["explanation"]["rated"]["lines"] == [
        {"key": "tier:1:usage", "quantity": "20.00", "unit_price": "200.00", "amount": "4000.00"}
    ]


def test_show_tells_people_which_amendment_took_the_amounts_to_zero(
    company: str, batchwright: Batchwright
) -> None:
    batchwright("run", "usage-rating", *SEED)
    batchwright("asset-line-items", "amend", "ALI-0001", "--yes", "--reason", "renewed")
    shown = batchwright("usage-inputs", "show", "IN-00007052").stdout.splitlines()
    begin = shown.index("Rated amount and (Draft) rated amount: USD 0.00")
    facts = [line.split("  ") for line in shown[begin + 1 : begin + 7]]
    assert [(line[1], line[-1].strip()) for line in facts if line[1] != "When and who"] == [
        ("Set to zero by", "the amendment of ALI-0001"),
        ("Reason", "renewed"),
        ("Superseded", "US-00008316, BS-01311820"),
        ("Before", "Rated, rated 4000.00, draft blank"),
        ("To do", "forecast and rate again"),
    ]
    assert facts[1][-1].endswith(" UTC, erika")
    assert "status Rated -> Loaded, rated_amount 4000.00 -> 0.00" in shown[-1]


def test_show_of_an_unrated_input_tells_who_unrated_it_why_and_what_to_do(
    company: str, batchwright: Batchwright
) -> None:
    batchwright("run", "usage-rating", *SEED)
    batchwright("run", "usage-unrating", *SEED, "--reason", "meter read again")
    shown = batchwright("usage-inputs", "show", "IN-00007052").stdout
    assert "`batchwright usage-inputs reset IN-00007052` makes it Loaded again" in shown
    last = shown.splitlines()[-1].split()
    assert (last[2:4], last[6], last[-3:]) == (["Usage", "unrating"], "erika", ["meter", "read", "again"])


def test_editing_a_rated_input_is_refused_with_the_command_that_unrates_it(
    company: str, batchwright: Batchwright
) -> None:
    batchwright("run", "usage-rating", *SEED)
    refused = batchwright("usage-inputs", "edit", "IN-00007052", "--quantity", "1")
    assert refused.exit_code == 2
    assert "batchwright run usage-unrating --usage-input IN-00007052" in refused.stderr


def _usage(quantity: str) -> list[str]:
    asset = ["--asset-line-item", "ALI-0001", "--usage-date", "2023-06-12"]
    return [*asset, f"--quantity={quantity}", "--product-uom", "Each"]
