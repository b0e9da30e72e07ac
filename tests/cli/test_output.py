"""What is written to stdout, and how."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from batchwright.cli import show
from batchwright.cli.output import PAGE, AnswerCutOff, Column, printable, write_facts, write_rows

COLUMNS = (Column("id", "Id"), Column("amount", "Amount", numeric=True), Column("message", "Message"))
ROWS: list[dict[str, Any]] = [
    {"id": "IN-1", "amount": "4000.00", "message": None},
    {"id": "IN-00000002", "amount": "0.50", "message": "no price " * 30},
]


def broken_after(rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows):
        yield {"id": str(number)}
    raise OSError("the disk is gone")


def test_a_table_in_a_pipe_is_aligned_text_with_numbers_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_rows(ROWS, COLUMNS, format="table", nothing="None.")
    titles, first, second = capsys.readouterr().out.splitlines()
    assert titles == "Id            Amount  Message"
    assert first == "IN-1         4000.00"
    assert second.startswith("IN-00000002     0.50  no price no price")


def test_a_table_in_a_pipe_is_not_cut_and_has_no_box_or_colour(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(ROWS, COLUMNS, format="table", nothing="None.")
    out = capsys.readouterr().out
    assert ("no price " * 30).strip() in out
    assert out.isascii()
    assert "\x1b" not in out


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, rows: list[dict[str, Any]]) -> str:
    """What a terminal of that width would show."""
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    write_rows(rows, COLUMNS, format="table", nothing="None.")
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())


def test_a_table_that_fits_a_terminal_breaks_between_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out = on_terminal(monkeypatch, 40, ROWS)
    assert len(out.splitlines()) > 10
    assert max(map(len, out.splitlines())) <= 40
    assert set(re.findall("[a-z]+", "".join(out.splitlines(keepends=True)[3:]))) == {"no", "price"}


def test_a_terminal_too_narrow_for_a_table_gets_a_block_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = on_terminal(monkeypatch, 20, ROWS).strip().split("\n\n")
    assert first.splitlines() == ["IN-1", "  Amount  4000.00"]
    assert second.startswith("IN-00000002\n  Amount   0.50\n  Message  no price no price")


def test_an_empty_table_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows([], COLUMNS, format="table", nothing="There is none.")
    assert capsys.readouterr() == ("", "There is none.\n")


def test_a_table_longer_than_a_page_has_its_titles_once(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(({"id": str(n)} for n in range(PAGE + 5)), COLUMNS, format="table", nothing="None.")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == PAGE + 6
    assert [line for line in lines if "Amount" in line] == [lines[0]]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS])
def test_a_listing_in_json_is_one_array_of_its_rows(
    rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(iter(rows), COLUMNS, format="json", nothing="None.")
    captured = capsys.readouterr()
    assert json.loads(captured.out) == rows
    assert captured.err == ""


def test_a_failure_before_the_first_row_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        write_rows(broken_after(0), COLUMNS, format="json", nothing="None.")
    assert capsys.readouterr().out == ""


def test_a_failure_in_the_middle_is_marked_as_an_answer_cut_off() -> None:
    with pytest.raises(AnswerCutOff) as caught:
        write_rows(broken_after(3), COLUMNS, format="json", nothing="None.")
    assert isinstance(caught.value.__cause__, OSError)


def test_csv_cells_that_a_spreadsheet_would_run_are_defused(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "=cmd()", "amount": "-5.00", "message": "+1, and more"}]
    write_rows(rows, COLUMNS, format="csv", nothing="None.")
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert lines == [["id", "amount", "message"], ["'=cmd()", "-5.00", "'+1, and more"]]


def test_an_empty_listing_in_csv_still_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows([], COLUMNS, format="csv", nothing="None.")
    assert capsys.readouterr() == ("id,amount,message\n", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (0, "0"),
        ("Zürich „Ost“", "Zürich „Ost“"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("two\nlines", "two\\nlines"),
        ({"a": [1]}, '{"a": [1]}'),
    ],
)
def test_a_cell_is_one_line_that_cannot_steer_a_terminal(value: object, shown: str) -> None:
    assert printable(value) == shown


def test_facts_are_aligned_and_further_lines_stand_below_the_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_facts([("Job ID", "JR-1"), ("Mail", "one\ntwo")])
    assert capsys.readouterr().out == "Job ID  JR-1\nMail    one\n        two\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600 * 3 + 60 * 7, "3 h 07 min"),
    ],
)
def test_a_duration_is_short(seconds: float | None, shown: str) -> None:
    assert show.duration(seconds) == shown


def test_why_a_run_failed_is_cut_only_where_it_is_very_long() -> None:
    sentence = "stopped at the error ceiling of 1: 4 of 10 records errored"
    assert show.first_words(f"Failed ({sentence})") == f"Failed ({sentence})"
    assert show.first_words("x" * 500) == "x" * 120 + "…"


def test_a_time_is_shown_in_utc_to_the_second() -> None:
    assert show.instant("2026-11-21T23:05:07.123Z") == "2026-11-21 23:05:07"


def test_long_lists_of_parameters_are_cut_after_five() -> None:
    ids = [f"IN-{number}" for number in range(8)]
    shown = show.parameters({"usage_input_ids": ids, "asset_line_item_ids": None, "include_rated": False})
    assert shown == "usage_input_ids=IN-0, IN-1, IN-2, IN-3, IN-4 and 3 more"


def test_a_parameter_of_zero_is_shown_and_one_that_is_off_is_not() -> None:
    assert show.parameters({"least": 0, "only": None, "again": False, "dry": True}) == "least=0; dry=True"
