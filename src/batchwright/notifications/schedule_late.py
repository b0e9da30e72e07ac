"""What the templates of ``schedule_late`` see: a time of a schedule that was not met, formatted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from batchwright.notifications import humanize
from batchwright.notifications.run_ended import Fact

SCHEDULE_LATE = "schedule_late"
"""The kind of this mail."""


class ScheduleLate:
    """A run of a schedule that has not started or not ended in time, or a time that was not run: ``late`` in the
    templates.

    ``facts``: ``schedule``, ``job``, ``late`` (``not_started``, ``not_finished``, ``not_run``, or ``ahead``: a clock
    that was ahead recorded times to come, up to ``nominal_time``), ``nominal_time``, ``last_nominal_time`` and
    ``count`` (of a range that was not run), ``by`` (the deadline), ``run_id``, ``run_status``, ``reason``,
    ``time_zone``, ``local_time``, ``database``, ``base_url``, ``mail_only_to_files``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.schedule: str = humanize.one_line(facts["schedule"], 64)
        self.run_id: str | None = facts.get("run_id")

    @property
    def verdict(self) -> str:
        """What happened, as the subject says it."""
        if self.facts["late"] == "not_run":
            count = self.facts.get("count") or 1
            return "NOT RUN" if count == 1 else f"NOT RUN {humanize.count(count)} times"
        if self.facts["late"] == "ahead":
            return "FIRES NOTHING"
        return "NOT STARTED in time" if self.facts["late"] == "not_started" else "NOT FINISHED in time"

    @property
    def summary(self) -> str:
        """The same in a sentence."""
        when = humanize.instant(self.facts["nominal_time"])
        if self.facts["late"] == "not_run":
            count = self.facts.get("count") or 1
            if count == 1:
                return f"The run of {when} was not started. {self.reason}."
            until = humanize.instant(self.facts["last_nominal_time"])
            return f"{humanize.count(count)} runs from {when} to {until} were not started. {self.reason}."
        if self.facts["late"] == "ahead":
            return f"It fires nothing until {when}: {self.facts.get('reason')}. Rewind it."
        verb = "started" if self.facts["late"] == "not_started" else "ended"
        by = humanize.instant(self.facts["by"])
        return f"The run of {when} should have {verb} by {by}, and had not."

    @property
    def reason(self) -> str:
        """Why a time was not run, as a sentence without its full stop."""
        said = humanize.one_line(self.facts.get("reason"), 500).rstrip(".") or "no reason is recorded"
        return said[0].upper() + said[1:]

    @property
    def details(self) -> tuple[Fact, ...]:
        """Names and values about the schedule and the run."""
        facts = self.facts
        rows = (
            ("Schedule", self.schedule),
            ("Job", facts.get("job")),
            ("Its time", humanize.instant(facts["nominal_time"])),
            ("Local time", self._local_time),
            ("Run", self.run_id),
            ("State", facts.get("run_status")),
            ("Database", humanize.database(facts)),
        )
        return tuple(Fact(label, humanize.one_line(value)) for label, value in rows if value)

    @property
    def _local_time(self) -> str:
        """Its time where the schedule's zone is another than UTC: ``2026-11-22 00:00:00 Europe/Berlin``."""
        zone, local = self.facts.get("time_zone"), self.facts.get("local_time")
        if not local or not zone or zone == "UTC":
            return ""
        return f"{datetime.fromisoformat(local):%Y-%m-%d %H:%M:%S} {zone}"

    @property
    def commands(self) -> tuple[Fact, ...]:
        """What to type to see more, where there is no console."""
        if self.links:
            return ()
        lines = [self.fires_command]
        if self.facts["late"] == "ahead":
            rewind = f"batchwright schedules rewind {shlex.quote(self.schedule)}"
            return (Fact("To let it fire again", rewind), *lines)
        if self.run_id:
            lines.insert(0, Fact("The run", f"batchwright runs show {self.run_id}"))
        else:
            lines.append(Fact("To run it now", f"batchwright schedules run-now {shlex.quote(self.schedule)}"))
        return tuple(lines)

    @property
    def fires_command(self) -> Fact:
        """What to type to see what became of the times of the schedule."""
        return Fact("What became of its times", f"batchwright schedules fires {shlex.quote(self.schedule)}")

    @property
    def links(self) -> tuple[Fact, ...]:
        """Where to see more in the console, and to act; none where there is no console."""
        if not self.page:
            return ()
        lines = [Fact("Open the schedule", self.page), Fact("What became of its times", f"{self.page}/fires")]
        if self.run_id:
            of_run = humanize.page(self.facts, f"/runs/{quote(self.run_id, safe='')}")
            lines.insert(0, Fact("Open the run", of_run))
        return tuple(lines)

    @property
    def page(self) -> str:
        """The page of the schedule, where there is a console."""
        return humanize.page(self.facts, f"/schedules/{quote(self.facts['schedule'], safe='')}")

    @property
    def footer(self) -> str:
        """Why the reader gets it."""
        why = "You get this mail because you own the schedule or are named to be notified of it."
        return humanize.footer(why, self.facts) + humanize.preferences(self.facts)
