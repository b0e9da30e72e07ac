"""The batch engine: runs, scopes, outcomes, schedules and their store."""
