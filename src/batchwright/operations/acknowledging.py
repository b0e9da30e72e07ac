"""Acknowledging what needs somebody: a run that ended badly, a schedule in trouble, a mail that was not sent.

An acknowledgement is good for the trouble as it was: it no longer counts when something new happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, RowMapping

from batchwright.engine.errors import Conflict, Refused, storable
from batchwright.engine.store import run_troubles
from batchwright.notifications import outbox
from batchwright.operations import acknowledgement_store as store
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import Unknown, check_one_of
from batchwright.operations.run_view import views_of
from batchwright.operations.runs.looking import show_run
from batchwright.operations.schedules.schedules import list_troubles, show_schedule
from batchwright.operations.versions import Seen, check_seen, version_of
from batchwright.operations.views import View
from batchwright.operations.workers import workers_there

LONGEST_NOTE: Final = 500
ACT: Final = "trouble.acknowledge"
LOOKED_AT: Final = 50
"""Of runs and of mails the newest are looked at for those that nobody has seen yet."""
COUNTED: Final = 1_000
"""More is not counted."""


class Kind(StrEnum):
    """What may need somebody."""

    RUN = "run"
    SCHEDULE = "schedule"
    MAIL = "mail"


def run_trouble(run: View) -> View | None:
    """What is wrong with a run, of its JSON; `None` where nothing is."""
    if run["status"] in ("Failed", "Aborted") or (run["status"] == "Completed" and run["errored"]):
        return {name: run[name] for name in ("status", "error", "errored", "ended_at")}
    return None


def mail_trouble(mail: View) -> View | None:
    """The same of a mail."""
    if mail["status"] == "failed":
        return {name: mail[name] for name in ("status", "error", "attempts")}
    return None


def schedule_trouble(why: str | None) -> View | None:
    """The same of a schedule, of what `list_troubles` says of it."""
    return (why and {"status": "Schedule", "error": why}) or None


def show_trouble(app: Application, kind: str, subject: str, *, actor: Actor | None = None) -> View:
    """What is wrong with a run, a schedule or a mail, and who acknowledged that.

    Returns `kind, subject, trouble, version, acknowledged` (`actor, at, note`, or `None`). Refuses what nobody knows,
    and what nothing is wrong with.
    """
    permit(app, actor, Right.LOOK, "trouble.show")
    trouble = _trouble(app, kind, subject, actor)
    version = version_of(trouble)
    with app.database.read() as connection:
        known = store.acknowledgements(connection, [(kind, subject)])
    return {
        "kind": kind,
        "subject": subject,
        "trouble": trouble,
        "version": version,
        "acknowledged": _seen(known, kind, subject, version),
    }


def acknowledge(
    app: Application, kind: str, subject: str, *, note: str | None = None, seen: Seen = None, actor: Actor
) -> View:
    """Write down that somebody has seen what is wrong, with a note for others: `kind, subject, actor, at, note`.

    Refuses as `show_trouble` does, and where something new has happened since the version that was `seen`.
    """
    permit(app, actor, Right.OPERATE, ACT)
    if note is not None and (len(note) > LONGEST_NOTE or storable(note) != note):
        raise Refused(
            "the note cannot be kept", field="note", remedy=f"Give {LONGEST_NOTE} readable characters at most"
        )
    trouble = _trouble(app, kind, subject, actor)
    check_seen(seen, trouble, f"something new happened to {subject}")
    now = app.clock.now()
    values = {"version": version_of(trouble), "actor": actor.name, "at": now, "note": note}
    with app.database.write() as connection:
        store.put_acknowledgement(connection, {"kind": kind, "subject": subject, **values})
        audit.record(connection, actor, ACT, subject, after={"kind": kind, "note": note}, now=now)
    return {"kind": kind, "subject": subject, "actor": actor.name, "at": views.instant(now), "note": note}


def what_needs_somebody(app: Application, since: datetime, *, actor: Actor | None = None) -> View:
    """What is wrong, in groups: `failed` or aborted runs and runs that have `erred` records, of those that begun since
    then, write something, and have no retry that completed; `schedules` that do not do what they should; `mails` that
    failed.

    Each group as `number`, counted no further than to 1,001, and `items`, of runs and mails the 50 newest: `kind,
    subject, version`, its JSON as `of`, and `seen`, who acknowledged just that: `actor, at, note`, or `None`. Where
    there is none that nobody has seen, `quiet` is when a worker was last there, `beat_at`, and the `last_run` that
    ended; else `None`.
    """
    permit(app, actor, Right.LOOK, "trouble.list")
    troubles = list_troubles(app, actor=actor)
    with app.database.read() as connection:
        numbers, groups = _groups(app, connection, since, troubles)
        every = [item for group in groups.values() for item in group]
        known = store.acknowledgements(connection, [(item["kind"], item["subject"]) for item in every])
        for item in every:
            item["seen"] = _seen(known, item["kind"], item["subject"], item["version"])
        is_quiet = all(item["seen"] for item in every)
        quiet = _quiet(connection, app.clock.now()) if is_quiet else None
    told = {name: {"number": numbers[name], "items": group} for name, group in groups.items()}
    return {**told, "quiet": quiet}


def _groups(
    app: Application, connection: Connection, since: datetime, troubles: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, list[View]]]:
    """How many there are of each group, and the newest of them."""
    runs, with_errors = run_troubles.ended_badly(connection, since, LOOKED_AT)
    both = list(views_of(connection, [*runs, *with_errors], app.clock.now()))
    failed, erred = both[: len(runs)], both[len(runs) :]
    mails = [views.mail(line) for line in outbox.listing(connection, LOOKED_AT, outbox.FAILED)]
    schedules = [{"name": name, "why": why} for name, why in troubles.items()]
    groups = {
        "failed": [_item(Kind.RUN, run["run_id"], run, run_trouble(run)) for run in failed],
        "erred": [_item(Kind.RUN, run["run_id"], run, run_trouble(run)) for run in erred],
        "schedules": [
            _item(Kind.SCHEDULE, one["name"], one, schedule_trouble(one["why"])) for one in schedules
        ],
        "mails": [_item(Kind.MAIL, mail["mail_id"], mail, mail_trouble(mail)) for mail in mails],
    }
    numbers = {name: len(group) for name, group in groups.items()}
    if LOOKED_AT in (len(failed), len(erred)):
        numbers |= run_troubles.count_ended_badly(connection, since, COUNTED + 1)
    if len(mails) == LOOKED_AT:
        numbers["mails"] = outbox.count(connection, outbox.FAILED, COUNTED + 1)
    return numbers, groups


def _item(kind: Kind, subject: str, of: View, trouble: View | None) -> View:
    return {"kind": kind, "subject": subject, "version": version_of(trouble), "of": of}


def _quiet(connection: Connection, now: datetime) -> View:
    run = run_troubles.last_ended(connection)
    beats = [worker.beat_at for worker in workers_there(connection, now)]
    return {
        "last_run": None if run is None else next(views_of(connection, [run], now)),
        "beat_at": views.instant(max(beats, default=None)),
    }


def _seen(known: Mapping[tuple[str, str], RowMapping], kind: str, subject: str, version: str) -> View | None:
    """Who acknowledged the trouble of that version."""
    row = known.get((kind, subject))
    if row is None or row["version"] != version:
        return None
    return {"actor": row["actor"], "at": views.instant(row["at"]), "note": row["note"]}


def _trouble(app: Application, kind: str, subject: str, actor: Actor | None) -> View:
    check_one_of(kind, [str(one) for one in Kind], field="kind")
    if not subject.isprintable():
        raise Unknown(kind, [subject], field="subject")
    if kind == Kind.RUN:
        found = run_trouble(show_run(app, subject, actor=actor))
    elif kind == Kind.MAIL:
        with app.database.read() as connection:
            found = mail_trouble(views.mail(outbox.by_id(connection, subject)))
    else:
        show_schedule(app, subject, actor=actor)
        found = schedule_trouble(list_troubles(app, actor=actor).get(subject))
    if found is None:
        raise Conflict(
            f"nothing is wrong with {subject}", field="subject", remedy="There is nothing to acknowledge"
        )
    return found
