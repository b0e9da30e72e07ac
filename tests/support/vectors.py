"""Files of vectors: one test looks at all their rows and shows every one that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

Row = Mapping[str, str]


def assert_every_row(rows: Iterable[tuple[int, Row]], check: Callable[[Row], object]) -> None:
    """Fail with a table of the rows, given with their lines in the file, for which `check` raises."""
    wrong = []
    for line, row in rows:
        try:
            check(row)
        except (Exception, pytest.fail.Exception) as error:
            shown = " ".join(f"{name}={value}" for name, value in row.items() if value)
            wrong.append(f"line {line}: {shown}\n    {type(error).__name__}: {error}")
    if wrong:
        pytest.fail(f"{len(wrong)} rows are wrong.\n" + "\n".join(wrong), pytrace=False)
