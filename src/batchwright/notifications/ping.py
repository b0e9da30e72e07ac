"""Calling a dead man's switch, such as Healthchecks: one HTTP GET, of which only the status counts."""

from __future__ import annotations

from urllib.parse import urlsplit

from batchwright.engine.errors import Refused

SECONDS = 10.0
"""How long an answer is waited for."""
LONGEST = 2_000
"""Characters of the longest address."""


class PingFailed(Exception):
    """The address did not answer, or did not answer that all is well (2xx)."""


def check_ping(text: str) -> str:
    """The address of a ping, if it can be called: `http` or `https`, a host, printable ASCII. Raises `Refused`."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > LONGEST:
        raise _refused(text, f"holds a character that no address has, or more than {LONGEST:,} of them")
    if parts.scheme not in ("http", "https") or not host:
        raise _refused(text, "is no address of the web")
    return text


def ping(url: str, seconds: float = SECONDS) -> None:
    """Call the address. Raises `PingFailed` with what came instead of an answer from 200 to 299."""
    # Not at the top: whoever only checks an address does without what calls it.
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(check_ping(url), headers={"User-Agent": "batchwright"})
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        raise PingFailed(f"it answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise PingFailed(f"no answer: {getattr(error, 'reason', error)}") from error


def _refused(text: str, reason: str) -> Refused:
    remedy = "Give an address such as https://hc-ping.com/your-uuid"
    return Refused(f"the ping address {text[:200]!r} {reason}", field="ping", remedy=remedy)
