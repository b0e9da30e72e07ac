"""Who may make and change schedules: it depends on the job, and on the owner in whose name it runs."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.engine.store.schedules import all_schedules
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.access.users import add_user, disable_user, enable_user
from batchwright.operations.app import Actor, Application
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.scheduled_runs import submit_of_schedules
from batchwright.operations.schedules.schedules import (
    add_schedule,
    list_schedules,
    pause_schedule,
    run_now,
    update_schedule,
)

OPERATOR = Actor("olga@example.com", "u-olga")
BILLING = Actor("bill@example.com", "u-bill")
RECALCULATION = {"customer_id": "C-1", "periods": ["2023-05"], "reason": "Other"}


@pytest.fixture(autouse=True)
def people(app: Application) -> Actor:
    """An administrator, an operator, a Billing Utilities Admin and a viewer."""
    ada = Actor("ada@example.com", operating_system_user())
    add_user(app, "ada@example.com", Right.ADMINISTER, actor=ada)
    add_user(app, "olga@example.com", Right.OPERATE, os_user="u-olga", actor=ada)
    add_user(app, "bill@example.com", Right.BILLING, os_user="u-bill", actor=ada)
    add_user(app, "vera@example.com", Right.LOOK, os_user="u-vera", actor=ada)
    return ada


def add(app: Application, actor: Actor, **terms: Any) -> Any:
    values: dict[str, Any] = {"name": "N", "cron": "0 0 0 ? * *", "job": "usage-rating"}
    return add_schedule(app, ScheduleRequest(**values | terms), actor=actor)


def test_an_operator_schedules_rating_and_not_a_recalculation(app: Application) -> None:
    assert add(app, OPERATOR)["owner"] == "olga@example.com"
    for act in (
        lambda: add(app, OPERATOR, name="R", job="data-recalculation", parameters=RECALCULATION),
        lambda: update_schedule(app, "N", {"job": "data-recalculation"}, actor=OPERATOR),
        lambda: apply_schedules(
            app, '@daily "R" data-recalculation --customer C-1', file="x", actor=OPERATOR
        ),
    ):
        with pytest.raises(Forbidden, match="this needs the role Billing Utilities Admin"):
            act()
    assert [schedule["job"] for schedule in list_schedules(app)] == ["usage-rating"]


def test_a_schedule_of_a_disabled_owner_starts_nothing_until_they_are_enabled(
    app: Application, people: Actor
) -> None:
    add(app, OPERATOR)
    add(app, BILLING, name="B")
    disable_user(app, "olga@example.com", actor=people)

    def fire() -> list[str]:
        with app.database.write() as connection:
            wanted = [(schedule, False) for schedule in all_schedules(connection)]
            submitted = submit_of_schedules(app, connection, wanted, os_user="worker")
            return [str(one) if isinstance(one, Refused) else one.actor for one in submitted]

    billed, refused = fire()
    assert billed == "bill@example.com"
    assert refused.startswith("its owner olga@example.com is a user who is disabled. Give it another")
    enable_user(app, "olga@example.com", actor=people)
    assert fire() == ["bill@example.com", "olga@example.com"]


def test_nobody_runs_a_job_in_the_name_of_an_owner_who_may_not(app: Application, people: Actor) -> None:
    for actor, terms, needed in (
        (people, {"owner": "vera@example.com"}, "operator"),
        (
            BILLING,
            {"owner": "olga@example.com", "job": "data-recalculation", "parameters": RECALCULATION},
            "Billing Utilities Admin",
        ),
    ):
        with pytest.raises(Forbidden, match=f"this needs the role {needed}"):
            add(app, actor, **terms)
    add(app, people)
    with pytest.raises(Forbidden, match=r"vera@example\.com has the role viewer"):
        update_schedule(app, "N", {"owner": "vera@example.com"}, actor=people)
    with pytest.raises(Forbidden, match=r"vera@example\.com has the role viewer"):
        apply_schedules(app, '@daily "N" usage-rating --owner vera@example.com', file="x", actor=people)
    assert [schedule["owner"] for schedule in list_schedules(app)] == ["ada@example.com"]


def test_in_a_file_each_owner_needs_what_their_own_lines_need(app: Application, people: Actor) -> None:
    text = (
        '@daily "A" usage-rating --owner olga@example.com\n@daily "B" usage-rating --owner bill@example.com'
    )
    assert list(apply_schedules(app, text, file="x", actor=BILLING).added) == ["A", "B"]


def test_a_viewer_looks_and_changes_nothing(app: Application, people: Actor) -> None:
    add(app, people)
    vera = Actor("vera@example.com", "u-vera")
    assert len(list_schedules(app, actor=vera)) == 1
    for act in (pause_schedule, run_now):
        with pytest.raises(Forbidden, match="this needs the role operator"):
            act(app, "N", actor=vera)
