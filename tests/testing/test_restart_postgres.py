"""The same on PostgreSQL, where a job can also reach past its transaction."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine, insert, select

from batchwright.engine.job import Scope
from batchwright.testing.restart import NotRestartSafe
from batchwright.testing.sandbox import Sandbox
from tests.testing import sound_jobs as sound
from tests.testing.ledger_of_points import PointsJob, entry, points_data, purchase

Check = Callable[..., None]


class UrlParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str


class WritesThroughItsOwnConnection(PointsJob):
    """Opens the database once more, and commits there."""

    name = "writes-through-its-own-connection"
    Parameters = UrlParameters

    def execute(self, scope: Scope) -> None:
        points = scope.connection.execute(select(purchase).where(purchase.c.id.in_(scope.keys))).all()
        engine = create_engine(self.parameters.url)
        with engine.begin() as own:
            own.execute(insert(entry), [{"purchase_id": row.id, "points": row.minor} for row in points])
        engine.dispose()


@pytest.mark.long
def test_a_sound_job_whose_rows_the_database_numbers_passes(assert_restart_safe_on_postgres: Check) -> None:
    assert_restart_safe_on_postgres(sound.InsertsEntries(), points_data)


@pytest.mark.long
def test_what_is_written_through_another_connection_is_found(
    assert_restart_safe_on_postgres: Check, postgres_sandbox: Sandbox
) -> None:
    job = WritesThroughItsOwnConnection(url=postgres_sandbox.url)
    with pytest.raises(NotRestartSafe) as raised:
        assert_restart_safe_on_postgres(job, points_data)
    said = str(raised.value)
    assert "killed at 'scope executed' of scope 1, and taken over by another process" in said
    assert "table entry, row {'purchase_id': 1, 'points': 100} is there 2 times; undisturbed 1" in said
    assert "write through no other connection" in said
