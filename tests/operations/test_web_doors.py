"""Behind a web door who acts is a user who is there now, with a token that is good now, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.jobs import DraftUsageRatingJob
from batchwright.operations import session_store, token_store, user_store
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.permissions import ROLES, Forbidden, Right, permit
from batchwright.operations.access.sessions import end_session, end_sessions, sign_out
from batchwright.operations.access.sign_in import begin
from batchwright.operations.access.tokens import list_tokens, make_token, revoke_token
from batchwright.operations.access.users import (
    add_user,
    disable_user,
    enable_user,
    set_mail,
    set_password,
    set_role,
)
from batchwright.operations.actor import Actor, Door, Principal, Unauthenticated
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.batches import execute_batch
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import add_schedule, schedule
from batchwright.testing.clock import FakeClock
from tests.support.application import ADDRESS, NOW, make_settings, remove_user, web_actor

ME = operating_system_user()
ADA = Actor("ada@example.com", "u-ada")
JANE = "jane@example.com"
DAY = 86400.0


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the application."""
    return FakeClock(NOW)


@pytest.fixture
def web(migrated_url: str, tmp_path: Path, clock: FakeClock) -> Iterator[Application]:
    """The application of a process that serves the API, with an administrator, and Jane, who is an operator.

    On SQLite its process owns the file, and without a user row it would be an administrator's.
    """
    app = make_application(make_settings(migrated_url, tmp_path), clock=clock, door=Door.API)
    add_user(app, "ada@example.com", Right.ADMINISTER, os_user="u-ada", actor=Actor("ada", ME))
    add_user(app, JANE, Right.OPERATE, actor=ADA)
    yield app
    app.close()


def lowered(app: Application, jane: Actor) -> None:
    set_role(app, JANE, Right.LOOK, actor=ADA)


def token_revoked(app: Application, jane: Actor) -> None:
    revoke_token(app, JANE, "token-1", actor=ADA)


def disabled(app: Application, jane: Actor) -> None:
    disable_user(app, JANE, actor=ADA)


def removed(app: Application, jane: Actor) -> None:
    remove_user(app, JANE)


def disabled_and_enabled(app: Application, jane: Actor) -> None:
    disable_user(app, JANE, actor=ADA)
    enable_user(app, JANE, actor=ADA)


def taken_by_another(app: Application, jane: Actor) -> None:
    """Somebody else has the key of her row now, as happens by itself on SQLite."""
    remove_user(app, JANE)
    add_user(app, "eve@example.com", Right.ADMINISTER, actor=ADA)
    with app.database.write() as connection:
        key = jane.principal and jane.principal.user_key
        connection.exec_driver_sql(f"UPDATE app_user SET id = {key} WHERE email = 'eve@example.com'")


def signed_out(app: Application, jane: Actor) -> None:
    sign_out(app, actor=jane)


def session_ended(app: Application, jane: Actor) -> None:
    end_session(app, JANE, 1, actor=ADA)


def all_sessions_ended(app: Application, jane: Actor) -> None:
    end_sessions(app, JANE, actor=ADA)


def password_set(app: Application, jane: Actor) -> None:
    set_password(app, JANE, "seven green bottles", actor=ADA)


def idle(app: Application, jane: Actor) -> None:
    app.clock.sleep(DAY / 3)


def used_for_a_week(app: Application, jane: Actor) -> None:
    for _ in range(7 * 4):
        app.clock.sleep(DAY / 4)
        with app.database.write() as connection:
            session_store.note_use(connection, 1, app.clock.now())


@pytest.mark.on_both
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (removed, "jane@example.com is no longer a user of this database"),
        (taken_by_another, "jane@example.com is no longer a user of this database"),
        (disabled, "the user jane@example.com is disabled"),
        (disabled_and_enabled, "session 1 of jane@example.com has ended"),
        (signed_out, "session 1 of jane@example.com has ended"),
        (session_ended, "session 1 of jane@example.com has ended"),
        (all_sessions_ended, "session 1 of jane@example.com has ended"),
        (password_set, "session 1 of jane@example.com has ended"),
        (idle, "session 1 of jane@example.com has ended"),
        (used_for_a_week, "session 1 of jane@example.com has ended"),
        (lowered, "this needs the role operator, and jane@example.com has the role viewer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whose_session_is_over_or_whose_role_is_lower_is_refused_in_the_middle_of_what_they_do(
    web: Application, change: Callable[[Application, Actor], None], why: str
) -> None:
    with web.database.write() as connection:
        user = user_store.user_by_email(connection, JANE)
        assert user is not None
        jane = begin(connection, user, address=ADDRESS, browser="", now=web.clock.now()).actor
    submit_run(web, "draft-usage-rating", {}, actor=jane)
    change(web, jane)
    with pytest.raises(Forbidden) as refused:
        submit_run(web, "draft-usage-rating", {}, actor=jane)
    assert refused.value.message == why
    assert refused.value.remedy


