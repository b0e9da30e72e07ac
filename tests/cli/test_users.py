"""Users, roles and the audit chain from the command line, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import create_engine, text

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.store.database import Database
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.access.sessions import begin_session
from batchwright.operations.app import make_application
from tests.cli.conftest import Batchwright, error_of

ME = operating_system_user()


def answer(batchwright: Batchwright, *words: str, code: int = 0) -> Any:
    result = batchwright(*words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def add(batchwright: Batchwright, email: str, role: str, *words: str) -> Any:
    return answer(batchwright, "users", "add", email, "--role", role, *words)


def execute(url: str, *statements: str) -> None:
    """Change a database as somebody would who goes round the program."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def seal(url: str) -> None:
    """What a worker does every ten seconds."""
    app = make_application(Settings(database_url=url))
    seal_committed(app)
    app.close()


@pytest.fixture
def as_viewer(company: str, batchwright: Batchwright) -> str:
    """The sample company, where the operating system's user is a viewer. Its URL."""
    add(batchwright, "ada@example.com", "administrator", "--os-user", "ada")
    execute(company, "UPDATE app_user SET os_user = 'somebody'")
    columns = "email, role, os_user, mail, disabled, created_at"
    values = f"'vic@example.com', 'viewer', '{ME}', 'always', false, created_at"
    execute(company, f"INSERT INTO app_user ({columns}) SELECT {values} FROM app_user")
    return company


def test_a_user_is_added_without_a_question_and_listed(database: str, batchwright: Batchwright) -> None:
    added = add(batchwright, "Ada@Example.com", "administrator", "--os-user", ME)
    assert list(added) == [
        "email",
        "role",
        "os_user",
        "mail",
        "disabled",
        "has_password",
        "has_token",
        "created_at",
    ]
    assert answer(batchwright, "users", "list") == [added]
    titles, line = batchwright("users", "list").stdout.splitlines()
    assert titles.startswith("Address")
    assert line.startswith("ada@example.com  administrator")


