"""A schedule as somebody wants it: every term of it, as typed, before anything is looked up in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.errors import Refused

MISFIRES = ("skip", "latest", "all")
OVERLAPS = ("skip", "queue", "allow")
DEFAULT_CAP = 24
"""Most late times that the misfire policy `all` still runs."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One schedule as it is to be. What is left out is what DESIGN's *Cron* has as default.

    `cron` is a Salesforce or Quartz expression, and with `from_crontab` a Unix line, too. `parameters` are the job's,
    not checked yet. `owner` is who its runs belong to; left out it is who makes it, or who had it before. `start` and
    `end` without a zone are wall times of `time_zone`; a nominal time equal to either fires. `grace_seconds`: how late
    a time still counts as on time. `start_within_minutes` and `finish_within_minutes`: after how long somebody is told
    of a run that has not started, or not ended. `ping`: an address that is called after each success. The rest is
    about its runs, as for a run by hand.
    """

    name: str
    cron: str
    job: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    from_crontab: bool = False
    time_zone: str = "UTC"
    misfire: str = "latest"
    grace_seconds: int | None = None
    cap: int = DEFAULT_CAP
    overlap: str = "skip"
    start: datetime | None = None
    end: datetime | None = None
    owner: str | None = None
    notify: Sequence[str] = ()
    start_within_minutes: int | None = None
    finish_within_minutes: int | None = None
    ping: str | None = None
    reason: str | None = None
    scope_size: int | None = None
    error_ceiling: str | None = None
    mail_owner: bool = True
    dry_run: bool = False


def read_moment(text: str, *, field: str) -> datetime:
    """A time as people type it, ISO 8601: `2026-11-01`, `2026-11-01T01:30`, `2026-11-01T01:30Z`. Raises `Refused`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        remedy = "Write it as 2026-11-01 or 2026-11-01T01:30 (ISO 8601)"
        raise Refused(f"{text!r} is no time", field=field, remedy=remedy) from None


def read_whole(text: str, *, field: str) -> int:
    """A whole number as people type it. Raises `Refused`."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise Refused(f"{text!r} is no whole number", field=field, remedy="Write digits only, such as 30")
