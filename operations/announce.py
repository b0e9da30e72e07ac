"""What is recorded in the transaction that ends a run: one mail for each who is to know."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Any

from sqlalchemy import Connection

from config.settings import Settings
from engine.clock import Clock
from engine.errors import Refused
from engine.registry import Registry
from engine.run import Run
from notifications import outbox
from notifications.addresses import recipients
from operations.run_view import view_of

KIND = "run_ended"


class Announcer:
    """Writes the outbox rows of a run that ends; of other rows a message needs only the outcomes."""

    def __init__(self, settings: Settings, place: str, registry: Registry, clock: Clock) -> None:
        self._settings = settings
        self._place = place
        self._registry = registry
        self._clock = clock

    def __call__(self, connection: Connection, run: Run) -> None:
        """Record the mails. The actor's is left out where the run says so (synchronous and dry runs)."""
        addressed = recipients(run.actor, self._settings.actors, run.notify, run.mail_actor)
        if not addressed:
            return
        outbox.record(
            connection,
            kind=KIND,
            run_key=run.id,
            recipients=addressed,
            facts=self._facts(connection, run),
            now=self._clock.now(),
            domain=_domain(self._settings.mail.sender),
        )

    def _facts(self, connection: Connection, run: Run) -> dict[str, Any]:
        return {
            **view_of(connection, run, self._clock.now()),
            **self._words_of_job(run.job),
            "database": self._place,
            "base_url": self._settings.console_url,
            "mail_only_to_files": self._settings.mail.transport == "file",
        }

    def _words_of_job(self, name: str) -> dict[str, str]:
        # A run also ends, as Failed, when its job can no longer be loaded; its mail must not fail for that.
        try:
            job = self._registry.get(name)
        except Refused:
            return {}
        return {
            "record_noun": job.record_noun,
            "retry_unit": job.retry_unit,
            "error_note": job.error_note,
        }


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2] or "localhost"
