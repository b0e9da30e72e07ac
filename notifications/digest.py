"""What the templates of ``digest`` see: the runs that ended since the last one, put into words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from notifications import words
from notifications.preferences import in_trouble
from notifications.run_ended import Line, Tone

DIGEST_KIND = "digest"
"""The kind of this mail."""

SHOWN_RUNS = 200
"""Runs that one digest lists, those in trouble first."""

_KEPT = ("run_id", "job", "type", "mode", "status", "total", "processed", "errored", "skipped", "not_reached")
_OF_DATABASE = ("database", "base_url", "mail_only_to_files")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run of a digest. ``tone`` colours it: good, mixed (with errors) or bad."""

    run_id: str
    title: str
    verdict: str
    counts: str
    ended: str
    tone: Tone


def digest_facts(runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of a digest from those of its runs' mails, oldest first; those not listed are only counted."""
    given = list(runs)
    troubled = [facts for facts in given if in_trouble(facts)]
    fine = [facts for facts in given if not in_trouble(facts)]
    listed = [*troubled, *fine][:SHOWN_RUNS]
    return {
        "runs": [{name: facts.get(name) for name in (*_KEPT, "ended_at")} for facts in listed],
        "count": len(given),
        "in_trouble": len(troubled),
        **{name: given[-1].get(name) for name in _OF_DATABASE},
    }


class Digest:
    """The runs of a day: ``digest`` in the templates. ``facts`` are those of ``digest_facts``."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    @property
    def title(self) -> str:
        """``12 runs, 2 in trouble``."""
        trouble = self.facts["in_trouble"]
        said = words.counted(self.facts["count"], "run")
        return f"{said}, {words.count(trouble)} in trouble" if trouble else f"{said}, all complete"

    @property
    def tone(self) -> Tone:
        """The colour of the title."""
        return "bad" if self.facts["in_trouble"] else "good"

    @cached_property
    def runs(self) -> tuple[RunLine, ...]:
        """The runs, those in trouble first."""
        return tuple(_line(facts) for facts in self.facts["runs"])

    @property
    def note(self) -> str:
        """How many runs are not listed, and where they are."""
        left = self.facts["count"] - len(self.facts["runs"])
        return f"{words.counted(left, 'run')} more: `batchwright runs list` has all." if left else ""

    @property
    def details(self) -> tuple[Line, ...]:
        """Where the runs are."""
        rows = (("Database", self.facts.get("database")), ("In the browser", self.facts.get("base_url")))
        return tuple(Line(label, words.one_line(value)) for label, value in rows if value)

    @property
    def commands(self) -> tuple[Line, ...]:
        """What to type to see more."""
        first = self.facts["runs"][0]["run_id"]
        return (
            Line("All runs", "batchwright runs list"),
            Line("One run", f"batchwright runs show {first}"),
        )

    @property
    def footer(self) -> str:
        """Why the reader gets it."""
        why = "You get one mail a day because you chose so: `batchwright users preferences ADDRESS --mail digest`."
        if self.facts.get("mail_only_to_files"):
            return f"{why} Mail is only written to files here; to have it sent, set mail.transport to smtp."
        return why


def _line(facts: Mapping[str, Any]) -> RunLine:
    title = words.one_line(facts.get("type"), 60) or words.heading(facts["job"])
    status = str(facts["status"]).lower()
    verdict = status if status == "completed" else status.upper()
    counts = [
        f"{words.count(facts.get('processed'))} processed",
        f"{words.count(facts.get('errored'))} errored",
    ]
    if facts.get("not_reached"):
        counts.append(f"{words.count(facts['not_reached'])} not reached")
    return RunLine(
        run_id=facts["run_id"],
        title=f"{title} (dry run)" if facts.get("mode") == "dry_run" else title,
        verdict=verdict,
        counts=", ".join(counts),
        ended=words.instant(facts.get("ended_at")),
        tone="bad" if status != "completed" else "mixed" if in_trouble(facts) else "good",
    )
