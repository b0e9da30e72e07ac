"""How the parameters of a job look to people: their types in words, and a command line that gives them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batchwright.cli.output import Column
from batchwright.operations.runs.parameters import Schema, choices_of

COLUMNS = (
    Column("name", "Parameter"),
    Column("type", "Type"),
    Column("default", "Default"),
    Column("description", "Description"),
)
_WORDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "object (JSON)",
    "date": "date",
    "date-time": "time",
}
_EXAMPLES = {
    "integer": "1",
    "number": "1.5",
    "boolean": "true",
    "object": "{}",
    "date": "2026-01-31",
    "date-time": "2026-01-31T08:00:00Z",
}


def parameter_rows(schema: Schema) -> list[dict[str, str | None]]:
    """A row for each parameter: name, type, default (or that it is required), description."""
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "type": type_words(field, schema),
            "default": "required" if name in required else _default(field),
            "description": field.get("description"),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def type_words(field: Schema, whole: Schema) -> str:
    """The type of a field in words: ``whole number from 1``, ``list of text``, ``one of a, b``."""
    choices = [choice for choice in choices_of(field, whole) if choice.get("type") != "null"]
    if _is_decimal(choices):
        return "decimal number"
    return " or ".join(dict.fromkeys(_words(choice, whole) for choice in choices)) or "any"


def example_of(job: Mapping[str, Any]) -> str:
    """A command line that runs the job, with every parameter that is required; one more with the first that is not."""
    schema = job["parameters"]
    required = list(schema.get("required", ()))
    optional = [name for name in schema.get("properties", {}) if name not in required]
    lines = [_line(job["name"], schema, required)]
    if not required and optional:
        lines.append(_line(job["name"], schema, optional[:1]))
    return "\n".join(lines)


def _line(job: str, schema: Schema, names: Sequence[str]) -> str:
    given = [f"{name}={_example(name, schema['properties'][name], schema)}" for name in names]
    words = ["batchwright", "run", job]
    for one in given:
        words += ["--param", one]
    return shlex.join(words)


def _words(choice: Schema, whole: Schema) -> str:
    if "enum" in choice:
        return f"one of {', '.join(map(str, choice['enum']))}"
    if "const" in choice:
        return str(choice["const"])
    if choice.get("type") == "array":
        return f"list of {type_words(choice.get('items', {}), whole)}"
    kind = choice.get("type", "any")
    name = _WORDS.get(choice.get("format", kind)) or _WORDS.get(kind, str(kind))
    return " ".join([name, *_bounds(choice)])


def _bounds(choice: Schema) -> Iterator[str]:
    for key, words in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
        ("pattern", "like"),
    ):
        if key in choice:
            yield f"{words} {choice[key]}"


def _is_decimal(choices: Sequence[Schema]) -> bool:
    """pydantic describes a Decimal as a number or a text."""
    kinds = [choice.get("type") for choice in choices]
    return kinds == ["number", "string"]


def _default(field: Schema) -> str | None:
    default = field.get("default")
    return default if default is None or isinstance(default, str) else json.dumps(default)


def _example(name: str, field: Schema, whole: Schema) -> str:
    if field.get("examples"):
        return str(field["examples"][0])
    choice = next((one for one in choices_of(field, whole) if one.get("type") != "null"), {})
    if choice.get("type") == "array":
        return _example(name, choice.get("items", {}), whole)
    if "enum" in choice:
        return str(choice["enum"][0])
    kind = choice.get("type", "string")
    bound = choice.get("minimum", choice.get("maximum"))
    if bound is not None and kind in ("integer", "number"):
        return str(bound)
    return _EXAMPLES.get(choice.get("format", kind)) or _EXAMPLES.get(kind, name.upper())
