"""The form of a schedule: what is typed into it, as text, and the request that it makes.

The parameters of the job are fields as in the form that launches it. A field that is left blank is not given.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import FormData, QueryParams

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.launching import PREFIX, Field, Given, fields_of, texts_of, unknown_of
from batchwright.console.problems import Problem
from batchwright.engine.errors import Refused
from batchwright.operations.runs.parameters import read_parameters
from batchwright.operations.schedules.cron import ExpressionRefused, read_last_moment
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

NUMBERS: Final = ("grace_seconds", "cap", "scope_size", "start_within_minutes", "finish_within_minutes")
TEXTS: Final = (
    "name",
    "cron",
    "job",
    "owner",
    "time_zone",
    "misfire",
    "overlap",
    "start",
    "end",
    "notify",
    "reason",
    "explanation",
    "error_ceiling",
    "ping",
    *NUMBERS,
)
USUAL: Final = {"time_zone": "UTC", "misfire": "latest", "overlap": "skip", "cap": "24", "mail_owner": "true"}
MORE: Final = ("reason", "explanation", "error_ceiling", "ping", *NUMBERS)
"""Fields that few schedules want."""
_OURS: Final = {"csrf_token", "form_key", "show", "done", "expected"}


@dataclass(frozen=True)
class ScheduleForm:
    """What is typed: texts of the fields and of the job's parameters by name; ``expected`` is the version shown.

    `kept` are parameters that are secret, which nobody is shown: they stay where nothing new is typed.
    """

    job: View
    fields: Sequence[Field]
    texts: Mapping[str, str]
    given: Given
    expected: str | None = None
    kept: Mapping[str, Any] | None = None

    def text(self, name: str) -> str | None:
        """What is typed into a field, or what holds without."""
        return self.texts.get(name, USUAL.get(name))

    @property
    def secret(self) -> list[str]:
        """The names of the parameters that are never shown."""
        return [field.name for field in self.fields if field.kind == "secret"]

    @property
    def shows_more(self) -> bool:
        """Whether a field is filled that few schedules want."""
        return any(self.text(name) != USUAL.get(name) for name in MORE)

    def unlike(self, other: ScheduleForm) -> Iterator[tuple[str, str | None, str | None]]:
        """The fields that differ from another form: name, what that has, and what this has."""
        for name in (*TEXTS, "mail_owner"):
            if self.text(name) != other.text(name) and name != "name":
                yield name, other.text(name), self.text(name)
        for name in sorted({*self.given, *other.given}):
            theirs, ours = (" ".join(one.given.get(name, ())) or None for one in (other, self))
            if theirs != ours:
                yield name, theirs, ours

    def seen(self, expected: str | None) -> ScheduleForm:
        """The same, typed by somebody who has seen another version."""
        return replace(self, expected=expected)

    def values(self) -> dict[str, Any]:
        """The fields of a `ScheduleRequest`. Refuses what is not a number or a time."""
        texts = [f"{name}={value}" for name, values in self.given.items() for value in values]
        values: dict[str, Any] = {name: self.text(name) for name in TEXTS if name not in NUMBERS}
        values["name"], values["cron"] = values["name"] or "", values["cron"] or ""
        values["parameters"] = {**(self.kept or {}), **read_parameters(self.job["parameters"], texts)}
        values["notify"] = (values["notify"] or "").split()
        values["mail_owner"] = self.text("mail_owner") == "true"
        for name in NUMBERS:
            values[name] = _number(name, self.text(name))
        for name in ("start", "end"):
            text = values[name]
            values[name] = None if text is None else read_last_moment(text, field=name)
        return values

    def query(self) -> dict[str, Any]:
        """What of it stands in an address: all but secrets and what holds without being said."""
        given = {PREFIX + name: values for name, values in self.given.items() if name not in self.secret}
        texts = {name: text for name, text in self.texts.items() if text != USUAL.get(name)}
        return {**texts, **given, "expected": self.expected}

    def at_fault(self, refused: Refused) -> Refused:
        """The same refusal with the id of the field on the page."""
        name = (refused.field or "").partition(".")[0]
        parameters = {field.name for field in self.fields}
        at = name if name in (*TEXTS, "mail_owner") else PREFIX + name if name in parameters else None
        if isinstance(refused, ExpressionRefused):
            at = "time_zone" if refused.position is None else "cron"
        message = refused.message
        for text in (text for secret in self.secret for text in self.given.get(secret, ())):
            message = message.replace(repr(text), "what was typed").replace(text, "what was typed")
        return Refused(message, field=at, remedy=refused.remedy)


def version_of_terms(schedule: View) -> str:
    """The version of what people decide of a schedule: a fire does not change it."""
    return version_of({name: schedule[name] for name in (*TEXTS, "parameters", "mail_owner")})


def form_of_address(job: View, query: QueryParams) -> ScheduleForm:
    """What the address of the form holds. Refuses (422) a parameter that there is not, and a secret."""
    fields = _fields_of(job)
    known = {field.key: field for field in fields if field.kind != "secret"}
    for key, value in query.multi_items():
        check_text(key, "query")
        check_text(value, key)
        if key not in known and key not in (*TEXTS, "mail_owner", *_OURS):
            said = f"{key.removeprefix(PREFIX)} is not known here"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, key, "Leave it out of the address")
    return _form(job, fields, query)


def form_of_post(job: View, form: FormData, before: View | None = None) -> ScheduleForm:
    """What was sent; `before` is the schedule that it changes."""
    fields = _fields_of(job)
    secrets = {field.name for field in fields if field.kind == "secret"}
    kept = {name: value for name, value in (before or {}).get("parameters", {}).items() if name in secrets}
    return _form(job, fields, form, kept, is_sent=True)


def form_of_schedule(job: View, schedule: View) -> ScheduleForm:
    """What a schedule holds already, as somebody would type it. Of another job's parameters nothing."""
    fields = _fields_of(job)
    parameters = schedule["parameters"] if schedule["job"] == job["name"] else {}
    texts = {name: _shown(schedule[name]) for name in TEXTS if schedule.get(name) not in (None, [])}
    texts |= {"job": job["name"], "mail_owner": _shown(schedule["mail_owner"])}
    given = {
        field.name: _listed(field, parameters[field.name])
        for field in fields
        if parameters.get(field.name) is not None and field.kind != "secret"
    }
    return ScheduleForm(job, fields, texts, given, version_of_terms(schedule))