@pytest.mark.on_both
@pytest.mark.parametrize("door", [Door.API, Door.CONSOLE])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (removed, "jane@example.com is no longer a user of this database"),
        (taken_by_another, "jane@example.com is no longer a user of this database"),
        (disabled, "the user jane@example.com is disabled"),
        (disabled_and_enabled, "token 1 of jane@example.com was revoked or has expired"),
        (token_revoked, "token 1 of jane@example.com was revoked or has expired"),
        (lowered, "this needs the role operator, and jane@example.com has the role viewer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_who_lost_the_right_is_refused_at_every_act_from_then_on_and_each_is_audited(
    web: Application, door: Door, change: Callable[[Application, Actor], None], why: str
) -> None:
    jane = web_actor(web, JANE, door=door, by=ADA)
    submit_run(web, "draft-usage-rating", {}, actor=jane)
    change(web, jane)
    for _ in range(2):
        with pytest.raises(Forbidden) as refused:
            submit_run(web, "draft-usage-rating", {}, actor=jane)
        assert refused.value.message == why
        assert refused.value.remedy
    entries = list(list_audit(web, 2, actor=ADA))
    expected = {"act": "permission.refused", "subject": "run.submit", "actor": JANE, "os_user": ME}
    assert all(
        entry.items() >= {**expected, "door": door, "credential": "token 1", "address": ADDRESS}.items()
        and entry["after"] == {"needed": "operator", "why": why}
        for entry in entries
    )
    assert len(list(list_runs(web, actor=ADA))) == 1


def test_an_act_by_the_api_is_audited_with_door_token_and_address(web: Application) -> None:
    submit_run(web, "draft-usage-rating", {}, actor=web_actor(web, JANE, by=ADA))
    (entry, *_) = list_audit(web, actor=ADA)
    found = {key: entry[key] for key in ("act", "actor", "os_user", "door", "credential", "address")}
    assert found == {
        "act": "run.submit",
        "actor": JANE,
        "os_user": ME,
        "door": "api",
        "credential": "token 1",
        "address": ADDRESS,
    }


def test_behind_a_web_door_nobody_acts_by_default(web: Application) -> None:
    job = DraftUsageRatingJob()
    for act in (
        lambda: list_runs(web),
        lambda: execute_batch(job, app=web),
        lambda: schedule("N", "0 0 0 ? * *", job, app=web),
    ):
        with pytest.raises(Unauthenticated, match="nobody is named who acts"):
            act()


def test_an_actor_has_a_principal_at_a_web_door_and_only_there() -> None:
    jane = Principal(1, 1, ADDRESS)
    for door in Door:
        principal = None if door.is_web else jane
        with pytest.raises(ValueError, match=f"an actor at the door {door}"):
            Actor(JANE, ME, door, principal)


def test_another_name_than_the_user_s_own_is_nobody(web: Application) -> None:
    jane = web_actor(web, JANE, by=ADA)
    for name in ("ada@example.com", "JANE@example.com", ME):
        with pytest.raises(Forbidden, match="is no longer a user of this database"):
            permit(web, replace(jane, name=name), Right.LOOK, "run.list")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("ceiling", [None, *ROLES])
def test_a_token_allows_what_both_its_user_and_it_allow(
    web: Application, role: str, ceiling: str | None
) -> None:
    set_role(web, JANE, role, actor=ADA)
    jane = web_actor(web, JANE, role=ceiling, by=ADA)
    allowed = ROLES[: min(ROLES.index(role), ROLES.index(ceiling or role)) + 1]
    for right in Right:
        if right in allowed:
            permit(web, jane, right, "act")
        else:
            with pytest.raises(Forbidden, match=f"this needs the role {right}"):
                permit(web, jane, right, "act")


def test_a_token_that_allows_too_little_is_told_apart_from_its_user_s_role(web: Application) -> None:
    jane = web_actor(web, JANE, role="viewer", by=ADA)
    with pytest.raises(Forbidden) as refused:
        permit(web, jane, Right.OPERATE, "run.submit")
    assert refused.value.message == (
        "this needs the role operator, and token 1 of jane@example.com allows viewer at most"
    )


