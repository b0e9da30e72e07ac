"""The batch jobs that the engine runs."""
