"""Recalculation from the command line: what is offered, the run, its preview, the account charges."""

from __future__ import annotations

import getpass
import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.answers_of_runs import RUN_FIELDS, answer
from tests.cli.conftest import Batchwright, error_of

MONTH = "2023-07"
RECALCULATE = [
    *(
        "run",
        "data-recalculation",
        "--customer",
        "C-1002",
        "--period",
        MONTH,
        "--reason",
        "Incorrect Charges",
    ),
]


def rated(batchwright: Batchwright) -> None:
    """Rate two assets of C-1002, both of the account AG-ZUERICH."""
    words = ("--asset-line-item", "ALI-0005", "--asset-line-item", "ALI-0006")
    assert batchwright("run", "usage-rating", *words).exit_code in (0, 3)


def dearer(batchwright: Batchwright, folder: Path) -> None:
    """The contract's discount falls from 5 to 0 percent."""
    file = folder / "contracts.csv"
    header = "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent,account_ids\n"
    file.write_text(header + "CT-AG-2023,C-1002,PB-EU-2023,2023-01-01,,Active,,AG-WIEN;AG-ZUERICH\n")
    done = batchwright("import", str(file), "--update")
    assert done.exit_code == 0, done.stderr


def test_a_recalculation_changes_what_the_preview_said_and_charges_the_line_items(
    company: str, batchwright: Batchwright, tmp_path: Path
) -> None:
    rated(batchwright)
    dearer(batchwright, tmp_path)
    dry = answer(batchwright, *RECALCULATE, "--dry-run")
    assert json.loads(batchwright("recalculation", "charges", "--json").stdout) == []
    run = answer(batchwright, *RECALCULATE)
    assert list(run) == RUN_FIELDS
    assert (run["type"], run["customer_id"], run["periods"]) == ("Recalc", "C-1002", [MONTH])
    assert (run["reason"], run["explanation"]) == ("Incorrect Charges", None)
    assert run["totals"] == dry["totals"]
    before, after = (Decimal(run["totals"][f"rated_amount_{name}"]["EUR"]) for name in ("before", "after"))
    assert after > before > 0
    charges = json.loads(batchwright("recalculation", "charges", "--customer", "C-1002", "--json").stdout)
    assert [(row["account_id"], row["line_item_id"], row["kind"]) for row in charges] == [
        ("AG-ZUERICH", "CLI-002", "percentage_discount")
    ]
    table = batchwright("recalculation", "charges")
    assert "Loyalty rebate" in table.stdout
    again = answer(batchwright, *RECALCULATE)
    assert again["totals"]["difference"] == {"EUR": "0.00"}


def test_the_log_line_and_the_mail_say_what_was_recalculated_and_why(
    company: str, batchwright: Batchwright
) -> None:
    other = ["--reason", "Other", "--explanation", "Tiers were agreed in June"]
    run = answer(batchwright, *RECALCULATE[:-2], *other)
    assert (run["reason"], run["explanation"]) == ("Other", "Tiers were agreed in June")
    shown = batchwright("runs", "show", run["run_id"]).stdout
    assert "Tiers were agreed in June" in shown
    assert "C-1002" in batchwright("runs", "list").stdout


def test_the_offer_names_customers_months_and_reasons(company: str, batchwright: Batchwright) -> None:
    offered = answer(batchwright, "recalculation", "offer")
    assert offered["reasons"] == ["Credit and adjustment issues", "Incorrect Charges", "Other"]
    [customer] = offered["customers"]
    assert (customer["customer_id"], customer["contract_ids"]) == ("C-1002", ["CT-AG-2023"])
    assert customer["account_ids"] == ["AG-WIEN", "AG-ZUERICH"]
    assert customer["periods"][-1] == "2023-01"
    assert (customer["estimated_seconds_per_period"], customer["periods_without_rating"]) == (None, None)
    text = batchwright("recalculation", "offer", "--customer", "C-1002").stdout
    assert "2023-01 to " in text
    none = batchwright("recalculation", "offer", "--customer", "C-1001")
    assert (none.exit_code, "No customer can be recalculated" in none.stderr) == (0, True)
    assert answer(batchwright, "recalculation", "offer", "--customer", "C-1001")["customers"] == []
    unknown = error_of(batchwright("recalculation", "offer", "--customer", "C-77", "--json"))
    assert (unknown["field"], "C-77" in unknown["message"]) == ("customer_id", True)


@pytest.mark.parametrize(
    ("words", "field", "said"),
    [
        (["--customer", "C-1001", "--period", MONTH, "--reason", "Other"], "customer_id", "active on"),
        (["--customer", "C-77", "--period", MONTH, "--reason", "Other"], "customer_id", "C-77"),
        (["--customer", "C-1002", "--period", "2022-12", "--reason", "Other"], "periods", "2022-12"),
        (["--customer", "C-1002", "--period", "2999-01", "--reason", "Other"], "periods", "is not over"),
        (["--customer", "C-1002", "--period", "July", "--reason", "Other"], "periods", "YYYY-MM"),
        (["--customer", "C-1002", "--period", MONTH, "--reason", "whim"], "reason", "Incorrect Charges"),
        (["--customer", "C-1002", "--period", MONTH], "--reason", "Missing option '--reason'"),
        (["--customer", "C-1002", "--reason", "Other"], "--period", "--period"),
        (["--period", MONTH, "--reason", "Other"], "--customer", "--customer"),
    ],
)
def test_a_refusal_ends_with_2_names_the_field_and_leaves_no_run(
    company: str, batchwright: Batchwright, words: list[str], field: str | None, said: str
) -> None:
    refused = batchwright("run", "data-recalculation", *words, "--json")
    assert refused.exit_code == 2
    error = json.loads(refused.stdout)["error"]
    assert error["field"] == field
    assert said in error["message"]
    assert error["remedy"]
    assert json.loads(batchwright("runs", "list", "--json").stdout) == []


def test_a_month_held_by_a_waiting_run_is_refused_and_that_run_named(
    company: str, batchwright: Batchwright
) -> None:
    first = answer(batchwright, *RECALCULATE, "--enqueue")["run_id"]
    refused = batchwright(*RECALCULATE, "--json")
    assert refused.exit_code == 2
    assert first in json.loads(refused.stdout)["error"]["message"]


def test_who_lacks_the_role_is_refused_before_the_parameters_and_the_attempt_is_on_record(
    company: str, batchwright: Batchwright
) -> None:
    assert batchwright(
        "users", "add", "chief@example.com", "--role", "administrator", "--os-user", getpass.getuser()
    )
    assert batchwright("users", "add", "op@example.com", "--role", "operator").exit_code == 0
    assert batchwright("users", "add", "bill@example.com", "--role", "Billing Utilities Admin").exit_code == 0
    for words in (
        [*RECALCULATE[:-1], "whim"],
        [*RECALCULATE, "--dry-run"],
        [*RECALCULATE, "--enqueue"],
    ):
        refused = batchwright(*words, "--actor", "op@example.com", "--json")
        assert refused.exit_code == 2
        assert "Billing Utilities Admin" in json.loads(refused.stdout)["error"]["message"]
    assert json.loads(batchwright("runs", "list", "--json").stdout) == []
    entries = json.loads(batchwright("audit", "list", "--json").stdout)
    refusals = [one for one in entries if one["act"] == "permission.refused"]
    assert [(one["actor"], one["subject"]) for one in refusals] == [("op@example.com", "run.submit")] * 3
    assert batchwright(*RECALCULATE, "--actor", "bill@example.com").exit_code == 0
