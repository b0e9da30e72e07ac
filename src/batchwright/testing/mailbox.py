"""A mailbox in a folder: every message that was accepted is a file of its own, also one that comes twice."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from batchwright.notifications.transports import Envelope


class Mailbox:
    """Captures mail: the transport of a mailer, in this process or another, and what it has accepted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def messages(self) -> list[EmailMessage]:
        """What has arrived, by mail and then as it came."""
        files = sorted(
            self.folder.glob("*.eml"), key=lambda file: (file.name.split(".")[0], file.stat().st_mtime_ns)
        )
        return [_message(file) for file in files]

    def clear(self) -> None:
        """Throw everything away."""
        for file in self.folder.glob("*.eml"):
            file.unlink()

    def place(self, mail_id: str) -> str:
        """Where a mail goes, for people."""
        return str(self.folder)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Mailbox]:
        """The line to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        yield self

    async def send(self, envelope: Envelope) -> None:
        """Accept the letter."""
        (self.folder / f"{envelope.mail_id}.{uuid.uuid4().hex}.eml").write_bytes(envelope.content)


def _message(file: Path) -> EmailMessage:
    return message_from_bytes(file.read_bytes(), policy=default)
