"""What the templates of ``digest`` see: the runs that ended since the last one, and the late ones, formatted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from batchwright.notifications import humanize
from batchwright.notifications.preferences import in_trouble
from batchwright.notifications.records import Excerpt, RunRecords
from batchwright.notifications.run_ended import Fact, RunEnded, Tone
from batchwright.notifications.schedule_late import ScheduleLate

DIGEST_KIND = "digest"
"""The kind of this mail."""

SHOWN_RUNS = 100
"""Runs that one digest lists, those in trouble first: more would be cut off by some mail programs."""

SHOWN_LATE = 20
"""Times of schedules that were not met that one digest lists."""

_KEPT = ("run_id", "job", "type", "mode", "status", "total", "processed", "errored", "skipped", "not_reached")
_KEPT_OF_LATE = ("schedule", "late", "nominal_time", "last_nominal_time", "count", "by", "run_id", "reason")
_OF_DATABASE = ("database", "label", "base_url", "mail_only_to_files")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a digest. ``tone`` colours it: good, mixed (with errors) or bad; ``link`` is its page."""

    run_id: str
    title: str
    verdict: str
    counts: str
    ended: str
    tone: Tone
    link: str = ""


def digest_facts(mails: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of a digest from those of the mails it replaces, oldest first; what is not listed is counted."""
    given = list(mails)
    late = [facts for facts in given if "late" in facts]
    runs = [facts for facts in given if "late" not in facts]
    troubled = [facts for facts in runs if in_trouble(facts)]
    fine = [facts for facts in runs if not in_trouble(facts)]
    listed = [*troubled, *fine][:SHOWN_RUNS]
    return {
        "runs": [{name: facts.get(name) for name in (*_KEPT, "ended_at")} for facts in listed],
        "count": len(runs),
        "in_trouble": len(troubled),
        "late": [{name: facts.get(name) for name in _KEPT_OF_LATE} for facts in late[:SHOWN_LATE]],
        "late_count": len(late),
        "late_schedules": len({facts["schedule"] for facts in late}),
        **{name: given[-1].get(name) for name in _OF_DATABASE},
    }


class Digest:
    """The runs of a day: ``digest`` in the templates. ``facts`` are those of ``digest_facts``."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    @property
    def title(self) -> str:
        """``12 runs, 2 in trouble; 1 schedule late or not run``."""
        count, trouble = self.facts["count"], self.facts["in_trouble"]
        verdict = f"{humanize.count(trouble)} in trouble" if trouble else "all complete"
        ended = f"{humanize.counted(count, 'run')}, {verdict}"
        if not self.late:
            return ended
        late = f"{humanize.counted(self.facts['late_schedules'], 'schedule')} late or not run"
        return f"{ended}; {late}" if count else late

    @property
    def tone(self) -> Tone:
        """The colour of the title."""
        return "bad" if self.facts["in_trouble"] or self.late else "good"

    @cached_property
    def runs(self) -> tuple[RunLine, ...]:
        """The runs, those in trouble first."""
        base = {"base_url": self.facts.get("base_url")}
        return tuple(_line({**facts, **base}) for facts in self.facts["runs"])

    @cached_property
    def late(self) -> tuple[ScheduleLate, ...]:
        """The times of schedules that were not met, oldest first."""
        # Not there in digests that were recorded before schedules came into them.
        base = {"base_url": self.facts.get("base_url")}
        return tuple(ScheduleLate({**facts, **base}) for facts in self.facts.get("late", ()))

    @property
    def note(self) -> str:
        """How many runs are not listed, and where they are."""
        left = self.facts["count"] - len(self.facts["runs"])
        where = "the console" if self.links else "`batchwright runs list`"
        return f"{humanize.counted(left, 'run')} more: {where} has all." if left else ""

    @property
    def late_note(self) -> str:
        """How many late times are not listed, and where they are."""
        left = self.facts["late_count"] - len(self.late) if self.late else 0
        where = "the page of each schedule" if self.links else "`batchwright schedules fires NAME`"
        return f"{humanize.count(left)} more: {where} has all." if left else ""

    @property
    def details(self) -> tuple[Fact, ...]:
        """Whose digest it is."""
        return (Fact("Database", humanize.one_line(humanize.database(self.facts))),)

    @property
    def links(self) -> tuple[Fact, ...]:
        """Where to see more in the console; none where there is none."""
        rows = (("Open the console", ""), ("All runs", "/runs"), ("To get other mail", "/preferences"))
        return tuple(Fact(label, link) for label, path in rows if (link := humanize.page(self.facts, path)))

    @property
    def commands(self) -> tuple[Fact, ...]:
        """What to type to see more, where there is no console."""
        if self.links:
            return ()
        lines = [Fact("All runs", "batchwright runs list")]
        lines += [Fact("One run", f"batchwright runs show {run.run_id}") for run in self.runs[:1]]
        lines += [late.fires_command for late in self.late[:1]]
        return (*lines, Fact("To get other mail", "batchwright users preferences ADDRESS --mail always"))

    @property
    def footer(self) -> str:
        """Why the reader gets it."""
        why = "You get one mail a day because you chose so."
        return humanize.footer(why, self.facts) + humanize.preferences(self.facts)


def _line(facts: Mapping[str, Any]) -> RunLine:
    run = RunEnded(facts, RunRecords(errored=Excerpt(), processed=Excerpt()))
    return RunLine(
        run_id=run.run_id,
        title=run.title,
        verdict=run.verdict,
        counts=run.subject_counts,
        ended=humanize.instant(facts.get("ended_at")),
        tone=run.tone,
        link=next((link.value for link in run.links), ""),
    )
