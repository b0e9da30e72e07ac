"""The chain over the audit trail: what is sealed, and what of tampering it shows, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from structlog.testing import capture_logs

from batchwright.cli.show import instant as instant_in_cli
from batchwright.config.logging import configure_logging
from batchwright.engine.errors import Refused
from batchwright.operations import audit_store
from batchwright.operations.access import audit_trail
from batchwright.operations.access.audit import record
from batchwright.operations.access.audit_trail import list_audit, verify_audit
from batchwright.operations.access.sealing import AT_ONCE, LATER, seal_committed
from batchwright.operations.actor import Actor, Door, Principal
from batchwright.operations.app import Application, make_application
from batchwright.operations.tables import audit_entry, audit_head, audit_seal
from tests.support.application import ACTOR, ADDRESS, NOW, make_settings

pytestmark = pytest.mark.on_both

OK: list[Any] = []


def enter(app: Application, *subjects: str) -> None:
    for subject in subjects:
        with app.database.write() as connection:
            record(connection, actor=ACTOR, act="test.act", subject=subject, after={"x": "ü"}, now=NOW)


def tamper(app: Application, *statements: Any) -> None:
    with app.database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def problems(app: Application, newest_hash: str | None = None) -> list[tuple[str, int | None]]:
    found = verify_audit(app, newest_hash)["problems"]
    assert all(problem["message"] for problem in found)
    return [(problem["kind"], problem["entry_id"]) for problem in found]


@pytest.fixture
def sealed(app: Application) -> Application:
    """An application with five sealed entries, ids 1 to 5."""
    enter(app, "one", "two", "three", "four", "five")
    assert seal_committed(app) == 5
    return app


def test_an_untouched_chain_has_no_problem_and_names_its_newest_hash(sealed: Application) -> None:
    found = verify_audit(sealed)
    assert found["sealed"] == 5
    assert found["problems"] == OK
    assert len(found["newest_hash"]) == 64
    assert found["unsealed"] == {
        "count": 0,
        "more": False,
        "first_entry_id": None,
        "last_entry_id": None,
    }
    assert problems(sealed, found["newest_hash"]) == OK


def test_what_is_not_sealed_yet_is_named_and_is_no_problem(sealed: Application) -> None:
    enter(sealed, "six", "seven")
    found = verify_audit(sealed)
    assert found["unsealed"] == {"count": 2, "more": False, "first_entry_id": 6, "last_entry_id": 7}
    assert found["problems"] == OK
    assert seal_committed(sealed) == 2
    assert seal_committed(sealed) == 0
    assert verify_audit(sealed)["sealed"] == 7


def test_an_empty_trail_has_an_empty_chain(app: Application) -> None:
    found = verify_audit(app)
    assert (found["sealed"], found["newest_hash"], found["problems"]) == (0, None, OK)


def test_a_long_chain_is_checked_in_parts_and_read_some_at_a_time(
    sealed: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "PORTION", 2)
    told: list[tuple[int, int]] = []
    whole = verify_audit(sealed, progress=lambda done, total: told.append((done, total)))
    assert (whole["problems"], whole["next_after"], told) == (OK, None, [(2, 5), (4, 5)])
    tamper(sealed, update(audit_entry).where(audit_entry.c.id == 4).values(actor="eve"))
    first = verify_audit(sealed, "f" * 64, limit=3)
    assert (first["problems"], first["next_after"], first["sealed"]) == (OK, 3, 5)
    assert verify_audit(sealed, seconds=-1.0)["next_after"] == 2
    second = verify_audit(sealed, "f" * 64, after=3, limit=2)
    assert [one["kind"] for one in second["problems"]] == ["edited", "cut_off"]
    assert (second["next_after"], second["newest_hash"]) == (None, whole["newest_hash"])
    with pytest.raises(Refused, match="there is no seal 9"):
        verify_audit(sealed, after=9)


@pytest.fixture
def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of two seals, that carry one problem, and count one entry that waits."""
    for name, value in {
        "PORTION": 2,
        "PART_SECONDS": -1.0,
        "PROBLEMS_CARRIED": 1,
        "UNSEALED_COUNTED": 1,
    }.items():
        monkeypatch.setattr(audit_trail, name, value)


