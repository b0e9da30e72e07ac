"""What a spreadsheet would run is escaped in every CSV file we write."""

from __future__ import annotations

import pytest

from batchwright.formulas import escape_formula


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "+5"])
def test_what_a_spreadsheet_would_run_is_escaped(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "-5.00", "-5", "4000.00", "IN-00000001", "a=b", " =1"])
def test_numbers_and_ordinary_text_stay_as_they_are(text: str) -> None:
    assert escape_formula(text) == text
