"""Which jobs there are: the entry points ``batchwright.jobs`` and the import paths of the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points

from engine.errors import Refused
from engine.job import BatchJob

ENTRY_POINT_GROUP = "batchwright.jobs"


class Registry:
    """Jobs by name. Loaded at first use, so that making it imports nothing.

    ``import_paths`` are ``module:Class``; modules may lie in the working directory.
    """

    def __init__(self, import_paths: Iterable[str] = ()) -> None:
        self._import_paths = tuple(import_paths)
        self._jobs: dict[str, type[BatchJob]] = {}
        self._loaded = False

    def add(self, job: type[BatchJob]) -> None:
        """Add a job class. Raises ``Refused`` when its name is taken by another class."""
        known = self._jobs.setdefault(job.name, job)
        if known is not job:
            raise Refused(
                f"two jobs are named {job.name}: {_where(known)} and {_where(job)}",
                field="jobs",
                remedy="Rename one of them",
            )

    def get(self, name: str) -> type[BatchJob]:
        """The job of that name. Raises ``Refused`` with the nearest names when there is none."""
        jobs = self._load()
        if name in jobs:
            return jobs[name]
        near = get_close_matches(name, jobs)
        remedy = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(sorted(jobs))}"
        raise Refused(f"there is no job named {name!r}", field="job", remedy=remedy)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._load())

    def _load(self) -> dict[str, type[BatchJob]]:
        if not self._loaded:
            shipped = [point.value for point in entry_points(group=ENTRY_POINT_GROUP)]
            for path in (*shipped, *self._import_paths):
                self.add(_import(path))
            self._loaded = True
        return self._jobs


def _import(path: str) -> type[BatchJob]:
    # The last place to look, so that a folder named config or jobs there hides none of our packages.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    module, _, attribute = path.partition(":")
    try:
        job = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise Refused(
            f"cannot import the job {path!r}: {error}",
            field="jobs",
            remedy="Write it as module:Class, importable from the working directory",
        ) from error
    if not (isinstance(job, type) and issubclass(job, BatchJob)):
        raise Refused(
            f"{path!r} is not a BatchJob", field="jobs", remedy="Name a subclass of engine.BatchJob"
        )
    return job


def _where(job: type[BatchJob]) -> str:
    return f"{job.__module__}:{job.__qualname__}"