def test_what_a_part_found_is_told_to_the_end_with_what_was_sealed_meanwhile(
    sealed: Application, in_small_parts: None
) -> None:
    tamper(sealed, update(audit_entry).where(audit_entry.c.id.in_([1, 4])).values(actor="eve"))
    tamper(sealed, delete(audit_seal).where(audit_seal.c.number == 3))
    hash_of_first = next(iter(parts_of(sealed)))["newest_hash"]
    parts = []
    for found in parts_of(sealed, hash_of_first):
        parts.append(found)
        if len(parts) == 1:
            enter(sealed, "six", "seven")
            waiting = {"count": 1, "more": True, "first_entry_id": 6, "last_entry_id": 7}
            assert audit_trail.verify_audit_in_parts(sealed, hash_of_first)["unsealed"] == waiting
            seal_committed(sealed)
    assert [(one["checked"], one["problem_count"]) for one in parts] == [(2, 1), (5, 3), (7, 3)]
    assert [one["entry_id"] for one in parts[-1]["problems"]] == [1]
    assert len(verify_audit(sealed, hash_of_first)["problems"]) == 3
    assert parts[-1]["problem_count"] + 1 == list(parts_of(sealed, "f" * 64))[-1]["problem_count"]
    assert max(len(one["next_after"] or "") for one in parts) < 600


