"""How a run looks to people: a line of the log, the result at its end, the lines of *show*."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchwright.cli import show
from batchwright.cli.exits import DONE, FAILED, WITH_ERRORS, exit_code_of
from batchwright.cli.output import Coloured, Column, Line, Row, printable
from batchwright.config.settings import Settings
from batchwright.notifications.humanize import months


class TypeColumn(Column):
    """The type of a run; a dry one must not be taken for one that wrote something."""

    def text(self, row: Row) -> str:
        """The cell as one line of printable text."""
        return type_of(row)


LOG_COLUMNS = (
    Column("run_id", "Job ID"),
    TypeColumn("type", "Type"),
    Column("badge", "Status", show=show.first_words),
    Column("customer_id", "Customer"),
    Column("periods", "Period", show=months),
    Column("reason", "Reason"),
    Column("actor", "Actor"),
    Column("started_at", "Started UTC", show=show.instant),
    Column("duration_seconds", "Duration", numeric=True, show=show.duration),
)
COUNT_COLUMNS = (
    Column("total", "Total", numeric=True, optional=True),
    Column("processed", "Processed", numeric=True, optional=True),
    Column("errored", "Errored", numeric=True, optional=True),
    Column("skipped", "Skipped", numeric=True, optional=True),
)
OUTCOME_COLUMNS = (
    Column("record_id", "Record"),
    Column("outcome", "Outcome"),
    Column("currency", "Currency"),
    Column("amount", "Amount", numeric=True),
    Column("code", "Code"),
    Column("message", "Message"),
)

Run = Mapping[str, Any]
WARNINGS_SHOWN = 5
WIDTH = len("Database")
_COLOURS = {DONE: "green", WITH_ERRORS: "yellow", FAILED: "red"}


def run_result(run: Run, place: str) -> Iterator[Line]:
    """The lines that end every run: result, counts, totals, warnings, database, what to do next."""
    took = show.duration(run["duration_seconds"])
    badge = Coloured(run["badge"], _COLOURS.get(exit_code_of(run, interrupted=True)))
    yield f"{run['run_id']}  {type_of(run)}: ", badge, f", in {took}" if took else ""
    facts = [("Records", counts(run))]
    facts += [(name.capitalize(), amounts) for name, amounts in show.totals(run["totals"])]
    facts += [("Warning", _warning(warning)) for warning in run["warnings"][:WARNINGS_SHOWN]]
    if len(run["warnings"]) > WARNINGS_SHOWN:
        facts.append(
            ("", f"and {len(run['warnings']) - WARNINGS_SHOWN} more: batchwright runs show {run['run_id']}")
        )
    facts.append(("Database", place))
    facts += [("Next", command) for command in next_commands(run)]
    yield from aligned(facts)


def mail_result(run: Run, settings: Settings) -> Iterator[str]:
    """The lines below these, when its mail was tried: where it is now."""
    yield from aligned([("Mail", line) for line in mail_lines(run, settings)], WIDTH)


def type_of(run: Run) -> str:
    """``Usage rating``, ``Usage rating (dry run)``."""
    return printable(f"{run['type']} (dry run)" if run["mode"] == "dry_run" else run["type"])


def counts(run: Run) -> str:
    """``500 in all: 480 processed, 12 errored, 8 skipped``, with what was not reached where there is any."""
    parts = [f"{run[name] or 0:,} {name}" for name in ("processed", "errored", "skipped")]
    if run["not_reached"]:
        parts.append(f"{run['not_reached']:,} not reached")
    total = "not counted yet" if run["total"] is None else f"{run['total']:,} in all"
    return f"{total}: {', '.join(parts)}"


def next_commands(run: Run) -> list[str]:
    """What to type now, where something went wrong or is still to do."""
    run_id = run["run_id"]
    retry = [f"batchwright runs retry {run_id}"] if "cannot_retry" not in run else []
    if "pruned_at" in run:
        return []
    if run["mode"] == "dry_run" and run["status"] == "Completed":
        return [f"batchwright runs preview {run_id}", f"batchwright runs apply {run_id}"]
    if run["errored"] and run["status"] == "Completed":
        return [f"batchwright runs outcomes {run_id} --outcome error", *retry]
    if run["status"] == "Paused":
        return [f"batchwright runs resume {run_id}"]
    if run["status"] in ("Failed", "Aborted"):
        return [f"batchwright runs show {run_id}", *retry]
    return []


def what_was_asked(asked: Mapping[str, Any] | None) -> str:
    """What somebody has asked of a run and its process has not done yet."""
    return (
        "" if asked is None else f"to {asked['to']}, by {asked['actor']} at {show.instant(asked['at'])} UTC"
    )


def owner(run: Run) -> str:
    """Who drives a run, and when that was last heard of; empty where nobody does."""
    if "owner" not in run:
        return ""
    age = run["owner_beat_seconds"]
    return run["owner"] if age is None else f"{run['owner']}, last sign {show.duration(age)} ago"


def steered(run: Run, act: str) -> str:
    """What an act of steering came to: done there and then, or asked of the run's process."""
    run_id, status = run["run_id"], run["status"]
    if act == "move":
        return f"{run_id} has moved in its line."
    if act == "hold":
        return f"{run_id} is held. An administrator can resume it: `batchwright runs resume {run_id}`."
    if status == "Aborted":
        return f"{run_id} is Aborted: {counts(run)}."
    if status == "Paused":
        return f"{run_id} is Paused. Go on with `batchwright runs resume {run_id}`."
    return (
        f"{run_id} is asked to {act} and does so after the scope at hand. Watch it with `batchwright runs show"
        f" {run_id}`; should its process be gone, `batchwright runs resume {run_id}` does it."
    )


def mail_lines(run: Run, settings: Settings) -> Iterator[str]:
    """To whom the mail of the run went, or where it waits; that it is only in files where it is."""
    mails = run.get("mails") or ()
    for mail in mails:
        yield _mail(mail)
    if not mails:
        yield "none"
    leaving = [mail for mail in mails if mail["status"] != "no_recipient"]
    if leaving and settings.mail.transport == "file":
        yield f"{'is' if len(leaving) == 1 else 'are'} only written to files, in {settings.mail.directory}"


def _mail(mail: Mapping[str, Any]) -> str:
    recipient, why = mail["recipient"], f": {mail['error']}" if mail.get("error") else ""
    if mail["status"] == "no_recipient":
        return f"{mail['mail_id']} has no recipient: the actor has no mail address"
    if mail["status"] == "sent":
        return f"{mail['mail_id']} to {recipient}"
    if mail["status"] in ("for_digest", "in_digest"):
        return f"{mail['mail_id']} to {recipient} is part of their daily digest"
    return f"{mail['mail_id']} to {recipient} is {mail['status']}{why}"


def _warning(warning: Mapping[str, Any]) -> str:
    about = f"{warning['record_id']}: " if warning["record_id"] else ""
    return f"{about}{warning['message']}"


def aligned(facts: list[tuple[str, str]], least: int = 0) -> Iterator[str]:
    """Names and values below each other, ``least`` apart; a name that repeats is written once."""
    width = max(least, *(len(name) for name, _ in facts))
    before = None
    for name, value in facts:
        yield f"  {'' if name == before else name:<{width}}  {value}"
        before = name
