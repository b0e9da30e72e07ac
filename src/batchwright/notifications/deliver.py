"""The mailer: what is due in the outbox is composed, claimed, sent and marked, in this order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog
from sqlalchemy.exc import DBAPIError

from batchwright.config.settings import MailSettings
from batchwright.config.texts import clean_line
from batchwright.engine.clock import Clock
from batchwright.engine.errors import Refused
from batchwright.engine.events import Events, MailDeferred, MailFailed, MailSent, Reached
from batchwright.engine.faults import exponential_pause, is_transient, reason_of
from batchwright.engine.store.database import Database
from batchwright.notifications import outbox
from batchwright.notifications.addresses import parse_address
from batchwright.notifications.compose import Composer
from batchwright.notifications.outbox import HOLD, LEFT_TO_OTHERS, RUN_ENDED, Mail
from batchwright.notifications.records import Excerpt, OutcomeSource, RunRecords, gather
from batchwright.notifications.transports import (
    Envelope,
    FileTransport,
    MailSession,
    PermanentFailure,
    SmtpTransport,
    TemporaryFailure,
    TooLarge,
    Transport,
    TransportDown,
)

__all__ = ["Attempt", "FileTransport", "Mailer", "SendReport", "SmtpTransport", "transport_from"]

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
SECONDS_TO_STOP = 0.1
"""So soon a delivery under way is cancelled."""
CLAIM_KEPT_AFTER = HOLD / 3
_JITTER = 0.2
_ERROR_CHARACTERS = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt at a mail ended. ``place`` is the file, or the server, that it went or should go to."""

    mail_id: str
    recipient: str | None
    result: Literal["sent", "waiting", "failed"]
    place: str
    error: str | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendReport:
    """What a call did, and what is left: ``sent`` and ``failed`` in this call; ``waiting`` and ``no_recipient``
    are the mails in that status, of the run that was asked for, or of all. These are counted when they are read:
    a worker that sends and does not ask reads no outbox of years.
    """

    attempts: tuple[Attempt, ...]
    statuses: Callable[[], Mapping[str, int]]

    @property
    def sent(self) -> int:
        return sum(attempt.result == "sent" for attempt in self.attempts)

    @property
    def failed(self) -> int:
        return sum(attempt.result == "failed" for attempt in self.attempts)

    @property
    def waiting(self) -> int:
        return self.statuses().get(outbox.WAITING, 0)

    @property
    def no_recipient(self) -> int:
        return self.statuses().get(outbox.NO_RECIPIENT, 0)


class Cancelled(Exception):
    """The delivery was cancelled. ``handed_over``: the server has the message, and may have accepted it."""

    def __init__(self, *, handed_over: bool) -> None:
        super().__init__("cancelled while the server was taking it, which may have it")
        self.handed_over = handed_over


def transport_from(settings: MailSettings) -> Transport:
    """The transport that the settings name."""
    if settings.transport == "file":
        return FileTransport(settings.directory)
    password = settings.smtp_password
    return SmtpTransport(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=password.get_secret_value() if password is not None else None,
        security=settings.smtp_security,
    )


def pause_after(attempts: int, chance: float) -> timedelta:
    """How long to wait after so many attempts: 1 minute, doubled each time, at most 6 hours; a fifth more or less.

    ``chance`` from 0 to 1 spreads senders that failed together. There is no last attempt.
    """
    pause = exponential_pause(attempts, FIRST_PAUSE.total_seconds(), LONGEST_PAUSE.total_seconds())
    return timedelta(seconds=pause) * (1 - _JITTER + 2 * _JITTER * chance)


Composed = Envelope | TemporaryFailure | PermanentFailure
"""A message, or why there is none."""