def test_a_part_goes_on_after_a_cursor_of_the_same_check_alone(
    sealed: Application, in_small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = audit_trail.verify_audit_in_parts(sealed, "f" * 64)["next_after"]
    another = ("A" if first[-20] != "A" else "B").join([first[:-20], first[-19:]])
    for after, newest_hash in (
        (first, None),
        (another, "f" * 64),
        ("", "f" * 64),
        ("é", "f" * 64),
        ("MTIz", None),
    ):
        with pytest.raises(Refused, match="belongs to another filter") as refused:
            audit_trail.verify_audit_in_parts(sealed, newest_hash, after=after)
        assert refused.value.field == "after"
    monkeypatch.setattr(audit_trail, "GOOD_FOR", timedelta(-1))
    with pytest.raises(Refused, match="this check began"):
        audit_trail.verify_audit_in_parts(sealed, "f" * 64, after=first)


def parts_of(app: Application, newest_hash: str | None = None) -> Iterator[dict[str, Any]]:
    """What is told after each part of a check."""
    found = audit_trail.verify_audit_in_parts(app, newest_hash)
    yield found
    while found["next_after"] is not None:
        found = audit_trail.verify_audit_in_parts(app, newest_hash, after=found["next_after"])
        yield found


@pytest.mark.parametrize(
    "values",
    [
        {"actor": "eve"},
        {"os_user": "eve"},
        {"door": "api"},
        {"door": None},
        {"door": ""},
        {"credential": "token 1"},
        {"address": "203.0.113.7"},
        {"act": "other.act"},
        {"subject": "thre"},
        {"reason": "none"},
        {"before": "null"},
        {"after": '{"x": "u"}'},
        {"at": NOW.replace(year=2022)},
    ],
)
def test_an_edited_entry_is_named_whatever_was_edited(sealed: Application, values: dict[str, Any]) -> None:
    tamper(sealed, update(audit_entry).where(audit_entry.c.id == 3).values(**values))
    assert problems(sealed) == [("edited", 3)]


@pytest.mark.parametrize(
    "values",
    [
        {"door": "console"},
        {"credential": None},
        {"credential": "token 2"},
        {"address": None},
        {"address": "token 1", "credential": ADDRESS},
        {"door": None, "credential": None, "address": None},
    ],
)
def test_an_edited_door_token_or_address_of_a_web_act_is_named(
    app: Application, values: dict[str, Any]
) -> None:
    jane = Actor("jane@example.com", "service", Door.API, Principal(1, 1, ADDRESS))
    with app.database.write() as connection:
        record(connection, actor=jane, act="test.act", subject="one", now=NOW)
    seal_committed(app)
    assert problems(app) == OK
    tamper(app, update(audit_entry).values(**values))
    assert problems(app) == [("edited", 1)]


def test_a_deleted_entry_is_named(sealed: Application) -> None:
    tamper(sealed, delete(audit_entry).where(audit_entry.c.id == 2))
    assert problems(sealed) == [("missing", 2)]


def test_an_entry_deleted_with_its_seal_leaves_a_gap_that_is_named(sealed: Application) -> None:
    tamper(
        sealed,
        delete(audit_entry).where(audit_entry.c.id == 2),
        delete(audit_seal).where(audit_seal.c.entry_id == 2),
    )
    assert problems(sealed) == [("missing", None)]
    assert "seal 2 is missing" in verify_audit(sealed)["problems"][0]["message"]


def test_a_gap_that_was_closed_by_new_numbers_shows(sealed: Application) -> None:
    tamper(
        sealed,
        delete(audit_entry).where(audit_entry.c.id == 2),
        delete(audit_seal).where(audit_seal.c.entry_id == 2),
        *(
            update(audit_seal).where(audit_seal.c.number == number).values(number=number - 1)
            for number in (3, 4, 5)
        ),
    )
    assert problems(sealed) == [("edited", 3), ("edited", 4), ("edited", 5), ("cut_off", None)]


def test_entries_cut_off_at_the_end_are_named(sealed: Application) -> None:
    tamper(sealed, delete(audit_entry).where(audit_entry.c.id > 3))
    assert problems(sealed) == [("missing", 4), ("missing", 5)]
    tamper(sealed, delete(audit_seal).where(audit_seal.c.entry_id > 3))
    assert problems(sealed) == [("cut_off", None)]
    assert "seals 4 to 5 are missing" in verify_audit(sealed)["problems"][0]["message"]


def test_a_tail_cut_off_with_the_head_shows_by_the_hash_that_the_log_told(sealed: Application) -> None:
    newest = verify_audit(sealed)["newest_hash"]
    with sealed.database.read() as connection:
        third = connection.scalar(select(audit_seal.c.hash).where(audit_seal.c.number == 3))
    tamper(
        sealed,
        delete(audit_entry).where(audit_entry.c.id > 3),
        delete(audit_seal).where(audit_seal.c.entry_id > 3),
        update(audit_head).values(count=3, hash=third),
    )
    assert problems(sealed) == OK
    assert problems(sealed, newest) == [("cut_off", None)]


def test_a_head_that_was_changed_or_deleted_is_named_and_nothing_more_is_sealed_without_it(
    sealed: Application,
) -> None:
    tamper(sealed, update(audit_head).values(hash="0" * 64))
    assert problems(sealed) == [("edited", None)]
    tamper(sealed, delete(audit_head))
    assert problems(sealed) == [("missing", None)]
    enter(sealed, "six")
    with capture_logs() as logs:
        assert seal_committed(sealed) == 0
    assert "the head of the audit chain is gone" in logs[0]["event"]


def test_an_entry_whose_mark_was_taken_away_is_not_sealed_twice(sealed: Application) -> None:
    tamper(sealed, update(audit_entry).where(audit_entry.c.id == 2).values(sealed=False))
    assert seal_committed(sealed) == 0
    assert problems(sealed) == OK


def test_an_entry_that_was_added_as_if_it_were_sealed_is_named(sealed: Application) -> None:
    forged = {
        "at": NOW,
        "actor": "dana",
        "os_user": "dana",
        "act": "run.submit",
        "subject": "JR-1",
        "sealed": True,
    }
    tamper(sealed, insert(audit_entry).values(id=99, **forged))
    assert problems(sealed) == [("edited", 99)]
    assert verify_audit(sealed)["unsealed"]["count"] == 0


def test_an_entry_that_was_kept_from_its_seal_is_named(sealed: Application) -> None:
    enter(sealed, "six")
    tamper(sealed, update(audit_entry).values(sealed=True))
    seal_committed(sealed)
    assert problems(sealed) == [("edited", 6)]


def test_a_seal_that_was_deleted_is_named_with_its_entry(sealed: Application) -> None:
    tamper(sealed, delete(audit_seal).where(audit_seal.c.number == 3))
    assert problems(sealed) == [("missing", None), ("edited", 3)]


def test_the_newest_hash_goes_to_the_log(app: Application) -> None:
    enter(app, "one")
    configure_logging(1)  # as a worker logs
    with capture_logs() as logs:
        seal_committed(app)
    (line,) = logs
    assert (line["log_level"], line["entries"], line["seals"]) == ("info", 1, 1)
    assert line["newest_hash"] == verify_audit(app)["newest_hash"]


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_entry_that_commits_after_one_with_a_higher_id_is_sealed_after_it(app: Application) -> None:
    with app.database.write() as late:
        record(late, actor=ACTOR, act="test.act", subject="begun first", now=NOW)
        enter(app, "committed first")
        assert seal_committed(app) == 1
    assert seal_committed(app) == 1
    with app.database.read() as connection:
        order = [row["subject"] for row in audit_store.sealed_entries(connection, None, 9)]
    assert order == ["committed first", "begun first"]
    assert problems(app) == OK


def test_several_sealers_at_once_seal_each_entry_once(app: Application, tmp_path: Any) -> None:
    enter(app, *(f"entry {number}" for number in range(60)))
    url = app.database.url.render_as_string(hide_password=False)
    sealers = [make_application(make_settings(url, tmp_path)) for _ in range(4)]
    sealed: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: sealed.append(seal_committed(each))) for each in sealers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sealer in sealers:
        sealer.close()
    assert sum(sealed) == 60
    assert verify_audit(app)["sealed"] == 60
    assert problems(app) == OK


