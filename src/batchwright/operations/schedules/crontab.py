"""A file of schedules, one a line, in the manner of a crontab: read into what is wanted, or refused line by line.

A line has the expression, the schedule's name in double quotes, the job and the options of `batchwright run` and of
`batchwright schedules add`. A variable holds for the lines below it; an option on a line goes before it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from batchwright.engine.cron.fields import DAY_OF_WEEK, MONTH
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.notifications.addresses import check_address
from batchwright.operations.checks import check_one_of
from batchwright.operations.runs.parameters import Schema, choices_of, read_parameters
from batchwright.operations.schedules.cron import read_expression, read_last_moment, read_moment
from batchwright.operations.schedules.request import MISFIRES, OVERLAPS

SHOWN = 20
"""Bad lines that a refusal names; it says how many more there are."""

Fields = dict[str, Any]
SchemaOf = Callable[[str], Schema]
"""The JSON schema of a job's parameters, by its name. Raises `Refused` for a job that is not there."""

_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{1,31}\$?")
_NAMES = frozenset(name for field in (MONTH, DAY_OF_WEEK) for name in field.names) | {"L", "LW"}
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)")
_LINE_REMEDY = (
    'Write: expression "NAME" job [options], for example 0 0 0 ? * * * "Draft Rating Job" draft-usage-rating'
)


def read_whole(text: str, *, field: str) -> int:
    """A whole number as people type it. Raises `Refused`."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise Refused(f"{text!r} is not a whole number", field=field, remedy="Write digits only, such as 30")


_READERS: Mapping[str, tuple[str, Callable[..., Any] | None]] = {
    "time-zone": ("time_zone", None),
    "misfire": ("misfire", None),
    "grace": ("grace_seconds", read_whole),
    "cap": ("cap", read_whole),
    "overlap": ("overlap", None),
    "start": ("start", read_moment),
    "end": ("end", read_last_moment),
    "owner": ("owner", None),
    "actor": ("owner", None),
    "start-within": ("start_within_minutes", read_whole),
    "finish-within": ("finish_within_minutes", read_whole),
    "ping": ("ping", None),
    "reason": ("reason", None),
    "explanation": ("explanation", None),
    "scope-size": ("scope_size", read_whole),
    "error-ceiling": ("error_ceiling", None),
}
"""Options with one value: the field they set, and what reads it where it is not text."""

_FLAGS: Mapping[str, tuple[str, bool]] = {"no-mail": ("mail_owner", False)}

_TAKEN = frozenset({"notify", "param", *_READERS, *_FLAGS})
_NOT_HERE: Mapping[str, str] = {
    "sync": "Leave it out: the runs of a schedule wait for a worker",
    "batch": "Leave it out: the runs of a schedule wait for a worker",
    "enqueue": "Leave it out: the runs of a schedule are enqueued anyhow",
    "json": "Leave it out: nobody reads an answer",
    "dry-run": "Leave it out, and look at the preview of a run by hand",
    "timeout": "Leave it out: the scheduler waits for its turn as long as it takes",
    "where": "Name the ids, or leave it out for everything: what a filter selects is good for an hour",
    "selection-id": "Name the ids, or leave it out for everything: a selection is good for an hour",
    "ids-from": "Name the ids themselves: the parameters of a schedule are frozen, a file is not",
}


class CrontabRefused(Refused):
    """Lines of a file of schedules that cannot be used; none of the file was. `problems` are their numbers, from 1, and
    what is wrong with each.

    The message has a line for each, of several with its own field and remedy.
    """

    def __init__(self, problems: Sequence[tuple[int, Refused]]) -> None:
        self.problems = tuple(problems)
        self.lines = tuple(number for number, _ in problems)
        if len(problems) == 1:
            ((number, problem),) = problems
            super().__init__(f"line {number}: {problem.message}", field=problem.field, remedy=problem.remedy)
            return
        said = [
            f"line {number}: {problem.message} ({problem.field}). {problem.remedy or ''}".rstrip()
            for number, problem in problems[:SHOWN]
        ]
        if len(problems) > SHOWN:
            said.append(f"and {len(problems) - SHOWN} more lines ({len(problems)} in all)")
        remedy = "Correct these lines; nothing of the file was applied"
        super().__init__("\n".join(said), field=problems[0][1].field, remedy=remedy)


@dataclass(frozen=True)
class CrontabLine:
    """A schedule that a file wants, and the number of its line, from 1."""

    number: int
    request: ScheduleRequest


def scan_crontab(text: str, schema_of: SchemaOf) -> tuple[list[CrontabLine], list[tuple[int, Refused]]]:
    """The schedules of a file, and by number of the line why others cannot be used."""
    lines: list[CrontabLine] = []
    problems: list[tuple[int, Refused]] = []
    variables: Fields = {}
    for number, content in _contents(text):
        try:
            if variable := _VARIABLE.fullmatch(content):
                variables |= _read_variable(variable[1], variable[2].strip())
            else:
                request = _read_line(content, variables, schema_of)
                _check_new(request.name, lines)
                lines.append(CrontabLine(number, request))
        except Refused as problem:
            problems.append((number, problem))
    return lines, problems


def _contents(text: str) -> Iterator[tuple[int, str]]:
    """Lines with something in them, from 1; comments and blank lines left out."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            yield number, content


