"""How far what goes on part by part has come, in words."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from batchwright.console.pages.formats import how_far, meanwhile


@pytest.mark.parametrize(
    ("share", "ended", "said"),
    [
        (0.0, "10", "0 %"),
        (0.25, "10", "25 %, about 30 s left"),
        (0.004, "01", "0 %, about 4 min left"),
        (1.0, "10", "99 %, a few seconds left"),
    ],
)
def test_what_is_left_follows_from_how_far_it_came_and_is_never_over_before_its_end(
    share: float, ended: str, said: str
) -> None:
    assert how_far(share, "2026-01-01T00:00:00Z", f"2026-01-01T00:00:{ended}Z") == said


def test_when_it_was_read_is_said_in_the_zone_of_the_reader_with_the_day_where_that_changed() -> None:
    context: Any = {"zone": ZoneInfo("Europe/Berlin")}
    began, ended = "2026-01-01T22:59:59Z", "2026-01-01T23:00:08Z"
    assert meanwhile(context, began, began) == "from 23:59:59 to 23:59:59"
    assert meanwhile(context, began, ended) == "from 2026-01-01 23:59:59 to 2026-01-02 00:00:08"
