"""The one token that a user had, and the audit trail that was sealed before entries had a door, after the upgrade."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from batchwright.config.settings import operating_system_user
from batchwright.engine.store.database import Database
from batchwright.operations.access.audit_trail import list_audit, verify_audit
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.sealing import FIRST_HASH, seal_committed
from batchwright.operations.access.tokens import list_tokens, make_token
from batchwright.operations.access.users import list_users
from batchwright.operations.actor import Unauthenticated
from batchwright.operations.app import make_application
from tests.migrations.revisions import migrate
from tests.support.application import ACTOR, ADDRESS, make_settings

pytestmark = pytest.mark.on_both

OLD = "bw_an-old-token"
AT = "2023-07-01T08:30:00.000000Z"


def fill(database: Database) -> None:
    """Three users, one with a token; an entry that was sealed as before, and one that was not yet."""
    user = text(
        "INSERT INTO app_user (email, role, os_user, token_hash, mail, disabled, created_at) VALUES"
        " (:email, :role, :os_user, :token_hash, 'always', :disabled, :at)"
    )
    hashed = sha256(OLD.encode()).hexdigest()
    rows = (
        ("ada@example.com", "administrator", operating_system_user(), None, False),
        ("jane@example.com", "operator", None, hashed, False),
        ("bob@example.com", "viewer", None, None, True),
    )
    names = ("email", "role", "os_user", "token_hash", "disabled")
    entry = text(
        "INSERT INTO audit_entry (at, actor, os_user, act, subject, after, sealed)"
        " VALUES (:at, 'dana', 'root', 'user.token', :subject, '{}', :sealed)"
    )
    sealed = (
        FIRST_HASH,
        1,
        1,
        "2023-07-01T08:30:00.000Z",
        "dana",
        "root",
        "user.token",
        "1",
        *[None] * 2,
        "{}",
    )
    seal = sha256(json.dumps(sealed, separators=(",", ":")).encode()).hexdigest()
    with database.write() as connection:
        connection.execute(user, [dict(zip(names, row, strict=True), at=AT) for row in rows])
        connection.execute(entry, [{"at": AT, "subject": n, "sealed": n == "1"} for n in ("1", "2")])
        connection.execute(
            text("INSERT INTO audit_seal (number, entry_id, hash) VALUES (1, 1, :seal)"), {"seal": seal}
        )
        connection.execute(text("UPDATE audit_head SET count = 1, hash = :seal"), {"seal": seal})


def test_the_token_a_user_has_is_called_first_and_good_for_a_year_from_the_upgrade(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url)
    migrate(database, "0021")
    fill(database)
    begun = datetime.now(UTC)
    migrate(database, "head")
    database.close()
    app = make_application(make_settings(database_url, tmp_path))
    assert authenticate_token(app, OLD, ADDRESS).name == "jane@example.com"
    (first,) = list_tokens(app, "jane@example.com")
    expires_at = datetime.fromisoformat(first.pop("expires_at"))
    assert timedelta(364) < expires_at - begun < timedelta(366, minutes=5)
    assert first.pop("last_used_at") is not None
    known = {"token_id": 1, "name": "first", "status": "active"}
    unknown = ("prefix", "role", "created_at", "created_by", "revoked_at")
    assert first == known | dict.fromkeys(unknown)
    make_token(app, "jane@example.com", actor=ACTOR)
    assert authenticate_token(app, OLD, ADDRESS).name == "jane@example.com"
    tokens = {user["email"]: user["has_token"] for user in list_users(app)}
    assert tokens == {"ada@example.com": False, "bob@example.com": False, "jane@example.com": True}
    with pytest.raises(Unauthenticated):
        authenticate_token(app, "bw_another", ADDRESS)
    app.close()


def test_what_was_sealed_before_entries_had_a_door_is_as_it_was_and_a_door_put_in_shows(
    database_url: str, tmp_path: Path
) -> None:
    database = Database(database_url)
    migrate(database, "0021")
    fill(database)
    migrate(database, "head")
    database.close()
    app = make_application(make_settings(database_url, tmp_path))
    make_token(app, "jane@example.com", actor=ACTOR)
    assert seal_committed(app) == 2
    assert (verify_audit(app)["sealed"], verify_audit(app)["problems"]) == (3, [])
    assert [entry["door"] for entry in list_audit(app)] == ["python", None, None]
    for column in ("door", "credential", "address"):
        with app.database.write() as connection:
            connection.execute(text(f"UPDATE audit_entry SET {column} = 'api' WHERE id = 1"))
        assert [(one["kind"], one["entry_id"]) for one in verify_audit(app)["problems"]] == [("edited", 1)]
        with app.database.write() as connection:
            connection.execute(text(f"UPDATE audit_entry SET {column} = NULL WHERE id = 1"))
    app.close()
