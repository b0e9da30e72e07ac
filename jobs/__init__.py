"""The batch jobs that the engine runs."""

from jobs.data_recalculation import DataRecalculationJob
from jobs.draft_usage_rating import DraftUsageRatingJob
from jobs.usage_rating import UsageRatingJob
from jobs.usage_unrating import UsageUnratingJob

__all__ = ["DataRecalculationJob", "DraftUsageRatingJob", "UsageRatingJob", "UsageUnratingJob"]
