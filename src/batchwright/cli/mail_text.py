"""A mail message on a terminal: its headers and its text part."""

from __future__ import annotations

from email.message import EmailMessage

from batchwright.cli.output import printable

HEADERS = ("From", "To", "Subject")


def as_text(message: EmailMessage, *, longest: int | None = None) -> str:
    """Headers, text part and names of attachments; after ``longest`` lines of text the rest is only counted."""
    lines = text_part(message).splitlines()
    shown = lines if longest is None or len(lines) <= longest else lines[:longest]
    headers = [f"{name}: {printable(message[name])}" for name in HEADERS if message[name]]
    rest = [f"[… {len(lines) - len(shown)} more lines]"] if len(shown) < len(lines) else []
    files = [f"[attached: {name}]" for name in _attachments(message)]
    return "\n".join([*headers, "", *(printable(line) for line in shown), *rest, *files])


def as_json(message: EmailMessage) -> dict[str, object]:
    """The same as JSON values: `from, to, subject, text, html, attachments` (names)."""
    html = message.get_body(("html",))
    return {
        **{name.lower(): None if message[name] is None else str(message[name]) for name in HEADERS},
        "text": text_part(message),
        "html": None if html is None else html.get_content(),
        "attachments": _attachments(message),
    }


def text_part(message: EmailMessage) -> str:
    """The plain text of a message; empty where it has none."""
    body = message.get_body(("plain",))
    return "" if body is None else str(body.get_content())


def _attachments(message: EmailMessage) -> list[str]:
    return [part.get_filename() or "" for part in message.iter_attachments()]
