"""A real SMTP server on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class ReceivedMail:
    """One mail as it came over the wire. `sender` and `recipients` are the envelope's."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The parsed message."""
        return email.message_from_bytes(self.content, policy=email.policy.default)


class SmtpServer:
    """Collects the mail it accepts in `messages`, oldest first. It keeps its port while it is down."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.port = _free_port()
        self.messages: list[ReceivedMail] = []
        self._arrived = threading.Condition()
        self._answer: str | None = None
        self._hangs_up_on: str | None = None
        self._controller: Controller | None = None

    def start(self) -> None:
        """Listens. Does nothing if it does so already."""
        if self._controller is None:
            self._controller = Controller(
                self,
                hostname=self.host,
                port=self.port,
                server_hostname="localhost",  # else it looks this machine's name up, which can take seconds
            )
            self._controller.start()

    def stop(self) -> None:
        """Takes it down: connections are refused. The mail it has is kept."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def behave(self) -> None:
        """Accepts mail again, after any of the faults below."""
        self._answer = self._hangs_up_on = None

    def refuse(self, answer: str = "550 5.1.1 No such user") -> None:
        """Answers every recipient with `answer`; a code of 4xx asks to try later, 5xx never to try again."""
        self._answer = answer

    def hang_up(self, *, after_data: bool = False) -> None:
        """Drops the connection: as soon as it is greeted, or with the mail taken but its receipt not said."""
        self._hangs_up_on = "DATA" if after_data else "EHLO"

    def wait_for(self, count: int, timeout_seconds: float = 10) -> list[ReceivedMail]:
        """The mail, as soon as there is `count` of it. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.messages) >= count, timeout_seconds):
                raise TimeoutError(f"{len(self.messages)} of {count} mails arrived in {timeout_seconds} s")
            return list(self.messages)

    # What aiosmtpd asks of its handler, by its names.

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if self._hangs_up_on == "EHLO":
            _hang_up(server)
        return responses

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._answer is not None:
            return self._answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = cast(bytes, envelope.content)
        mail = ReceivedMail(envelope.mail_from or "", tuple(envelope.rcpt_tos), content)
        with self._arrived:
            self.messages.append(mail)
            self._arrived.notify_all()
        if self._hangs_up_on == "DATA":
            _hang_up(server)
        return "250 OK"


def _hang_up(server: SMTP) -> None:
    cast(asyncio.Transport, server.transport).abort()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