def test_a_long_trail_is_sealed_in_several_transactions(app: Application) -> None:
    row = {"at": NOW, "actor": "a", "os_user": "o", "act": "test.act", "subject": "s"}
    with app.database.write() as connection:
        connection.execute(insert(audit_entry), [row] * (AT_ONCE + 1))
    assert seal_committed(app) == AT_ONCE + 1
    assert problems(app) == OK


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "column", ["at", "actor", "os_user", *LATER, "act", "subject", "reason", "before", "after"]
)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_an_entry_with_bytes_in_place_of_text_is_listed_sealed_and_told_of(
    app: Application, column: str, is_sealed: bool
) -> None:
    with app.database.write() as connection:
        record(connection, actor=ACTOR, act="test", subject="one", now=NOW)
    if is_sealed:
        seal_committed(app)
    with app.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE audit_entry SET {column} = x'ff00fe'")
    (entry,) = list_audit(app)
    assert entry[column] == "damaged: ff00fe"
    found = [problem["kind"] for problem in verify_audit(app)["problems"]]
    assert found == (["edited"] if is_sealed else [])
    assert seal_committed(app) == (0 if is_sealed else 1)
    if not is_sealed:
        assert verify_audit(app)["problems"] == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("text", ["yesterday", "", "9999-12-31T23:59:59-14:00"])
def test_an_entry_of_no_time_is_listed_as_damaged(app: Application, text: str) -> None:
    with app.database.write() as connection:
        record(connection, actor=ACTOR, act="test", subject="one", now=NOW)
        connection.exec_driver_sql("UPDATE audit_entry SET at = ?", (text,))
    assert (next(iter(list_audit(app)))["at"], seal_committed(app)) == (f"damaged: {text}", 1)
    assert (instant_in_cli(f"damaged: {text}"), verify_audit(app)["problems"]) == (f"damaged: {text}", [])
