"""The shapes of imports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchwright.console.api.models.shapes import Answer


class ImportedFile(Answer):
    """What became of the lines of a file."""

    file: Annotated[str, Field(examples=["usage_inputs.csv"])]
    rows: int
    loaded: int
    updated: int
    skipped: int
    sha256: str


class ImportReport(Answer):
    """What an import did; `bad_lines` is a CSV file of those that were left out, if that was asked for."""

    files: list[ImportedFile]
    billing_schedules_made: int
    usage_schedules_made: int
    skipped: int
    problems: list[str]
    seconds: float
    bad_lines: str | None