class Mailer:
    """Sends what the outbox holds. Trouble with mail is written to the mail's row and reported, never raised.

    A mail that tells of a run's records is left to a sender whose ``jobs`` have that of the run, and take its
    parameters (``refusal`` is why not), for an hour; then it goes with what ``outcomes`` knows without it.

    With ``route`` it takes only mail that was recorded for that route (``file`` or ``smtp``).

    ``secrets`` gives the facts of a mail that are kept nowhere: they are made for each attempt.

    Not to be called inside a running event loop: each call has its own, and one connection. What ``stop`` says takes
    effect within a moment, also in the middle of a mail, which is then due again: at once, or, where the server may
    have accepted it already, after the pause of a failed attempt.
    """

    def __init__(
        self,
        *,
        database: Database,
        transport: Transport,
        clock: Clock,
        composer: Composer,
        outcomes: OutcomeSource,
        events: Events,
        jobs: Callable[[], Collection[str] | None] = lambda: None,
        refusal: Callable[[str, Mapping[str, Any]], BaseException | None] = lambda job, parameters: None,
        chance: Callable[[], float] = random.random,
        route: str | None = None,
        secrets: Callable[[Mail], Mapping[str, Any]] = lambda mail: {},
    ) -> None:
        self._database = database
        self._transport = transport
        self._clock = clock
        self._composer = composer
        self._outcomes = outcomes
        self._events = events
        self._jobs = jobs
        self._refusal = refusal
        self._chance = chance
        self._route = route
        self._secrets = secrets
        self._unmarked: dict[int, datetime] = {}

    def send_due(self, run_key: int | None = None, stop: Callable[[], bool] = lambda: False) -> SendReport:
        """Try every mail that is due, oldest first, until ``stop`` says so; with ``run_key`` only those of that run.

        Where one of them gets through, the server is back: what was deferred is tried, too, before its time.
        """
        jobs = self._jobs()
        with self._database.read() as connection:
            mail_ids = outbox.due(connection, self._clock.now(), run_key, jobs, self._route)
        report = self._send(mail_ids, run_key, stop)
        if run_key is not None or not report.sent or stop():
            return report
        more = self._send(self._retry_waiting({attempt.mail_id for attempt in report.attempts}), None, stop)
        return replace(more, attempts=report.attempts + more.attempts)

    def send(self, *mail_ids: str, stop: Callable[[], bool] = lambda: False) -> SendReport:
        """Try these mails, if they are due, until ``stop`` says so. Raises ``Refused`` for an unknown id."""
        with self._database.read() as connection:
            run_keys = {outbox.by_id(connection, mail_id).run_key for mail_id in mail_ids}
        return self._send(mail_ids, run_keys.pop() if len(run_keys) == 1 else None, stop)

    def retry(self, mail_id: str) -> SendReport:
        """Try a waiting or failed mail at once. Raises ``Refused`` for one that was sent, is being sent or has no
        recipient.
        """
        with self._database.write() as connection:
            outbox.make_due(connection, mail_id, self._clock.now())
        return self.send(mail_id)

    def _retry_waiting(self, tried: Set[str]) -> list[str]:
        """Mails that were deferred, made due; without those tried just now."""
        with self._database.write() as connection:
            now = self._clock.now()
            deferred = outbox.deferred(connection, now, self._route)
            mail_ids = [mail_id for mail_id in deferred if mail_id not in tried]
            return outbox.retry_now(connection, mail_ids, now)

    def _send(self, mail_ids: Sequence[str], run_key: int | None, stop: Callable[[], bool]) -> SendReport:
        for key, at in list(self._unmarked.items()):
            self._mark_sent(key, at)
        attempts = asyncio.run(self._try_each(mail_ids, stop)) if mail_ids else []
        return SendReport(tuple(attempts), lambda: self._statuses(run_key))

    def _statuses(self, run_key: int | None) -> Mapping[str, int]:
        with self._database.read() as connection:
            return outbox.statuses(connection, run_key)

    async def _try_each(self, mail_ids: Sequence[str], stop: Callable[[], bool]) -> list[Attempt]:
        attempts: list[Attempt] = []
        records = _RecordsOfOneRun(self._outcomes, self._composer.attachment_limit)
        async with self._transport.open() as session:
            for mail_id in mail_ids:
                if stop():
                    break
                with self._database.read() as connection:
                    mail = outbox.by_id(connection, mail_id)
                try:
                    attempt = await self._try(mail, records, session, stop)
                except TransportDown as down:
                    attempts.append(self._defer(mail, down))
                    break
                except Cancelled as cancelled:
                    attempts.append(self._cancel(mail, cancelled))
                    break
                except DBAPIError as error:
                    if not is_transient(error):
                        raise
                    log.warning("mail is left for later", mail=mail_id, reason=reason_of(error))
                    continue
                if attempt is not None:
                    attempts.append(attempt)
        return attempts

    async def _try(
        self, mail: Mail, records: _RecordsOfOneRun, session: MailSession, stop: Callable[[], bool]
    ) -> Attempt | None:
        """One attempt at one mail; ``None`` if it is not due any more, or another sender has it, or should."""
        if not (mail.is_due(self._clock.now()) and mail.leaves_by(self._route)) or self._is_left(mail):
            return None
        if mail.is_ahead(self._clock.now()):
            log.warning("a clock was ahead when a mail was claimed; it is sent now", mail=mail.mail_id)
        # Composed before the claim: a large run takes its time to read, and a claim must outlive that.
        composed = self._composed(mail, records)
        with self._database.write() as connection:
            if not outbox.claim(connection, mail, self._clock.now()):
                return None
        self._events.publish(Reached(mail.run_id, "mail claimed"))
        try:
            await self._hand_over(mail, composed, records, session, stop)
        except PermanentFailure as refusal:
            return self._give_up(mail, refusal)
        except TransportDown:
            raise
        except TemporaryFailure as failure:
            return self._defer(mail, failure)
        self._events.publish(Reached(mail.run_id, "mail accepted"))
        self._mark_sent(mail.key, self._clock.now())
        self._events.publish(Reached(mail.run_id, "mail marked"))
        self._events.publish(MailSent(mail.mail_id, mail.run_id))
        return Attempt(mail.mail_id, mail.recipient, "sent", self._transport.place(mail.mail_id))

    async def _hand_over(
        self,
        mail: Mail,
        composed: Composed,
        records: _RecordsOfOneRun,
        session: MailSession,
        stop: Callable[[], bool],
    ) -> None:
        """Hand the message over; where it is too large for the server, once more without its attachments."""
        try:
            await self._send_unless(stop, mail, _envelope(composed), session)
        except TooLarge as refusal:
            of_run = records.of(mail)
            if not of_run.files:
                raise
            log.warning("mail goes without its attachments", mail=mail.mail_id, reason=str(refusal))
            await self._send_unless(stop, mail, _envelope(self._compose(mail, of_run.without_files)), session)

    async def _send_unless(
        self, stop: Callable[[], bool], mail: Mail, envelope: Envelope, session: MailSession
    ) -> None:
        """Send it, keeping its claim meanwhile. Raises `Cancelled` soon after `stop` says so."""
        sending = asyncio.ensure_future(session.send(envelope))
        try:
            claimed = time.monotonic()
            while not (await asyncio.wait({sending}, timeout=SECONDS_TO_STOP))[0]:
                if stop():
                    raise Cancelled(handed_over=getattr(session, "handed_over", False))
                if time.monotonic() - claimed > CLAIM_KEPT_AFTER.total_seconds():
                    claimed = time.monotonic()
                    self._keep_claim(mail)
            sending.result()
        except (TemporaryFailure, PermanentFailure, Cancelled):
            raise
        # A library's own, over an unexpected answer: the next mail must not suffer.
        except Exception as fault:
            raise TemporaryFailure(f"{type(fault).__name__}: {reason_of(fault)}") from fault
        finally:
            sending.cancel()
            await asyncio.wait({sending})

    def _keep_claim(self, mail: Mail) -> None:
        try:
            with self._database.write() as connection:
                outbox.keep_claim(connection, mail.key, mail.attempts + 1, self._clock.now())
        except DBAPIError as error:
            if not is_transient(error):
                raise
            log.warning("the claim of a mail could not be kept", mail=mail.mail_id, reason=reason_of(error))

    def _mark_sent(self, key: int, at: datetime) -> None:
        """Mark what was accepted. Where its row is locked, with the next round of mail: it is sent again if it stays
        unmarked until its claim has run out.
        """
        try:
            with self._database.write() as connection:
                outbox.mark_sent(connection, key, at)
            self._unmarked.pop(key, None)
        except DBAPIError as error:
            if not is_transient(error):
                raise
            self._unmarked[key] = at
            log.warning("mail was accepted and cannot be marked yet", reason=reason_of(error))

    def _is_left(self, mail: Mail) -> bool:
        """Whether it is left to a sender that has the job of its run."""
        if mail.kind != RUN_ENDED or mail.created_at <= self._clock.now() - LEFT_TO_OTHERS:
            return False
        return self._refusal(mail.facts.get("job", ""), mail.facts.get("parameters", {})) is not None

    def _composed(self, mail: Mail, records: _RecordsOfOneRun) -> Composed:
        try:
            of_run = records.of(mail)
        # Whatever a job raises over its records, the next mail is tried now.
        except Exception as fault:
            if isinstance(fault, DBAPIError) and is_transient(fault):
                raise
            return TemporaryFailure(f"the records cannot be read: {type(fault).__name__}: {reason_of(fault)}")
        return self._compose(mail, of_run)

    def _compose(self, mail: Mail, records: RunRecords) -> Composed:
        try:
            recipient = parse_address(mail.recipient or "").addr_spec
        except Refused as refusal:
            return PermanentFailure(str(refusal))
        try:
            whole = replace(mail, facts={**mail.facts, **self._secrets(mail)})
            message = self._composer.compose(whole, records, self._clock.now())
            return Envelope(mail.mail_id, self._composer.sender.addr_spec, recipient, message.as_bytes())
        # A template of the user's own can raise anything; the mail waits for its repair.
        except Exception as fault:
            return TemporaryFailure(f"the message cannot be made: {type(fault).__name__}: {reason_of(fault)}")

    def _defer(self, mail: Mail, failure: TemporaryFailure | Cancelled) -> Attempt:
        own = mail.attempts + 1
        next_time = self._clock.now() + pause_after(own, self._chance())
        error = _shortened(failure)
        with self._database.write() as connection:
            outbox.mark_waiting(connection, mail.key, own, next_time, error)
        self._events.publish(MailDeferred(mail.mail_id, mail.run_id, error))
        place = self._transport.place(mail.mail_id)
        return Attempt(mail.mail_id, mail.recipient, "waiting", place, error, next_time)

    def _cancel(self, mail: Mail, cancelled: Cancelled) -> Attempt:
        """Leave the mail to the next sender: at once, but where the server may have accepted it."""
        if cancelled.handed_over:
            return self._defer(mail, cancelled)
        now = self._clock.now()
        with self._database.write() as connection:
            outbox.mark_waiting(connection, mail.key, mail.attempts + 1, now, None)
        return Attempt(
            mail.mail_id, mail.recipient, "waiting", self._transport.place(mail.mail_id), None, now
        )

    def _give_up(self, mail: Mail, refusal: PermanentFailure) -> Attempt:
        error = _shortened(refusal)
        with self._database.write() as connection:
            outbox.mark_failed(connection, mail.key, mail.attempts + 1, error)
        self._events.publish(MailFailed(mail.mail_id, mail.run_id, error))
        return Attempt(mail.mail_id, mail.recipient, "failed", self._transport.place(mail.mail_id), error)


def _shortened(failure: Exception) -> str:
    return clean_line(reason_of(failure))[:_ERROR_CHARACTERS]


def _envelope(composed: Composed) -> Envelope:
    if isinstance(composed, Envelope):
        return composed
    raise composed


class _RecordsOfOneRun:
    """The records of one run, read once for all its recipients."""

    def __init__(self, outcomes: OutcomeSource, limit: int) -> None:
        self._outcomes = outcomes
        self._limit = limit
        self._run_id: str | None = None
        self._records: RunRecords | None = None

    def of(self, mail: Mail) -> RunRecords:
        if mail.kind != RUN_ENDED:
            return RunRecords(errored=Excerpt(), processed=Excerpt())
        run_id: str = mail.facts["run_id"]
        if self._records is None or self._run_id != run_id:
            self._records = gather(self._outcomes, run_id, self._limit)
            self._run_id = run_id
        return self._records
