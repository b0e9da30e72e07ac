"""A run that an administrator holds does not start before an administrator resumes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import MoveRefused
from batchwright.engine.run import State
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.access.users import add_user
from batchwright.operations.app import Actor, Application
from batchwright.operations.runs.controls import abort_run, hold_run, pause_run, release_run, what_is_asked
from batchwright.operations.runs.driving import drive_run, resume_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR

Entries = Callable[[], list[dict[str, Any]]]

JOB = "draft-usage-rating"


def waiting(app: Application) -> str:
    return submit_run(app, JOB, {}, actor=ACTOR).run_id


def held(app: Application) -> str:
    run_id = waiting(app)
    assert hold_run(app, run_id, actor=ACTOR)["status"] == State.PAUSED
    return run_id


def test_a_held_run_is_paused_says_by_whom_and_leaves_one_audit_entry(
    app: Application, entries: Entries
) -> None:
    run_id = waiting(app)
    before = len(entries())
    hold_run(app, run_id, actor=ACTOR, reason="not before the audit")
    requested = what_is_asked(app, run_id)
    assert requested is not None
    assert (requested["to"], requested["actor"]) == ("hold", ACTOR.name)
    written = entries()[: len(entries()) - before]
    assert [(entry["act"], entry["reason"], entry["after"]) for entry in written] == [
        ("run.hold", "not before the audit", {"status": "Paused", "asked": "hold"})
    ]


def test_nobody_but_an_administrator_resumes_a_held_run(app: Application) -> None:
    run_id = held(app)
    ada = Actor("ada", operating_system_user())
    add_user(app, "ada@example.com", Right.ADMINISTER, os_user="u-ada", actor=ada)
    add_user(app, "olga@example.com", Right.OPERATE, os_user="u-olga", actor=Actor("ada", "u-ada"))
    olga = Actor("olga", "u-olga")
    for resume in (release_run, resume_run):
        with pytest.raises(Forbidden, match="needs the role administrator"):
            resume(app, run_id, actor=olga)
    with pytest.raises(Forbidden):
        hold_run(app, run_id, actor=olga)
    assert show_run(app, run_id, actor=olga)["status"] == State.PAUSED
    assert release_run(app, run_id, actor=Actor("ada", "u-ada"))["status"] == State.QUEUED
    assert what_is_asked(app, run_id, actor=olga) is None
    assert pause_run(app, run_id, actor=olga)["status"] == State.PAUSED
    assert release_run(app, run_id, actor=olga)["status"] == State.QUEUED


def test_a_held_run_is_not_driven_by_whoever_submitted_it(app: Application) -> None:
    run_id = held(app)
    assert drive_run(app, run_id)["status"] == State.PAUSED
    assert resume_run(app, run_id, actor=ACTOR)["status"] == State.COMPLETED


def test_a_paused_run_can_be_held_and_a_held_one_aborted(app: Application) -> None:
    run_id = waiting(app)
    pause_run(app, run_id, actor=ACTOR)
    assert hold_run(app, run_id, actor=ACTOR)["status"] == State.PAUSED
    with pytest.raises(MoveRefused, match="is held already, by"):
        hold_run(app, run_id, actor=ACTOR)
    assert abort_run(app, run_id, actor=ACTOR)["status"] == State.ABORTED
    assert what_is_asked(app, run_id) is None
    with pytest.raises(MoveRefused, match="nothing to hold"):
        hold_run(app, run_id, actor=ACTOR)


def test_a_run_at_work_and_one_in_its_caller_s_thread_are_not_held(app: Application) -> None:
    at_work = submit_run(app, JOB, {}, actor=ACTOR, claim=True).run_id
    with pytest.raises(MoveRefused, match="only a run that waits can be held"):
        hold_run(app, at_work, actor=ACTOR)
    in_caller = submit_run(app, JOB, {}, actor=ACTOR, sync=True).run_id
    with pytest.raises(MoveRefused, match="caller's thread"):
        hold_run(app, in_caller, actor=ACTOR)
