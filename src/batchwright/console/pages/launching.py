"""The form that launches a job: its fields, made of the JSON schema of the job's parameters, and what they hold.

A field's value is text, as on the command line: `read_parameters` shapes it and the job's own schema checks it, so that
a form refuses what the command refuses, in the same words. A field that is left blank is not given. In the form and in
the address each parameter has the prefix ``p.``, which keeps it apart from all else that stands there.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from starlette.datastructures import FormData, QueryParams

from batchwright.console.api.bodies import check_text
from batchwright.console.problems import Problem
from batchwright.engine.errors import Refused
from batchwright.operations.runs.parameters import Schema, choices_of, read_parameters
from batchwright.operations.runs.submitting import RunTerms
from batchwright.operations.views import View

PREFIX: Final = "p."
TERMS: Final = ("mode", "reason", "notify", "scope_size", "error_ceiling")
MODES: Final = ("dry_run", "batch")
MOST_RADIOS: Final = 5
LONGEST_ADDRESS: Final = 6_000
"""Characters; servers and browsers take no longer ones for sure."""
_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""A time as the browser's field gives it: without a zone, and the page says that it is UTC."""
_BOUNDS: Final = (
    ("minimum", "from"),
    ("exclusiveMinimum", "above"),
    ("maximum", "to"),
    ("exclusiveMaximum", "below"),
    ("minLength", "at least this many characters:"),
    ("maxLength", "at most this many characters:"),
)
_KINDS: Final = {
    "integer": "number",
    "number": "number",
    "boolean": "radio",
    "object": "json",
    "date": "date",
    "date-time": "time",
    "password": "secret",
}
_WORDS: Final = {
    "time": "in UTC",
    "decimal": "a decimal number",
    "json": "as JSON",
    "lines": "one per line",
    "secret": "kept out of every address and never shown again",
}

Given = Mapping[str, Sequence[str]]
"""The texts of each parameter, those that are not blank."""