def test_a_user_s_role_mail_and_state_are_changed(database: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    add(batchwright, "bo@example.com", "viewer")
    words = ["users", "role", "bo@example.com", "Billing Utilities Admin"]
    assert answer(batchwright, *words)["role"] == "Billing Utilities Admin"
    words = ["users", "preferences", "bo@example.com", "--mail", "digest"]
    assert answer(batchwright, *words)["mail"] == "digest"
    assert answer(batchwright, "users", "disable", "bo@example.com", "--reason", "left")["disabled"] is True
    entry = answer(batchwright, "audit", "list", "--limit", "1")[0]
    assert (entry["act"], entry["reason"]) == ("user.disable", "left")
    assert "Disabled     yes" in batchwright("users", "disable", "bo@example.com").stdout
    assert answer(batchwright, "users", "enable", "bo@example.com")["disabled"] is False


def test_a_token_is_alone_on_stdout_and_kept_as_its_hash(database: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    result = batchwright("users", "token", "ada@example.com")
    assert (result.exit_code, result.stderr) == (0, "")
    token = result.stdout.removesuffix("\n")
    assert token.split() == [token]
    opened = Database(database)
    with opened.read() as connection:
        stored = connection.execute(text("SELECT hash FROM user_token")).scalar_one()
    opened.close()
    assert stored == sha256(token.encode()).hexdigest()
    assert token not in json.dumps(answer(batchwright, "audit", "list"))


def test_tokens_are_made_beside_each_other_listed_and_revoked(
    database: str, batchwright: Batchwright
) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    words = ["ada@example.com", "--name", "nightly", "--role", "Billing Utilities Admin", "--expires"]
    made = answer(batchwright, "users", "token", *words, "2099-12-31")
    answer(batchwright, "users", "token", "ada@example.com")
    first, second = answer(batchwright, "users", "tokens", "ada@example.com")
    assert made == {"email": "ada@example.com", "token": made["token"], **first}
    assert list(first) == [
        "token_id",
        "name",
        "prefix",
        "role",
        "status",
        "created_at",
        "created_by",
        "expires_at",
        "last_used_at",
        "revoked_at",
    ]
    assert (first["name"], second["name"]) == ("nightly", "token-1")
    titles, line, _ = batchwright("users", "tokens", "ada@example.com").stdout.splitlines()
    assert titles.split()[:2] == ["Token", "Name"]
    assert line.split()[1:3] == ["nightly", first["prefix"]]
    assert made["token"] not in line
    revoked = answer(batchwright, "users", "revoke-token", "ada@example.com", "nightly")
    assert (revoked["status"], answer(batchwright, "users", "tokens", "ada@example.com")) == (
        "revoked",
        [revoked, second],
    )
    result = batchwright("users", "revoke-token", "ada@example.com", "nightly")
    assert result.exit_code == 2
    assert "no active token 'nightly'" in result.stderr


def test_the_audit_trail_shows_the_door(database: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    entry = answer(batchwright, "audit", "list", "--limit", "1")[0]
    assert list(entry)[3:7] == ["os_user", "door", "credential", "address"]
    assert (entry["door"], entry["credential"], entry["address"]) == ("cli", None, None)
    titles, line = batchwright("audit", "list", "--limit", "1").stdout.splitlines()
    assert line[titles.index("Door") :].split()[0] == "cli"


@pytest.mark.parametrize(
    "line", ["correct horse\n", "correct horse\r\n", "correct horse", "correct horse\nmore"]
)
def test_a_password_is_one_line_of_standard_input(database: str, batchwright: Batchwright, line: str) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    words = ["users", "password", "ada@example.com"]
    result = batchwright(*words, "--password-stdin", "--json", stdin=line)
    assert json.loads(result.stdout)["has_password"] is True
    opened = Database(database)
    with opened.read() as connection:
        stored = connection.execute(text("SELECT password_hash FROM app_user")).scalar_one()
    opened.close()
    assert PasswordHasher().verify(stored, "correct horse")


def test_sessions_are_listed_and_ended_one_by_one_or_all(database: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    words = ["users", "sessions", "ada@example.com"]
    assert "They are signed in nowhere." in batchwright(*words).output
    opened = Database(database)
    with opened.write() as connection:
        for browser in ("Browser 1", "Browser 2", "Browser 3"):
            begin_session(connection, 1, address="203.0.113.7", browser=browser, now=datetime.now(UTC))
    opened.close()
    assert [one["browser"] for one in answer(batchwright, *words)] == ["Browser 1", "Browser 2", "Browser 3"]
    left = answer(batchwright, *words, "--end", "2", "--reason", "lost")
    assert [one["session_id"] for one in left] == [1, 3]
    assert batchwright(*words, "--end", "2").exit_code == 2
    assert batchwright(*words, "--end", "1", "--end-all").exit_code == 2
    assert answer(batchwright, *words, "--end-all") == []
    ends = [(entry["reason"], entry["after"]) for entry in answer(batchwright, "audit", "list")[:2]]
    assert ends == [(None, {"ended": [1, 3]}), ("lost", {"ended": [2]})]


def test_a_password_is_asked_for_twice_without_the_option(database: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    words = ["users", "password", "ada@example.com"]
    result = batchwright(*words, stdin="correct horse\ncorrect horse\n")
    assert result.exit_code == 0, result.output
    assert "horse" not in result.output
    assert batchwright(*words, stdin="correct horse\nbattery staple\n").exit_code != 0


def test_a_viewer_looks_at_all_but_users_and_audit(as_viewer: str, batchwright: Batchwright) -> None:
    for line in ("runs list", "usage-inputs list", "jobs list", "forecast", "mail list", "schedules list"):
        answer(batchwright, *line.split())
    for line in ("users list", "audit list", "audit verify"):
        error = error_of(batchwright(*line.split(), "--json"))
        assert (
            error["message"] == "this needs the role administrator, and vic@example.com has the role viewer"
        )


@pytest.mark.parametrize(
    ("line", "role", "act"),
    [
        ("run draft-usage-rating", "operator", "run.submit"),
        ("run usage-rating --sync --usage-input IN-00007052", "operator", "run.submit"),
        ("run draft-usage-rating --usage-input UNKNOWN", "operator", "run.submit"),
        ("usage-inputs edit IN-00007052 --quantity many", "operator", "usage_input.edit"),
        ("usage-inputs reset --status Error", "operator", "usage_input.reset"),
        ("billing-schedules set-status BS-1 --status invoiced", "Billing Utilities Admin", None),
        ("import missing.csv", "Billing Utilities Admin", "import"),
        ("users add x@example.com --role administrator", "administrator", "user.add"),
    ],
)
@pytest.mark.on_both
def test_what_a_viewer_may_not_do_is_refused_before_its_parameters_changes_nothing_and_is_recorded(
    as_viewer: str, batchwright: Batchwright, line: str, role: str, act: str | None
) -> None:
    looks = (["usage-inputs", "list"], ["runs", "list"], ["billing-schedules", "list"], ["mail", "list"])
    before = [answer(batchwright, *words) for words in looks]
    result = batchwright(*line.split(), "--json")
    assert result.exit_code == 2
    error = error_of(result)
    assert error["message"] == f"this needs the role {role}, and vic@example.com has the role viewer"
    assert "batchwright users role vic@example.com" in error["remedy"]
    assert [answer(batchwright, *words) for words in looks] == before
    execute(as_viewer, "UPDATE app_user SET role = 'administrator'")
    entry = answer(batchwright, "audit", "list", "--limit", "1")[0]
    assert entry["act"] == "permission.refused"
    assert entry["subject"] == (act or "billing_schedule.set_status")
    assert entry["after"]["needed"] == role


def test_a_claim_to_be_a_viewer_is_held_to_it(company: str, batchwright: Batchwright) -> None:
    add(batchwright, "ada@example.com", "administrator", "--os-user", ME)
    add(batchwright, "vic@example.com", "viewer")
    result = batchwright("run", "draft-usage-rating", "--actor", "vic@example.com", "--json")
    assert result.exit_code == 2
    assert "vic@example.com has the role viewer" in error_of(result)["message"]
    assert answer(batchwright, "runs", "list") == []


def test_the_listing_for_people_cuts_short_what_changed(company: str, batchwright: Batchwright) -> None:
    entry = answer(batchwright, "audit", "list", "--limit", "1")[0]
    assert len(str(entry["after"])) > 200
    lines = batchwright("audit", "list", "--limit", "1").stdout.splitlines()
    assert max(map(len, lines)) < 200
    assert lines[1].endswith("…")


def test_before_anything_is_sealed_verify_says_so(company: str, batchwright: Batchwright) -> None:
    assert batchwright("audit", "verify").stdout.splitlines()[-1] == "Nothing is sealed yet."


def test_a_chain_as_it_was_sealed_is_verified_with_0(company: str, batchwright: Batchwright) -> None:
    seal(company)
    found = answer(batchwright, "audit", "verify")
    assert found["problems"] == []
    said = batchwright("audit", "verify").stdout
    assert (
        said
        == f"All {found['sealed']} sealed entries are as they were. Newest hash: {found['newest_hash']}\n"
    )
    answer(batchwright, "audit", "verify", "--newest-hash", found["newest_hash"])


def test_entries_that_wait_for_a_worker_are_named_and_no_fault(
    company: str, batchwright: Batchwright
) -> None:
    seal(company)
    answer(batchwright, "usage-inputs", "edit", "IN-00007052", "--quantity", "3")
    newest = answer(batchwright, "audit", "list", "--limit", "1")[0]["entry_id"]
    result = batchwright("audit", "verify")
    assert result.exit_code == 0
    waiting = f"Not sealed yet: 1 (entries {newest} to {newest}); a worker seals them."
    assert result.stdout.splitlines()[0] == waiting


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        (
            "UPDATE audit_entry SET actor = 'eve' WHERE id = {second}",
            "edited",
            "edited: entry {second} is not",
        ),
        ("DELETE FROM audit_entry WHERE id = {second}", "missing", "missing: entry {second} was deleted"),
        ("DELETE FROM audit_seal WHERE entry_id = {newest}", "cut_off", "cut off: seal "),
    ],
)
def test_an_edited_a_deleted_and_a_cut_off_entry_are_named_with_1(
    company: str, batchwright: Batchwright, statement: str, kind: str, said: str
) -> None:
    for quantity in ("3", "4", "5"):
        answer(batchwright, "usage-inputs", "edit", "IN-00007052", "--quantity", quantity)
    ids = [entry["entry_id"] for entry in answer(batchwright, "audit", "list")]
    seal(company)
    names = {"newest": ids[0], "second": ids[1]}
    cut = [] if kind != "cut_off" else ["DELETE FROM audit_entry WHERE id = {newest}"]
    execute(company, *(each.format(**names) for each in [statement, *cut]))
    found = answer(batchwright, "audit", "verify", code=1)
    assert [problem["kind"] for problem in found["problems"]] == [kind]
    result = batchwright("audit", "verify")
    assert result.exit_code == 1
    assert result.stdout.startswith(said.format(**names))
