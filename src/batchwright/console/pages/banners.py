"""What every page says on top while it holds: schedules held, no worker, mail that stays in files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.schedules.schedules import read_hold
from batchwright.operations.workers import list_workers

GOOD_FOR: Final = 5.0
"""Seconds for which all readers are told the same."""
_lock = threading.Lock()
_known: WeakKeyDictionary[Application, tuple[float, tuple[Banner, ...]]] = WeakKeyDictionary()


class Banner(NamedTuple):
    """What it says, and where more is said. ``kind`` is "warning" or "note"."""

    kind: str
    text: str
    link: str | None = None


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
    hold = read_hold(app, actor=actor)
    if hold["held_at"] is not None and hold["released_at"] is None:
        yield Banner("warning", f"All schedules are held since {hold['held_at']}: nothing starts by itself.")
    if all(worker["silent"] for worker in list_workers(app, actor=actor)):
        yield Banner("warning", "No worker is there: runs wait until one is started.")
    if app.settings.mail.transport == "file":
        yield Banner("note", f"Mail is written to files in {app.settings.mail.directory.name}, not sent.")


def forget() -> None:
    """Read them anew at the next page."""
    with _lock:
        _known.clear()
