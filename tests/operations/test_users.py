"""Users: adding and changing them, what is kept of secrets, and that somebody can always manage them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection, select

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations import user_store
from batchwright.operations.access import tokens, users
from batchwright.operations.access.permissions import Forbidden, Right, permit
from batchwright.operations.app import Actor, Application
from batchwright.operations.tables import app_user
from tests.support.application import ACTOR

Entries = Callable[[], list[dict[str, Any]]]

ME = operating_system_user()


def add(app: Application, email: str = "ada@example.com", role: str = "administrator", **values: Any) -> Any:
    return users.add_user(app, email, role, actor=ACTOR, **values)


def row_of(app: Application, email: str = "ada@example.com") -> Any:
    with app.database.read() as connection:
        return connection.execute(select(app_user).where(app_user.c.email == email)).mappings().one()


def test_an_added_user_is_listed_with_address_in_lower_case_and_leaves_one_audit_entry(
    app: Application, entries: Entries
) -> None:
    added = add(app, "Ada@Example.com", os_user=ME, reason="the first")
    assert added == {
        "email": "ada@example.com",
        "role": "administrator",
        "os_user": ME,
        "mail": "always",
        "disabled": False,
        "has_password": False,
        "has_token": False,
        "created_at": "2023-07-01T08:30:00.000Z",
    }
    assert users.list_users(app) == [added]
    (entry,) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("user.add", "ada@example.com", "the first")
    assert (entry["before"], entry["after"]) == (None, added)


def test_users_are_listed_by_address_and_as_many_as_asked_for(app: Application) -> None:
    add(app, "b@example.com", os_user=ME)
    add(app, "a@example.com", "viewer")
    assert [user["email"] for user in users.list_users(app)] == ["a@example.com", "b@example.com"]
    assert [user["email"] for user in users.list_users(app, limit=1)] == ["a@example.com"]


def test_the_first_user_of_a_server_is_tied_to_who_adds_them_and_has_to_be_an_administrator(
    app: Application, entries: Entries
) -> None:
    if app.database.is_sqlite:
        assert add(app, role="viewer")["os_user"] is None
        return
    with pytest.raises(Refused, match="the first user of a database cannot have the role viewer"):
        add(app, role="viewer")
    assert entries() == []
    assert add(app)["os_user"] == ME
    assert add(app, "b@example.com", "viewer")["os_user"] is None


def test_who_has_no_row_may_do_nothing_after_the_first_user_was_tied_to_somebody_else(
    app: Application,
) -> None:
    add(app, os_user="ada")
    if not app.database.is_sqlite:  # there the owner of the file stays an administrator
        with pytest.raises(Forbidden):
            users.list_users(app, actor=ACTOR)
    assert [user["os_user"] for user in users.list_users(app, actor=Actor("ada", "ada"))] == ["ada"]


# Nobody becomes an administrator of a file by being first.
@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_of_two_who_would_be_the_first_user_of_a_server_at_once_only_one_is(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = user_store.lock_users

    def overtaken(connection: Connection) -> None:
        monkeypatch.setattr(user_store, "lock_users", lock)
        users.add_user(app, "eve@example.com", "administrator", actor=Actor("eve", "eve"))
        lock(connection)

    monkeypatch.setattr(user_store, "lock_users", overtaken)
    with pytest.raises(Forbidden):
        add(app)
    (first,) = users.list_users(app, actor=Actor("eve", "eve"))
    assert (first["email"], first["os_user"]) == ("eve@example.com", "eve")


@pytest.mark.parametrize(
    ("email", "role", "os_user", "field"),
    [
        ("ada", "administrator", None, "email"),
        ("ada@example.com\nBcc: x@example.com", "administrator", None, "email"),
        ("a@example.com, b@example.com", "administrator", None, "email"),
        ("ada@example.com", "king", None, "role"),
        ("ada@example.com", "Administrator", None, "role"),
        ("ada@example.com", "administrator", "", "os_user"),
        ("ada@example.com", "administrator", "a\nb", "os_user"),
    ],
)
def test_what_cannot_be_a_user_is_refused_by_its_field(
    app: Application, entries: Entries, email: str, role: str, os_user: str | None, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        add(app, email, role, os_user=os_user)
    assert refused.value.field == field
    assert refused.value.remedy
    assert users.list_users(app) == entries() == []


def test_an_address_and_a_login_name_belong_to_one_user_only(app: Application) -> None:
    add(app, os_user=ME)
    with pytest.raises(Refused, match=r"there is a user ada@example\.com already"):
        add(app, "ADA@example.com", "viewer")
    with pytest.raises(Refused, match=f"{ME} is tied to ada@example.com already"):
        add(app, "b@example.com", "viewer", os_user=ME)
    assert len(users.list_users(app)) == 1


def test_a_role_is_changed_with_before_and_after_in_the_audit_trail(
    app: Application, entries: Entries
) -> None:
    add(app, os_user=ME)
    add(app, "b@example.com", "viewer")
    changed = users.set_role(app, "B@example.com", "operator", actor=ACTOR)
    assert changed["role"] == "operator"
    newest = entries()[0]
    assert (newest["act"], newest["before"]["role"], newest["after"]["role"]) == (
        "user.role",
        "viewer",
        "operator",
    )


def test_a_user_is_tied_to_another_login_name_or_to_none(app: Application, entries: Entries) -> None:
    add(app, os_user=ME)
    add(app, "b@example.com", "operator")
    bob = Actor("bob", "bob")

    def tie(os_user: str | None) -> Any:
        return users.set_role(app, "b@example.com", "operator", os_user=os_user, actor=ACTOR)["os_user"]

    assert tie(" bob ") == "bob"
    permit(app, bob, Right.OPERATE, "run.submit")
    assert tie(None) == "bob"
    assert tie("") is None
    newest = entries()[0]
    assert (newest["before"]["os_user"], newest["after"]["os_user"]) == ("bob", None)
    with pytest.raises(Forbidden):
        permit(app, bob, Right.LOOK, "run.list")


def test_a_login_name_of_another_user_is_refused_with_how_to_free_it(app: Application) -> None:
    add(app, os_user=ME)
    add(app, "b@example.com", "Billing Utilities Admin", os_user="bob")
    add(app, "c@example.com", "viewer")
    with pytest.raises(Refused, match=r"bob is tied to b@example\.com already") as refused:
        users.set_role(app, "c@example.com", "viewer", os_user="bob", actor=ACTOR)
    assert refused.value.field == "os_user"
    free = "`batchwright users role b@example.com 'Billing Utilities Admin' --os-user ''`"
    assert free in str(refused.value.remedy)
    for name in ("  ", "a\nb", "x" * 65):
        with pytest.raises(Refused, match="cannot be a login name"):
            users.set_role(app, "c@example.com", "viewer", os_user=name, actor=ACTOR)


def test_a_login_name_is_kept_without_the_blanks_around_it(app: Application) -> None:
    add(app, os_user=ME)
    assert add(app, "b@example.com", "viewer", os_user="bob ")["os_user"] == "bob"


@pytest.mark.parametrize("written", ["Jane Doe <Jane@MÜNCHEN.de>", " jane@xn--mnchen-3ya.de "])
def test_a_user_is_found_by_the_address_in_every_way_it_can_be_added(app: Application, written: str) -> None:
    add(app, os_user=ME)
    assert add(app, "jane@münchen.de", "viewer")["email"] == "jane@xn--mnchen-3ya.de"
    assert users.set_role(app, written, "operator", actor=ACTOR)["role"] == "operator"
    assert users.set_mail(app, written, "never", actor=ACTOR)["mail"] == "never"


def test_a_disabled_user_may_nothing_has_no_token_and_gets_their_role_back_when_enabled(
    app: Application,
) -> None:
    add(app, os_user=ME)
    add(app, "b@example.com", "operator", os_user="bob")
    bob = Actor("bob", "bob")
    tokens.make_token(app, "b@example.com", actor=ACTOR)
    permit(app, bob, Right.OPERATE, "run.submit")
    disabled = users.disable_user(app, "b@example.com", actor=ACTOR)
    assert (disabled["disabled"], disabled["has_token"]) == (True, False)
    with pytest.raises(Forbidden):
        permit(app, bob, Right.LOOK, "run.list")
    with pytest.raises(Refused, match="is disabled"):
        tokens.make_token(app, "b@example.com", actor=ACTOR)
    enabled = users.enable_user(app, "b@example.com", actor=ACTOR)
    assert (enabled["disabled"], enabled["has_token"], enabled["role"]) == (False, False, "operator")
    permit(app, bob, Right.OPERATE, "run.submit")


def test_the_last_who_may_manage_users_keeps_that(app: Application, entries: Entries) -> None:
    add(app, os_user=ME)
    before = users.list_users(app)
    acts: list[Callable[[], object]] = [
        lambda: users.set_role(app, "ada@example.com", "viewer", actor=ACTOR),
        lambda: users.disable_user(app, "ada@example.com", actor=ACTOR),
        lambda: users.set_role(app, "ada@example.com", "viewer", os_user=ME, actor=ACTOR),
    ]
    for act in acts:
        with pytest.raises(Refused, match="nobody would be left who may manage users"):
            act()
    assert users.list_users(app) == before
    assert len(entries()) == 1
    add(app, "b@example.com", "administrator", os_user="bob")
    assert users.set_role(app, "ada@example.com", "viewer", actor=ACTOR)["role"] == "viewer"


def test_the_owner_of_an_embedded_file_cannot_shut_themselves_out(app: Application) -> None:
    if not app.database.is_sqlite:
        add(app)  # on a server an administrator comes first
        return
    with pytest.raises(Refused, match="nobody would be left who may manage users"):
        add(app, "b@example.com", "viewer", os_user=ME)
    assert add(app, "b@example.com", "viewer", os_user="bob")["role"] == "viewer"


def test_a_password_is_kept_as_an_argon2_hash_and_nowhere_else(app: Application, entries: Entries) -> None:
    add(app, os_user=ME)
    changed = users.set_password(app, "ada@example.com", "correct horse", actor=ACTOR)
    assert changed["has_password"] is True
    stored = row_of(app)["password_hash"]
    assert stored.startswith("$argon2id$")
    assert PasswordHasher().verify(stored, "correct horse") is True
    assert "horse" not in str(entries())
    assert stored not in str(entries())


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025, "with\nbreak", "\udce4aaaaaaaaa"])
def test_a_password_that_is_too_short_too_long_or_not_typed_is_refused(
    app: Application, password: str
) -> None:
    add(app, os_user=ME)
    with pytest.raises(Refused) as refused:
        users.set_password(app, "ada@example.com", password, actor=ACTOR)
    assert refused.value.field == "password"
    assert row_of(app)["password_hash"] is None


@pytest.mark.parametrize("mail", ["always", "errors", "never", "digest"])
def test_a_user_chooses_which_mail_they_get(app: Application, mail: str) -> None:
    add(app, os_user=ME)
    assert users.set_mail(app, "ada@example.com", mail, actor=ACTOR)["mail"] == mail


def test_a_viewer_chooses_their_own_mail_and_nobody_else_s(app: Application) -> None:
    add(app, os_user=ME)
    add(app, "b@example.com", "viewer", os_user="bob")
    bob = Actor("bob", "bob")
    assert users.set_mail(app, " B@example.com ", "never", actor=bob)["mail"] == "never"
    with pytest.raises(Forbidden):
        users.set_mail(app, "ada@example.com", "never", actor=bob)
    with pytest.raises(Refused, match="'sometimes' is not known"):
        users.set_mail(app, "b@example.com", "sometimes", actor=bob)


def test_an_unknown_user_is_refused_by_every_change(app: Application, entries: Entries) -> None:
    changes: list[Callable[[], object]] = [
        lambda: users.set_role(app, "x@example.com", "viewer", actor=ACTOR),
        lambda: users.disable_user(app, "x@example.com", actor=ACTOR),
        lambda: users.enable_user(app, "x@example.com", actor=ACTOR),
        lambda: users.set_password(app, "x@example.com", "long enough", actor=ACTOR),
        lambda: tokens.make_token(app, "x@example.com", actor=ACTOR),
        lambda: users.set_mail(app, "x@example.com", "never", actor=ACTOR),
    ]
    for change in changes:
        with pytest.raises(Refused, match=r"there is no user 'x@example\.com'"):
            change()
    assert entries() == []
