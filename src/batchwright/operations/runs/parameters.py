"""Parameters of a job as people type them, `NAME=VALUE`, to values; `engine.job.checked_parameters` checks these."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from batchwright.engine.errors import Refused

Schema = Mapping[str, Any]
"""A JSON schema, as pydantic makes it."""


def read_parameters(schema: Schema, texts: Iterable[str]) -> dict[str, Any]:
    """The values of `NAME=VALUE` texts by name, shaped as `schema` has it: a list is typed one value at a time.

    Values stay text (the job's schema reads numbers, dates and choices from it) but for objects, which are typed as
    JSON. Refuses text of another form, an unknown name, and a name that is repeated though it takes one value.
    """
    given: dict[str, list[str]] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise Refused(
                f"{text!r} is not NAME=VALUE", field="param", remedy="Write it as --param NAME=VALUE"
            )
        given.setdefault(name, []).append(value)
    known = schema.get("properties", {})
    for name in given:
        if name not in known:
            raise _unknown(name, known)
    return {name: _value(name, values, known[name], schema) for name, values in given.items()}


def choices_of(field: Schema, whole: Schema) -> Iterator[Schema]:
    """The schemas that a value of `field` may follow, references followed and unions taken apart."""
    if "$ref" in field:
        yield from choices_of(whole["$defs"][field["$ref"].rpartition("/")[2]], whole)
    elif "anyOf" in field or "oneOf" in field:
        for choice in field.get("anyOf", field.get("oneOf", ())):
            yield from choices_of(choice, whole)
    else:
        yield field


def _value(name: str, values: Sequence[str], field: Schema, whole: Schema) -> Any:
    choices = [choice for choice in choices_of(field, whole) if choice.get("type") != "null"]
    lists = [choice for choice in choices if choice.get("type") == "array"]
    if lists and (len(values) > 1 or len(lists) == len(choices)):
        return [_one(name, value, list(choices_of(lists[0].get("items", {}), whole))) for value in values]
    if len(values) > 1:
        raise Refused(
            f"{name} is given {len(values)} times and takes one value: {', '.join(values)}",
            field=name,
            remedy="Give it once",
        )
    return _one(name, values[0], choices)


def _one(name: str, text: str, choices: Sequence[Schema]) -> Any:
    if not choices or any(choice.get("type") != "object" for choice in choices):
        return next((member for member in _members(choices) if json.dumps(member) == text), text)
    try:
        return json.loads(text)
    except RecursionError:
        remedy = "Give one with fewer levels"
        raise Refused(f"{name} is nested too deeply", field=name, remedy=remedy) from None
    except ValueError as error:
        at = f": line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        remedy = f"""Write it as JSON, such as --param '{name}={{"key": "value"}}'"""
        raise Refused(
            f"{name} is an object, and {text!r} is not JSON{at}", field=name, remedy=remedy
        ) from None


def _members(choices: Iterable[Schema]) -> Iterator[Any]:
    """Choices that are not text: a schema takes no text in their place."""
    for choice in choices:
        members = choice.get("enum", [choice["const"]] if "const" in choice else ())
        yield from (member for member in members if not isinstance(member, str))


def _unknown(name: str, known: Iterable[str]) -> Refused:
    near = get_close_matches(name, list(known))
    names = ", ".join(known)
    remedy = (
        f"Did you mean {' or '.join(near)}?" if near else f"There are: {names}" if names else "It takes none"
    )
    return Refused(f"the job has no parameter {name!r}", field=name, remedy=remedy)
