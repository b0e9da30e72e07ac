"""What a worker does now and then: it says that it is there, seals the audit trail, makes the daily digests, deletes
selections that have expired, answers kept for long enough, old sign-ins and what pruned runs have left, adds the
forecast up, and tells of tokens that expire and of mail that nobody sends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from batchwright.engine.duty import DutyThread, unheard
from batchwright.engine.events import MailUntouched
from batchwright.engine.faults import reason_of
from batchwright.engine.lease import GonePeers
from batchwright.engine.store.leases import LeaseStore
from batchwright.notifications import outbox
from batchwright.operations.access.sealing import seal_committed
from batchwright.operations.access.tries import prune_sign_ins
from batchwright.operations.app import Application
from batchwright.operations.billing.forecast import refresh_forecast
from batchwright.operations.billing.selections import prune_selections
from batchwright.operations.idempotency import prune_keyed_calls
from batchwright.operations.runs.pruning import delete_pruned
from batchwright.operations.worker.digests import make_digests
from batchwright.operations.worker.expiring_tokens import notify_of_expiring_tokens
from batchwright.operations.workers import Presence

SECONDS_BETWEEN = 10.0
"""How long an entry waits for its seal at most. A look where nothing waits is one statement on a short index."""

SECONDS_OF_DELETING = 5.0
"""Of records of pruned runs, each time: the other duties wait meanwhile."""

REFRESHES = 10
"""Of the forecast, one after the other, in a second."""

UNTOUCHED_FOR = timedelta(days=1)
"""A mail that was due so long ago and that nobody has tried since is logged, once in that time."""

log = structlog.get_logger()


class Maintenance:
    """Does it at the start, every ten seconds, and at the end, in a thread of its own. Any number may do so at once.

    `on_mail` is called when there is mail to send.
    """

    def __init__(
        self,
        app: Application,
        on_mail: Callable[[], None],
        on_failure: Callable[[BaseException], None] = unheard,
    ) -> None:
        self._app = app
        self._on_mail = on_mail
        self._presence = Presence(app)
        self._logged_at: datetime | None = None
        self._added_up = False
        self._stop = threading.Event()
        self._thread = DutyThread("maintenance", self._loop, on_failure)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float | None = None) -> bool:
        """Do it a last time, and wait for that, so many seconds at most; whether it has ended."""
        self._stop.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        stopping, peers = False, GonePeers(LeaseStore(self._app.database), self._app.clock)
        while not stopping:
            stopping = self._stop.is_set()
            self._try("this worker could not say that it is there", lambda app: self._presence.beat())
            self._try("the audit trail could not be sealed; it waits", seal_committed)
            self._try(
                "heartbeats of processes that are gone could not be looked for", lambda app: peers.look()
            )
            self._try("the daily digests could not be made; they wait", self._mails(make_digests))
            self._try("selections that have expired could not be deleted", prune_selections)
            self._try("answers of old calls could not be deleted", prune_keyed_calls)
            self._try("old sessions and tries to sign in could not be deleted", prune_sign_ins)
            self._try(
                "users could not be told of tokens that expire; it waits",
                self._mails(notify_of_expiring_tokens),
            )
            self._try("records of pruned runs could not be deleted; they wait", self._delete_pruned)
            self._try("mail that nobody sends could not be looked for", self._log_untouched)
            self._wait()
        self._try("this worker is still listed, as silent", lambda app: self._presence.end())

    def _wait(self) -> None:
        """Wait for the next time; as long as inputs change, the forecast is added up again meanwhile, each second."""
        deadline = self._app.clock.monotonic() + SECONDS_BETWEEN
        self._added_up = True
        while self._added_up and (left := deadline - self._app.clock.monotonic()) > 0:
            self._added_up = False
            self._try("the forecast could not be added up; who looks does so", self._add_up)
            if self._stop.wait(1.0 if self._added_up else left):
                return

    def _add_up(self, app: Application) -> None:
        for _ in range(REFRESHES):
            if not refresh_forecast(app) or self._stop.is_set():
                return
            self._added_up = True

    def _delete_pruned(self, app: Application) -> None:
        deadline = self._app.clock.monotonic() + SECONDS_OF_DELETING
        delete_pruned(app, lambda: self._stop.is_set() or self._app.clock.monotonic() > deadline)

    def _mails(self, record: Callable[[Application], int]) -> Callable[[Application], None]:
        def duty(app: Application) -> None:
            if record(app):
                self._on_mail()

        return duty

    def _log_untouched(self, app: Application) -> None:
        now = app.clock.now()
        if self._logged_at is not None and now - self._logged_at < UNTOUCHED_FOR:
            return
        with app.database.read() as connection:
            found = outbox.untouched(connection, now - UNTOUCHED_FOR)
        for each in found:
            app.events.publish(MailUntouched(each.route, each.number, each.oldest))
            self._logged_at = now

    def _try(self, trouble: str, duty: Callable[[Application], Any]) -> None:
        try:
            duty(self._app)
        except BaseException as error:  # a thread that ends is missed by nobody
            log.warning(trouble, reason=reason_of(error))
