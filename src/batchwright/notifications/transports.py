"""How a message leaves: written as a file, or handed to an SMTP server. An error says whether a second try can help."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import aiosmtplib

from batchwright.config.addresses import ascii_domain
from batchwright.config.texts import clean_line

Security = Literal["none", "starttls", "tls", "auto"]

CONNECT_SECONDS = 300
"""For the connection and the greeting, and for each answer until the login is done (RFC 5321, 4.5.3.2.1)."""
COMMAND_SECONDS = 300
"""For the answer to a command (RFC 5321, 4.5.3.2.2 and 4.5.3.2.3)."""
MESSAGE_SECONDS = 600
"""For the answer to DATA, and for that after the final dot (RFC 5321, 4.5.3.2.6): who gives up earlier makes copies."""

DELIVERY_SECONDS = 1_800
"""For all of it, connection and all: a server that lets nearly each of these limits pass keeps no sender for hours."""

QUIT_SECONDS = 1
"""For the answer to QUIT, of which nothing depends."""

_TOO_LARGE = (552, 523)
_LOGIN_WANTED = (530, 534, 535, 538)
_RELAY = re.compile(r"\brelay|not authenticated|authenticat\w+ (is )?required|log ?in first", re.IGNORECASE)
_TOO_LARGE_TEXT = re.compile(r"\b5\.(2\.3|3\.4)\b")


class TemporaryFailure(Exception):
    """The message was not accepted, but may be later."""


class TransportDown(TemporaryFailure):
    """Nothing can be delivered now: no use in trying the next message."""


class PermanentFailure(Exception):
    """This message will not be accepted however often it is tried."""


class TooLarge(PermanentFailure):
    """The message is too large; a smaller one may be accepted."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message in its envelope. ``content`` is the whole message as it goes over the wire."""

    mail_id: str
    sender: str
    recipient: str
    content: bytes


class MailSession(Protocol):
    """An open connection or folder. Messages go one after the other."""

    async def send(self, envelope: Envelope) -> None:
        """Deliver the message. Raises ``TemporaryFailure`` or ``PermanentFailure``. May be cancelled: where there is an
        attribute ``handed_over``, it says whether the message may have been accepted by then.
        """


class Transport(Protocol):
    """A way for messages to leave."""

    def place(self, mail_id: str) -> str:
        """Where the mail goes: a file, or a server with its port."""

    def open(self) -> AbstractAsyncContextManager[MailSession]:
        """A session for any number of messages; connects when the first is sent."""


