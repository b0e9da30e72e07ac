"""What is wrong with the settings, said so that the reader can put it right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One setting that cannot be used.

    `setting` is its dotted name (`mail.smtp_port`), `origin` where it came from, `value` the value as given
    (`None` where there is none to show, `****` for a secret), `reason` what is wrong, `remedy` what to do.
    """

    setting: str
    origin: str
    value: str | None
    reason: str
    remedy: str

    def __str__(self) -> str:
        given = "" if self.value is None else f" = {self.value}"
        return f"{self.setting}{given} (from {self.origin}): {self.reason}. {self.remedy}"


class SettingsError(ValueError):
    """The settings cannot be used. `problems` has all that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(str(self))

    @property
    def field(self) -> str:
        """The names of the settings that are wrong, comma separated."""
        return ", ".join(dict.fromkeys(problem.setting for problem in self.problems))

    @property
    def remedy(self) -> str:
        """What to do about each of them, one sentence after the other."""
        return " ".join(dict.fromkeys(problem.remedy for problem in self.problems))

    def __str__(self) -> str:
        many = len(self.problems) != 1
        head = f"{len(self.problems)} settings cannot be used" if many else "a setting cannot be used"
        return "\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)])
