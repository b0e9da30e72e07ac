"""Passwords that their users set: by the one before, by a link that was sent, by a link that `serve` printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations import user_store
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.authentication import authenticate_session
from batchwright.operations.access.first_administrator import (
    add_first_administrator,
    first_administrator_code,
    first_administrator_is_possible,
)
from batchwright.operations.access.own_password import (
    LinkRefused,
    change_password,
    email_of_reset,
    mail_reset,
    request_reset,
    reset_password,
)
from batchwright.operations.access.permissions import Forbidden
from batchwright.operations.access.sessions import list_sessions
from batchwright.operations.access.sign_in import SignInFailed, sign_in
from batchwright.operations.access.sign_in_link import link_signs_in, own_sign_in_link, sign_in_by_link
from batchwright.operations.access.tries import TooManyTries
from batchwright.operations.access.users import add_user, disable_user, list_users, set_password
from batchwright.operations.actor import Actor, Door, Unauthenticated
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, show_mail
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, ADDRESS, NOW, make_settings, web_actor

pytestmark = pytest.mark.usefixtures("no_hashes")

JANE = "jane@example.com"
OLD, NEW = "seven green bottles", "eleven pipers piping"

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`."""
    return FakeClock(NOW)


@pytest.fixture
def jane(app: Application) -> None:
    """Jane, who has a password."""
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, JANE, "operator", actor=ACTOR)
    set_password(app, JANE, OLD, actor=ACTOR)


@pytest.fixture
def other(app: Application, tmp_path: Path, clock: FakeClock) -> Iterator[Application]:
    """The application of another web process on the same database."""
    url = app.database.url.render_as_string(hide_password=False)
    application = make_application(make_settings(url, tmp_path), clock=clock)
    yield application
    application.close()


def mails_of(app: Application, folder: Path) -> list[str]:
    """The mails that were sent, newest last, each as text without the breaks of quoted printable."""
    app.mailer.send_due()
    files = sorted((folder / "mail").glob("*.eml"))
    return [file.read_text().replace("=\n", "").replace("=3D", "=") for file in files]


def code_for_jane(app: Application, folder: Path) -> str:
    mail_reset(app, JANE, ADDRESS)
    found = re.search(r"http://127\.0\.0\.1:8000/reset\?code=([\w-]+)", mails_of(app, folder)[-1])
    assert found
    return found[1]


def newest(app: Application) -> dict[str, Any]:
    return dict(next(iter(list_audit(app))))


@pytest.mark.on_both
def test_who_changes_their_password_stays_signed_in_there_and_nowhere_else(
    app: Application, jane: None, tmp_path: Path
) -> None:
    there, current = (sign_in(app, JANE, OLD, address=ADDRESS) for _ in range(2))
    changed = change_password(app, OLD, NEW, actor=current.actor)
    for reference in (there.reference, current.reference):
        with pytest.raises(Unauthenticated):
            authenticate_session(app, reference, ADDRESS)
    assert authenticate_session(app, changed.reference, ADDRESS).actor.name == JANE
    with pytest.raises(SignInFailed):
        sign_in(app, JANE, OLD, address=ADDRESS)
    entry = next(one for one in list_audit(app) if one["act"] == "user.own_password")
    assert (entry["actor"], entry["door"], entry["credential"]) == (JANE, "console", "session 3")
    assert NEW not in str(list(list_audit(app)))
    assert "Your password was changed" in mails_of(app, tmp_path)[-1]


@on_sqlite
def test_who_found_an_open_browser_cannot_change_the_password_nor_guess_it_there(
    app: Application, jane: None
) -> None:
    jane_there = sign_in(app, JANE, OLD, address=ADDRESS).actor
    for _ in range(6):
        with pytest.raises(Refused) as refused:
            change_password(app, "guess", NEW, actor=jane_there)
        assert refused.value.field == "current"
    with pytest.raises(TooManyTries):
        change_password(app, OLD, NEW, actor=jane_there)


@on_sqlite
def test_a_password_is_changed_so_only_by_who_is_signed_in(app: Application, jane: None) -> None:
    with pytest.raises(Refused, match="only who is signed in"):
        change_password(app, OLD, NEW, actor=ACTOR)


