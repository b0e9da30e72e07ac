"""How a message leaves: written as a file, or handed to an SMTP server. An error says whether a second try can help."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import aiosmtplib

Security = Literal["none", "starttls", "tls", "auto"]

CONNECT_SECONDS = 60
COMMAND_SECONDS = 60
MESSAGE_SECONDS = 300
"""For a whole message; with ``CONNECT_SECONDS`` well below ``outbox.HOLD``, so that a claim outlives its attempt."""

_TOO_LARGE = (552, 523)


class NotDelivered(Exception):
    """The message was not accepted, but may be later."""


class TransportDown(NotDelivered):
    """Nothing can be delivered now: no use in trying the next message."""


class RefusedForGood(Exception):
    """This message will not be accepted however often it is tried."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message in its envelope. ``content`` is the whole message as it goes over the wire."""

    mail_id: str
    sender: str
    recipient: str
    content: bytes


class Line(Protocol):
    """An open way out. Letters go one after the other."""

    async def send(self, letter: Letter) -> None:
        """Deliver the letter. Raises ``NotDelivered`` or ``RefusedForGood``."""


class Transport(Protocol):
    """A way for messages to leave."""

    def place(self, mail_id: str) -> str:
        """Where the mail goes: a file, or a server with its port."""

    def open(self) -> AbstractAsyncContextManager[Line]:
        """A line for any number of messages; connects when the first is sent."""


class FileTransport:
    """Writes each mail to ``<directory>/<mail id>.eml``: whole, or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, mail_id: str) -> str:
        return str(self._directory / f"{mail_id}.eml")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        yield self

    async def send(self, letter: Letter) -> None:
        try:
            self._write(f"{letter.mail_id}.eml", letter.content)
        except OSError as error:
            raise TransportDown(f"cannot write to {self._directory}: {error.strerror or error}") from error

    def _write(self, name: str, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self._directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._directory / name)
        except BaseException:
            os.unlink(temporary)
            raise


class SmtpTransport:
    """Hands mail to an SMTP server, many messages over one connection.

    ``security``: ``none``; ``starttls`` and ``tls`` require it and check the certificate; ``auto`` is ``starttls``,
    but on loopback encrypts only if it is offered and checks no certificate, for nobody stands in between.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        username: str | None = None,
        password: str | None = None,
        security: Security = "auto",
    ) -> None:
        self._host = host
        self._port = port
        self._username = username
        self._password = password
        self._security = security

    def place(self, mail_id: str) -> str:
        return f"{self._host}:{self._port}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        line = _SmtpLine(self._client, f"{self._host}:{self._port}")
        try:
            yield line
        finally:
            await line.close()

    def _client(self) -> aiosmtplib.SMTP:
        local = self._security == "auto" and _is_loopback(self._host)
        start_tls = {"none": False, "tls": False, "starttls": True, "auto": None if local else True}
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            # The default looks our own name up in the DNS, which can take longer than the mail.
            local_hostname=socket.gethostname() or "localhost",
            timeout=COMMAND_SECONDS,
            use_tls=self._security == "tls",
            start_tls=start_tls[self._security],
            validate_certs=not local,
        )


class _SmtpLine:
    """One connection, made again after it was lost."""

    def __init__(self, make_client: Callable[[], aiosmtplib.SMTP], place: str) -> None:
        self._make_client = make_client
        self._place = place
        self._client: aiosmtplib.SMTP | None = None

    async def send(self, letter: Letter) -> None:
        client = await self._connected()
        try:
            async with asyncio.timeout(MESSAGE_SECONDS):
                await client.sendmail(letter.sender, [letter.recipient], letter.content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0]) from error
        except aiosmtplib.SMTPSenderRefused as error:
            if error.code in _TOO_LARGE:
                raise RefusedForGood(_answer(error)) from error
            remedy = "Check mail.sender, and whether the server wants a user name"
            raise TransportDown(f"{self._place} refuses the sender: {_answer(error)}. {remedy}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error) from error
        except TimeoutError as error:
            await self.close()
            raise TransportDown(f"{self._place} did not answer in time") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            await self.close()
            raise NotDelivered(f"{self._place} dropped the connection: {error}") from error
        except ValueError as error:
            raise RefusedForGood(f"the address cannot be sent to: {error}") from error

    async def close(self) -> None:
        """Take leave of the server. What it has accepted is accepted, whatever happens now."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            if client.is_connected:
                await client.quit(timeout=5)
        client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        client = self._make_client()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            raise TransportDown(
                f"{self._place} refuses the user name or password: {_answer(error)}"
            ) from error
        except aiosmtplib.SMTPResponseException as error:
            raise TransportDown(f"{self._place} answers {_answer(error)}") from error
        except ssl.SSLError as error:
            raise TransportDown(f"no secure connection to {self._place}: {error}") from error
        except TimeoutError as error:
            raise TransportDown(f"{self._place} did not answer in time") from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise TransportDown(_no_connection(self._place, str(error))) from error
        self._client = client
        return client


def _refusal(error: aiosmtplib.SMTPResponseException) -> NotDelivered | RefusedForGood:
    """421 closes the whole service; other 4xx put this message off; 5xx are for good (RFC 5321, 4.2.1)."""
    if error.code == 421:
        return TransportDown(_answer(error))
    return NotDelivered(_answer(error)) if error.code < 500 else RefusedForGood(_answer(error))


def _answer(error: aiosmtplib.SMTPResponseException) -> str:
    return f"{error.code} {' '.join(str(error.message).split())}"


def _no_connection(place: str, reason: str) -> str:
    if "STARTTLS" in reason:
        return (
            f"{place} offers no STARTTLS: set mail.smtp_security to 'tls', or to 'none' to send in the clear"
        )
    return f"no connection to {place}: {reason}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
