"""The audit trail as it is read, and that it stands or falls with the act, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations.access.audit import record, subject_of
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.actor import Door
from batchwright.operations.app import Actor, Application, make_application
from tests.support.application import ACTOR, NOW, make_settings


def enter(app: Application, subject: str, **values: Any) -> None:
    with app.database.write() as connection:
        record(connection, actor=ACTOR, act="test.act", subject=subject, now=NOW, **values)


def test_entries_come_newest_first_and_as_many_as_asked_for(app: Application) -> None:
    for subject in ("one", "two", "three"):
        enter(app, subject)
    assert [entry["subject"] for entry in list_audit(app)] == ["three", "two", "one"]
    assert [entry["subject"] for entry in list_audit(app, limit=2)] == ["three", "two"]
    with pytest.raises(Refused, match="the limit 0 is below 1"):
        list_audit(app, limit=0)


def test_before_and_after_come_back_as_they_were_given(app: Application) -> None:
    enter(app, "one", reason="because", before=["ü", None], after={"amount": "1.00"})
    (entry,) = list_audit(app)
    assert (entry["reason"], entry["before"], entry["after"]) == ("because", ["ü", None], {"amount": "1.00"})


@pytest.mark.parametrize(
    ("ping", "kept"),
    [
        ("https://hc.example/s3cret", "hc.example, rest not kept"),
        ("https://user:s3cret@hc.example:8443?key=s3cret", "hc.example:8443, rest not kept"),
        ("http://[::1]/s3cret", "[::1], rest not kept"),
        ("http://", ", rest not kept"),
        (None, None),
        (5, 5),
        ("loud", "loud"),
        (
            {"before": None, "after": "https://hc.example/s3cret"},
            {"before": None, "after": "hc.example, rest not kept"},
        ),
    ],
)
def test_of_the_address_of_a_ping_the_host_alone_is_kept(
    app: Application, ping: object, kept: object
) -> None:
    enter(app, "one", after={"changed": [{"ping": ping, "cap": 3}]})
    (entry,) = list_audit(app)
    assert entry["after"] == {"changed": [{"ping": kept, "cap": 3}]}


def test_an_entry_goes_with_the_transaction_of_its_act(app: Application) -> None:
    class Failed(Exception):
        pass

    def act_and_fail() -> None:
        with app.database.write() as connection:
            record(connection, actor=ACTOR, act="test.act", subject="one", now=NOW)
            raise Failed

    with pytest.raises(Failed):
        act_and_fail()
    assert list(list_audit(app)) == []


def test_a_subject_is_the_one_id_or_their_number() -> None:
    assert subject_of(["IN-1"], "usage input") == "IN-1"
    assert subject_of(["IN-1", "IN-2"], "usage input") == "2 usage inputs"
    assert subject_of([], "usage input") == "0 usage inputs"


def test_the_default_actor_is_who_the_settings_claim_and_who_the_system_says(tmp_path: Path) -> None:
    app = make_application(make_settings("sqlite:///x.db", tmp_path, actor="erika"), door=Door.CLI)
    assert app.default_actor() == Actor("erika", operating_system_user(), Door.CLI)


@pytest.mark.parametrize("name", ["", "  ", "erika\nBcc: all@example.com", "erika\x00"])
def test_an_actor_s_name_is_one_printable_line(name: str) -> None:
    with pytest.raises(Refused, match="the actor"):
        Actor(name=name, os_user="root")
