"""What people do to many usage inputs at once: reset those in Error to Loaded, delete those that are not Rated.

One by one, or a thousand of them, it is an operation; what a filter selects is a run, with an outcome for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import model_validator

from batchwright.billing.records import assets_and_inputs, inputs, preview
from batchwright.billing.records.assets_and_inputs import InputRow
from batchwright.billing.records.candidates import Candidates
from batchwright.billing.records.inputs import InputStatus
from batchwright.engine.job import Preview, Schema, Scope
from batchwright.jobs.usage_preview import INPUT
from batchwright.jobs.usage_selection import UsageJob, UsageParameters, expect


class Parameters(UsageParameters):
    """Usage input ids, asset line item ids, or a selection: one of them."""

    @model_validator(mode="after")
    def _names_something(self) -> Parameters:
        if self.model_dump() == {"usage_input_ids": None, "asset_line_item_ids": None}:
            raise ValueError(
                "no usage inputs were named; give their ids, asset line item ids, or a selection"
            )
        return self


class UsageInputChange(UsageJob):
    """Sets the same values on inputs, in the status that each was read with."""

    Parameters: ClassVar[Schema] = Parameters
    values: ClassVar[Mapping[str, Any]]
    shown: ClassVar[Mapping[str, Any]]
    """The values as the lines of a dry run show them."""

    def compute(self, scope: Scope) -> list[InputRow]:
        """The inputs that will be changed; the others are reported."""
        locked = assets_and_inputs.lock_assets(scope.connection, scope.groups)
        rows = self.eligible(scope)
        self.attribute(scope, locked, rows)
        return list(map(InputRow._make, rows))

    def apply(self, scope: Scope, computed: Sequence[InputRow]) -> None:
        """Write the values; every status moves only from the one that was read."""
        seen = [{"id": row.key, "status": row.status} for row in computed]
        expect(inputs.change(scope.connection, seen, self.values), seen)

    def preview(self, scope: Scope, computed: Sequence[InputRow]) -> Iterator[Preview]:
        """One line for each input that would be changed; no amount is."""
        current = preview.inputs(scope.connection, [row.key for row in computed], "draft")
        for row in computed:
            one = current[row.key]
            detail = {"status": row.status, **{f"{name}_after": value for name, value in self.shown.items()}}
            yield Preview(INPUT, one.record_id, None, detail, None, one.customer_id)


class UsageInputResetJob(UsageInputChange):
    """Sets usage inputs in Error back to Loaded, without code and message, so that they are rated again."""

    name = "usage-input-reset"
    type = "Usage input reset"
    error_note = "A usage input with an error was not reset."
    usual = InputStatus.ERROR  # which says who put it there: every input is looked at
    values: ClassVar[Mapping[str, Any]] = {"status": InputStatus.LOADED, **inputs.NO_ERROR}
    shown: ClassVar[Mapping[str, Any]] = {"status": InputStatus.LOADED}

    @property
    def candidates(self) -> Candidates:
        """Those in Error."""
        return Candidates.ERRORS

    def takes(self, row: InputRow) -> bool:
        """In Error, whoever put it there."""
        return row.status == InputStatus.ERROR

    def why_not(self, row: InputRow) -> str:
        """Its status, and what makes it Loaded."""
        if row.status == InputStatus.RATED:
            return "its status is Rated: unrating takes the rated amount back first"
        return "its status is Loaded already"


class UsageInputDeletionJob(UsageInputChange):
    """Deletes usage inputs that are not Rated: they are listed and rated no more, and their ids stay taken."""

    name = "usage-input-deletion"
    type = "Usage input deletion"
    error_note = "A usage input with an error was not deleted, or had been before."
    values: ClassVar[Mapping[str, Any]] = {"deleted": True}
    shown: ClassVar[Mapping[str, Any]] = {"deleted": True}

    @property
    def candidates(self) -> Candidates:
        """Those that are not Rated."""
        return Candidates.NOT_RATED

    def takes(self, row: InputRow) -> bool:
        """Loaded or in Error."""
        return row.status != InputStatus.RATED

    def why_not(self, row: InputRow) -> str:
        """Its status, and what takes it back."""
        return f"its status is {row.status}: unrating takes the rated amount back first"
