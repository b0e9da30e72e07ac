"""The outcomes of a run as files: whole, safe to open, and visibly broken where they break off."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from batchwright.config.logging import configure_logging
from batchwright.console.api.routes import outcome_files
from batchwright.console.traffic import Traffic
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import submit_run
from tests.console.conftest import Caller
from tests.support.application import ACTOR

ONE = "/api/v1/runs/JR-00000001/outcomes"

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


def _rows(number: int, fails: bool = False) -> Iterator[dict[str, str | None]]:
    for count in range(number):
        yield {
            "record_id": f"IN-{count}",
            "outcome": "error",
            "code": "=1+1",
            "message": 'two\nlines, "quoted"',
            "amount": "-1.50",
            "currency": None,
        }
    if fails:
        raise RuntimeError("the disk is gone")


def _give(monkeypatch: pytest.MonkeyPatch, rows: Iterator[Any]) -> None:
    monkeypatch.setattr(outcome_files, "run_outcomes", lambda *_, **__: rows)


def test_a_csv_file_is_safe_to_open_and_says_how_many_rows_it_has(
    web: TestClient, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, _rows(1_201))
    file = web.get(f"{ONE}.csv", headers=caller("viewer"))
    assert file.headers["content-disposition"] == 'attachment; filename="JR-00000001-outcomes.csv"'
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    read = list(csv.reader(file.text.splitlines(keepends=True)))
    assert read[0] == ["record_id", "outcome", "code", "message", "amount", "currency"]
    assert read[1] == ["IN-0", "error", "'=1+1", 'two\nlines, "quoted"', "-1.50", ""]
    assert (len(read), read[-1]) == (1_203, ["# 1201 rows"])


@pytest.mark.parametrize(("rows", "logged_rows"), [(10_000, []), (10_001, [10_001])])
def test_who_takes_much_away_stands_in_the_log(
    web: TestClient, caller: Caller, monkeypatch: pytest.MonkeyPatch, rows: int, logged_rows: list[int]
) -> None:
    configure_logging(1)  # as `serve` does
    _give(monkeypatch, _rows(rows))
    with capture_logs() as logged:
        assert web.get(f"{ONE}.csv", headers=caller("viewer")).text.endswith(f"# {rows} rows\r\n")
    lines = [line for line in logged if line["event"] == "many rows were read"]
    assert [line["rows"] for line in lines] == logged_rows
    assert all(line["user"] == "viewer@example.com" for line in lines)


def test_ndjson_has_an_object_a_line_and_ends_with_their_number(
    web: TestClient, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _give(monkeypatch, _rows(1_000))
    file = web.get(f"{ONE}.ndjson", headers=caller("viewer"))
    assert file.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in file.text.splitlines()]
    assert (len(lines), lines[-1]) == (1_001, {"rows": 1_000})
    assert lines[0] == next(_rows(1))


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_what_is_refused_is_told_before_a_file_begins(
    web: TestClient, app: Application, caller: Caller, ending: str
) -> None:
    viewer = caller("viewer")
    assert web.get(f"{ONE}.{ending}", headers=viewer).json()["field"] == "run_id"
    submit_run(app, "draft-usage-rating", {}, actor=ACTOR)
    wrong = web.get(f"{ONE}.{ending}?outcome=bad", headers=viewer)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "outcome")
    empty = web.get(f"{ONE}.{ending}?outcome=ok&code=no_price", headers=viewer)
    assert (empty.status_code, empty.text.splitlines()[-1]) == (
        200,
        "# 0 rows" if ending == "csv" else '{"rows": 0}',
    )


@pytest.mark.usefixtures("seed")
def test_usage_inputs_of_a_filter_are_a_file_of_as_many_as_the_list_has(
    web: TestClient, caller: Caller
) -> None:
    viewer = caller("viewer")
    for asked in ("?status=Loaded", "?status=Loaded&status=Error", "?status=Rated"):
        listed = web.get(f"/api/v1/usage-inputs{asked}", headers=viewer).json()["items"]
        lines = web.get(f"/api/v1/usage-inputs.ndjson{asked}", headers=viewer).text.splitlines()
        *rows, last = map(json.loads, lines)
        assert [{name: row[name] for name in one} for row, one in zip(rows, listed, strict=True)] == listed
        assert last == {"rows": len(listed)}
    refused = web.get("/api/v1/usage-inputs.csv?limit=1", headers=viewer)
    assert (refused.status_code, refused.json()["field"]) == (422, "limit")


def test_a_file_that_breaks_off_has_no_end(
    web: TestClient, caller: Caller, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _give(monkeypatch, _rows(1_000, fails=True))
    file = web.get(f"{ONE}.csv", headers=caller("viewer"))
    assert "# 1000 rows" not in file.text
    log = capfd.readouterr().err
    assert "the disk is gone" in log


def test_a_caller_reads_two_files_at_a_time_and_may_read_again_when_one_has_ended(
    web: TestClient, caller: Caller, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, viewer = traffic.limits, caller("viewer")
    for fails in (False, True):
        _give(monkeypatch, _rows(600, fails))
        assert web.get(f"{ONE}.csv", headers=viewer).status_code == 200
    with limits.at_a_time("heavy reads", "viewer@example.com", 2):
        _give(monkeypatch, _rows(1))
        assert web.get(f"{ONE}.csv", headers=viewer).status_code == 200
        with limits.at_a_time("heavy reads", "viewer@example.com", 2):
            full = web.get(f"{ONE}.csv", headers=viewer)
            assert (full.status_code, full.headers["retry-after"]) == (429, "1")
