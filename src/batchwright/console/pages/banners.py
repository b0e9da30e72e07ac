"""What every page says on top while it holds: schedules held, no worker, clocks that differ, stuck mail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from batchwright.console.pages.formats import in_words, moment_of, plural
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.troubles import service_troubles

GOOD_FOR: Final = 5.0
"""Seconds for which all readers see the same."""
_lock = threading.Lock()
_known: WeakKeyDictionary[Application, tuple[float, tuple[Banner, ...]]] = WeakKeyDictionary()


class Banner(NamedTuple):
    """What it says, and a link to where more is said. ``kind`` is "warning" or "note"."""

    kind: str
    text: str
    link: str | None = None
    to: str | None = None


def banners_of(app: Application, actor: Actor) -> tuple[Banner, ...]:
    """The banners that hold now, read once every few seconds."""
    with _lock:
        at, banners = _known.get(app, (0.0, ()))
    if at and monotonic() - at < GOOD_FOR:
        return banners
    banners = tuple(_read(app, actor))
    with _lock:
        _known[app] = (monotonic(), banners)
    return banners


def _read(app: Application, actor: Actor) -> Iterator[Banner]:
    troubles = service_troubles(app, actor=actor)
    if troubles["held_at"] is not None:
        since = f"{moment_of(troubles['held_at']):%Y-%m-%d %H:%M} UTC"
        by = f" by {troubles['held_by']}" if troubles["held_by"] else ""
        why = f" ({troubles['held_reason']})" if troubles["held_reason"] else ""
        text = f"All schedules are held since {since}{by}{why}: nothing starts by itself."
        yield Banner("warning", text, "/schedules", "See the schedules")
    if troubles["no_worker"]:
        text = "No worker is there: runs wait until one is started."
        yield Banner("warning", text, "/workers", "See the workers")
    for clock in troubles["clocks"]:
        apart, side = (
            in_words(abs(clock["ahead_seconds"])),
            "ahead of" if clock["ahead_seconds"] > 0 else "behind",
        )
        text = f"The clock of {clock['host']} is {apart} {side} the database's: no schedule fires there."
        yield Banner("warning", text, "/workers", "See the workers")
    if troubles["mail_stuck"]:
        text = f"{plural(troubles['mail_stuck'], 'mail')} could not be sent for an hour."
        yield Banner("warning", text, "/mail?status=waiting", "See the mail")
    if troubles["mail_refused"]:
        text = f"The last {troubles['mail_refused']} mails were refused, and none was sent since."
        yield Banner("warning", text, "/mail?status=failed", "See the mail")
    if troubles["mail_directory"] is not None:
        yield Banner(
            "note", f"Mail is written to files in {Path(troubles['mail_directory']).name}, not sent."
        )


def forget() -> None:
    """Read them again at the next page."""
    with _lock:
        _known.clear()
