"""Schedules: made, changed, paused, removed, looked at; and what is refused, with the part named."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchwright import operations
from batchwright.engine.errors import MoveRefused, Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations.app import Actor, Application, make_application
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.schedules import (
    add_schedule,
    hold_all,
    list_fires,
    list_schedules,
    next_fires,
    pause_schedule,
    release_all,
    remove_schedule,
    resume_schedule,
    run_now,
    show_schedule,
    update_schedule,
)
from batchwright.operations.views import View
from tests.operations.working import wait_for, working
from tests.support.application import ACTOR, NOW, make_settings

Entries = Callable[[], list[dict[str, Any]]]

CONTRACT = (
    "name, cron, job, parameters, time_zone, misfire, grace_seconds, cap, overlap, start, end, owner, notify, paused, "
    "next_fire_at, last_fire_at"
)


def request(**terms: Any) -> ScheduleRequest:
    values: dict[str, Any] = {"name": "Nightly", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
    return ScheduleRequest(**values | terms)


def added(app: Application, **terms: Any) -> View:
    return add_schedule(app, request(**terms), actor=ACTOR)


def refusal_of(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        act()
    return refused.value


def test_a_schedule_has_the_defaults_of_the_design(app: Application) -> None:
    assert added(app) == {
        "name": "Nightly",
        "cron": "0 0 0 ? * * *",
        "job": "draft-usage-rating",
        "parameters": {"usage_input_ids": None, "asset_line_item_ids": None, "include_rated": False},
        "time_zone": "UTC",
        "misfire": "latest",
        "grace_seconds": None,
        "cap": 24,
        "overlap": "skip",
        "start": None,
        "end": None,
        "owner": "dana@example.com",
        "notify": [],
        "paused": False,
        "next_fire_at": "2023-07-02T00:00:00.000Z",
        "last_fire_at": None,
    }


def test_a_schedule_is_listed_by_name_with_the_keys_of_the_contract_in_order(app: Application) -> None:
    added(app, name="b")
    added(app, name="B")
    added(app, name="a")
    listed = list_schedules(app)
    assert [schedule["name"] for schedule in listed] == ["B", "a", "b"]
    assert {", ".join(schedule) for schedule in listed} == {CONTRACT}
    assert [schedule["name"] for schedule in list_schedules(app, limit=1)] == ["B"]


def test_start_and_end_without_a_zone_are_wall_times_of_the_schedule_and_both_fire(app: Application) -> None:
    start, end = datetime(2023, 7, 3, 0, 0), datetime(2023, 7, 4, 0, 0)  # noqa: DTZ001
    made = added(app, time_zone="Asia/Kathmandu", start=start, end=end)
    assert (made["start"], made["end"]) == ("2023-07-02T18:15:00.000Z", "2023-07-03T18:15:00.000Z")
    assert next_fires(app, "Nightly") == [
        {"fire_at": "2023-07-02T18:15:00.000Z", "local_time": "2023-07-03T00:00:00+05:45"},
        {"fire_at": "2023-07-03T18:15:00.000Z", "local_time": "2023-07-04T00:00:00+05:45"},
    ]


def test_ten_next_fires_are_shown_where_nobody_says_how_many(app: Application) -> None:
    added(app)
    assert len(next_fires(app, "Nightly")) == 10
    assert [fire["fire_at"] for fire in next_fires(app, "Nightly", 2)] == [
        "2023-07-02T00:00:00.000Z",
        "2023-07-03T00:00:00.000Z",
    ]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"cron": "0 0 0 * * *"}, "day of week", "?"),
    ({"cron": "0 0 0"}, "expression", "3"),
    ({"cron": "15 2 * * 0"}, "expression", "5"),
    ({"cron": "0 0 0 30 2 ?"}, "cron", "never fires"),
    ({"cron": "0 0 0 ? * * 2020"}, "cron", "never fires"),
    ({"end": datetime(2023, 7, 1, 20, tzinfo=UTC)}, "cron", "never fires"),
    (
        {"start": datetime(2023, 8, 1, tzinfo=UTC), "end": datetime(2023, 7, 1, tzinfo=UTC)},
        "end",
        "lies before the start",
    ),
    ({"time_zone": "Europe/Berlim"}, "time zone", "'Europe/Berlim'"),
    ({"job": "draft-usage-ratin"}, "job", "'draft-usage-ratin'"),
    ({"parameters": {"usage_inputs": ["IN-1"]}}, "usage_inputs", "usage_inputs"),
    ({"parameters": {"usage_input_ids": []}}, "usage_input_ids", "an empty list"),
    ({"parameters": {"usage_input_ids": ["IN-NONE"]}}, "usage_input_ids", "IN-NONE"),
    ({"parameters": {"asset_line_item_ids": ["ALI-NONE"]}}, "asset_line_item_ids", "ALI-NONE"),
    ({"misfire": "never"}, "misfire", "'never'"),
    ({"overlap": "never"}, "overlap", "'never'"),
    ({"grace_seconds": -1}, "grace_seconds", "-1"),
    ({"cap": 0}, "cap", "0"),
    ({"scope_size": 0}, "scope_size", "0"),
    ({"error_ceiling": "101%"}, "error_ceiling", "'101%'"),
    ({"start_within_minutes": 0}, "start_within_minutes", "0"),
    ({"finish_within_minutes": 0}, "finish_within_minutes", "0"),
    ({"notify": ["nobody"]}, "notify", "'nobody'"),
    ({"owner": "a\nb"}, "owner", "line break"),
    ({"ping": "ftp://localhost/"}, "ping", "'ftp://localhost/'"),
    ({"ping": "http://"}, "ping", "'http://'"),
    ({"ping": "file:///etc/passwd"}, "ping", "'file:///etc/passwd'"),
    ({"ping": "http://10.0.0.5:8000/x"}, "ping", "leads to 10.0.0.5, a private address"),
    ({"ping": "http://localhost:8000/x"}, "ping", "leads to localhost, a name of this machine"),
    ({"ping": "https://example.com:22/"}, "ping", "leads to port 22"),
    ({"name": ""}, "name", "''"),
    ({"name": " a"}, "name", "' a'"),
    ({"name": 'a"b'}, "name", "not a valid name"),
    ({"name": "a\nb"}, "name", "not a valid name"),
    ({"name": "a" * 256}, "name", "not a valid name"),
]


def test_a_bad_term_is_refused_with_its_name_value_and_remedy_and_nothing_is_written(
    app: Application, entries: Entries
) -> None:
    for terms, field, message in REFUSED:
        refused = refusal_of(functools.partial(added, app, **terms))
        assert message in refused.message, terms
        assert (refused.field or "") == field, terms
        assert refused.remedy, terms
    assert list_schedules(app) == []
    assert entries() == []


def test_a_name_in_use_is_refused(app: Application) -> None:
    added(app)
    refused = refusal_of(lambda: added(app, cron="0 0 1 ? * *"))
    assert (refused.field, "'Nightly'" in refused.message) == ("name", True)
    assert [schedule["cron"] for schedule in list_schedules(app)] == ["0 0 0 ? * * *"]


def test_parameters_are_frozen_as_the_job_reads_them(app: Application) -> None:
    made = added(app, parameters={"include_rated": "true"})
    assert made["parameters"]["include_rated"] is True


def test_adding_a_schedule_has_one_audit_entry_with_all_its_terms(app: Application, entries: Entries) -> None:
    added(app, owner="erika", reason="Month end")
    (entry,) = entries()
    assert (entry["act"], entry["subject"], entry["before"]) == ("schedule.add", "Nightly", None)
    assert (entry["after"]["owner"], entry["after"]["reason"]) == ("erika", "Month end")


def test_python_schedules_a_job_object(app: Application) -> None:
    made = operations.schedule("Draft Rating Job", "0 0 0 ? * * *", DraftUsageRatingJob(), app=app)
    assert list_schedules(app) == [made]
    assert (made["owner"], made["time_zone"]) == ("dana@example.com", "UTC")


def test_python_refuses_a_name_in_use_as_salesforce_does(app: Application) -> None:
    operations.schedule("A", "0 0 0 ? * * *", DraftUsageRatingJob(), app=app, time_zone="Europe/Berlin")
    with pytest.raises(Refused, match="there is a schedule named 'A' already"):
        operations.schedule("A", "0 0 0 ? * * *", DraftUsageRatingJob(), app=app)


def test_an_update_changes_what_it_names_and_records_both_sides(app: Application, entries: Entries) -> None:
    before = added(app, notify=["a@example.com"])
    after = update_schedule(app, "Nightly", {"cron": "0 0 1 ? * *", "cap": 3}, actor=ACTOR, reason="later")
    assert after == before | {
        "cron": "0 0 1 ? * *",
        "cap": 3,
        "next_fire_at": "2023-07-02T01:00:00.000Z",
    }
    entry = entries()[0]
    assert (entry["act"], entry["reason"]) == ("schedule.update", "later")
    assert (entry["before"], entry["after"]) == (
        {"cron": "0 0 0 ? * * *", "cap": 24},
        {"cron": "0 0 1 ? * *", "cap": 3},
    )


def test_an_update_that_changes_nothing_is_refused(app: Application) -> None:
    added(app)
    assert (
        "nothing to change"
        in refusal_of(lambda: update_schedule(app, "Nightly", {"cap": 24}, actor=ACTOR)).message
    )
    assert "nothing to change" in refusal_of(lambda: update_schedule(app, "Nightly", {}, actor=ACTOR)).message


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"cron": "15 2 * * 0"}, "expression"), ({"time_zone": "Nowhere"}, "time zone"), ({"job": "x"}, "job")],
)
def test_an_update_refuses_what_adding_refuses(
    changes: dict[str, Any], field: str, app: Application, entries: Entries
) -> None:
    before = added(app)
    assert refusal_of(lambda: update_schedule(app, "Nightly", changes, actor=ACTOR)).field == field
    assert list_schedules(app) == [before]
    assert len(entries()) == 1


def test_the_owner_stays_when_somebody_else_changes_a_schedule(app: Application) -> None:
    added(app)
    other = Actor(name="erika", os_user=ACTOR.os_user)
    assert update_schedule(app, "Nightly", {"cap": 3}, actor=other)["owner"] == "dana@example.com"


def test_a_paused_schedule_has_no_next_fire_until_it_is_resumed(app: Application, entries: Entries) -> None:
    before = added(app)
    paused = pause_schedule(app, "Nightly", actor=ACTOR, reason="holiday")
    assert paused == before | {"paused": True, "next_fire_at": None}
    assert resume_schedule(app, "Nightly", actor=ACTOR) == before
    acts = [(entry["act"], entry["reason"], entry["after"]) for entry in entries()]
    assert acts[:2] == [
        ("schedule.resume", None, {"paused": False}),
        ("schedule.pause", "holiday", {"paused": True}),
    ]


def test_pausing_twice_and_resuming_twice_are_refused(app: Application) -> None:
    added(app)
    with pytest.raises(MoveRefused, match="not paused"):
        resume_schedule(app, "Nightly", actor=ACTOR)
    pause_schedule(app, "Nightly", actor=ACTOR)
    with pytest.raises(MoveRefused, match="is paused since 2023-07-01T08:30"):
        pause_schedule(app, "Nightly", actor=ACTOR)


def test_a_removed_schedule_is_gone_and_its_terms_are_in_the_audit_trail(
    app: Application, entries: Entries
) -> None:
    made = added(app)
    assert remove_schedule(app, "Nightly", actor=ACTOR) == made
    assert list_schedules(app) == []
    assert (entries()[0]["act"], entries()[0]["before"]["cron"]) == ("schedule.remove", "0 0 0 ? * * *")


def test_a_name_that_no_schedule_has_is_refused(app: Application) -> None:
    acts: list[Callable[[], object]] = [
        lambda: show_schedule(app, "None"),
        lambda: next_fires(app, "None"),
        lambda: list_fires(app, "None"),
        lambda: update_schedule(app, "None", {"cap": 2}, actor=ACTOR),
        lambda: pause_schedule(app, "None", actor=ACTOR),
        lambda: resume_schedule(app, "None", actor=ACTOR),
        lambda: remove_schedule(app, "None", actor=ACTOR),
        lambda: run_now(app, "None", actor=ACTOR),
    ]
    for act in acts:
        refused = refusal_of(act)
        assert (refused.field, refused.message) == ("name", "unknown schedule: None")
        assert "batchwright schedules list" in (refused.remedy or "")


def test_run_now_submits_a_run_of_the_actor_and_leaves_the_schedule_alone(app: Application) -> None:
    before = added(app, owner="erika", notify=["a@example.com"], scope_size=7, error_ceiling="5%")
    run = run_now(app, "Nightly", actor=ACTOR).view
    assert (run["job"], run["actor"], run["schedule"]) == ("draft-usage-rating", "dana@example.com", None)
    assert run["reason"] == "Schedule Nightly, run by hand"
    assert list_schedules(app) == [before]
    assert list_fires(app, "Nightly") == []
    assert [one["run_id"] for one in list_runs(app)] == [run["run_id"]]


def test_while_all_are_held_nothing_has_a_next_fire(app: Application, entries: Entries) -> None:
    before = added(app)
    assert hold_all(app, actor=ACTOR, reason="upgrade") == {
        "held_at": "2023-07-01T08:30:00.000Z",
        "released_at": None,
    }
    assert list_schedules(app) == [before | {"next_fire_at": None}]
    assert show_schedule(app, "Nightly")["held"] is True
    with pytest.raises(MoveRefused, match="all schedules are held since"):
        hold_all(app, actor=ACTOR)
    release_all(app, actor=ACTOR)
    assert list_schedules(app) == [before]
    with pytest.raises(MoveRefused, match="not held"):
        release_all(app, actor=ACTOR)
    released, held = entries()[:2]
    assert (released["act"], released["before"], released["after"]) == (
        "schedule.release_all",
        {"held": True},
        {"held": False},
    )
    assert (held["act"], held["before"], held["after"]) == (
        "schedule.hold_all",
        {"held": False},
        {"held": True},
    )


def test_show_says_in_words_when_it_fires_and_all_other_terms(app: Application) -> None:
    made = added(app, start_within_minutes=5, finish_within_minutes=90, ping="https://example.com/x")
    assert show_schedule(app, "Nightly") == made | {
        "description": "At 00:00 every day",
        "held": False,
        "mail_owner": True,
        "reason": None,
        "explanation": None,
        "scope_size": None,
        "error_ceiling": None,
        "start_within_minutes": 5,
        "finish_within_minutes": 90,
        "ping": "https://example.com/x",
        "created_at": "2023-07-01T08:30:00.000Z",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cron": "0 0 1 ? * *"}, "changed: its expression or zone was replaced first"),
        ({"start": datetime(2023, 7, 20, tzinfo=UTC)}, "changed: its start or end was replaced first"),
        ({"cap": 3}, None),
        ({"end": datetime(2023, 8, 1, tzinfo=UTC)}, None),
    ],
)
def test_what_is_due_is_accounted_for_before_its_times_become_others(
    changes: dict[str, Any], reason: str | None, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(app)
    monkeypatch.setattr(app.clock, "now", lambda: NOW + timedelta(days=3))
    update_schedule(app, "Nightly", changes, actor=ACTOR)
    accounted = [(fire["count"], fire["reason"]) for fire in list_fires(app, "Nightly")]
    assert accounted == ([] if reason is None else [(3, reason)])


def test_a_worker_fires_a_schedule_until_it_is_paused_and_accounts_for_every_second(
    migrated_url: str, tmp_path: Path
) -> None:
    app = make_application(make_settings(migrated_url, tmp_path, lease_seconds=1))
    add_schedule(app, request(cron="* * * ? * *", overlap="queue", misfire="all", cap=1000), actor=ACTOR)
    with working(app):
        wait_for(lambda: len(list_fires(app, "Nightly")) >= 3)
        paused = pause_schedule(app, "Nightly", actor=ACTOR)
        wait_for(lambda: all(run["ended_at"] for run in list_runs(app)))
    fires = list_fires(app, "Nightly")
    app.close()
    assert paused["last_fire_at"] == fires[0]["nominal_time"]
    assert {fire["decision"] for fire in fires} == {"started"}
    times = [datetime.fromisoformat(fire["nominal_time"]) for fire in reversed(fires)]
    assert times == [times[0] + timedelta(seconds=number) for number in range(len(times))]
