"""What is said of an expression that cannot be used."""

from __future__ import annotations


class CronError(ValueError):
    """An expression, or its time zone, that is refused.

    Attributes:
        field: the part at fault in words: ``seconds``, ``minutes``, ``hours``, ``day of month``, ``month``,
            ``day of week``, ``year``; ``expression`` where it is about the whole, or ``time zone``.
        position: index in the text of the first character at fault (its length, where something is missing);
            ``None`` for a time zone, which is not part of the text.
        problem: what is wrong, without the field and the remedy.
        remedy: what to write instead.
    """

    def __init__(self, problem: str, *, field: str, position: int | None, remedy: str) -> None:
        super().__init__(problem, field, position, remedy)
        self.problem = problem
        self.field = field
        self.position = position
        self.remedy = remedy

    def __str__(self) -> str:
        place = "" if self.position is None else f" (position {self.position})"
        return f"{self.field}: {self.problem}{place}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.problem, self.field, self.position, self.remedy)


def _again(problem: str, field: str, position: int | None, remedy: str) -> CronError:
    return CronError(problem, field=field, position=position, remedy=remedy)
