"""The OpenAPI document of the API, and the page for people that is made from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from batchwright.console.api.door import ProblemDocument

VERSION: Final = "1"
"""Of the API: doors, parameters and keys of answers are added under it, and nothing else changes."""
_SAID: Final = (
    "Programs reach here everything that people reach on the command line. Amounts and quantities are strings;"
    " times are ISO 8601 in UTC. Lists come in pages: `next` is the `after` of the page behind, and `null` at the"
    " end alone. Unknown parameters are refused. Ignore keys that you do not know: more may be added."
)
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The `ETag` of what was shown; `*` for whatever it is now.",
    "schema": {"type": "string"},
}


_MEANINGS: Final = {
    "400": "The request cannot be read",
    "401": "The token is missing or not valid",
    "403": "The caller lacks the right",
    "404": "There is nothing of that name or id",
    "409": "What is there forbids it at the moment",
    "410": "It was deleted",
    "412": "It was changed after it was shown",
    "413": "The body is too large",
    "415": "The body is of another media type",
    "422": "A parameter, or what it names, cannot be used",
    "428": "If-Match is missing",
    "429": "Too much at a time; ask again after `Retry-After`",
    "500": "A fault of the service",
    "503": "The database is away; ask again after `Retry-After`",
}
"""Of the statuses of refusals."""


def document_of(web: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the doors."""
    told = get_openapi(
        title=web.title, version=VERSION, openapi_version="3.1.0", description=_SAID, routes=web.routes
    )
    problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = told["components"]
    parts["schemas"] |= {**problem.pop("$defs"), "ProblemDocument": problem}
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    parts["responses"] = {}
    told["security"] = [{"token": []}]
    for _, _, operation in operations_of(told):
        answers = operation["responses"]
        if "428" in answers:
            operation.setdefault("parameters", []).append(_IF_MATCH)
        for status in answers.keys() & _MEANINGS.keys():
            parts["responses"][status] = {**answers[status], "description": _MEANINGS[status]}
            answers[status] = {"$ref": f"#/components/responses/{status}"}
        operation["responses"] = dict(sorted(answers.items()))
        for body in operation.get("requestBody", {}).get("content", {}).values():
            body["schema"].pop("default", None)  # some generators of clients cannot read it
    parts["responses"] = dict(sorted(parts["responses"].items()))
    return told


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def page_of(document: dict[str, Any]) -> str:
    """The document as HTML: without a script, and without a style of its own."""
    by_tag: dict[str, list[str]] = {}
    for method, path, operation in operations_of(document):
        said = _operation(method, path, operation, document["components"]["responses"])
        by_tag.setdefault(operation["tags"][0], []).append(said)
    parts = [f'<h2 id="{_id(tag)}">{_text(tag)}</h2>{"".join(said)}' for tag, said in by_tag.items()]
    schemas = (_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    title = _text(f"{document['info']['title']}: HTTP API")
    links = " · ".join(f'<a href="#{_id(tag)}">{_text(tag)}</a>' for tag in by_tag)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        f"<h1>{title}</h1><p>{_text(document['info']['description'])}</p>"
        f'<p>Send a token as <code>Authorization: Bearer bw_…</code>. <a href="openapi.json">OpenAPI document</a></p>'
        f'<nav>{links} · <a href="#shapes">shapes</a></nav>{"".join(parts)}'
        f'<h2 id="shapes">Shapes</h2>{"".join(schemas)}</body></html>'
    )


def _operation(method: str, path: str, operation: dict[str, Any], refusals: dict[str, Any]) -> str:
    said = [
        f'<h3 id="{_id(operation["operationId"])}"><code>{_text(method)} {_text(path)}</code></h3>',
        f"<p>{_text(operation.get('summary', ''))}</p>",
        f"<p>Operation <code>{_text(operation['operationId'])}</code>; role {_text(operation['x-role'])}.</p>",
    ]
    parameters = operation.get("parameters", [])
    if parameters:
        rows = (
            (_text(one["name"]), _text(one["in"]), _type(one["schema"]), _needed(one)) for one in parameters
        )
        said.append(_table(("Parameter", "In", "Type", ""), rows))
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        said.append(f"<p>Body: {_type(content['schema'])} ({_text(media)})</p>")
    answers = (
        (_text(status), _text(told["description"]), _content(told))
        for status, given in operation["responses"].items()
        for told in (refusals[status] if "$ref" in given else given,)
    )
    return "".join(said) + _table(("Status", "Meaning", "Answer"), answers)


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = (
        (_text(key), _type(value), "required" if key in required else _default(value), _examples(value))
        for key, value in schema.get("properties", {}).items()
    )
    about = _text(schema.get("description", ""))
    table = _table(("Name", "Type", "", "Example"), rows)
    return f'<h3 id="{_id(name)}">{_text(name)}</h3><p>{about}</p>{table}'


def _content(answer: dict[str, Any]) -> str:
    found = answer.get("content", {}).items()
    return "; ".join(f"{_type(content.get('schema', {}))} ({_text(media)})" for media, content in found)


def _type(schema: dict[str, Any]) -> str:
    """What a value is, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{_id(name)}">{_text(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{_text(json.dumps(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = _text(schema.get("type", "any value"))
    return f"{kind} <code>{_text(schema['pattern'])}</code>" if "pattern" in schema else kind


def _needed(parameter: dict[str, Any]) -> str:
    return "required" if parameter.get("required") else _default(parameter["schema"])


def _default(schema: dict[str, Any]) -> str:
    return f"default <code>{_text(json.dumps(schema['default']))}</code>" if "default" in schema else ""


def _examples(schema: dict[str, Any]) -> str:
    return ", ".join(f"<code>{_text(json.dumps(one))}</code>" for one in schema.get("examples", []))


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>" if body else ""


def _id(name: str) -> str:
    return escape(name.replace(" ", "-"))


def _text(text: str) -> str:
    return escape(str(text))
