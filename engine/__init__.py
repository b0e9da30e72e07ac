"""The batch framework: knows no job by name, and nothing of billing."""

from engine.job import BatchJob, DryRunJob, Outcome, Record, Scope

__all__ = ["BatchJob", "DryRunJob", "Outcome", "Record", "Scope"]
