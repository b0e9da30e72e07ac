"""`batchwright asset-line-items amend`: shows, asks on a terminal, does it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchwright.operations.billing import amendments
from tests.cli.conftest import Batchwright, error_of

AMEND = ("asset-line-items", "amend", "ALI-0001")


def billing_schedules(batchwright: Batchwright) -> list[dict[str, Any]]:
    listed = batchwright("billing-schedules", "list", "--asset-line-item", "ALI-0001", "--json")
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words typed come from a terminal."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: self.name == "<stdin>")


def test_a_dry_run_shows_terms_schedules_and_inputs_and_changes_nothing(
    rated: str, batchwright: Batchwright
) -> None:
    before = billing_schedules(batchwright)
    shown = batchwright(*AMEND, "--billing-frequency", "Yearly", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "Billing: Half Yearly -> Yearly"
    assert lines[1].split()[:3] == ["What", "Schedule", "id"]
    assert [line.split()[0] for line in lines[2:5]] == ["superseded", "superseded", "new"]
    assert "BS-01311820" in lines[2]
    assert lines[-1] == "Nothing was changed: a dry run."
    assert billing_schedules(batchwright) == before


@pytest.mark.parametrize(
    ("would_be", "difference", "told"),
    [
        ("80.00", "30.00", "would be 80.00 (difference +30.00) without that"),
        ("20.00", "-30.00", "would be 20.00 (difference -30.00) without that"),
        (None, None, "could not be priced without that"),
    ],
)
def test_it_shows_what_stays_invoiced_and_would_be_another_amount(
    rated: str,
    batchwright: Batchwright,
    monkeypatch: pytest.MonkeyPatch,
    would_be: str | None,
    difference: str | None,
    told: str,
) -> None:
    shown = amendments.preview_amendment
    stays: dict[str, Any] = {
        "billing_schedule_id": "BS-7",
        "status": "Invoiced",
        "amount": "50.00",
        "currency": "USD",
    }
    stays |= {"would_be": would_be, "difference": difference}
    monkeypatch.setattr(
        amendments, "preview_amendment", lambda *ids, **named: {**shown(*ids, **named), "invoiced": [stays]}
    )
    before = "BS-7 is Invoiced: what came in its window after usage that goes to zero stays at 50.00 USD"
    assert f"{before}, and {told}." in batchwright(*AMEND, "--dry-run").stdout


def test_an_amendment_is_answered_in_json_with_the_new_schedules(
    rated: str, batchwright: Batchwright
) -> None:
    result = batchwright(*AMEND, "--json", "--reason", "renewed")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert list(answer) == [
        *("dry_run", "asset_line_item_id", "terms", "billing_schedules", "usage_schedules"),
        *("charged_elsewhere", "invoiced", "usage_inputs"),
    ]
    assert answer["dry_run"] is False
    made = {row["billing_schedule_id"] for row in answer["billing_schedules"]["created"]}
    listed = billing_schedules(batchwright)
    assert {row["billing_schedule_id"] for row in listed if row["status"] == "Pending Billing"} == made
    assert {row["billing_schedule_id"] for row in listed if row["superseded"]} == {
        "BS-01311820",
        "BS-01311821",
    }
    entry = json.loads(batchwright("audit", "list", "--limit", "1", "--json").stdout)[0]
    assert (entry["act"], entry["reason"]) == ("asset_line_item.amend", "renewed")


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_on_a_terminal_it_asks_first(
    rated: str, batchwright: Batchwright, terminal: None, typed: str, code: int
) -> None:
    before = billing_schedules(batchwright)
    result = batchwright(*AMEND, stdin=typed)
    assert "Amend it? [y/N]" in result.stderr
    assert result.exit_code == code
    assert ("Amended ALI-0001. New billing schedules: BS-" in result.stdout) is (code == 0)
    assert ("Nothing was changed." in result.stderr) is (code == 1)
    assert (billing_schedules(batchwright) == before) is (code == 1)


def test_with_yes_it_does_not_ask(rated: str, batchwright: Batchwright, terminal: None) -> None:
    result = batchwright(*AMEND, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_refusal_names_the_field_and_changes_nothing(rated: str, batchwright: Batchwright) -> None:
    before = billing_schedules(batchwright)
    result = batchwright(*AMEND, "--usage-frequency", "Yearly", "--json")
    assert result.exit_code == 2
    assert error_of(result)["field"] == "usage_frequency"
    assert billing_schedules(batchwright) == before
