"""The application of the jobs' tests, opened once on each database; every test finds its tables empty."""

from tests.jobs.conftest import app, applications, write

__all__ = ["app", "applications", "write"]
