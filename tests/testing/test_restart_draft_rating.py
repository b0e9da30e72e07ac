"""Draft usage rating is killed at every point, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from sqlalchemy import Connection

from batchwright.jobs import DraftUsageRatingJob
from tests.jobs.company import Company
from tests.jobs.mixture import drawn, write_company

SEED = 7
Check = Callable[..., None]


def company(connection: Connection) -> None:
    """Assets of every price model with good, bad and rated inputs."""
    write_company(Company(connection), drawn(SEED, inputs=3), Random(SEED))


@pytest.mark.long
def test_a_forecast_on_sqlite_can_be_killed_anywhere(assert_restart_safe: Check) -> None:
    assert_restart_safe(DraftUsageRatingJob(), company)


@pytest.mark.long
def test_a_forecast_on_postgresql_can_be_killed_anywhere(assert_restart_safe_on_postgres: Check) -> None:
    assert_restart_safe_on_postgres(DraftUsageRatingJob(), company)
