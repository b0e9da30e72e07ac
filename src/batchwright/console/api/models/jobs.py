"""The shapes of jobs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from batchwright.console.api.models.shapes import Answer


class Job(Answer):
    """A job."""

    name: Annotated[str, Field(examples=["draft-usage-rating"])]
    type: str
    record_noun: str
    retry_unit: str | None
    scope_size: int
    dry_run: bool
    description: str


class JobShown(Job):
    """A job, with the JSON schema of its parameters."""

    parameters: dict[str, Any]
