"""What is recorded in the transaction that ends a run, or finds it late: one mail for each who wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from batchwright.billing.records import restating
from batchwright.config.settings import Settings
from batchwright.engine.clock import Clock
from batchwright.engine.errors import Refused, error_text
from batchwright.engine.faults import is_transient
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.registry import Registry
from batchwright.engine.retry import retry_refusal
from batchwright.engine.run import Run
from batchwright.jobs.usage_restating import REASONS
from batchwright.notifications import outbox
from batchwright.notifications.addresses import parse_address, recipients
from batchwright.notifications.preferences import by_preference, in_trouble, next_midnight
from batchwright.notifications.records import SHOWN
from batchwright.operations import views
from batchwright.operations.address_book import address_book
from batchwright.operations.roles import right_for_job
from batchwright.operations.run_view import view_of

KIND = "run_ended"

log = structlog.get_logger()


class Announcer:
    """Writes the outbox rows of a run that ends; of other rows a message needs only the outcomes."""

    def __init__(self, settings: Settings, place: str, registry: Registry, clock: Clock) -> None:
        self._settings = settings
        self._place = place
        self._registry = registry
        self._clock = clock

    def __call__(self, connection: Connection, run: Run) -> None:
        """Record the mails that their recipients want, some for their digest.

        The actor's is left out where the run says so (synchronous and dry runs).
        """
        known = address_book(connection, self._settings)
        addressed = recipients(run.actor, known.addresses, run.notify, run.mail_actor)
        if not addressed:
            return
        facts = self._facts_safely(connection, run)
        record_by_preference(
            connection,
            self._settings,
            known.choices,
            kind=KIND,
            run_key=run.id,
            recipients=addressed,
            facts=facts,
            in_trouble=in_trouble(facts),
            now=self._clock.now(),
        )

    def _facts_safely(self, connection: Connection, run: Run) -> dict[str, Any]:
        """The facts; where they cannot be made, the bare ones: a mail that says little is more than none."""
        try:
            with connection.begin_nested(), JOB_CODE:
                return self._facts(connection, run)
        except Exception as error:
            if is_transient(error):
                raise
            log.error("a mail has bare facts alone", run_id=run.run_id, reason=error_text(error))
            bare = replace(run, totals={}, parameters={})
            return {
                **views.run(bare, parent_run_id=None, warnings=[], now=self._clock.now()),
                **self._surroundings(),
            }

    def _facts(self, connection: Connection, run: Run) -> dict[str, Any]:
        return {
            **view_of(connection, run, self._clock.now()),
            **_restated(connection, run),
            **self._of_job(connection, run),
            **self._surroundings(),
        }

    def _surroundings(self) -> dict[str, Any]:
        return {
            "database": self._place,
            "label": self._settings.label,
            "base_url": self._settings.console_url,
            "mail_only_to_files": self._settings.mail.transport == "file",
        }

    def _of_job(self, connection: Connection, run: Run) -> dict[str, Any]:
        # A run also ends, as Failed, when its job can no longer be loaded; its mail must not fail for that.
        try:
            job = self._registry.get(run.job)
        except Refused:
            return {}
        refusal = retry_refusal(connection, self._registry, run)
        return {
            "record_noun": job.record_noun,
            "retry_unit": job.retry_unit,
            "retry_role": right_for_job(job),
            "cannot_retry": None if refusal is None else refusal.message,
            "error_note": job.error_note,
        }


def _restated(connection: Connection, run: Run) -> dict[str, Any]:
    """What it restated: the first of them, how many, and why."""
    number = restating.number_restated(connection, run.id)
    if not number:
        return {}
    first = restating.restatements_in(connection, run.id, SHOWN)
    return {
        "restated": list(map(views.restatement, first)),
        "number_restated": number,
        "restated_because": REASONS[run.job].of_all,
    }


def record_by_preference(
    connection: Connection,
    settings: Settings,
    choices: Mapping[str, str],
    *,
    kind: str,
    run_key: int | None,
    recipients: Sequence[str | None],
    facts: Mapping[str, Any],
    in_trouble: bool,
    now: datetime,
) -> None:
    """Record a mail for each recipient who wants it, some for their digest; in the caller's transaction.

    Args:
        choices: what each chose, by bare address, as `batchwright.operations.address_book.address_book` gives them.
        in_trouble: whether it tells of trouble, for those who want no other mail.
    """
    at_once, in_digest = by_preference(recipients, choices, in_trouble=in_trouble)
    midnight = next_midnight(now, ZoneInfo(settings.time_zone))
    for some, digest_at in ((at_once, None), (in_digest, midnight)):
        outbox.record(
            connection,
            kind=kind,
            run_key=run_key,
            recipients=some,
            facts=facts,
            now=now,
            domain=mail_domain(settings),
            digest_at=digest_at,
            route=settings.mail.transport,
        )


def mail_domain(settings: Settings) -> str:
    """The sender's domain in ASCII, which ends every Message-ID."""
    return parse_address(settings.mail.sender).domain
