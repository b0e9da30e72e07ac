"""What the templates of ``account`` see: what became of the reader's way in, or a link by which they find it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batchwright.notifications import humanize
from batchwright.notifications.run_ended import Fact

ACCOUNT: Final = "account"
"""The kind of this mail."""
RESET: Final = "reset"
"""Somebody asked for a link by which another password is set."""
AFTER_FAILURES: Final = "after_failures"
"""Somebody signed in after others, or they themselves, could not."""
PASSWORD_CHANGED: Final = "password_changed"


class Account:
    """News of the reader's account: ``account`` in the templates.

    ``facts``: ``event``, ``email``, ``at``, ``address``, ``browser``, ``failures``, ``database``,
    ``mail_only_to_files``; of a `RESET` also ``link``, which is made as the mail is sent, ``None`` where their user may
    do nothing any more.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    @property
    def verdict(self) -> str:
        """What happened, as the subject says it."""
        return {
            RESET: "Set another password",
            AFTER_FAILURES: "Somebody signed in as you after failed tries",
            PASSWORD_CHANGED: "Your password was changed",
        }[self.facts["event"]]

    @property
    def summary(self) -> str:
        """The same in sentences, with what to do."""
        event = self.facts["event"]
        if event == RESET and self.facts.get("link") is None:
            return "Somebody asked for a link to set your password. Your user is disabled, so there is none."
        if event == RESET:
            return (
                "Somebody, perhaps you, asked for a link to set another password. It is good once, for one hour. "
                "If it was not you, do nothing: your password stays as it is."
            )
        if event == AFTER_FAILURES:
            tries = humanize.counted(self.facts["failures"], "try")
            return (
                f"Somebody signed in as you after {tries} that failed. If it was not you, set another password at "
                "once: that ends every session. Then tell an administrator."
            )
        return (
            "Your password was changed, and every session that was open has ended. If it was not you, ask for a link "
            "to set another one, and tell an administrator."
        )

    @property
    def details(self) -> tuple[Fact, ...]:
        """Names and values about what happened."""
        facts = self.facts
        rows = (
            ("User", facts["email"]),
            ("When", humanize.instant(facts["at"])),
            ("From", facts.get("address")),
            ("Browser", facts.get("browser")),
            ("Database", humanize.database(facts)),
        )
        return tuple(Fact(label, humanize.one_line(value)) for label, value in rows if value)

    @property
    def links(self) -> tuple[Fact, ...]:
        """Where the password is set."""
        link = self.facts.get("link")
        return (Fact("To set it", link),) if link else ()

    @property
    def footer(self) -> str:
        """Why the reader gets it."""
        why = "You get this mail because the user is yours, whatever mail of runs you want."
        return humanize.footer(why, self.facts)
