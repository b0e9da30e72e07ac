"""How schedules look on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

from batchwright.cli import show as shown
from batchwright.cli.output import Column
from batchwright.operations.schedules.changes import spec_view
from batchwright.operations.schedules.files import Difference
from batchwright.operations.views import View


def _local(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M:%S %z")


def _yes(value: bool) -> str:
    return "paused" if value else ""


SCHEDULE_COLUMNS = (
    Column("name", "Name"),
    Column("cron", "When"),
    Column("time_zone", "Zone"),
    Column("job", "Job"),
    Column("next_fire_at", "Next UTC", show=shown.instant),
    Column("last_fire_at", "Last UTC", show=shown.instant),
    Column("paused", "Paused", show=_yes),
)
TROUBLE_COLUMN = Column("trouble", "Trouble")
"""Beside the others, where any schedule has some."""
NEXT_COLUMNS = (Column("local_time", "Local time", show=_local), Column("fire_at", "UTC", show=shown.instant))
FIRE_COLUMNS = (
    Column("nominal_time", "Time UTC", show=shown.instant),
    Column("last_nominal_time", "To UTC", show=shown.instant),
    Column("count", "Times", numeric=True),
    Column("decision", "Decision"),
    Column("run_id", "Run"),
    Column("reason", "Reason"),
)
BACKFILL_COLUMNS = (
    Column("nominal_time", "Time UTC", show=shown.instant),
    Column("local_time", "Local time", show=_local),
    Column("cause", "Not run then"),
    Column("run_id", "Run"),
)

_BOUNDS = (("start", "starts at"), ("end", "ends at"))


def schedule_facts(schedule: View) -> list[tuple[str, object]]:
    """All of a schedule, name and value; what is not set is left out."""
    minutes = {name: schedule[name] for name in ("start_within_minutes", "finish_within_minutes")}
    facts: list[tuple[str, object]] = [
        ("Name", schedule["name"]),
        ("When", schedule["cron"]),
        ("In words", schedule["description"]),
        ("Zone", schedule["time_zone"]),
        ("Job", schedule["job"]),
        ("Parameters", shown.parameters(schedule["parameters"])),
        ("Next UTC", shown.instant(schedule["next_fire_at"])),
        ("Last UTC", shown.instant(schedule["last_fire_at"])),
        ("State", _state(schedule)),
        ("Misfire", _misfire(schedule)),
        ("Overlap", schedule["overlap"]),
        ("Start UTC", shown.instant(schedule["start"])),
        ("End UTC", shown.instant(schedule["end"])),
        ("Owner", schedule["owner"] + ("" if schedule["mail_owner"] else " (no mail)")),
        ("Notify", shown.joined(schedule["notify"])),
        ("Start within", minutes["start_within_minutes"] and f"{minutes['start_within_minutes']} minutes"),
        ("Finish within", minutes["finish_within_minutes"] and f"{minutes['finish_within_minutes']} minutes"),
        ("Ping", schedule["ping"]),
        ("Reason of its runs", schedule["reason"]),
        ("Explanation", schedule["explanation"]),
        ("Scope size", schedule["scope_size"]),
        ("Error ceiling", schedule["error_ceiling"]),
        ("Created UTC", shown.instant(schedule["created_at"])),
    ]
    return [(name, value) for name, value in facts if value not in (None, "")]


def next_line(schedule: View) -> str:
    """When a schedule fires next, or why it does not, as the end of a sentence."""
    if schedule["next_fire_at"] is not None:
        return f"fires next at {shown.instant(schedule['next_fire_at'])} UTC, where a worker runs"
    return "is paused" if schedule["paused"] else "does not fire: all schedules are held, or its end has come"


def bound(view: View, name: str) -> str:
    """A first or last time as its zone's clock shows it, and in UTC; the view has it in UTC."""
    at, zone = datetime.fromisoformat(view[name]), view["time_zone"]
    utc = f"{shown.instant(view[name])} UTC"
    if zone == "UTC":
        return utc
    with suppress(OverflowError):  # the last day of the year 9999
        return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone} ({utc})"
    return utc


def window_line(schedule: View) -> str:
    """When a schedule starts and ends, as it was understood, as sentences; nothing where it does neither."""
    said = [f"{verb} {bound(schedule, name)}" for name, verb in _BOUNDS if schedule[name] is not None]
    return f" It {' and '.join(said)}." if said else ""


def backfill_line(times: Sequence[View], window: View) -> str:
    """How many runs a backfill is, how long they take by earlier ones, and how many of their times were not run why."""
    said, usual = f"{len(times):,} run{'' if len(times) == 1 else 's'}", window["usual_seconds"]
    if usual is not None:
        said += f", usually {shown.duration(usual)} each"
        if window["one_by_one"] and len(times) > 1:
            said += f" and one after another: about {shown.duration(usual * len(times))}"
    causes = Counter(one["cause"] for one in times if one["cause"] is not None)
    then = ", ".join(f"{number:,} {cause}" for cause, number in causes.items())
    return f"{said}.{f' When the times came: {then}.' if then else ''}"


def difference_lines(difference: Difference, *, dry_run: bool) -> Iterator[str]:
    """What a file adds (+), changes (~) and removes (-), what it leaves (=), and the sum of it; of what
    it adds each term that is not the default.
    """
    for name, wanted in difference.added.items():
        yield f'+ "{name}"  {wanted.cron}  {wanted.time_zone}  {wanted.job}'
        view = spec_view(wanted)
        for term, value in difference.terms[name].items():
            yield f"    {term}: {bound(view, term) if term in dict(_BOUNDS) else _value(value)}"
    for name, changes in difference.changed.items():
        yield f'~ "{name}"'
        for term, (before, after) in changes.items():
            yield f"    {term}: {_value(before)} → {_value(after)}"
    for name in difference.removed:
        yield f'- "{name}"'
    for name in difference.unchanged:
        yield f'= "{name}"'
    for name in difference.left:
        yield f'  "{name}" is not in the file and stays; --prune would remove it'
    if difference.is_none:
        yield "no change"
        return
    counts = (
        f"{len(difference.added)} added, {len(difference.changed)} changed, {len(difference.removed)} removed, "
        f"{len(difference.unchanged)} unchanged"
    )
    yield f"{counts}: a dry run, nothing was written" if dry_run else counts


def _value(value: object) -> str:
    if isinstance(value, dict):
        value = shown.parameters(value)
    elif isinstance(value, list):
        value = shown.joined(value)
    return "none" if value in (None, "") else str(value)


def _state(schedule: View) -> str:
    states = [
        word for word, is_so in (("paused", schedule["paused"]), ("held with all", schedule["held"])) if is_so
    ]
    return " and ".join(states)


def _misfire(schedule: View) -> str:
    cap = f", {schedule['cap']} at most" if schedule["misfire"] == "all" else ""
    grace = schedule["grace_seconds"]
    return f"{schedule['misfire']}{cap}" + ("" if grace is None else f", grace {grace} s")
