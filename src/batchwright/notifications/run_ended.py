"""What the templates of ``run_ended`` see: the facts of a run, formatted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

from batchwright.engine.run import parent_caption
from batchwright.notifications import humanize
from batchwright.notifications.records import Excerpt, Row, RunRecords, extra_columns, record_id
from batchwright.notifications.remedies import in_console, remedy

SHOWN_WARNINGS = 20
_CUSTOMER = ("customer_id", "customer_name")
"""The columns that say whose a record is, where a job adds them."""
PRUNED = "The run has been pruned since: which records these were is not kept any more."

Tone = Literal["good", "mixed", "bad"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Total:
    """One total in one currency."""

    label: str
    currency: str
    amount: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a table. ``detail`` is what the job adds (asset, date, quantity), ``customer`` the name and id of
    whose it is, ``amount`` may be empty; ``link`` is its page, where there are one and a console.
    """

    id: str
    customer: str
    detail: str
    code: str
    message: str
    amount: str
    currency: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """An amount of another record that the run changed."""

    id: str
    before: str
    after: str
    currency: str


@dataclass(frozen=True, slots=True)
class Table:
    """The first records of one outcome. ``note`` says how many are not shown, and where all of them are; ``link`` leads
    there in the console, if they are not attached.
    """

    heading: str
    entries: tuple[Entry, ...]
    note: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about one error code. ``records`` says how many have it; ``link`` leads to them in the console."""

    code: str
    records: str
    remedy: str
    link: str = ""


class RunEnded:
    """A run that has ended: ``run`` in the templates.

    ``facts`` are the run's JSON (`runs show --json`) with ``database``, ``base_url``, ``record_noun``, ``retry_unit``,
    ``cannot_retry``, ``error_note`` and ``mail_only_to_files``; of what it ``restated`` the first,
    ``number_restated`` and ``restated_because``; of the reader whether they ``may_retry``. All but ``run_id``,
    ``job``, ``status`` and ``mode`` may be missing or ``None``.
    """

    def __init__(self, facts: Mapping[str, Any], records: RunRecords) -> None:
        self.facts = facts
        self.records = records
        self.run_id: str = facts["run_id"]
        self.status: str = str(facts["status"]).lower()
        self.dry_run: bool = facts["mode"] == "dry_run"
        self.noun: str = facts.get("record_noun") or "record"
        self.processed: int | None = facts.get("processed")
        self.errored: int | None = facts.get("errored")
        self.skipped: int | None = facts.get("skipped")
        self.not_reached: int | None = facts.get("not_reached")
        self.total: int | None = facts.get("total")

    @property
    def title(self) -> str:
        name = humanize.one_line(self.facts.get("type"), 60) or humanize.heading(self.facts["job"])
        return f"{name} (dry run)" if self.dry_run else name

    @property
    def verdict(self) -> str:
        """``completed``, ``FAILED`` or ``ABORTED``: a subject is read among many others."""
        return self.status if self.status == "completed" else self.status.upper()

    @property
    def tone(self) -> Tone:
        if self.status != "completed":
            return "bad"
        return "mixed" if self.errored else "good"

    @property
    def badge(self) -> str:
        if self.status == "completed" and self.errored:
            return f"Completed with {humanize.counted(self.errored, 'error')}"
        return self.status.capitalize()

    @property
    def subject_counts(self) -> str:
        if self.total == 0:
            return "nothing to process"
        if self.processed is None and self.errored is None:
            return "nothing processed"
        said = [
            f"{humanize.count(self.processed or 0)} processed",
            f"{humanize.count(self.errored or 0)} errored",
        ]
        if self.skipped:
            said.append(f"{humanize.count(self.skipped)} skipped")
        if self.not_reached:
            said.append(f"{humanize.count(self.not_reached)} not reached")
        return ", ".join(said)

    @property
    def summary(self) -> str:
        if self.total is None:
            return f"The run ended before its {humanize.plural(self.noun)} were counted."
        if self.total == 0:
            return f"There was no {self.noun} to process."
        sentence = f"{humanize.count(self.processed)} of {humanize.counted(self.total, self.noun)} processed"
        rest = [
            f"{humanize.count(number)} {what}"
            for number, what in (
                (self.errored, "with an error" if self.errored == 1 else "with errors"),
                (self.skipped, "skipped"),
                (self.not_reached, "not reached"),
            )
            if number
        ]
        return f"{', '.join([sentence, *rest])}."

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader must not overlook."""
        pruned = (PRUNED,) if self.records.pruned else ()
        if self.dry_run:
            return (
                *pruned,
                "This was a dry run: nothing was changed. The amounts are what a real run would write.",
            )
        if self.status != "completed" and self.processed:
            return (*pruned, "What was processed before the run ended is saved.")
        return pruned

    @property
    def counts(self) -> tuple[Fact, ...]:
        rows = (
            ("Total", self.total),
            ("Processed", self.processed),
            ("Errored", self.errored),
            ("Skipped", self.skipped),
            ("Not reached", self.not_reached),
        )
        return tuple(Fact(label, humanize.count(number)) for label, number in rows)

    @property
    def totals(self) -> tuple[Total, ...]:
        return tuple(
            Total(humanize.heading(name), currency, humanize.grouped(amount))
            for name, amounts in (self.facts.get("totals") or {}).items()
            for currency, amount in sorted(amounts.items())
        )

    @property
    def advice(self) -> tuple[Advice, ...]:
        excerpt = self.records.errored
        least = "" if excerpt.complete else "at least "
        ranked = sorted(excerpt.codes.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            Advice(
                code,
                f"{least}{humanize.counted(number, self.noun)}",
                self._worded(remedy(code)),
                self._page(f"/outcomes?outcome=error&code={quote(code, safe='')}"),
            )
            for code, number in ranked
            if code
        )

    @property
    def error(self) -> str:
        return humanize.one_line(self.facts.get("error"), 2000)

    @cached_property
    def errors(self) -> Table | None:
        """The first errored records."""
        return self._table("error", self.records.errored, self.errored)

    @cached_property
    def results(self) -> Table | None:
        """The first processed records."""
        return self._table("ok", self.records.processed, self.processed)

    def _table(self, outcome: str, excerpt: Excerpt, number: int | None) -> Table | None:
        if not excerpt.rows:
            return None
        kind = "Errored" if outcome == "error" else "Processed"
        # Only these have a page of their own in the console.
        base = self._base if self.noun == "usage input" else ""
        entries = tuple(_entry(row, base) for row in excerpt.rows)
        link = "" if excerpt.file is not None else self._page(f"/outcomes?outcome={outcome}")
        return Table(
            f"{kind} {humanize.plural(self.noun)}", entries, self._note(outcome, excerpt, number), link
        )

    def _note(self, outcome: str, excerpt: Excerpt, number: int | None) -> str:
        shown = len(excerpt.rows)
        of = humanize.count(number if number is not None else shown)
        if excerpt.file is not None:
            where = f"all with every column in the attachment {excerpt.file.name}"
        elif self._base:
            where = "too many to attach; the console shows all, and as CSV"
        else:
            where = f"too many to attach; `{self._outcomes_command(outcome)} --format csv` fetches all"
        return f"{humanize.count(shown)} of {of} shown; {where}."

    @property
    def restated(self) -> tuple[Change, ...]:
        """The first of what the run restated beside its records."""
        return tuple(
            Change(
                humanize.one_line(one["record_id"], 64),
                humanize.grouped(one["before"]),
                humanize.grouped(one["after"]),
                one["currency"],
            )
            for one in self.facts.get("restated") or ()
        )

    @property
    def restated_note(self) -> str:
        shown, number = len(self.restated), self.facts.get("number_restated") or 0
        because = str(self.facts.get("restated_because") or "")
        if number <= shown:
            return because
        of = f"{humanize.count(shown)} of {humanize.count(number)} shown"
        return f"{of}{'' if self._base else f'; `{self._show_command} --json` has all'}. {because}"

    @property
    def warnings(self) -> tuple[Fact, ...]:
        return tuple(
            Fact(
                humanize.one_line(w.get("record_id")) or humanize.one_line(w.get("code")),
                humanize.one_line(w.get("message")),
            )
            for w in (self.facts.get("warnings") or [])[:SHOWN_WARNINGS]
        )

    @property
    def warnings_note(self) -> str:
        number = len(self.facts.get("warnings") or [])
        if number <= SHOWN_WARNINGS:
            return ""
        has_all = "" if self._base else f"; `{self._show_command}` has all"
        return f"{SHOWN_WARNINGS} of {humanize.count(number)} shown{has_all}."

    @property
    def details(self) -> tuple[Fact, ...]:
        facts = self.facts
        rows = (
            ("Run", self.run_id),
            ("Started by", facts.get("actor")),
            ("Reason", facts.get("reason")),
            ("Explanation", facts.get("explanation")),
            ("Mode", str(facts["mode"]).replace("_", " ")),
            (parent_caption(facts.get("trigger")), facts.get("parent_run_id")),
            ("Schedule", facts.get("schedule")),
            ("Customer", facts.get("customer_id")),
            ("Period", humanize.months(facts.get("periods"))),
            ("Started", humanize.instant(facts.get("started_at")) or "never"),
            ("Ended", humanize.instant(facts.get("ended_at"))),
            ("Duration", humanize.duration(facts.get("duration_seconds")) if facts.get("started_at") else ""),
            ("Database", humanize.database(facts)),
        )
        return tuple(Fact(label, humanize.one_line(value)) for label, value in rows if value)

    @property
    def commands(self) -> tuple[Fact, ...]:
        """What to type to see more, where there is no console."""
        if self._base:
            return ()
        outcomes = (Fact(label, self._outcomes_command(outcome)) for label, outcome in self._outcomes)
        lines = [Fact("The run", self._show_command)]
        if self._has_preview:
            lines.append(Fact("What it would write", f"batchwright runs preview {self.run_id}"))
            if self.status == "completed":
                lines.append(Fact("To do just that", f"batchwright runs apply {self.run_id}"))
        return (*lines, *outcomes)

    @property
    def links(self) -> tuple[Fact, ...]:
        """Where to see more in the console, the page of the run first; none where there is no console."""
        if not self._base:
            return ()
        outcomes = (
            Fact(label, self._page(f"/outcomes?outcome={outcome}")) for label, outcome in self._outcomes
        )
        lines = [Fact("Open the run", self._page())]
        if self._has_preview:
            what = (
                "What it would write, and to do just that"
                if self.status == "completed"
                else "What it would write"
            )
            lines.append(Fact(what, self._page("/preview")))
        return (*lines, *outcomes)

    @property
    def _has_preview(self) -> bool:
        return self.dry_run and not self.records.pruned

    @property
    def _outcomes(self) -> list[tuple[str, str]]:
        """The outcomes other than ok that can be seen, with a label each."""
        if self.records.pruned:
            return []
        rows = (
            (self.errored, "The errors", "error"),
            (self.skipped, "What was skipped", "skipped"),
            (self.not_reached, "What was not reached", "not_reached"),
        )
        return [(label, outcome) for number, label, outcome in rows if number]

    @property
    def retry_link(self) -> str:
        """The page that asks before a retry; opening it does nothing."""
        return self._page("/retry") if self.retry else ""

    def _worded(self, text: str) -> str:
        """What to do, in the words of the console where there is one."""
        return in_console(text) if self._base else text

    @property
    def _show_command(self) -> str:
        return f"batchwright runs show {self.run_id}"

    @property
    def _base(self) -> str:
        return humanize.page(self.facts, "")

    def _page(self, path: str = "") -> str:
        return humanize.page(self.facts, f"/runs/{quote(self.run_id, safe='')}{path}")

    @property
    def retry(self) -> Fact | None:
        """What to type to retry it, for a reader who may."""
        has_left = self.errored or self.not_reached or self._failed_at_the_end
        refused = (
            self.records.pruned or self.facts.get("cannot_retry") or not self.facts.get("may_retry", True)
        )
        if self.dry_run or refused or not has_left:
            return None
        return Fact("When the causes are put right", f"batchwright runs retry {self.run_id}")

    @property
    def retry_note(self) -> str:
        if self._failed_at_the_end:
            return f"Every {self.noun} is done; a retry does only what comes after the last of them again."
        unit = self.facts.get("retry_unit") or self.noun
        if unit in ("record", self.noun):
            return f"A retry takes the {humanize.plural(self.noun)} with errors and those not reached, and no others."
        return (
            f"A retry takes whole {humanize.plural(unit)}: every one with a {self.noun} that has an error or was "
            "not reached is done again completely."
        )

    @property
    def _failed_at_the_end(self) -> bool:
        return self.status == "failed" and bool(self.total) and not (self.errored or self.not_reached)

    @property
    def error_note(self) -> str:
        """What the job says of its errors; a dry run leaves none behind."""
        note = "" if self.dry_run or not self.errored else str(self.facts.get("error_note") or "")
        return self._worded(note)

    @property
    def footer(self) -> str:
        why = "You get this mail because you started the run or were named to be notified of it."
        return humanize.footer(why, self.facts) + humanize.preferences(self.facts)

    def _outcomes_command(self, outcome: str) -> str:
        return f"batchwright runs outcomes {self.run_id} --outcome {outcome}"


def _entry(row: Row, base: str) -> Entry:
    known = record_id(row)
    customer_id = humanize.one_line(row.get("customer_id"), 64)
    customer = humanize.one_line(row.get("customer_name"), 80)
    return Entry(
        id=humanize.one_line(known, 64),
        link=f"{base}/usage-inputs/{quote(known, safe='')}" if base and known else "",
        customer=f"{customer} ({customer_id})" if customer and customer_id else customer or customer_id,
        detail=", ".join(
            _detail(name, row[name]) for name in extra_columns(row) if row[name] and name not in _CUSTOMER
        ),
        code=humanize.one_line(row.get("code")),
        message=humanize.one_line(row.get("message")),
        amount=humanize.grouped(row.get("amount") or ""),
        currency=row.get("currency") or "",
    )


def _detail(name: str, value: str | None) -> str:
    """Ids and dates speak for themselves; a bare number does not."""
    said = humanize.one_line(value, 80)
    return said if name.endswith(("_id", "_date")) else f"{humanize.heading(name).lower()} {said}"
