"""The batch jobs that the engine runs."""

from batchwright.jobs.data_recalculation import DataRecalculationJob
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.jobs.usage_input_changes import UsageInputDeletionJob, UsageInputResetJob
from batchwright.jobs.usage_rating import UsageRatingJob
from batchwright.jobs.usage_unrating import UsageUnratingJob

__all__ = [
    "DataRecalculationJob",
    "DraftUsageRatingJob",
    "UsageInputDeletionJob",
    "UsageInputResetJob",
    "UsageRatingJob",
    "UsageUnratingJob",
]
