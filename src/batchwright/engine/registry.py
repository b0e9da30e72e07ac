"""Which jobs there are: the entry points ``batchwright.jobs`` and the import paths of the settings."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from inspect import isabstract, isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, get_args

from batchwright.engine.errors import NotFound, Refused, error_text
from batchwright.engine.job import BatchJob, checked_parameters
from batchwright.engine.job_code import JOB_CODE

CALLED = (
    *(
        "start",
        "execute",
        "finish",
        "select",
        "check",
        "count",
        "compute",
        "apply",
        "preview",
        "preview_finish",
    ),
    *("retry_parameters", "record_ids", "record_keys", "record_facts"),
)
"""What the engine calls of a job."""
DOING = ("execute", "finish", "check", "apply")
"""Those of which nobody looks at what they give."""
ENTRY_POINT_GROUP = "batchwright.jobs"


class Registry:
    """Jobs by name. Loaded at first use, so that making it imports nothing.

    ``import_paths`` are ``module:Class``; modules may lie in the working directory, which is searched first for them.
    One that cannot be imported keeps nobody from the others.
    """

    def __init__(self, import_paths: Iterable[str] = ()) -> None:
        self._import_paths = tuple(import_paths)
        self._jobs: dict[str, type[BatchJob]] = {}
        self._broken: list[str] = []
        self._loaded = False

    def add(self, job: type[BatchJob]) -> None:
        """Add a job class. Raises ``Refused`` when its name is taken by another class."""
        if problem := _problem(job):
            raise Refused(
                f"the job {job.name} cannot be registered: {problem}", field="jobs", remedy="Correct it"
            )
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
        said = "; ".join([f"there is no job named {name!r}", *self._broken])
        raise NotFound(said, field="job", remedy=remedy)

    def make(self, name: str, parameters: Mapping[str, Any]) -> BatchJob:
        """The job of that name, made with its parameters. Raises ``Refused`` for what does not fit, and whatever else
        its constructor raises.
        """
        job = self.get(name)
        try:
            with JOB_CODE:
                return job(**parameters)
        except TypeError:
            # A constructor that names its parameters does not say in our words that one is missing.
            checked_parameters(job.Parameters, parameters)
            raise

    def check(self, job: BatchJob) -> None:
        """Raise ``Refused`` unless the job's class is here under its name: no process could drive its run."""
        if self._load().get(job.name) is not type(job):
            path = f"{type(job).__module__}:{type(job).__qualname__}"
            raise Refused(
                f"{type(job).__qualname__} is not registered as the job {job.name!r}, so no process could drive its"
                " run",
                field="job",
                remedy=f"Name it in BATCHWRIGHT_JOBS as {path}",
            )

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._load())

    def broken(self) -> list[str]:
        """Of each job that cannot be imported its path and why."""
        self._load()
        return list(self._broken)

    def load(self, *, seconds: float) -> None:
        """Import the jobs now. One whose import takes longer than that is as one that cannot be imported."""
        self._load(seconds)

    def _load(self, seconds: float | None = None) -> dict[str, type[BatchJob]]:
        if not self._loaded:
            self._broken = []
            self._import_all((point.value for point in entry_points(group=ENTRY_POINT_GROUP)), seconds)
            if self._import_paths:
                with _working_directory_first():
                    self._import_all(self._import_paths, seconds)
            self._loaded = True
        return self._jobs

    def _import_all(self, paths: Iterable[str], seconds: float | None) -> None:
        for path in paths:
            try:
                with JOB_CODE:
                    job = _import(path) if seconds is None else _import_within(path, seconds)
            except Exception as error:  # whatever its module raises, the others still load
                self._broken.append(f"cannot import the job {path!r}: {error_text(error)}")
            else:
                self.add(job)


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Search the working directory first in the block, so that an author's ``jobs`` is not that of some package.

    From then on it is searched last, for what a job imports while it works: what lies there hides no module of ours,
    or of Python, that is loaded later.
    """
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _import_within(path: str, seconds: float) -> type[BatchJob]:
    """Import it on a thread of its own, which is left behind where it takes longer than that."""
    found: list[type[BatchJob]] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with JOB_CODE:
                found.append(_import(path))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=f"import of {path}", daemon=True)
    thread.start()
    thread.join(seconds)
    for error in raised:
        raise error
    if not found:
        raise TimeoutError(
            f"its import takes longer than {seconds:g} s; start the worker again once it does not"
        )
    return found[0]


def _import(path: str) -> type[BatchJob]:
    module, _, attribute = path.partition(":")
    job = getattr(import_module(module), attribute)
    if not (isinstance(job, type) and issubclass(job, BatchJob)):
        raise TypeError("it is not a subclass of batchwright.BatchJob")
    for fact in ("name", "type"):
        if not isinstance(getattr(job, fact, None), str):
            raise TypeError(f"its class attribute {fact!r} is not text")
    if isabstract(job):
        raise TypeError(f"it does not say how to {', '.join(sorted(job.__abstractmethods__))}")
    if problem := _problem(job):
        raise TypeError(problem)
    return job


def _problem(job: type[BatchJob]) -> str | None:
    """Why a job would look done and not be."""
    for name in CALLED:
        method = getattr(job, name, None)
        if iscoroutinefunction(method) or isasyncgenfunction(method):
            return (
                f"{name} is async, and nobody would await it: define it with def, or call asyncio.run in it"
            )
        if name in DOING and isgeneratorfunction(method):
            return f"{name} yields, so that nothing of it would be done: leave out the yield"
    for name, field in job.Parameters.model_fields.items():
        if _is_secret(field.annotation, ()):
            return (
                f"its parameter {name!r} is a secret, and parameters are stored and shown: read it from the"
                f" environment, as os.environ[{name.upper()!r}], where the job works"
            )
    return None


def _is_secret(annotation: Any, seen: tuple[Any, ...]) -> bool:
    """Whether a secret is in values of that type, at whatever depth."""
    if any(secret in repr(annotation) for secret in ("SecretStr", "SecretBytes", "Secret[")):
        return True
    if any(annotation is known for known in seen):
        return False
    fields = getattr(annotation, "model_fields", None) or {}
    parts = [*get_args(annotation), *(field.annotation for field in fields.values())]
    return any(_is_secret(part, (*seen, annotation)) for part in parts)


def _where(job: type[BatchJob]) -> str:
    return f"{job.__module__}:{job.__qualname__}"