def test_who_comes_by_the_web_names_an_owner_within_the_owner_s_rights_only(web: Application) -> None:
    jane = web_actor(web, JANE, by=ADA)
    add_user(web, "vera@example.com", Right.LOOK, actor=ADA)
    request = ScheduleRequest(name="N", cron="0 0 0 ? * *", job="usage-rating")
    with pytest.raises(Forbidden, match=r"vera@example\.com has the role viewer"):
        add_schedule(web, replace(request, owner="vera@example.com"), actor=jane)
    assert add_schedule(web, request, actor=jane)["owner"] == JANE


def test_who_comes_by_the_web_chooses_their_own_mail_and_not_that_of_the_service(web: Application) -> None:
    add_user(web, "service@example.com", Right.LOOK, os_user=ME, actor=ADA)
    jane = web_actor(web, JANE, role="viewer", by=ADA)
    assert set_mail(web, JANE, "never", actor=jane)["mail"] == "never"
    with pytest.raises(Forbidden):
        set_mail(web, "service@example.com", "never", actor=jane)


def test_whoever_is_not_let_in_is_told_the_same_and_the_log_says_why(
    web: Application, clock: FakeClock
) -> None:
    add_user(web, "bob@example.com", Right.OPERATE, actor=ADA)
    short = make_token(web, JANE, expires="2023-07-01", actor=ADA).text
    revoked = make_token(web, JANE, name="ci", actor=ADA).text
    disabled = make_token(web, "bob@example.com", actor=ADA).text
    revoke_token(web, JANE, "ci", actor=ADA)
    disable_user(web, "bob@example.com", actor=ADA)
    clock.sleep(DAY)
    cases = {
        "it has no token": (None, ""),
        "its token is unknown": (short[:-1], short + " ", "bw_ü", "\udce4", "x" * 10_000, "' OR 1=1 --"),
        "its token has expired": (short,),
        "its token was revoked": (revoked,),
        "bob@example.com is disabled": (disabled,),
    }
    refusals = set()
    for why, texts in cases.items():
        for text in texts:
            with capture_logs() as logs, pytest.raises(Unauthenticated) as refused:
                authenticate_token(web, text, ADDRESS)
            refusals.add((str(refused.value), refused.value.field))
            assert [(line["why"], line["address"]) for line in logs] == [(why, ADDRESS)]
            assert not text or text not in str(logs)
    assert len(refusals) == 1


@pytest.mark.parametrize("address", ["", "203.0.113.7\nactor=ada"])
def test_an_address_that_could_forge_a_line_is_refused(web: Application, address: str) -> None:
    with pytest.raises(Refused, match="the address"):
        authenticate_token(web, make_token(web, JANE, actor=ADA).text, address)


@pytest.mark.on_both
def test_the_use_of_a_token_is_written_down_once_an_hour(web: Application, clock: FakeClock) -> None:
    text = make_token(web, JANE, actor=ADA).text
    written: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("UPDATE"):
            written.append(arguments[2])

    event.listen(web.database.engine, "before_cursor_execute", note)
    for seconds, used, writes in ((0.0, "08", 1), (1799.0, "08", 1), (1.0, "09", 2), (DAY, "09", 3)):
        clock.sleep(seconds)
        for _ in range(2):
            authenticate_token(web, text, ADDRESS)
        (token,) = list_tokens(web, JANE, actor=ADA)
        day = clock.now().date()
        assert (token["last_used_at"], len(written)) == (f"{day}T{used}:00:00.000Z", writes)
    event.remove(web.database.engine, "before_cursor_execute", note)


@pytest.mark.on_both
def test_a_use_that_is_written_down_late_sets_no_earlier_hour(web: Application, clock: FakeClock) -> None:
    make_token(web, JANE, actor=ADA)
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    used = []
    for noted in (hour, hour - timedelta(hours=1), hour + timedelta(hours=1)):
        with web.database.write() as connection:
            token_store.note_use(connection, 1, noted)
        used.append(list_tokens(web, JANE, actor=ADA)[0]["last_used_at"])
    assert used[0] == used[1] < used[2]


def test_who_has_a_token_is_let_in_also_where_its_use_cannot_be_written_down(
    web: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make_token(web, JANE, actor=ADA).text

    def no_disk() -> Any:
        raise OSError("read-only file system")

    monkeypatch.setattr(web.database, "write", no_disk)
    with capture_logs() as logs:
        for _ in range(2):
            assert authenticate_token(web, text, ADDRESS).name == JANE
    assert [line["event"] for line in logs] == ["the use of a token could not be noted"]
