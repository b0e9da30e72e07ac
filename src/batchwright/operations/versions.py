"""The version of what was shown: who acts on it later names it, and is refused where it is another by then."""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from typing import Any

from batchwright.engine.errors import Changed

Seen = Collection[str] | None
"""Versions that whoever acts may have seen; ``None`` where they do not mind which it is."""


def encoded(shown: Any) -> bytes:
    """A JSON value as every door sends it."""
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def version_of(shown: Any) -> str:
    """The version of a JSON value: the same for everybody who is shown the same."""
    return digest(encoded(shown))


def digest(body: bytes) -> str:
    """The version of an encoded JSON value."""
    return sha256(body).hexdigest()[:32]


def check_seen(seen: Seen, now: Any, what: str) -> None:
    """Raise `Changed` where ``what``, which would be shown as ``now``, is none of the versions that were seen."""
    if seen is not None and version_of(now) not in seen:
        raise Changed(what)
