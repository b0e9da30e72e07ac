"""A file of schedules applied: what it adds, changes, removes and leaves; all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Actor, Application, make_application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.schedules.crontab import CrontabRefused
from batchwright.operations.schedules.files import Difference, apply_schedules
from batchwright.operations.schedules.request import LONGEST_NAME
from batchwright.operations.schedules.schedules import (
    list_schedules,
    pause_schedule,
    show_schedule,
    update_schedule,
)
from tests.support.application import ACTOR, make_settings

Entries = Callable[[], list[dict[str, Any]]]

EXAMPLE = Path(__file__).parents[2] / "crontab.example"
FILE = '0 0 0 ? * * * "A" draft-usage-rating\n15 2 * * 0 "B" usage-rating --cap 3\n'


def applied(app: Application, text: str, **options: Any) -> Difference:
    return apply_schedules(app, text, file="crontab", **{"actor": ACTOR, **options})


def names(app: Application) -> list[str]:
    return [schedule["name"] for schedule in list_schedules(app)]


def test_the_example_applied_to_an_empty_database_and_then_again_changes_nothing_the_second_time(
    app: Application, entries: Entries
) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    first = applied(app, text)
    assert sorted(first.added) == names(app)
    assert len(first.added) >= 5
    before = list_schedules(app)
    second = applied(app, text)
    assert second.is_none
    assert second.view == {"added": [], "changed": [], "removed": [], "unchanged": list(first.added)}
    assert list_schedules(app) == before
    assert [entry["act"] for entry in entries()] == ["schedule.apply"]


def test_a_dry_run_says_the_same_and_writes_nothing(app: Application, entries: Entries) -> None:
    planned = applied(app, FILE, dry_run=True)
    assert (names(app), entries()) == ([], [])
    assert applied(app, FILE) == planned


def test_what_the_file_has_otherwise_is_changed_and_what_it_leaves_out_is_left(
    app: Application, entries: Entries
) -> None:
    applied(app, FILE)
    difference = applied(app, '0 0 0 ? * * * "A" draft-usage-rating --grace 60 --reason "Nightly"')
    assert difference.view == {"added": [], "changed": ["A"], "removed": [], "unchanged": []}
    assert difference.changed == {"A": {"grace_seconds": (None, 60), "reason": (None, "Nightly")}}
    assert difference.left == ["B"]
    assert show_schedule(app, "A")["grace_seconds"] == 60
    entry = entries()[0]
    assert (entry["act"], entry["subject"]) == ("schedule.apply", "A")
    assert entry["after"]["changed"] == {
        "A": {
            "grace_seconds": {"before": None, "after": 60},
            "reason": {"before": None, "after": "Nightly"},
        }
    }


def test_the_entry_of_a_file_is_found_by_the_name_of_each_schedule_that_it_touched(app: Application) -> None:
    long = "N" * LONGEST_NAME
    applied(app, FILE)
    applied(app, f'0 0 1 ? * * * "A" draft-usage-rating\n0 0 1 ? * * * "{long}" usage-rating', prune=True)
    found = {
        name: [entry["subject"] for entry in list_audit(app, wanted=AuditFilter(subject=name))]
        for name in ("A", "B", long, "C")
    }
    first, second = "2 schedules", "3 schedules"
    assert found == {"A": [second, first], "B": [second, first], long: [second], "C": []}


@pytest.mark.parametrize("dry_run", [True, False])
def test_lines_that_never_fire_unknown_ids_and_bad_words_are_refused_together(
    app: Application, dry_run: bool
) -> None:
    text = (
        '@daily "A" usage-rating --end 2020-01-01\n@daily "B" draft-usage-rating --usage-input IN-9\n'
        '61 * * * * "C" usage-rating\n@daily "D" usage-rating\n'
    )
    with pytest.raises(CrontabRefused) as refused:
        applied(app, text, dry_run=dry_run)
    assert refused.value.lines == (1, 2, 3)
    never, unknown, minutes = refused.value.message.splitlines()
    assert ("never fires" in never, "(cron)" in never, "batchwright cron next" in never) == (True, True, True)
    assert "IN-9" in unknown
    assert minutes.startswith("line 3: minutes: 61")
    assert names(app) == []


def test_a_line_whose_job_misses_a_parameter_is_refused_with_the_others(app: Application) -> None:
    line = '@daily "R" data-recalculation --customer C-1 --period 2023-06 --reason Other\n'
    with pytest.raises(CrontabRefused) as refused:
        applied(app, f'{line}@dayly "B" usage-rating\n')
    assert refused.value.lines == (1, 2)
    assert "line 1: bad parameters: reason: Field required" in refused.value.message
    assert "Parameters of this job: customer_id, periods, reason, explanation" in refused.value.message


def test_what_a_job_raises_over_its_parameters_is_its_answer(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwilling(job: object, connection: object) -> None:
        raise ValueError("not on Sundays")

    monkeypatch.setattr(app.registry.get("usage-rating"), "select", unwilling)
    with pytest.raises(CrontabRefused) as refused:
        applied(app, '@daily "R" usage-rating\n')
    assert "does not take the parameters: ValueError: not on Sundays" in refused.value.message
    assert "--param NAME=VALUE" in (refused.value.remedy or "")


def test_prune_removes_what_the_file_does_not_name(app: Application, entries: Entries) -> None:
    applied(app, FILE)
    difference = applied(app, FILE.splitlines()[1], prune=True)
    assert difference.view == {"added": [], "changed": [], "removed": ["A"], "unchanged": ["B"]}
    assert names(app) == ["B"]
    assert entries()[0]["before"]["A"]["cron"] == "0 0 0 ? * * *"


def test_an_empty_file_does_not_prune_everything(app: Application) -> None:
    applied(app, FILE)
    with pytest.raises(Refused, match="names no schedule") as refused:
        applied(app, "# nothing\n", prune=True)
    assert refused.value.field == "prune"
    assert names(app) == ["A", "B"]


def test_a_line_that_the_database_refuses_is_named_and_none_is_applied(
    app: Application, entries: Entries
) -> None:
    text = FILE + '@daily "C" usage-rating --usage-input IN-NONE\n0 0 0 30 2 ? "D" usage-rating\n'
    with pytest.raises(CrontabRefused) as refused:
        applied(app, text)
    assert refused.value.lines == (3, 4)
    assert "IN-NONE" in refused.value.message
    assert "never fires" in refused.value.message
    assert (names(app), entries()) == ([], [])


def test_a_pause_and_an_owner_are_no_matter_of_the_file(app: Application) -> None:
    applied(app, FILE)
    pause_schedule(app, "A", actor=ACTOR)
    assert applied(app, FILE, actor=Actor(name="erika", os_user=ACTOR.os_user)).is_none
    schedule = show_schedule(app, "A")
    assert (schedule["paused"], schedule["owner"]) == (True, "dana@example.com")


def test_a_unix_line_keeps_its_meaning_through_an_update(app: Application) -> None:
    applied(app, FILE)
    changed = update_schedule(app, "B", {"time_zone": "Europe/Berlin"}, actor=ACTOR)
    assert (changed["cron"], changed["next_fire_at"]) == ("15 2 * * 0", "2023-07-02T00:15:00.000Z")


@pytest.mark.on_both
def test_of_those_who_apply_at_once_one_adds_and_the_others_find_no_change(
    app: Application, entries: Entries, migrated_url: str, tmp_path: Path
) -> None:
    rivals = [make_application(make_settings(migrated_url, tmp_path), clock=app.clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        differences = list(pool.map(lambda rival: applied(rival, FILE), rivals))
    for rival in rivals:
        rival.close()
    assert sorted(len(difference.added) for difference in differences) == [0, 0, 0, 2]
    assert len(entries()) == 1