class FileTransport:
    """Writes each mail to ``<directory>/<mail id>.eml``: whole, or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def place(self, mail_id: str) -> str:
        return str(self._directory / f"{mail_id}.eml")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MailSession]:
        yield self

    async def send(self, envelope: Envelope) -> None:
        try:
            self._write(f"{envelope.mail_id}.eml", envelope.content)
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
    but on loopback encrypts only if it is offered and checks no certificate, since nothing is in between.
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
    async def open(self) -> AsyncIterator[MailSession]:
        session = _SmtpSession(self._client, f"{self._host}:{self._port}")
        try:
            yield session
        finally:
            await session.close()

    def _client(self) -> aiosmtplib.SMTP:
        local = self._security == "auto" and _is_loopback(self._host)
        start_tls = {"none": False, "tls": False, "starttls": True, "auto": None if local else True}
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            # The default looks our own name up in the DNS, which can take longer than the mail.
            local_hostname=_own_name(),
            timeout=CONNECT_SECONDS,
            use_tls=self._security == "tls",
            start_tls=start_tls[self._security],
            validate_certs=not local,
        )


class _SmtpSession:
    """One connection, made again after it was lost."""

    def __init__(self, make_client: Callable[[], aiosmtplib.SMTP], place: str) -> None:
        self._make_client = make_client
        self._place = place
        self._client: aiosmtplib.SMTP | None = None
        self.handed_over = False

    async def send(self, envelope: Envelope) -> None:
        was_used = self._client is not None
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                try:
                    await self._send(envelope)
                except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPSenderRefused) as error:
                    # Many servers take so many messages over one connection, then close it or take no more.
                    if not was_used or self.handed_over or getattr(error, "code", 421) >= 500:
                        raise
                    await self.close()
                    await self._send(envelope)
        except asyncio.CancelledError:
            self._abandon()
            raise
        except aiosmtplib.SMTPResponseException as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            await self.close()
            raise TransportDown(f"{self._place} did not answer in time") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            await self.close()
            raise TemporaryFailure(
                f"{self._place} dropped the connection: {clean_line(str(error))}"
            ) from error
        except ValueError as error:
            raise PermanentFailure(f"the address cannot be sent to: {clean_line(str(error))}") from error

    async def _send(self, envelope: Envelope) -> None:
        self.handed_over = False
        client = await self._connected()
        try:
            size = [f"size={len(envelope.content)}"] if client.supports_extension("size") else []
            await client.mail(envelope.sender, options=size, timeout=COMMAND_SECONDS)
            await client.rcpt(envelope.recipient, timeout=COMMAND_SECONDS)
            self.handed_over = True
            await client.data(envelope.content, timeout=MESSAGE_SECONDS)
        except aiosmtplib.SMTPResponseException:
            self.handed_over = False
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.rset(timeout=COMMAND_SECONDS)
            raise
        self.handed_over = False

    async def close(self) -> None:
        """Take leave of the server. What it has accepted is accepted, whatever happens now."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            if client.is_connected:
                await client.quit(timeout=QUIT_SECONDS)
        client.close()

    def _abandon(self) -> None:
        """End the connection without taking leave: the server is in the middle of a message."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self) -> aiosmtplib.SMTP:
        if self._client is not None and self._client.is_connected:
            return self._client
        client = self._make_client()
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except aiosmtplib.SMTPAuthenticationError as error:
            client.close()
            raise TransportDown(
                f"{self._place} refuses the user name or password: {_answer(error)}"
            ) from error
        except aiosmtplib.SMTPResponseException as error:
            client.close()
            raise TransportDown(f"{self._place} answers {_answer(error)}") from error
        except ssl.SSLError as error:
            client.close()
            raise TransportDown(f"no secure connection to {self._place}: {error}") from error
        except TimeoutError as error:
            client.close()
            raise TransportDown(f"{self._place} did not answer in time") from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            client.close()
            raise TransportDown(_no_connection(self._place, clean_line(str(error)))) from error
        self._client = client
        return client

    def _refusal(self, error: aiosmtplib.SMTPResponseException) -> TemporaryFailure | PermanentFailure:
        """421 closes the whole service; other 4xx put this message off; 5xx are for good (RFC 5321, 4.2.1), but for
        what no message is at fault for: a missing login, a server that does not relay for us.
        """
        answer = _answer(error)
        if error.code in _TOO_LARGE or (error.code >= 500 and _TOO_LARGE_TEXT.search(answer)):
            return TooLarge(answer)
        if error.code in _LOGIN_WANTED or isinstance(error, aiosmtplib.SMTPSenderRefused):
            remedy = "Check mail.sender, and whether the server wants a user name"
            return TransportDown(f"{self._place} refuses the sender: {answer}. {remedy}")
        if error.code == 421:
            return TransportDown(answer)
        if error.code >= 500 and _RELAY.search(answer):
            remedy = "Check mail.smtp_host, and whether the server wants a user name"
            return TemporaryFailure(
                f"{self._place} does not take mail for others from here: {answer}. {remedy}"
            )
        return TemporaryFailure(answer) if error.code < 500 else PermanentFailure(answer)


def _answer(error: aiosmtplib.SMTPResponseException) -> str:
    return f"{error.code} {clean_line(error.message)}"


def _no_connection(place: str, reason: str) -> str:
    if "STARTTLS" in reason:
        return (
            f"{place} offers no STARTTLS: set mail.smtp_security to 'tls', or to 'none' to send in the clear"
        )
    return f"no connection to {place}: {reason}"


def _own_name() -> str:
    """The name of this machine for EHLO, where it is one that a domain can have."""
    try:
        return ascii_domain(socket.gethostname())
    except ValueError:
        return "localhost"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
