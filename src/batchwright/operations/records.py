"""The statements of users and audit, of what became of a record in all runs, and SQLite's check of its own file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, or_, select, text, update

from batchwright.engine.store.tables import run, scope
from batchwright.operations.tables import UNSEALED, app_user, audit_entry, audit_head, audit_seal

# Before every act, so it is made once: the making takes longer than the answer.
_FOR_PERMISSION = select(app_user.c.email, app_user.c.os_user, app_user.c.role, app_user.c.disabled).where(
    or_(
        app_user.c.os_user == bindparam("os_user"),
        app_user.c.os_user.in_(bindparam("names", expanding=True)),
        app_user.c.email.in_(bindparam("names", expanding=True)),
        app_user.c.id == select(func.min(app_user.c.id)).scalar_subquery(),
    )
)


# Made once: every act executes it.
_ADD = insert(audit_entry)


def add_audit_entries(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write entries in their order, in the transaction of the acts they are about."""
    if rows:
        connection.execute(_ADD, rows)


def list_audit_entries(connection: Connection, *, limit: int | None = None) -> Iterator[RowMapping]:
    """The entries, newest first, `limit` of them at most."""
    statement = select(audit_entry).order_by(audit_entry.c.id.desc()).limit(limit)
    yield from connection.execute(statement, execution_options={"yield_per": 100}).mappings()


def acts_on(
    connection: Connection, an_id: str, acts: Collection[str], acts_on_several: Collection[str]
) -> Sequence[RowMapping]:
    """The entries of `acts` on the record of that id, oldest first; and of acts on several those that may name it."""
    named = audit_entry.c.before.contains(json.dumps(an_id, ensure_ascii=False), autoescape=True)
    statement = select(audit_entry).where(
        or_(
            audit_entry.c.act.in_(acts) & (audit_entry.c.subject == an_id),
            audit_entry.c.act.in_(acts_on_several) & named,
        )
    )
    return connection.execute(statement.order_by(audit_entry.c.id)).mappings().all()


def unsealed_entries(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Entries that nobody has sealed, in order of their ids, `limit` of them at most."""
    sealed = select(audit_seal.c.number).where(audit_seal.c.entry_id == audit_entry.c.id).exists()
    statement = select(audit_entry).where(UNSEALED, ~sealed).order_by(audit_entry.c.id).limit(limit)
    return connection.execute(statement).mappings().all()


def unsealed_range(connection: Connection) -> RowMapping:
    """`count` of the entries that wait for their seal, `first` and `last` of their ids."""
    sealed = select(audit_seal.c.number).where(audit_seal.c.entry_id == audit_entry.c.id).exists()
    ids = audit_entry.c.id
    figures = (func.count().label("count"), func.min(ids).label("first"), func.max(ids).label("last"))
    return connection.execute(select(*figures).where(UNSEALED, ~sealed)).mappings().one()


def marked_without_seal(connection: Connection) -> Sequence[int]:
    """Ids of the entries that say they are sealed and have no seal: no sealer leaves any."""
    sealed = select(audit_seal.c.number).where(audit_seal.c.entry_id == audit_entry.c.id).exists()
    statement = select(audit_entry.c.id).where(audit_entry.c.sealed, ~sealed).order_by(audit_entry.c.id)
    return connection.scalars(statement).all()


def audit_head_row(connection: Connection, *, lock: bool = False) -> RowMapping | None:
    """How many seals there are and the newest hash; `lock` keeps other sealers out until the transaction ends."""
    statement = select(audit_head).where(audit_head.c.id == 1)
    return connection.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()


def add_seals(connection: Connection, seals: Sequence[Mapping[str, Any]]) -> None:
    """Add `number, entry_id, hash` of each entry, mark the entries, and move the head; under the lock of the head."""
    connection.execute(insert(audit_seal), [dict(seal) for seal in seals])
    ids = [seal["entry_id"] for seal in seals]
    connection.execute(update(audit_entry).where(audit_entry.c.id.in_(ids)).values(sealed=True))
    newest = seals[-1]
    connection.execute(
        update(audit_head).where(audit_head.c.id == 1).values(count=newest["number"], hash=newest["hash"])
    )


def sealed_entries(connection: Connection) -> Iterator[RowMapping]:
    """Every seal in order, `number, entry_id, hash`, with the entry's columns; its `id` is empty where it is gone."""
    statement = (
        select(audit_seal, audit_entry)
        .join(audit_entry, audit_entry.c.id == audit_seal.c.entry_id, isouter=True)
        .order_by(audit_seal.c.number)
    )
    yield from connection.execute(statement, execution_options={"yield_per": 1000}).mappings()


def users_for_permission(
    connection: Connection, os_user: str, names: Collection[str]
) -> Sequence[RowMapping]:
    """The users of that login name or one of these names; where there are others only, the first of all."""
    values = {"os_user": os_user, "names": list(names)}
    return connection.execute(_FOR_PERMISSION, values).mappings().all()


def list_users(connection: Connection, *, limit: int | None = None) -> Sequence[RowMapping]:
    """The users by mail address, `limit` of them at most."""
    return connection.execute(select(app_user).order_by(app_user.c.email).limit(limit)).mappings().all()


def lock_users(connection: Connection) -> None:
    """Keep others from changing users until the transaction ends, so that a last administrator stays one.

    The table and not its rows: the first user has none to lock. (On SQLite a transaction that writes is alone.)
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE app_user IN SHARE ROW EXCLUSIVE MODE"))


def user_by_email(connection: Connection, email: str) -> RowMapping | None:
    """The user of that address in lower case."""
    return connection.execute(select(app_user).where(app_user.c.email == email)).mappings().one_or_none()


def user_by_os_user(connection: Connection, os_user: str) -> RowMapping | None:
    """The user tied to that login name."""
    return connection.execute(select(app_user).where(app_user.c.os_user == os_user)).mappings().one_or_none()


def add_user(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add one user."""
    connection.execute(insert(app_user).values(dict(values)))


def change_user(connection: Connection, key: int, values: Mapping[str, Any]) -> None:
    """Change these columns of one user."""
    connection.execute(update(app_user).where(app_user.c.id == key).values(dict(values)))


def scopes_around(connection: Connection, jobs: Sequence[str], group: int) -> list[tuple[int, int]]:
    """(scope key, run key) of the scopes of these jobs that may hold records of the group, oldest first."""
    statement = (
        select(scope.c.id, scope.c.run_id)
        .join_from(scope, run, run.c.id == scope.c.run_id)
        .where(run.c.job.in_(jobs), scope.c.first_group <= group, scope.c.last_group >= group)
        .order_by(scope.c.run_id, scope.c.number)
    )
    return [(scope_key, run_key) for scope_key, run_key in connection.execute(statement)]


def sqlite_faults(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its own file: damaged pages and indexes, rows whose foreign key leads nowhere."""
    pages = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    faults = [f"the file is damaged: {line}" for line in pages if line != "ok"]
    for table, rowid, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        faults.append(f"row {rowid} of table {table} points at a row of {parent} that is not there")
    return faults