def shown_parameters(job: View | None, parameters: Mapping[str, Any]) -> str | None:
    """The parameters of a schedule that are set, as text, without secret ones; of a job that is gone their names."""
    if not parameters:
        return None
    known = {one.name: one.kind for one in fields_of(job["parameters"])} if job else {}
    hidden = {name for name in parameters if known.get(name, "text" if job else "secret") == "secret"}
    set_ones = {name: value for name, value in parameters.items() if value is not None}
    shown = {name: "(not shown)" if name in hidden else value for name, value in set_ones.items()}
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _fields_of(job: View) -> list[Field]:
    """The parameters that a schedule can have: not those that expire before it fires."""
    schema = job["parameters"]
    return [one for one in fields_of(schema) if "x-expires" not in schema["properties"][one.name]]


def _form(
    job: View,
    fields: Sequence[Field],
    source: FormData | QueryParams,
    kept: Mapping[str, Any] | None = None,
    *,
    is_sent: bool = False,
) -> ScheduleForm:
    texts = {name: str(source.get(name) or "").strip() for name in (*TEXTS, "mail_owner", "expected")}
    expected = texts.pop("expected") or None
    texts = {name: text for name, text in texts.items() if text}
    given: dict[str, list[str]] = {}
    for field in fields:
        values = [value for value in source.getlist(field.key) if isinstance(value, str)]
        if field.kind == "check" and not values and is_sent:
            values = ["false"]
        given[field.name] = texts_of(field, values)
    if is_sent:
        given |= unknown_of(fields, source)
    return ScheduleForm(
        job,
        fields,
        texts | {"job": job["name"]},
        {name: values for name, values in given.items() if values},
        expected,
        kept,
    )


def _number(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        said = f"{name} {text!r} is not a whole number"
        raise Refused(said, field=name, remedy="Give a whole number, such as 60") from None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return " ".join(value) if isinstance(value, list) else str(value)


def _listed(field: Field, value: Any) -> list[str]:
    """The texts of a parameter's value, as the form's field takes it."""
    if isinstance(value, list) and field.kind in ("lines", "boxes"):
        return [one if isinstance(one, str) else json.dumps(one) for one in value]
    return [value if isinstance(value, str) else json.dumps(value)]