def _read_variable(name: str, text: str) -> Fields:
    value = text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
    if name in ("TZ", "CRON_TZ") and '"' in value:
        zone = value.split()[0]
        raise Refused(
            f"{name}={zone} stands before an expression, and holds for lines here",
            field=name,
            remedy=f"Write TZ={zone} on a line of its own, above this one",
        )
    if name == "CRON_TZ":
        raise Refused(
            "CRON_TZ is the time zone's name in other crons",
            field="CRON_TZ",
            remedy=f"Write TZ={value}",
        )
    if name == "TZ":
        read_expression("@daily", value, from_crontab=True)
        return {"time_zone": value}
    if name == "MISFIRE":
        check_one_of(value, MISFIRES, field="MISFIRE")
        return {"misfire": value}
    if name == "OVERLAP":
        check_one_of(value, OVERLAPS, field="OVERLAP")
        return {"overlap": value}
    if name == "MAILTO":
        parts = value.split(",") if value else ()
        return {"notify": tuple(check_address(part.strip(), "MAILTO") for part in parts)}
    raise Refused(
        f"the variable {name} means nothing here",
        field=name,
        remedy="There are TZ, MISFIRE, OVERLAP and MAILTO; take the line out",
    )


def _read_line(content: str, variables: Fields, schema_of: SchemaOf) -> ScheduleRequest:
    expression, quote, rest = content.partition('"')
    name, closing, command = rest.partition('"')
    if not quote or not closing:
        what = (
            "the schedule's name in double quotes is missing"
            if not quote
            else "the name's quote is not closed"
        )
        raise Refused(what, field="name", remedy=_LINE_REMEDY)
    try:
        words = shlex.split(command)
    except ValueError:
        raise Refused(
            "a quote among the options is not closed", field="options", remedy="Close it, or take it out"
        ) from None
    if not words or words[0].startswith("-"):
        raise Refused(f"the job of {name!r} is missing", field="job", remedy=_LINE_REMEDY)
    job, *options = words
    schema = schema_of(job)
    given = _Options(schema).read(options)
    request = ScheduleRequest(name=name, cron=expression.strip(), job=job, **{**variables, **given.fields})
    try:
        read_expression(request.cron, request.time_zone, from_crontab=True)
    except Refused:
        _check_user_column(request.cron, request.time_zone)
        raise
    return replace(request, parameters=read_parameters(schema, given.parameters))


