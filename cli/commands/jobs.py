"""`batchwright jobs`."""

from __future__ import annotations

from typing import Any

import click

from cli.answers import Column, write_facts, write_json, write_rows, write_table
from cli.groups import Group
from cli.options import as_json_option
from cli.session import application
from operations import jobs as operation

COLUMNS = (
    Column("name", "Job"),
    Column("type", "Type"),
    Column("scope_size", "Scope size", numeric=True),
    Column("retry_unit", "Retry unit"),
    Column("description", "Description"),
)
PARAMETER_COLUMNS = (
    Column("name", "Parameter"),
    Column("type", "Type"),
    Column("default", "Default"),
    Column("description", "Description"),
)


@click.group("jobs", cls=Group, example="batchwright jobs list")
def jobs() -> None:
    """The jobs there are and their parameters."""


@jobs.command("list", example="batchwright jobs list")
@as_json_option
def list_(as_json: bool) -> None:
    """List the jobs."""
    with application() as app:
        rows = operation.list_jobs(app)
    write_rows(rows, COLUMNS, format="json" if as_json else "table", nothing="There is no job.")


@jobs.command("show", example="batchwright jobs show draft-usage-rating")
@click.argument("name", metavar="JOB")
@as_json_option
def show(name: str, as_json: bool) -> None:
    """Show a job and the schema of its parameters."""
    with application() as app:
        job = operation.show_job(app, name)
    if as_json:
        write_json(job)
        return
    write_facts((column.title, job[column.field]) for column in COLUMNS)
    if rows := _parameters(job["parameters"]):
        click.echo()
        write_table(rows, PARAMETER_COLUMNS)


def _parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "type": _type(field),
            "default": field.get("default"),
            "description": field.get("description"),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    """The type of a JSON schema in words: ``array of string or null``."""
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if field.get("type") == "array":
        return f"array of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))
