"""The batch framework: knows no job by name, and nothing of billing."""

from batchwright.engine.job import BatchJob, DryRunJob, Group, Outcome, Record, Scope

__all__ = ["BatchJob", "DryRunJob", "Group", "Outcome", "Record", "Scope"]
