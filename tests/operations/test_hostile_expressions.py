"""Expressions that are written to keep a server busy are explained, or refused, by a bounded amount of work."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import pytest

from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.schedules.cron import explain
from batchwright.operations.schedules.looking import foresee_times
from tests.engine.cron.hostile import hostile
from tests.support.application import ACTOR
from tests.support.effort import at_most_calls
from tests.support.rungs import depth

CALLS = 60_000
"""Of functions. Some 25,000 take 7 ms of a processor; stepping through a day of one second's cadence takes millions."""
BYTES = 2_000_000


def explained(app: Application, text: str, zone: str) -> None:
    """All that the form of a schedule tells of an expression while somebody types it, and what `cron explain` does."""
    with suppress(Refused):
        foresee_times(app, text, zone, actor=ACTOR)
    with suppress(Refused):
        explain(text)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_hostile_expression_takes_a_bounded_number_of_steps_and_bytes(app: Application) -> None:
    explained(app, "0 0 12 * * ?", "Europe/Berlin")  # what is loaded once
    for text, zone in hostile(depth(60, 1_000), Random(7)):
        with at_most_calls(CALLS):
            explained(app, text, zone)
        tracemalloc.start()
        explained(app, text, zone)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < BYTES, text


@pytest.mark.parametrize("zone", ["Africa/Casablanca", "Australia/Lord_Howe", "America/New_York"])
@pytest.mark.parametrize("text", ["* * * * * ?", "* * * 9 * ?", "0,30 * * ? * 1"])
def test_a_dense_expression_is_counted_over_a_change_of_the_clock_by_hours_and_not_by_seconds(
    text: str, zone: str
) -> None:
    expression = CronExpression(text, zone)
    with at_most_calls(CALLS):
        assert expression.count(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
