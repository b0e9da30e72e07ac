"""What the templates of ``token_expires`` see: a token that soon expires, formatted."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from batchwright.notifications import humanize
from batchwright.notifications.run_ended import Fact

TOKEN_EXPIRES = "token_expires"
"""The kind of this mail."""


class TokenExpires:
    """A token of the reader that expires, or has: ``token`` in the templates.

    ``facts``: ``email``, ``name``, ``prefix``, ``role``, ``expires_at``, ``last_used_at``, ``expired`` (already, when
    the mail was recorded), ``database``, ``base_url``, ``mail_only_to_files``; of the reader whether they
    ``may_administer``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.name: str = humanize.one_line(facts["name"], 64)

    @property
    def verdict(self) -> str:
        """What happens, as the subject says it."""
        return f"{'EXPIRED' if self.facts['expired'] else 'expires'} on {self.facts['expires_at'][:10]}"

    @property
    def summary(self) -> str:
        """The same in sentences."""
        when = humanize.instant(self.facts["expires_at"])
        if self.facts["expired"]:
            said = f"Your token {self.name} expired at {when}: a program that gives it is refused."
        else:
            said = (
                f"Your token {self.name} expires at {when}: a program that gives it is refused from then on."
            )
        if self.facts.get("last_used_at"):
            if self._may_administer:
                return f"{said} Make another, give it to the program, and revoke this one."
            return (
                f"{said} Ask an administrator for another, give it to the program, and have this one revoked."
            )
        return f"{said} It was never used, so perhaps nobody needs it."

    @property
    def details(self) -> tuple[Fact, ...]:
        """Names and values about the token."""
        facts = self.facts
        rows = (
            ("User", facts["email"]),
            ("Token", self.name),
            ("Begins with", facts.get("prefix")),
            ("Allows at most", facts.get("role")),
            ("Last used", humanize.instant(facts.get("last_used_at"))),
            ("Database", humanize.database(facts)),
        )
        return tuple(Fact(label, humanize.one_line(value)) for label, value in rows if value)

    @property
    def commands(self) -> tuple[Fact, ...]:
        """What an administrator types to replace it, where there is no console."""
        if self.links:
            return ()
        email, role = shlex.quote(self.facts["email"]), self.facts.get("role")
        held = f" --role {shlex.quote(role)}" if role else ""
        return (
            Fact("To make another", f"batchwright users token {email}{held}"),
            Fact("To end this one", f"batchwright users revoke-token {email} {shlex.quote(self.name)}"),
        )

    @property
    def links(self) -> tuple[Fact, ...]:
        """Where an administrator replaces it, and the own page of others; none where there is no console."""
        if not (preferences := humanize.page(self.facts, "/preferences")):
            return ()
        if not self._may_administer:
            return (Fact("Your own page", preferences),)
        link = humanize.page(self.facts, f"/users/{quote(self.facts['email'], safe='')}")
        return (Fact("Your user, where you make and revoke tokens", link),)

    @property
    def _may_administer(self) -> bool:
        return bool(self.facts.get("may_administer"))

    @property
    def footer(self) -> str:
        """Why the reader gets it."""
        why = "You get this mail because the token is yours; an administrator makes and revokes tokens."
        return humanize.footer(why, self.facts)