def _check_user_column(text: str, time_zone: str) -> None:
    """Refuse the user of a line of /etc/crontab, which stands behind the expression."""
    before, user = text.rsplit(None, 1) if len(text.split()) > 1 else (text, "")
    if not _USER.fullmatch(user) or user.upper() in _NAMES:
        return
    try:
        read_expression(before, time_zone, from_crontab=True)
    except Refused:
        return
    raise Refused(
        f"{user!r} is the user of a line of /etc/crontab, and there is no such column here",
        field="user",
        remedy=f"Take it out; --owner {user} lets the runs be theirs",
    )


def _check_new(name: str, lines: Sequence[CrontabLine]) -> None:
    for line in lines:
        if line.request.name == name:
            raise Refused(
                f"the schedule {name!r} is named in line {line.number} already",
                field="name",
                remedy="Give each its own name",
            )


def option_of(parameter: str, is_list: bool) -> str:
    """The option of `batchwright run` for a parameter: `usage-input` for `usage_input_ids`, `period` for `periods`."""
    stem = parameter.removesuffix("_ids" if is_list else "_id")
    return (stem.removesuffix("s") if is_list else stem).replace("_", "-")


@dataclass
class _Options:
    """The words after a job, taken apart: fields of the schedule, and parameters as `NAME=VALUE`.

    An option of the schedule is never the job's parameter of that name, which is given with `--param`.
    """

    schema: Schema
    fields: Fields = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)

    def read(self, words: Sequence[str]) -> _Options:
        """All the words. Raises `Refused` for the first that cannot be used."""
        of_job = dict(self._options_of_job())
        left = iter(words)
        for word in left:
            if not word.startswith("--"):
                raise Refused(
                    f"{word!r} is not an option",
                    field="options",
                    remedy="Options begin with --; quote a value with blanks",
                )
            name, has_value, value = word[2:].partition("=")
            if name in _FLAGS and not has_value:
                key, said = _FLAGS[name]
                self.fields[key] = said
            elif name not in _TAKEN and of_job.get(name, ("", False))[1] and not has_value:
                self.parameters.append(f"{of_job[name][0]}=true")
            elif name in _READERS or name in of_job or name in ("notify", "param"):
                self._take(name, value if has_value else _value_after(name, left), of_job)
            else:
                raise _unknown(name, of_job)
        return self

    def _take(self, name: str, value: str, of_job: Mapping[str, tuple[str, bool]]) -> None:
        if name == "param":
            self.parameters.append(value)
        elif name == "notify":
            self.fields["notify"] = (*self.fields.get("notify", ()), value)
        elif name in _READERS:
            key, reader = _READERS[name]
            if key in self.fields:
                raise Refused(f"--{name} is given twice", field=name, remedy="Give it once")
            self.fields[key] = value if reader is None else reader(value, field=name)
        else:
            self.parameters.append(f"{of_job[name][0]}={value}")

    def _options_of_job(self) -> Iterator[tuple[str, tuple[str, bool]]]:
        """Option -> the parameter it gives, and whether it is a flag."""
        for parameter, about in self.schema.get("properties", {}).items():
            types = {choice.get("type") for choice in choices_of(about, self.schema)}
            yield option_of(parameter, "array" in types), (parameter, "boolean" in types)


def _value_after(name: str, words: Iterator[str]) -> str:
    value = next(words, None)
    if value is None or value.startswith("--"):
        raise Refused(f"--{name} has no value", field=name, remedy=f"Write --{name} VALUE, or --{name}=VALUE")
    return value


def _unknown(name: str, of_job: Mapping[str, Any]) -> Refused:
    if name in _NOT_HERE:
        return Refused(f"--{name} has no place in a schedule", field=name, remedy=_NOT_HERE[name])
    known = [*of_job, "param", "notify", *_READERS, *_FLAGS]
    near = get_close_matches(name, known)
    remedy = " or ".join(f"--{one}" for one in near or known)
    return Refused(
        f"there is no option --{name}", field=name, remedy=f"Did you mean {remedy}?" if near else remedy
    )
