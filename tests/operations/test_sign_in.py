"""Signing in: who is let in, how often one may try, and what a password has to be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from batchwright.engine.errors import Refused
from batchwright.operations.access import tries
from batchwright.operations.access.passwords import check_password, hash_password, password_fits
from batchwright.operations.access.sessions import list_sessions
from batchwright.operations.access.sign_in import SignInFailed, sign_in
from batchwright.operations.access.tries import Counted, TooManyTries, count_try, delay_after, prune_sign_ins
from batchwright.operations.access.users import add_user, disable_user, set_password
from batchwright.operations.app import Application, make_application
from batchwright.operations.links import new_code
from batchwright.operations.tables import one_time_link, sign_in_try, user_session
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, ADDRESS, NOW, make_settings

JANE = "jane@example.com"
PASSWORD = "seven green bottles"
HOME = "203.0.113.200"

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`."""
    return FakeClock(NOW)


@pytest.fixture
def jane(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jane with a password, of which no hash is made that takes a processor."""
    monkeypatch.setattr("batchwright.operations.access.users.hash_password", lambda password: password)
    monkeypatch.setattr(
        "batchwright.operations.access.sign_in.password_fits", lambda kept, given: kept == given
    )
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, JANE, "operator", actor=ACTOR)
    set_password(app, JANE, PASSWORD, actor=ACTOR)


@pytest.fixture
def other(app: Application, tmp_path: Path, clock: FakeClock) -> Iterator[Application]:
    """The application of another web process on the same database."""
    url = app.database.url.render_as_string(hide_password=False)
    application = make_application(make_settings(url, tmp_path), clock=clock)
    yield application
    application.close()


def fail(app: Application, email: str = JANE, address: str = ADDRESS) -> None:
    with pytest.raises(SignInFailed):
        sign_in(app, email, "wrong", address=address)


@pytest.mark.on_both
def test_nobody_learns_from_a_refusal_whether_there_is_such_a_user(app: Application, jane: None) -> None:
    add_user(app, "gone@example.com", "viewer", actor=ACTOR)
    set_password(app, "gone@example.com", PASSWORD, actor=ACTOR)
    disable_user(app, "gone@example.com", actor=ACTOR)
    refusals = []
    for email, password in (
        (JANE, "wrong"),
        ("eve@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("root@example.com", PASSWORD),
        ("\x00", "\ud800"),
    ):
        with pytest.raises(SignInFailed) as refused:
            sign_in(app, email, password, address=ADDRESS)
        refusals.append((refused.value.message, refused.value.field, refused.value.remedy))
    assert len(set(refusals)) == 1


@on_sqlite
def test_what_was_typed_stands_in_no_log_but_for_the_address_of_a_user(app: Application, jane: None) -> None:
    with capture_logs() as logs:
        fail(app)
        fail(app, "my secret instead of an address")
        begun = sign_in(app, JANE, PASSWORD, address=ADDRESS, browser="Browser\x00 1")
    assert [entry["event"] for entry in logs] == ["somebody could not sign in"] * 2
    assert [entry["email"] for entry in logs] == [JANE, None]
    assert "wrong" not in str(logs)
    assert "secret" not in str(logs)
    assert PASSWORD not in str(logs)
    assert begun.reference not in str(logs)
    assert list_sessions(app, JANE)[0]["browser"] == "Browser 1"


@pytest.mark.on_both
def test_tries_at_one_user_are_slowed_from_whatever_address_and_that_ends_by_itself(
    app: Application, clock: FakeClock, jane: None
) -> None:
    waits = []
    for number in range(20):
        fail(app, address=f"192.0.2.{number}")
        with app.database.read() as connection:
            free_at = max(connection.scalars(select(sign_in_try.c.free_at)))
        waits.append((free_at - clock.now()).total_seconds())
        if waits[-1]:
            with pytest.raises(TooManyTries) as refused:
                sign_in(app, JANE, PASSWORD, address=f"192.0.2.1{number}")
            assert refused.value.seconds == waits[-1]
        clock.sleep(waits[-1])
    assert waits == [0.0] * 5 + [float(2**n) for n in range(10)] + [900.0] * 5
    assert sign_in(app, JANE, PASSWORD, address="192.0.2.200").actor.name == JANE
    fail(app, address="192.0.2.201")
    sign_in(app, JANE, PASSWORD, address="192.0.2.201")  # counted from the beginning


@on_sqlite
def test_who_is_attacked_from_elsewhere_still_signs_in_from_where_they_did_before(
    app: Application, jane: None
) -> None:
    sign_in(app, JANE, PASSWORD, address=HOME)
    for number in range(6):
        fail(app, address=f"192.0.2.{number}")
    with pytest.raises(TooManyTries):
        sign_in(app, JANE, PASSWORD, address="192.0.2.99")
    assert sign_in(app, JANE, PASSWORD, address=HOME).actor.name == JANE
    for _ in range(6):
        fail(app, address=HOME)
    with pytest.raises(TooManyTries):
        sign_in(app, JANE, PASSWORD, address=HOME)


@on_sqlite
def test_tries_from_one_address_are_slowed_at_whatever_user(app: Application, jane: None) -> None:
    for number in range(21):
        fail(app, email=f"user{number}@example.com")
    with pytest.raises(TooManyTries) as refused:
        sign_in(app, JANE, PASSWORD, address=ADDRESS)
    assert (refused.value.seconds, refused.value.remedy) == (1, "Try again in 1 s")
    assert sign_in(app, JANE, PASSWORD, address=HOME).actor.name == JANE


@on_sqlite
def test_who_has_a_password_of_their_own_gets_no_more_tries_at_others_by_it(
    app: Application, clock: FakeClock, jane: None
) -> None:
    for number in range(21):
        fail(app, email=f"user{number}@example.com")
    clock.sleep(1)
    sign_in(app, JANE, PASSWORD, address=ADDRESS)
    fail(app, email="user21@example.com")
    with pytest.raises(TooManyTries) as refused:
        sign_in(app, JANE, PASSWORD, address=ADDRESS)
    assert refused.value.seconds == 2


@pytest.mark.on_both
def test_tries_at_the_same_moment_in_two_web_processes_are_counted_one_by_one(
    app: Application, other: Application
) -> None:
    counted = [Counted("user x", 5), Counted("address y", 20)]

    def one_try(number: int) -> bool:
        try:
            count_try(app if number % 2 else other, counted if number % 3 else counted[::-1])
        except TooManyTries:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one_try, range(24))) == 6


@on_sqlite
def test_tries_are_forgotten_a_day_after_the_last(app: Application, clock: FakeClock, jane: None) -> None:
    for _ in range(6):
        fail(app)
    clock.sleep(tries.FORGOTTEN_AFTER.total_seconds() + 1)
    for _ in range(5):
        fail(app)


@on_sqlite
def test_a_clock_that_was_ahead_keeps_nobody_out(app: Application, clock: FakeClock, jane: None) -> None:
    clock.sleep(365 * 86_400)
    for _ in range(6):
        fail(app)
    clock.sleep(-365 * 86_400)
    assert sign_in(app, JANE, PASSWORD, address=ADDRESS).actor.name == JANE


@pytest.mark.on_both
def test_what_nobody_counts_any_more_is_deleted(app: Application, clock: FakeClock, jane: None) -> None:
    def rows() -> list[int]:
        with app.database.read() as connection:
            tables = (sign_in_try, user_session, one_time_link)
            return [connection.scalars(select(func.count()).select_from(table)).one() for table in tables]

    fail(app)
    sign_in(app, JANE, PASSWORD, address=HOME)
    with app.database.write() as connection:
        new_code(connection, clock.now(), os_user="me")
    for days, left in ((1, [4, 1, 1]), (0.1, [0, 1, 0]), (35.8, [0, 1, 0]), (0.2, [0, 0, 0])):
        clock.sleep(days * 86_400)
        prune_sign_ins(app)
        assert rows() == left, days


def test_no_delay_is_longer_than_a_quarter_of_an_hour_however_many_tries_there_were() -> None:
    assert [delay_after(number).total_seconds() for number in (-4, 0, 1, 2, 11, 10**9)] == [
        0,
        0,
        1,
        2,
        900,
        900,
    ]


@pytest.mark.parametrize(
    "password",
    [
        *("short", "1234567", "12345678", "PASSWORD1", "Sunshine", "aaaaaaaaaaaa", "abababababab"),
        *("batchwright1", "Batchwright-2026", "jane.example", "jane@example.com", "examplejane12"),
        *("with\nline break", "x" * 1025, "trustno1"),
    ],
)
def test_a_password_that_others_try_first_is_refused(password: str) -> None:
    with pytest.raises(Refused) as refused:
        check_password(password, JANE)
    assert refused.value.field == "password"
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [
        "seven green bottles",
        "a" * 40 + "bcd",
        "пароль на семь слов",
        "jane and the seven dwarfs",
        "x y z 1234",
        "🔑🗝🔒🔓🪪🧷🪛🔧",
    ],
)
def test_any_other_password_is_taken(password: str) -> None:
    check_password(password, JANE)


def test_a_password_is_the_same_however_its_letters_are_composed() -> None:
    hashed = hash_password("Stra\u00dfe f\u00fcr elf")
    assert password_fits(hashed, "Stra\u00dfe fu\u0308r elf")
    assert not password_fits(hashed, "Strasse fur elf")
    assert not password_fits(None, "")
    assert not password_fits("no hash", "no hash")
