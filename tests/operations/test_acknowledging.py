"""What needs somebody is marked as seen, until something new happens to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from batchwright.engine.errors import Changed, Conflict, NotFound, Refused
from batchwright.engine.schedule import NotRunCause, ScheduleRequest
from batchwright.engine.store import schedules as schedule_store
from batchwright.operations import acknowledging
from batchwright.operations.acknowledging import acknowledge, show_trouble, what_needs_somebody
from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule
from tests.support.application import ACTOR, NOW


@pytest.fixture
def aborted(app: Application) -> str:
    """The id of a run that was aborted, of which there is a mail."""
    run_id = submit_run(app, "usage-rating", {}, actor=ACTOR, notify=["joe@example.com"]).run_id
    abort_run(app, run_id, actor=ACTOR)
    return run_id


def change(app: Application, statement: str) -> None:
    with app.database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.on_both
def test_a_run_is_acknowledged_with_a_note_and_again_in_place_of_that(
    app: Application, aborted: str, entries: Callable[[], list[dict[str, Any]]]
) -> None:
    shown = show_trouble(app, "run", aborted)
    assert (shown["trouble"]["status"], shown["acknowledged"]) == ("Aborted", None)
    made = acknowledge(app, "run", aborted, note="Mine", seen=[shown["version"]], actor=ACTOR)
    assert made == {
        "kind": "run",
        "subject": aborted,
        "actor": ACTOR.name,
        "at": NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "note": "Mine",
    }
    entry = entries()[0]
    assert (entry["act"], entry["subject"]) == ("trouble.acknowledge", aborted)
    assert entry["after"] == {"kind": "run", "note": "Mine"}
    acknowledge(app, "run", aborted, actor=ACTOR)
    assert show_trouble(app, "run", aborted)["acknowledged"] == {
        "actor": ACTOR.name,
        "at": made["at"],
        "note": None,
    }


def test_it_does_not_count_once_something_new_has_happened(app: Application, aborted: str) -> None:
    version = show_trouble(app, "run", aborted)["version"]
    acknowledge(app, "run", aborted, actor=ACTOR)
    assert show_trouble(app, "run", aborted)["acknowledged"]
    change(app, "UPDATE run SET error = 'another'")
    shown = show_trouble(app, "run", aborted)
    assert (shown["version"] != version, shown["acknowledged"]) == (True, None)
    with pytest.raises(Changed):
        acknowledge(app, "run", aborted, seen=[version], actor=ACTOR)


def test_a_mail_and_a_schedule_are_acknowledged_and_come_back(app: Application, aborted: str) -> None:
    mail_id = list_mail(app)[0]["mail_id"]
    change(app, "UPDATE mail SET status = 'failed', error = 'no such host'")
    add_schedule(app, ScheduleRequest(name="a/b", cron="0 0 0 ? * * *", job="usage-rating"), actor=ACTOR)
    with app.database.write() as connection:
        (one,) = schedule_store.all_schedules(connection)
        refused = schedule_store.Fire(NOW, NOW, 1, "not_run", cause=NotRunCause.REFUSED, reason="refused: x")
        schedule_store.insert_fires(connection, [(one.id, refused)], NOW)
    for kind, subject, why in (("mail", mail_id, "no such host"), ("schedule", "a/b", "refused: x")):
        assert show_trouble(app, kind, subject)["trouble"]["error"] == why
        acknowledge(app, kind, subject, note=why, actor=ACTOR)
        assert show_trouble(app, kind, subject)["acknowledged"]["note"] == why
    change(app, "UPDATE mail SET attempts = attempts + 1")
    change(app, "UPDATE schedule_fire SET reason = 'refused: y'")
    assert show_trouble(app, "mail", mail_id)["acknowledged"] is None
    assert show_trouble(app, "schedule", "a/b")["acknowledged"] is None


def test_what_needs_nobody_is_not_acknowledged(app: Application) -> None:
    run_id = submit_run(app, "usage-rating", {}, actor=ACTOR).run_id
    with pytest.raises(Conflict, match="nothing is wrong"):
        acknowledge(app, "run", run_id, actor=ACTOR)
    for kind, subject in (("run", "JR-9"), ("mail", "ML-9"), ("schedule", "x"), ("run", "a\0")):
        with pytest.raises(NotFound):
            acknowledge(app, kind, subject, actor=ACTOR)
    with pytest.raises(Refused) as refused:
        acknowledge(app, "asset", "x", actor=ACTOR)
    assert refused.value.field == "kind"


@pytest.mark.on_both
def test_what_needs_somebody_is_told_in_groups_the_newest_first_and_what_is_beyond_is_counted(
    app: Application, aborted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "LOOKED_AT", 2)
    others = [
        submit_run(app, "usage-rating", {}, actor=ACTOR, notify=["joe@example.com"]).run_id for _ in "12"
    ]
    for run_id in others:
        abort_run(app, run_id, actor=ACTOR)
    erred = submit_run(app, "usage-rating", {}, actor=ACTOR).run_id
    change(app, f"UPDATE run SET state = 'Completed', errored = 3 WHERE run_id = '{erred}'")
    change(app, "UPDATE mail SET status = 'failed'")
    acknowledge(app, "run", others[1], note="Mine", actor=ACTOR)
    found = what_needs_somebody(app, NOW, actor=ACTOR)
    assert {name: group["number"] for name, group in found.items() if name != "quiet"} == {
        "failed": 3,
        "erred": 1,
        "schedules": 0,
        "mails": len(list_mail(app)),
    }
    assert [one["subject"] for one in found["failed"]["items"]] == others[::-1]
    assert [one["seen"] and one["seen"]["note"] for one in found["failed"]["items"]] == ["Mine", None]
    assert [one["of"]["errored"] for one in found["erred"]["items"]] == [3]
    assert len(found["mails"]["items"]) == 2
    assert found["quiet"] is None
    monkeypatch.setattr(acknowledging, "COUNTED", 1)
    assert what_needs_somebody(app, NOW, actor=ACTOR)["failed"]["number"] == 2
    later = what_needs_somebody(app, NOW + timedelta(seconds=1), actor=ACTOR)
    assert (later["failed"], later["erred"]) == ({"number": 0, "items": []},) * 2


@pytest.mark.on_both
def test_neither_a_dry_run_nor_one_that_a_retry_has_followed_to_its_end_needs_somebody(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledging, "LOOKED_AT", 7)
    first, second, third, dry = (submit_run(app, "usage-rating", {}, actor=ACTOR).run_id for _ in range(4))

    def become(run_id: str, state: str, errored: int = 0, mode: str = "batch") -> None:
        values = f"state = '{state}', errored = {errored}, mode = '{mode}'"
        change(app, f"UPDATE run SET {values} WHERE run_id = '{run_id}'")

    def needing() -> list[set[str]]:
        found = what_needs_somebody(app, NOW, actor=ACTOR)
        monkeypatch.setattr(acknowledging, "LOOKED_AT", 1)
        counted = what_needs_somebody(app, NOW, actor=ACTOR)
        monkeypatch.setattr(acknowledging, "LOOKED_AT", 7)
        groups = [{one["subject"] for one in found[name]["items"]} for name in ("failed", "erred")]
        assert [counted[name]["number"] for name in ("failed", "erred")] == [len(group) for group in groups]
        return groups

    for retry, of in ((second, first), (third, second)):
        parent = f"(SELECT id FROM run WHERE run_id = '{of}')"
        change(app, f"UPDATE run SET trigger = 'retry', parent_id = {parent} WHERE run_id = '{retry}'")
    become(first, "Completed", errored=3)
    become(dry, "Completed", errored=3, mode="dry_run")
    assert needing() == [set(), {first}], "what waits settles nothing"
    become(second, "Failed")
    assert needing() == [{second}, {first}]
    become(third, "Completed", errored=1)
    assert needing() == [set(), {third}], "of those that it does again, what is left is its own"
    become(third, "Completed", mode="dry_run")
    assert needing() == [{second}, {first}], "a retry that only shows what it would do"
    become(third, "Completed")
    assert needing() == [set(), set()]
    change(app, f"UPDATE run SET trigger = 'apply' WHERE run_id = '{third}'")
    assert needing() == [{second}, {first}]


@pytest.mark.on_both
def test_where_nothing_is_left_to_look_at_the_last_run_is_told(app: Application, aborted: str) -> None:
    acknowledge(app, "run", aborted, actor=ACTOR)
    quiet = what_needs_somebody(app, NOW, actor=ACTOR)["quiet"]
    assert (quiet["last_run"]["run_id"], quiet["beat_at"]) == (aborted, None)


@pytest.mark.parametrize("note", ["x" * 501, "a\0", "\ud800"])
def test_a_note_that_no_database_keeps_is_refused(app: Application, aborted: str, note: str) -> None:
    with pytest.raises(Refused) as refused:
        acknowledge(app, "run", aborted, note=note, actor=ACTOR)
    assert refused.value.field == "note"
