"""A job may refuse a run as things stand at submit, by the business day; and say itself why it is run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.submit import Request, submit, submit_set
from tests.engine.rig import Rig
from tests.support.run_log import every_run


class RunQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str | None = None
    explanation: str | None = None


class OnFridays(BatchJob):
    """Runs on no other day; knows why it is run."""

    name = "on-fridays"
    type = "On Fridays"
    Parameters = RunQuery
    asked: ClassVar[list[datetime]]

    def check(self, connection: Connection, now: datetime) -> None:
        self.asked.append(now)
        if now.strftime("%a") != "Fri":
            raise Refused("today is no Friday", field="job", remedy="Wait for one")

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        """Nothing to do."""

    @property
    def reason(self) -> str | None:
        return self.parameters.reason  # type: ignore[no-any-return]

    @property
    def explanation(self) -> str | None:
        return self.parameters.explanation  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _jobs(rig: Rig) -> None:
    OnFridays.asked = []
    rig.registry.add(OnFridays)


FRIDAY_IN_TOKYO = datetime(2023, 6, 15, 16, 0, tzinfo=ZoneInfo("UTC"))


def submit_at(rig: Rig, zone: str, now: datetime = FRIDAY_IN_TOKYO, **values: Any) -> Any:
    job, more = OnFridays(**values), Request(actor="dana", reason="asked for", zone=ZoneInfo(zone))
    with rig.database.write() as connection:
        return submit(connection, job, more, now)


def test_a_job_is_asked_by_the_clock_on_the_wall_of_the_business_day(rig: Rig) -> None:
    run = submit_at(rig, "Asia/Tokyo")
    assert run.state is State.HOLDING
    assert [str(asked.date()) for asked in OnFridays.asked] == ["2023-06-16"]
    assert run.created_at == FRIDAY_IN_TOKYO


def test_a_run_that_its_job_refuses_at_submit_leaves_nothing(rig: Rig) -> None:
    with pytest.raises(Refused, match="today is no Friday"):
        submit_at(rig, "UTC")
    assert rig.rows(run_table) == []


class Alone(OnFridays):
    """Runs beside no other, and looks itself whether there is one."""

    name = "alone"

    def check(self, connection: Connection, now: datetime) -> None:
        others = every_run(connection)
        if others:
            raise Refused(f"{others[0].run_id} is there")


def test_of_a_set_a_job_that_looks_at_other_runs_finds_those_before_it(rig: Rig) -> None:
    request = Request(actor="dana")
    with rig.database.write() as connection:
        first, second = submit_set(connection, [(Alone(), request), (Alone(), request)], FRIDAY_IN_TOKYO)
    assert isinstance(first, Run)
    assert isinstance(second, Refused)
    assert second.message == f"{first.run_id} is there"


def test_a_job_that_says_why_it_is_run_is_logged_with_that(rig: Rig) -> None:
    own = submit_at(rig, "Asia/Tokyo", reason="its own", explanation="at length")
    given = submit_at(rig, "Asia/Tokyo")
    assert (own.reason, own.explanation) == ("its own", "at length")
    assert (given.reason, given.explanation) == ("asked for", None)


def test_a_run_that_follows_another_is_asked_in_the_same_zone(rig: Rig) -> None:
    rig.zone = ZoneInfo("Asia/Tokyo")
    rig.fill(1)
    spy = rig.registry.get("parcels")
    spy.finish = lambda self, finish: finish.submit(OnFridays())  # type: ignore[method-assign,assignment]
    rig.clock.sleep(4 * 3600)
    first = rig.drive(rig.submit())
    with rig.database.read() as connection:
        assert len(runs.children(connection, first.id)) == 1
    assert OnFridays.asked[0].date().isoformat() == "2023-06-16"
