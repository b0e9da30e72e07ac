"""What may be done to usage inputs, in words, and who does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from batchwright.billing.records.inputs import InputStatus
from batchwright.engine.job import BatchJob
from batchwright.jobs import DraftUsageRatingJob, UsageRatingJob
from batchwright.operations.billing.service import BillingService
from batchwright.operations.views import View


@dataclass(frozen=True)
class Act:
    """What may be done to usage inputs: the words of its buttons, what it does, and the statuses that it takes.

    ``done`` is the notice after it. ``warning_of_one`` is said in place of
    ``warning`` where one is meant. ``at_once_if_few``: who says nothing has it done at once. ``job`` does the same to
    many, also as a dry run.
    """

    words: str
    of_one: str
    does: str
    takes: tuple[InputStatus, ...]
    done: str
    call: Callable[..., View]
    warning: str | None = None
    warning_of_one: str | None = None
    danger: bool = False
    forecasts: bool = False
    at_once_if_few: bool = False
    job: type[BatchJob] | None = None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What it does, and as which job it stands in the log of runs, for who is asked before it."""
        return [("What it does", self.does), *([("Job", self.job.type)] if self.job else [])]


ACTS: Final[Mapping[str, Act]] = {
    "draft-rate": Act(
        "Draft rate",
        "Draft rate",
        "The forecast amount is written to (Draft) Rated Amount and to the usage schedules. Nothing is billed by it.",
        (InputStatus.LOADED, InputStatus.RATED, InputStatus.ERROR),
        "The usage input was draft rated.",
        BillingService.draft_pending_usage_input,
        "What an earlier forecast wrote to the usage schedules of these assets is overwritten, "
        "and only the chosen inputs are in the new one.",
        "What an earlier forecast wrote to the usage schedules of its asset is overwritten, and only this input is in "
        "the new one.",
        forecasts=True,
        job=DraftUsageRatingJob,
    ),
    "rate": Act(
        "Process",
        "Process Usage Input",
        "The amount is written to Rated Amount and added to the fee of the billing schedule.",
        (InputStatus.LOADED,),
        "The usage input was processed: it is rated.",
        BillingService.process_pending_usage_input,
        job=UsageRatingJob,
    ),
    "unrate": Act(
        "Unrate",
        "Unrate",
        "The rated amount is taken off the billing schedule, if no invoice was made of that, and the input goes to "
        "Error until it is reset. Inputs after it in the same window are computed again.",
        (InputStatus.RATED,),
        "The rated amount was taken back.",
        BillingService.process_rated_usage_input,
        danger=True,
    ),
    "reset": Act(
        "Reset",
        "Reset",
        "The input goes from Error back to Loaded, and the next rating charges it.",
        (InputStatus.ERROR,),
        "The usage input is Loaded again.",
        BillingService.reset_usage_input,
        at_once_if_few=True,
    ),
    "delete": Act(
        "Delete",
        "Delete",
        "The input is listed and rated no more.",
        (InputStatus.LOADED, InputStatus.ERROR),
        "The usage input was deleted.",
        BillingService.delete_usage_input,
        "This cannot be undone, and the id stays taken.",
        danger=True,
        at_once_if_few=True,
    ),
}
