"""Acknowledging what needs somebody: a run that ended badly, a schedule in trouble, a mail that was not sent.

An acknowledgement is good for the trouble as it was: it no longer counts when something new happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from batchwright.engine.errors import Conflict, Refused, storable
from batchwright.notifications import outbox
from batchwright.operations import acknowledgement_store as store
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import Unknown, check_one_of
from batchwright.operations.runs.looking import show_run
from batchwright.operations.schedules.schedules import list_troubles, show_schedule
from batchwright.operations.versions import Seen, check_seen, version_of
from batchwright.operations.views import View

LONGEST_NOTE: Final = 500
ACT: Final = "trouble.acknowledge"


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
    known = read_acknowledgements(app, kind, {subject: version}, actor=actor)
    return {
        "kind": kind,
        "subject": subject,
        "trouble": trouble,
        "version": version,
        "acknowledged": known.get(subject),
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


def read_acknowledgements(
    app: Application, kind: str, versions: Mapping[str, str], *, actor: Actor | None = None
) -> dict[str, View]:
    """Of subjects of a kind, each with the version of its trouble: who acknowledged just that, `actor, at, note`."""
    permit(app, actor, Right.LOOK, "trouble.show")
    check_one_of(kind, [str(one) for one in Kind], field="kind")
    if not versions:
        return {}
    with app.database.read() as connection:
        found = store.acknowledgements(connection, kind, list(versions))
    return {
        subject: {"actor": row["actor"], "at": views.instant(row["at"]), "note": row["note"]}
        for subject, row in found.items()
        if row["version"] == versions[subject]
    }


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
