"""The link in each mail of runs by which its recipient, and nobody else, is sent none any more (RFC 8058)."""

from __future__ import annotations

import hmac
from urllib.parse import urlencode

from sqlalchemy import Connection

from batchwright.notifications.preferences import bare_address
from batchwright.operations import user_store


def unsubscribe_link(connection: Connection, base_url: str, recipient: str) -> str | None:
    """The link for that recipient; None if they are not a user, and so have nothing to choose."""
    email = bare_address(recipient)
    if user_store.user_by_email(connection, email) is None:
        return None
    query = urlencode({"who": email, "code": code_of(connection, email)}, safe="@")
    return f"{base_url.rstrip('/')}/preferences/unsubscribe?{query}"


def code_of(connection: Connection, email: str) -> str:
    """What shows that a link was made here for that address."""
    key = user_store.key_of_links(connection)
    return hmac.digest(key, f"unsubscribe {email}".encode("utf-8", "replace"), "sha256").hex()[:40]
