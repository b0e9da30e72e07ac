"""Makes the message of a mail: templates and facts in, an ``EmailMessage`` out. Nothing is sent here."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from pathlib import Path

import css_inline
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from batchwright.config.addresses import ascii_domain
from batchwright.engine.errors import Refused
from batchwright.notifications.account import ACCOUNT, Account
from batchwright.notifications.addresses import parse_address
from batchwright.notifications.digest import DIGEST_KIND, Digest
from batchwright.notifications.outbox import Mail
from batchwright.notifications.records import RunRecords
from batchwright.notifications.run_ended import RunEnded
from batchwright.notifications.schedule_late import SCHEDULE_LATE, ScheduleLate
from batchwright.notifications.token_expires import TOKEN_EXPIRES, TokenExpires

TEMPLATES = Path(__file__).parent / "templates"

_QUOTED = re.compile(r"`([^`]+)`")

_LONGEST_PLAIN_LINE = 900
"""SMTP carries lines of up to 998 bytes; above this the text is sent encoded."""


class _OnOneLine(UnstructuredHeader, BaseHeader):
    """A header that is not folded: the library would encode an address that is longer than a line."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _OnOneLine)
_POLICY = SMTP.clone(header_factory=_HEADERS)


class Composer:
    """Makes messages, each of the templates ``KIND.subject``, ``KIND.txt`` and ``KIND.html`` of the mail's kind.

    ``templates`` is a folder whose files go before ours, file by file.

    ``attachment_limit`` is in bytes as encoded in the message, for all attachments of a mail together.
    """

    def __init__(self, *, sender: str, templates: Path | None, attachment_limit: int) -> None:
        self.attachment_limit = attachment_limit
        self.sender = parse_address(sender)
        self._environment = _environment((TEMPLATES,) if templates is None else (templates, TEMPLATES))
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, minify_css=True)

    def compose(self, mail: Mail, records: RunRecords, now: datetime) -> EmailMessage:
        """The message of ``mail``, dated ``now``.

        Raises ``Refused`` for an address or a subject that cannot stand in a header, and what Jinja2 raises for
        a template with a fault.
        """
        context = _context(mail, records)
        message = EmailMessage(policy=_POLICY)
        subject = self._render(mail.kind, "subject", context).strip()
        label = mail.facts.get("label")
        _set_header(message, "Subject", f"[{label}] {subject}" if label else subject)
        _set_address(message, "From", self.sender)
        _set_address(message, "To", parse_address(mail.recipient or ""))
        _set_header(message, "Date", format_datetime(now))
        _set_header(message, "Message-ID", _ascii(mail.message_id))
        _set_header(message, "Auto-Submitted", "auto-generated")
        if mail.run_id is not None:
            _set_header(message, "X-Batchwright-Run", mail.run_id)
        unsubscribe = mail.facts.get("unsubscribe")
        if unsubscribe:
            _set_header(message, "List-Unsubscribe", f"<{unsubscribe}>")
            if unsubscribe.startswith("https:"):  # one click wants it (RFC 8058)
                _set_header(message, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
        _set_text(message, self._render(mail.kind, "txt", context))
        html = self._inliner.inline(self._render(mail.kind, "html", context))
        message.add_alternative(html, subtype="html", cte="quoted-printable")
        for file in records.files:
            message.add_attachment(
                file.content, maintype=file.maintype, subtype=file.subtype, filename=file.name
            )
        return message

    def _render(self, kind: str, part: str, context: Mapping[str, object]) -> str:
        return self._environment.get_template(f"{kind}.{part}").render(context)


def _context(mail: Mail, records: RunRecords) -> dict[str, object]:
    """What the templates of a kind of mail see, by the name they have for it."""
    if mail.kind == DIGEST_KIND:
        return {"digest": Digest(mail.facts)}
    if mail.kind == SCHEDULE_LATE:
        return {"late": ScheduleLate(mail.facts)}
    if mail.kind == ACCOUNT:
        return {"account": Account(mail.facts)}
    if mail.kind == TOKEN_EXPIRES:
        return {"token": TokenExpires(mail.facts)}
    return {"run": RunEnded(mail.facts, records)}


@functools.cache  # a process compiles each template once; Jinja2 sees for itself when a file has changed
def _environment(folders: tuple[Path, ...]) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(underlined=underlined, wrapped=wrapped, aligned=aligned, marked=marked)
    return environment


def underlined(text: str, character: str = "-") -> str:
    """A heading of the text part."""
    return f"{text}\n{character * len(text)}"


def wrapped(text: str, indent: int = 0, width: int = 76) -> str:
    """Text in lines of at most ``width`` characters; ids and commands are not broken."""
    space = " " * indent
    return textwrap.fill(
        text,
        width,
        initial_indent=space,
        subsequent_indent=space,
        break_long_words=False,
        break_on_hyphens=False,
    )


def aligned(rows: Iterable[object], *columns: str) -> str:
    """Attributes of the rows as columns; one named ``>value`` is aligned right. Empty columns are left out."""
    table = [[str(getattr(row, column.lstrip(">"))) for column in columns] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
            if width
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)


def marked(text: str) -> Markup:
    """Text as HTML, text between backquotes as code."""
    return Markup(_QUOTED.sub(r'<code class="code">\1</code>', str(escape(text))))


def _ascii(message_id: str) -> str:
    """A Message-ID as headers take it: the sender's domain, which ends it, may have been recorded as it is read."""
    if message_id.isascii():
        return message_id
    own, _, domain = message_id.strip("<>").rpartition("@")
    try:
        return f"<{own}@{ascii_domain(domain)}>"
    except ValueError:
        return f"<{own}@localhost>"


def _set_header(message: EmailMessage, name: str, value: str) -> None:
    if "\r" in value or "\n" in value:
        raise Refused(
            f"the header {name} would hold a line break: {value!r}",
            field=name.lower(),
            remedy="Line breaks would forge other headers; take it out of the template or the facts",
        )
    message[name] = value


def _set_address(message: EmailMessage, name: str, address: Address) -> None:
    _set_header(message, name, str(address))
    # Set as an object, so that no parser reads the text a second time in its own way.
    message.replace_header(name, address)


def _set_text(message: EmailMessage, text: str) -> None:
    """Unencoded where any viewer can read that, else quoted-printable."""
    longest = max((len(line) for line in text.splitlines()), default=0)
    plain = text.isascii() and longest <= _LONGEST_PLAIN_LINE
    message.set_content(text, cte="7bit" if plain else "quoted-printable")
