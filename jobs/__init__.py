"""The batch jobs that the engine runs."""

from jobs.draft_usage_rating import DraftUsageRatingJob

__all__ = ["DraftUsageRatingJob"]
