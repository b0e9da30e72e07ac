"""What to do about each outcome code."""

from __future__ import annotations

from batchwright.billing.records.inputs import CODES
from batchwright.notifications.remedies import remedy


def test_every_code_of_an_input_in_error_has_a_remedy_of_its_own() -> None:
    general = remedy("a_code_of_somebody_elses_job")
    assert [code for code in CODES if remedy(code) == general] == []
