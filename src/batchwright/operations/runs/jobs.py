"""Which jobs there are, and what they take."""

from __future__ import annotations

import inspect

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, DryRunJob, json_schema_of
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.views import View


def list_jobs(app: Application, *, actor: Actor | None = None) -> list[View]:
    """The jobs by name: `name, type, record_noun, retry_unit, scope_size, dry_run, description`.

    The unit is `None` for one that cannot be retried.
    """
    permit(app, actor, Right.LOOK, "job.list")
    return [_job(app.registry.get(name)) for name in app.registry.names()]


def broken_jobs(app: Application) -> list[str]:
    """Of each job that is registered but cannot be imported its import path and why; two of one name, too."""
    try:
        return app.registry.broken()
    except Refused as refusal:
        return [refusal.message]


def show_job(app: Application, name: str, *, actor: Actor | None = None) -> View:
    """One job, with the JSON schema of its `parameters`. Refuses an unknown name, and offers the nearest ones."""
    permit(app, actor, Right.LOOK, "job.show")
    return described_job(app, name)


def described_jobs(app: Application) -> list[View]:
    """Every job as `described_job`: what a list of commands is made of, also where there is no database."""
    return [described_job(app, name) for name in app.registry.names()]


def described_job(app: Application, name: str) -> View:
    """One job as `show_job`, also where there is no database."""
    job = app.registry.get(name)
    return {**_job(job), "parameters": json_schema_of(job.Parameters)}


def _job(job: type[BatchJob]) -> View:
    return {
        "name": job.name,
        "type": job.type,
        "record_noun": job.record_noun,
        "retry_unit": job.retry_unit if job.can_be_retried() else None,
        "scope_size": job.scope_size,
        "dry_run": issubclass(job, DryRunJob),
        "description": inspect.cleandoc(job.__doc__ or "").partition("\n\n")[0],
    }