@pytest.mark.on_both
def test_a_link_sets_another_password_once_and_ends_every_session(
    app: Application, jane: None, tmp_path: Path
) -> None:
    before = sign_in(app, JANE, OLD, address=ADDRESS)
    first, code = code_for_jane(app, tmp_path), code_for_jane(app, tmp_path)
    assert [email_of_reset(app, code) for _ in range(2)] == [JANE, JANE]  # looking does not use it up
    with pytest.raises(Refused, match="tried first"):
        reset_password(app, code, "password1", address=ADDRESS)
    signed_in = reset_password(app, code, NEW, address=ADDRESS)
    assert signed_in.actor.name == JANE
    with pytest.raises(Unauthenticated):
        authenticate_session(app, before.reference, ADDRESS)
    for used in (first, code):
        assert not email_of_reset(app, used)
        with pytest.raises(LinkRefused):
            reset_password(app, used, OLD, address=ADDRESS)
    assert sign_in(app, JANE, NEW, address=ADDRESS)
    entry = next(one for one in list_audit(app) if one["act"] == "user.own_password")
    assert entry["reason"] == "by a one-time link"


@pytest.mark.on_both
def test_of_two_who_use_a_link_at_the_same_moment_one_sets_the_password(
    app: Application, other: Application, jane: None, tmp_path: Path
) -> None:
    code = code_for_jane(app, tmp_path)

    def use(on: Application) -> bool:
        try:
            reset_password(on, code, NEW, address=ADDRESS)
        except LinkRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, (app, other))) == [False, True]
    assert len(list_sessions(app, JANE)) == 1


@on_sqlite
def test_a_link_is_good_for_an_hour_and_for_no_disabled_user(
    app: Application, clock: FakeClock, jane: None, tmp_path: Path
) -> None:
    code = code_for_jane(app, tmp_path)
    clock.sleep(3600)
    with pytest.raises(LinkRefused):
        reset_password(app, code, NEW, address=ADDRESS)
    code = code_for_jane(app, tmp_path)
    disable_user(app, JANE, actor=ACTOR)
    with pytest.raises(LinkRefused):
        reset_password(app, code, NEW, address=ADDRESS)
    for made_up in ("", "x", "x" * 1000, "ü" * 43, "\x00"):
        assert not email_of_reset(app, made_up)


@on_sqlite
def test_no_table_holds_the_code_of_a_link_nor_the_reference_of_a_session(
    app: Application, jane: None, tmp_path: Path
) -> None:
    code = code_for_jane(app, tmp_path)
    reference = sign_in(app, JANE, OLD, address=ADDRESS).reference
    stored = b"".join(file.read_bytes() for file in app.database.files if file.exists())
    assert code.encode() not in stored
    assert reference.encode() not in stored
    mail = list_mail(app)[-1]
    assert code not in str(show_mail(app, mail["mail_id"], actor=ACTOR))
    assert ADDRESS in str(show_mail(app, mail["mail_id"], actor=ACTOR))
    with pytest.raises(Forbidden):  # where somebody was is for administrators
        show_mail(app, mail["mail_id"], actor=web_actor(app, JANE))


@on_sqlite
def test_who_asks_for_a_link_of_nobody_is_sent_none_and_is_slowed_alike(app: Application, jane: None) -> None:
    add_user(app, "gone@example.com", "viewer", actor=ACTOR)
    disable_user(app, "gone@example.com", actor=ACTOR)
    for email in ("nobody@example.com", "gone@example.com", "", "\x00"):
        mail_reset(app, email, ADDRESS)
    assert list_mail(app) == []
    for email in (JANE, "nobody@example.com"):
        for _ in range(4):
            request_reset(app, email, ADDRESS)
        with pytest.raises(TooManyTries):
            request_reset(app, email.upper(), ADDRESS)


@on_sqlite
def test_a_mail_that_waits_while_its_user_is_disabled_holds_no_link(
    app: Application, jane: None, tmp_path: Path
) -> None:
    mail_reset(app, JANE, ADDRESS)
    disable_user(app, JANE, actor=ACTOR)
    (mail,) = mails_of(app, tmp_path)
    assert "code=" not in mail
    assert "Your user is disabled" in mail


@on_sqlite
def test_a_new_password_by_a_link_ends_the_wait_of_its_user(
    app: Application, jane: None, tmp_path: Path
) -> None:
    for number in range(6):
        with pytest.raises(SignInFailed):
            sign_in(app, JANE, "wrong", address=f"192.0.2.{number}")
    with pytest.raises(TooManyTries):
        sign_in(app, JANE, OLD, address=ADDRESS)
    reset_password(app, code_for_jane(app, tmp_path), NEW, address="192.0.2.77")
    assert sign_in(app, JANE, NEW, address=ADDRESS)


@on_sqlite
def test_a_user_is_told_that_somebody_signed_in_after_several_tries_that_failed(
    app: Application, jane: None, tmp_path: Path
) -> None:
    sign_in(app, JANE, OLD, address=ADDRESS)
    assert list_mail(app) == []
    for number in range(3):
        with pytest.raises(SignInFailed):
            sign_in(app, JANE, "wrong", address=f"192.0.2.{number}")
    sign_in(app, JANE, OLD, address=ADDRESS, browser="Browser 1")
    (mail,) = mails_of(app, tmp_path)
    assert f"To: {JANE}" in mail
    assert "after 3 tries that failed" in " ".join(mail.split())
    assert ADDRESS in mail
    sign_in(app, JANE, OLD, address=ADDRESS)
    assert len(list_mail(app)) == 1


