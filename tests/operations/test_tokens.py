"""Tokens: how they are made, kept, named, listed and revoked, and when they expire."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import select

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.permissions import Forbidden, Right, permit
from batchwright.operations.access.tokens import a_year_after, list_tokens, make_token, revoke_token
from batchwright.operations.access.users import add_user, disable_user, list_users, set_mail, set_role
from batchwright.operations.actor import Unauthenticated
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, read_message, show_mail
from batchwright.operations.tables import user_token
from batchwright.operations.worker.expiring_tokens import notify_of_expiring_tokens
from batchwright.operations.worker.maintenance import Maintenance
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, ADDRESS, NOW, make_settings

Entries = Callable[[], list[dict[str, Any]]]
JANE = "jane@example.com"


@pytest.fixture(autouse=True)
def jane(app: Application) -> None:
    """An administrator, and Jane."""
    add_user(app, "ada@example.com", Right.ADMINISTER, os_user=operating_system_user(), actor=ACTOR)
    add_user(app, JANE, Right.OPERATE, actor=ACTOR)


def is_good(app: Application, text: str) -> bool:
    try:
        authenticate_token(app, text, ADDRESS)
    except Unauthenticated:
        return False
    return True


def test_a_token_is_kept_as_a_hash_and_its_text_in_no_entry(app: Application, entries: Entries) -> None:
    text, view = make_token(
        app, " Jane@Example.com ", name="ci", role="viewer", actor=ACTOR, reason="nightly"
    )
    assert view == {
        "token_id": 1,
        "name": "ci",
        "prefix": text[:11],
        "role": "viewer",
        "status": "active",
        "created_at": "2023-07-01T08:30:00.000Z",
        "created_by": "dana@example.com",
        "expires_at": "2024-07-01T08:30:00.000Z",
        "last_used_at": None,
        "revoked_at": None,
    }
    assert list_tokens(app, JANE) == [view]
    (entry, *_) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("user.token", JANE, "nightly")
    assert (entry["before"], entry["after"]) == (None, view)
    hashed = sha256(text.encode()).hexdigest()
    with app.database.read() as connection:
        assert connection.scalars(select(user_token.c.hash)).all() == [hashed]
    for secret in (text, hashed):
        assert secret not in str(entries())


def test_a_token_is_256_random_bits_and_a_checksum_that_scanners_know_it_by(app: Application) -> None:
    texts = [make_token(app, JANE, actor=ACTOR).text for _ in range(3)]
    assert len(set(texts)) == 3
    for text in texts:
        assert re.fullmatch(r"bw_[A-Za-z0-9_-]{43}[A-Za-z0-9_-]{6}", text)
        assert int.from_bytes(urlsafe_b64decode(text[-6:] + "==")) == crc32(text[:-6].encode())


@pytest.mark.on_both
def test_a_user_has_several_tokens_that_end_one_by_one(app: Application, entries: Entries) -> None:
    first, second = (make_token(app, JANE, name=name, actor=ACTOR).text for name in ("one", "two"))
    assert (is_good(app, first), is_good(app, second)) == (True, True)
    revoked = revoke_token(app, JANE, "one", actor=ACTOR, reason="leaked")
    assert (is_good(app, first), is_good(app, second)) == (False, True)
    assert (revoked["status"], revoked["revoked_at"]) == ("revoked", "2023-07-01T08:30:00.000Z")
    (entry, *_) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("user.revoke_token", JANE, "leaked")
    assert (entry["before"]["status"], entry["after"]) == ("active", revoked)
    assert [token["status"] for token in list_tokens(app, JANE)] == ["revoked", "active"]
    assert [user["has_token"] for user in list_users(app)] == [False, True]


def test_a_name_is_one_active_token_s_and_free_again_after_it(app: Application) -> None:
    make_token(app, JANE, name="ci", actor=ACTOR)
    with pytest.raises(Refused, match="has an active token 'ci' already") as refused:
        make_token(app, JANE, name="ci", actor=ACTOR)
    assert refused.value.field == "name"
    make_token(app, "ada@example.com", name="ci", actor=ACTOR)
    revoke_token(app, JANE, "ci", actor=ACTOR)
    with pytest.raises(Refused, match="has no active token 'ci'"):
        revoke_token(app, JANE, "ci", actor=ACTOR)
    make_token(app, JANE, name="ci", actor=ACTOR)
    assert [token["status"] for token in list_tokens(app, JANE)] == ["revoked", "active"]


def test_without_a_name_each_gets_one_that_no_other_ever_had(app: Application) -> None:
    make_token(app, JANE, name="token-2", actor=ACTOR)
    made = [make_token(app, JANE, actor=ACTOR).view["name"] for _ in range(2)]
    revoke_token(app, JANE, "token-1", actor=ACTOR)
    made.append(make_token(app, JANE, actor=ACTOR).view["name"])
    assert made == ["token-1", "token-3", "token-4"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"role": "king"}, "role"),
        ({"expires": "soon"}, "expires"),
        ({"expires": ""}, "expires"),
        ({"expires": "2023-06-30"}, "expires"),
        ({"expires": "2023-02-29"}, "expires"),
        ({"expires": "9999-12-31"}, "expires"),
    ],
)
def test_a_token_that_cannot_be_is_refused_with_field_and_remedy(
    app: Application, values: dict[str, str], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        make_token(app, JANE, **values, actor=ACTOR)
    assert refused.value.field == field
    assert refused.value.remedy
    assert list_tokens(app, JANE) == []


@pytest.mark.parametrize(
    ("time_zone", "expires", "end"),
    [
        ("UTC", "2023-07-01", "2023-07-02T00:00:00"),
        ("Europe/Berlin", "2023-07-01", "2023-07-01T22:00:00"),
        ("America/New_York", "2023-11-05", "2023-11-06T05:00:00"),
        ("UTC", None, "2024-07-01T08:30:00"),
    ],
)
def test_a_token_is_good_until_its_last_day_ends_where_business_is_done(
    app: Application, tmp_path: Path, time_zone: str, expires: str | None, end: str
) -> None:
    clock = FakeClock(NOW)
    url = app.database.url.render_as_string(hide_password=False)
    there = make_application(make_settings(url, tmp_path, time_zone=time_zone), clock=clock)
    text, view = make_token(there, JANE, expires=expires, actor=ACTOR)
    jane = authenticate_token(there, text, ADDRESS)
    assert view["expires_at"] == f"{end}.000Z"
    last = datetime.fromisoformat(f"{end}Z") - timedelta(microseconds=1)
    clock.sleep((last - NOW).total_seconds())
    assert clock.now() == last
    permit(there, jane, Right.LOOK, "run.list")
    assert is_good(there, text)
    clock.sleep(0.000001)
    assert not is_good(there, text)
    with pytest.raises(Forbidden, match="was revoked or has expired"):
        permit(there, jane, Right.LOOK, "run.list")
    assert [token["status"] for token in list_tokens(there, JANE)] == ["expired"]
    with pytest.raises(Refused, match="has no active token"):
        revoke_token(there, JANE, "token-1", actor=ACTOR)
    make_token(there, JANE, name="token-1", actor=ACTOR)
    there.close()


def test_a_year_from_29_february_ends_on_28_february() -> None:
    leap = datetime(2024, 2, 29, 8, 30, tzinfo=UTC)
    assert a_year_after(leap) == datetime(2025, 2, 28, 8, 30, tzinfo=UTC)
    assert a_year_after(datetime(2023, 2, 28, tzinfo=UTC)) == datetime(2024, 2, 28, tzinfo=UTC)
    assert a_year_after(datetime(2023, 3, 1, tzinfo=UTC)) == datetime(2024, 3, 1, tzinfo=UTC)


def test_disabling_a_user_ends_all_of_their_tokens_and_nobody_else_s(app: Application) -> None:
    theirs = [make_token(app, JANE, actor=ACTOR).text for _ in range(2)]
    other = make_token(app, "ada@example.com", actor=ACTOR).text
    disable_user(app, JANE, actor=ACTOR)
    assert [is_good(app, text) for text in (*theirs, other)] == [False, False, True]
    assert {token["revoked_at"] for token in list_tokens(app, JANE)} == {"2023-07-01T08:30:00.000Z"}


def test_tokens_of_an_unknown_user_are_refused(app: Application) -> None:
    for act in (
        lambda: make_token(app, "x@example.com", actor=ACTOR),
        lambda: list_tokens(app, "x@example.com"),
        lambda: revoke_token(app, "x@example.com", "ci", actor=ACTOR),
    ):
        with pytest.raises(Refused, match=r"there is no user 'x@example\.com'"):
            act()


def expiry_mail(app: Application) -> list[tuple[str | None, str, bool]]:
    """Whom mail about tokens went to, and what of it."""
    mails = [show_mail(app, mail["mail_id"]) for mail in reversed(list(list_mail(app)))]
    return [
        (mail["recipient"], mail["facts"]["name"], mail["facts"]["expired"])
        for mail in mails
        if mail["kind"] == "token_expires"
    ]


@pytest.mark.on_both
def test_a_user_is_told_once_fourteen_days_before_a_token_expires_whatever_mail_they_want(
    app: Application, tmp_path: Path
) -> None:
    set_mail(app, JANE, "never", actor=ACTOR)
    make_token(app, JANE, name="year", actor=ACTOR)
    make_token(app, JANE, name="short", expires="2023-07-14", actor=ACTOR)
    make_token(app, JANE, name="fifteen", expires="2023-07-15", actor=ACTOR)
    make_token(app, JANE, name="revoked", expires="2023-08-01", actor=ACTOR)
    revoke_token(app, JANE, "revoked", actor=ACTOR)
    clock = FakeClock(NOW)
    url = app.database.url.render_as_string(hide_password=False)
    worker = make_application(make_settings(url, tmp_path), clock=clock)
    expected: list[tuple[str, str, bool]] = []
    for day, news in (
        (datetime(2023, 7, 1, 23, 59, tzinfo=UTC), []),
        (datetime(2023, 7, 2, tzinfo=UTC), [(JANE, "fifteen", False)]),
        (datetime(2024, 6, 17, 8, 29, tzinfo=UTC), []),
        (datetime(2024, 6, 17, 8, 30, tzinfo=UTC), [(JANE, "year", False)]),
        (datetime(2025, 1, 1, tzinfo=UTC), []),
    ):
        clock.sleep((day - clock.now()).total_seconds())
        assert notify_of_expiring_tokens(worker) == len(news)
        assert notify_of_expiring_tokens(worker) == 0
        expected += news
        assert expiry_mail(worker) == expected
    worker.close()


def test_a_worker_s_upkeep_tells_of_a_token_that_expired_while_no_worker_looked(
    app: Application, tmp_path: Path
) -> None:
    make_token(app, JANE, name="year", actor=ACTOR)
    url = app.database.url.render_as_string(hide_password=False)
    worker = make_application(make_settings(url, tmp_path), clock=FakeClock(NOW + timedelta(days=400)))
    looks: list[None] = []
    maintenance = Maintenance(worker, lambda: looks.append(None))
    maintenance.start()
    assert maintenance.stop()
    assert len(looks) == 1
    assert expiry_mail(worker) == [(JANE, "year", True)]
    worker.close()


def test_the_mail_leads_an_administrator_to_their_tokens_and_others_to_their_own_page(
    app: Application, tmp_path: Path
) -> None:
    settings = make_settings(
        app.database.url.render_as_string(), tmp_path, base_url="https://batch.example.com"
    )
    worker = make_application(settings, clock=FakeClock(NOW + timedelta(days=360)))
    make_token(app, JANE, name="year", actor=ACTOR)
    notify_of_expiring_tokens(worker)
    (mail,) = list_mail(worker)
    for role, there in (("operator", "/preferences"), ("administrator", "/users/jane%40example.com")):
        set_role(app, JANE, role, actor=ACTOR)
        body = read_message(worker, mail["mail_id"], actor=ACTOR).get_body(("plain",))
        assert body is not None
        assert re.findall(r"https://batch\.example\.com(\S+)", body.get_content()) == [there]
    worker.mailer.send_due()
    (sent,) = (tmp_path / "mail").glob("*.eml")
    assert there.encode() in sent.read_bytes().replace(b"=\n", b"")
    worker.close()


@pytest.mark.on_both
def test_of_several_workers_one_tells(app: Application, tmp_path: Path) -> None:
    make_token(app, JANE, name="year", actor=ACTOR)
    url = app.database.url.render_as_string(hide_password=False)
    later = FakeClock(NOW + timedelta(days=360))
    workers = [make_application(make_settings(url, tmp_path), clock=later) for _ in range(3)]
    with ThreadPoolExecutor(len(workers)) as pool:
        assert sum(pool.map(notify_of_expiring_tokens, workers)) == 1
    for worker in workers:
        worker.close()
    assert expiry_mail(app) == [(JANE, "year", False)]