@dataclass(frozen=True)
class Field:
    """A parameter of the job as a field of the form.

    ``kind`` is ``number``, ``decimal``, ``date``, ``time``, ``radio``, ``select``, ``check``, ``lines``, ``boxes``,
    ``json``, ``secret`` or ``text``. ``default`` is what holds where nothing is given, as text. ``options`` are values
    with their words, ``limits`` attributes of the element.
    """

    name: str
    label: str
    kind: str
    required: bool
    default: str | None
    hint: str
    options: Sequence[tuple[str, str]] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its name in the form and in the address, and its id on the page."""
        return PREFIX + self.name


def fields_of(schema: Schema) -> list[Field]:
    """The fields for the parameters of a schema; one of an unknown type is text."""
    return [_field(name, of, schema) for name, of in schema.get("properties", {}).items()]


@dataclass(frozen=True)
class Launch:
    """What a form, or an address, holds: the texts of the parameters, and the terms of the run by name."""

    job: View
    fields: Sequence[Field]
    given: Given
    terms: Mapping[str, str]

    def parameters(self) -> dict[str, Any]:
        """The values for the job. Refuses what the command refuses."""
        texts = [f"{name}={value}" for name, values in self.given.items() for value in values]
        return read_parameters(self.job["parameters"], texts)

    @property
    def mode(self) -> str:
        """The mode that is wanted: a dry run where nobody says another, and the job can."""
        return self.terms.get("mode") or ("dry_run" if self.job["dry_run"] else "batch")

    @property
    def secret(self) -> list[str]:
        """The names of the parameters that are never shown."""
        return [one.name for one in self.fields if one.kind == "secret"]

    @property
    def shows_more(self) -> bool:
        """Whether one of the terms is given that few runs want."""
        return not self.terms.keys().isdisjoint(("notify", "scope_size", "error_ceiling"))

    def run_terms(self) -> RunTerms:
        """The terms of the run. Refuses a size that is none, and a mode in which somebody would have to wait for it."""
        if self.mode not in MODES:
            said = f"{self.mode!r} is not a valid mode of a run that is launched here"
            raise Refused(said, field="mode", remedy=f"Give one of {', '.join(MODES)}")
        terms: RunTerms = {}
        if "reason" in self.terms:
            terms["reason"] = self.terms["reason"]
        if "notify" in self.terms:
            terms["notify"] = self.terms["notify"].split()
        if "error_ceiling" in self.terms:
            terms["error_ceiling"] = self.terms["error_ceiling"]
        if (size := self.terms.get("scope_size")) is not None:
            try:
                terms["scope_size"] = int(size)
            except ValueError:
                said = f"{size!r} is not a valid number of records for a scope"
                raise Refused(said, field="scope_size", remedy="Give a whole number, such as 200") from None
        return terms

    def query(self) -> dict[str, Any]:
        """What of it stands in an address: all but secrets, and what holds without being said."""
        given = {PREFIX + name: values for name, values in self.given.items() if name not in self.secret}
        usual = "dry_run" if self.job["dry_run"] else "batch"
        terms = {name: text for name, text in self.terms.items() if (name, text) != ("mode", usual)}
        return {**given, **terms}

    def at_fault(self, refused: Refused) -> Refused:
        """The same refusal with the id of the field on the page, and without what is secret."""
        name = (refused.field or "").partition(".")[0]
        is_parameter = name in self.job["parameters"].get("properties", {})
        at = PREFIX + name if is_parameter else name if name in TERMS else None
        message = refused.message
        for text in (text for secret in self.secret for text in self.given.get(secret, ())):
            for shown in (repr(text), reprlib.repr(text), *([text] if len(text) > 3 else [])):
                message = message.replace(shown, "what was typed")
        return Refused(message, field=at, remedy=refused.remedy)


def launch_of_address(job: View, query: QueryParams) -> Launch:
    """What the address of the form holds. Refuses (422) a parameter that there is not, and a secret."""
    fields = fields_of(job["parameters"])
    known = {one.key: one for one in fields}
    for key, value in query.multi_items():
        check_text(key, "query")
        check_text(value, key)
        if key in known and known[key].kind == "secret":
            raise _not_in_address(key, "is secret, and an address is seen and kept by others")
        if key not in known and key not in (*TERMS, "done"):
            raise _not_in_address(key, "is not known here")
    given = {one.name: texts_of(one, query.getlist(one.key)) for one in fields}
    terms = {name: query[name] for name in TERMS if query.get(name)}
    return Launch(job, fields, {name: texts for name, texts in given.items() if texts}, terms)


def launch_of_form(job: View, form: FormData) -> Launch:
    """What was typed."""
    fields = fields_of(job["parameters"])
    given: dict[str, list[str]] = {}
    for one in fields:
        values = [value for value in form.getlist(one.key) if isinstance(value, str)]
        if one.kind == "check" and not values:
            values = ["false"]
        given[one.name] = texts_of(one, values)
    given |= unknown_of(fields, form)
    typed = {name: str(form.get(name) or "").strip() for name in TERMS}
    return Launch(
        job,
        fields,
        {name: texts for name, texts in given.items() if texts},
        {name: text for name, text in typed.items() if text},
    )


def unknown_of(fields: Sequence[Field], form: FormData | QueryParams) -> dict[str, list[str]]:
    """The parameters that a form was not asked for: left out, a typo could mean *all*."""
    known = {one.key for one in fields}
    return {
        key.removeprefix(PREFIX): [str(value) for value in form.getlist(key)]
        for key in form
        if key.startswith(PREFIX) and key not in known
    }


def _not_in_address(key: str, why: str) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{key.removeprefix(PREFIX)} {why}",
        key,
        "Leave it out of the address",
    )


def texts_of(of: Field, values: Iterable[str]) -> list[str]:
    """The texts that a field gives: not what is blank, and not a choice that holds anyway."""
    if of.kind == "lines":
        return [line.strip() for value in values for line in value.splitlines() if line.strip()]
    texts = [value for value in values if value]
    if of.kind == "time":
        texts = [f"{text}Z" if _LOCAL.fullmatch(text) else text for text in texts]
    if of.kind in ("radio", "select", "check") and texts == [of.default]:
        return []
    return texts


def _field(name: str, of: Schema, whole: Schema) -> Field:
    choices = [choice for choice in choices_of(of, whole) if choice.get("type") != "null"]
    lists = [choice for choice in choices if choice.get("type") == "array"]
    single = list(choices_of(lists[0].get("items", {}), whole)) if lists else choices
    options = list(_options(single))
    required = name in whole.get("required", ())
    default = _text_of(of.get("default"))
    kind = _kind(single, options, required or default is None)
    if of.get("format") == "password" or of.get("writeOnly"):
        kind = "secret"
    if lists and kind != "secret":
        kind = "boxes" if kind in ("radio", "select") and _is_choice(single) else "lines"
    if kind == "radio" and not required and default is None:
        options = [("", "Not given"), *options]
    return Field(
        name,
        _label(name, of),
        kind,
        required,
        default,
        _hint(of, single, kind, default),
        options if kind in ("radio", "select", "boxes") else (),
        dict(_limits(single)) if kind == "number" else {},
    )


def _kind(choices: Sequence[Schema], options: Sequence[Any], needs_an_answer: bool) -> str:
    if options and len(choices) == sum(map(_has_options, choices)):
        if not _is_choice(choices) and not needs_an_answer:
            return "check"
        return "radio" if len(options) <= MOST_RADIOS else "select"
    if [choice.get("type") for choice in choices] == ["number", "string"]:
        return "decimal"  # as pydantic describes a Decimal
    if len(choices) != 1:
        return "text"
    (choice,) = choices
    kind = str(choice.get("type", ""))
    return _KINDS.get(str(choice.get("format", kind))) or _KINDS.get(kind, "text")


def _has_options(choice: Schema) -> bool:
    return "enum" in choice or "const" in choice or choice.get("type") == "boolean"


def _is_choice(choices: Sequence[Schema]) -> bool:
    return any(choice.get("type") != "boolean" for choice in choices)


def _options(choices: Sequence[Schema]) -> Iterator[tuple[str, str]]:
    for choice in choices:
        if "enum" in choice or "const" in choice:
            for member in choice.get("enum", [choice.get("const")]):
                text = _text_of(member) or ""
                yield text, text
        elif choice.get("type") == "boolean":
            yield from (("true", "Yes"), ("false", "No"))


def _limits(choices: Sequence[Schema]) -> Iterator[tuple[str, Any]]:
    whole = choices[0].get("type") == "integer"
    yield "step", 1 if whole else "any"
    for key, attribute, further in (
        ("minimum", "min", 0),
        ("maximum", "max", 0),
        ("exclusiveMinimum", "min", 1),
        ("exclusiveMaximum", "max", -1),
    ):
        if key in choices[0] and (whole or not further):
            yield attribute, choices[0][key] + further


def _hint(of: Schema, choices: Sequence[Schema], kind: str, default: str | None) -> str:
    described = str(of.get("description") or "").strip().rstrip(".")
    bounds = [f"{words} {choice[key]}" for choice in choices for key, words in _BOUNDS if key in choice]
    parts = [described[:1].upper() + described[1:], " ".join(bounds).capitalize()]
    parts.append(_WORDS.get(kind, "").capitalize())
    if of.get("examples"):
        parts.append(f"For example {_text_of(of['examples'][0])}")
    if default is not None and kind != "check":
        parts.append(f"Default: {default}")
    return ". ".join(filter(None, parts))


def _label(name: str, of: Schema) -> str:
    """The title that the author gave; pydantic's own is the name with a capital for each word."""
    title = str(of.get("title") or "")
    plain = name.replace("_", " ")
    return title if title and title.lower() != plain.lower() else plain[:1].upper() + plain[1:]


def _text_of(value: Any) -> str | None:
    """A value of the schema as it is typed."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
