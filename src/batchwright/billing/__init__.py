"""The domain that the jobs work on: prices, usage, schedules and money."""