@pytest.mark.on_both
def test_the_first_administrator_is_made_once_by_a_link_and_tied_to_who_started_the_service(
    app: Application, other: Application
) -> None:
    codes = [code for code in (first_administrator_code(app), first_administrator_code(other)) if code]
    assert len(codes) == 2
    assert [first_administrator_is_possible(app, codes[0]) for _ in range(2)] == [True, True]
    for email, password in (("no address", NEW), ("ada@example.com", "password1")):
        with pytest.raises(Refused):
            add_first_administrator(app, codes[0], email, password, address=ADDRESS)

    def use(number: int) -> bool:
        try:
            on, email = (app, other)[number], f"ada{number}@example.com"
            add_first_administrator(on, codes[number], email, NEW, address=ADDRESS)
        except LinkRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, (0, 1))) == [False, True]
    ada = Actor("ada", operating_system_user())
    (user,) = list_users(app, actor=ada)
    assert (user["role"], user["os_user"], user["has_password"]) == (
        "administrator",
        operating_system_user(),
        True,
    )
    assert first_administrator_code(app) is None
    entry = newest(app)
    assert (entry["act"], entry["door"], entry["actor"]) == ("user.add", Door.CONSOLE, user["email"])


@pytest.mark.on_both
def test_who_is_at_the_machine_signs_in_once_by_a_link_that_sets_no_password(
    app: Application, other: Application, jane: None, tmp_path: Path
) -> None:
    own = Actor("root", operating_system_user())
    link = own_sign_in_link(app, actor=own)
    address, _, code = link.partition("/sign-in/link?code=")
    assert address == app.settings.base_url
    assert [link_signs_in(app, code) for _ in range(2)] == [True, True]
    assert (email_of_reset(app, code), first_administrator_is_possible(app, code)) == (None, False)
    assert not link_signs_in(app, code_for_jane(app, tmp_path))

    def use(on: Application) -> bool:
        try:
            sign_in_by_link(on, code, address=ADDRESS)
        except LinkRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, (app, other))) == [False, True]
    assert [one["email"] for one in list_users(app, actor=own) if one["has_password"]] == [JANE]
    entry = newest(app)
    assert (entry["act"], entry["door"], entry["actor"]) == ("user.sign_in", Door.CONSOLE, "root@example.com")


@on_sqlite
def test_the_link_of_who_is_at_the_machine_is_good_for_an_hour_and_for_that_user_alone(
    app: Application, clock: FakeClock, jane: None
) -> None:
    own = Actor("root", operating_system_user())
    codes = [own_sign_in_link(app, actor=own).partition("=")[2] for _ in range(2)]
    signed_in = sign_in_by_link(app, codes[0], address=ADDRESS)
    assert not link_signs_in(app, codes[1])
    with pytest.raises(Refused, match="at the machine"):
        own_sign_in_link(app, actor=signed_in.actor)
    late = own_sign_in_link(app, actor=own).partition("=")[2]
    clock.sleep(3_601)
    with pytest.raises(LinkRefused):
        sign_in_by_link(app, late, address=ADDRESS)
    good = own_sign_in_link(app, actor=own).partition("=")[2]
    with app.database.write() as connection:
        root = user_store.user_by_email(connection, "root@example.com")
        assert root is not None
        user_store.change_user(connection, root["id"], {"os_user": "somebody"})
    with pytest.raises(LinkRefused):
        sign_in_by_link(app, good, address=ADDRESS)
    with pytest.raises(Refused, match="no user who may sign in"):
        own_sign_in_link(app, actor=own)


@on_sqlite
def test_the_link_of_the_first_administrator_sets_no_password_and_is_good_for_an_hour(
    app: Application, clock: FakeClock
) -> None:
    code = first_administrator_code(app)
    assert code
    with pytest.raises(LinkRefused):
        reset_password(app, code, NEW, address=ADDRESS)
    clock.sleep(3600)
    with pytest.raises(LinkRefused, match="no longer valid") as refused:
        add_first_administrator(app, code, "ada@example.com", NEW, address=ADDRESS)
    assert refused.value.remedy == "Start `batchwright serve` again: it prints another"


@on_sqlite
def test_a_link_that_sets_a_password_makes_no_administrator(
    app: Application, jane: None, tmp_path: Path
) -> None:
    with pytest.raises(LinkRefused):
        add_first_administrator(app, code_for_jane(app, tmp_path), "eve@example.com", NEW, address=ADDRESS)
