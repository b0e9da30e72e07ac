"""The password that is asked for again of who is signed in."""

from __future__ import annotations

from functools import partial

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.confirming import (
    GOOD_FOR,
    check_has_password,
    confirm_password,
    password_is_due,
)
from batchwright.operations.access.own_password import change_password
from batchwright.operations.access.passwords import NoPassword
from batchwright.operations.access.permissions import Forbidden
from batchwright.operations.access.sessions import end_session
from batchwright.operations.access.sign_in import SignInFailed, sign_in
from batchwright.operations.access.sign_in_link import own_sign_in_link, sign_in_by_link
from batchwright.operations.access.tries import TooManyTries
from batchwright.operations.access.users import add_user, set_password
from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, ADDRESS, NOW, web_actor

pytestmark = pytest.mark.usefixtures("no_hashes")

JANE = "jane@example.com"
RIGHT = "seven green bottles"

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`."""
    return FakeClock(NOW)


@pytest.fixture
def jane(app: Application) -> None:
    """Jane, who has a password."""
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, JANE, "administrator", actor=ACTOR)
    set_password(app, JANE, RIGHT, actor=ACTOR)


@pytest.mark.on_both
def test_a_password_is_asked_for_again_a_quarter_of_an_hour_after_it_was_given_in_that_session(
    app: Application, jane: None, clock: FakeClock
) -> None:
    current, there = (sign_in(app, JANE, RIGHT, address=ADDRESS).actor for _ in range(2))
    assert not password_is_due(app, current)
    clock.sleep(GOOD_FOR.total_seconds())
    assert password_is_due(app, current)
    confirm_password(app, RIGHT, actor=current)
    assert (password_is_due(app, current), password_is_due(app, there)) == (False, True)
    clock.sleep(GOOD_FOR.total_seconds())
    assert password_is_due(app, current)
    entry = next(one for one in list_audit(app) if one["act"] == "user.confirm_password")
    assert (entry["actor"], entry["credential"], entry["address"]) == (JANE, "session 1", ADDRESS)
    assert RIGHT not in str(list(list_audit(app)))


@on_sqlite
def test_a_password_of_a_clock_that_was_far_ahead_is_asked_for_again(
    app: Application, jane: None, clock: FakeClock
) -> None:
    clock.sleep(GOOD_FOR.total_seconds())
    current = sign_in(app, JANE, RIGHT, address=ADDRESS).actor
    clock.sleep(-GOOD_FOR.total_seconds())
    assert password_is_due(app, current)


@on_sqlite
def test_a_wrong_password_is_refused_kept_in_the_audit_trail_and_counted_with_those_at_signing_in(
    app: Application, jane: None, clock: FakeClock
) -> None:
    current = sign_in(app, JANE, RIGHT, address=ADDRESS).actor
    clock.sleep(GOOD_FOR.total_seconds())
    for _ in range(6):
        with pytest.raises(Refused, match="the password is wrong"):
            confirm_password(app, "guess", actor=current)
    with pytest.raises(TooManyTries):
        confirm_password(app, RIGHT, actor=current)
    with pytest.raises(TooManyTries):
        sign_in(app, JANE, RIGHT, address=ADDRESS)
    assert password_is_due(app, current)
    assert [one["act"] for one in list_audit(app)].count("user.confirm_password_failed") == 6
    clock.sleep(1)
    confirm_password(app, RIGHT, actor=current)
    # Its user is told of the six when they sign in next, whoever gave the right one in that session.
    assert [mail["kind"] for mail in list_mail(app)] == []
    sign_in(app, JANE, RIGHT, address=ADDRESS)
    assert len(list(list_mail(app))) == 1


@on_sqlite
def test_a_session_that_has_ended_and_another_password_confirm_nothing(
    app: Application, jane: None, clock: FakeClock
) -> None:
    current = sign_in(app, JANE, RIGHT, address=ADDRESS).actor
    end_session(app, JANE, 1, actor=ACTOR)
    with pytest.raises(Forbidden):
        confirm_password(app, RIGHT, actor=current)
    set_password(app, JANE, "eleven pipers piping", actor=ACTOR)
    with pytest.raises(SignInFailed):
        sign_in(app, JANE, RIGHT, address=ADDRESS)


@on_sqlite
def test_who_acts_by_a_token_or_a_login_name_is_asked_for_no_password(app: Application, jane: None) -> None:
    by_token = web_actor(app, "root@example.com")
    assert not password_is_due(app, by_token)
    assert not password_is_due(app, ACTOR)
    for actor in (by_token, ACTOR):
        with pytest.raises(Refused, match="only who is signed in"):
            confirm_password(app, RIGHT, actor=actor)


@on_sqlite
def test_who_came_by_a_link_and_has_no_password_is_told_how_to_get_one_and_no_try_is_counted(
    app: Application, jane: None, clock: FakeClock
) -> None:
    code = own_sign_in_link(app, actor=ACTOR).partition("code=")[2]
    root = sign_in_by_link(app, code, address=ADDRESS).actor
    clock.sleep(GOOD_FOR.total_seconds())
    for _ in range(8):
        for ask in (
            partial(confirm_password, app, "guess", actor=root),
            partial(check_has_password, app, root),
            partial(change_password, app, "guess", RIGHT, actor=root),
        ):
            with pytest.raises(NoPassword, match="users password root@example"):
                ask()
    assert password_is_due(app, root)
    set_password(app, root.name, RIGHT, actor=ACTOR)
    root = sign_in(app, root.name, RIGHT, address=ADDRESS).actor
    clock.sleep(GOOD_FOR.total_seconds())
    check_has_password(app, root)
    confirm_password(app, RIGHT, actor=root)
    assert not password_is_due(app, root)
