"""A mail server for the length of a soak, and the settings of processes that send to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.smtp import SmtpServer


@contextmanager
def mail_server() -> Iterator[SmtpServer]:
    """A server on loopback that takes everything."""
    server = SmtpServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def mail_settings(server: SmtpServer) -> Mapping[str, str]:
    """Environment variables of the program."""
    return {
        "BATCHWRIGHT_MAIL__TRANSPORT": "smtp",
        "BATCHWRIGHT_MAIL__SMTP_HOST": server.host,
        "BATCHWRIGHT_MAIL__SMTP_PORT": str(server.port),
        "BATCHWRIGHT_MAIL__SMTP_SECURITY": "none",
    }
