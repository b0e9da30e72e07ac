"""What docs/concepts.md says of states is what the engine does."""

from __future__ import annotations

from pathlib import Path

from batchwright.engine.ledger import OUTCOMES
from batchwright.engine.run import MOVES, State

DOCUMENT = Path(__file__).parents[2] / "docs" / "concepts.md"


def table(first_column: str) -> list[list[str]]:
    """Cells of the rows of the table whose first column is so named."""
    lines = iter(DOCUMENT.read_text(encoding="utf-8").splitlines())
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith(f"| {first_column} |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return rows
                rows.append([cell.strip() for cell in row.strip("|").split("|")])
    raise AssertionError(f"no table begins with {first_column}")


def test_the_documented_moves_are_those_of_the_table() -> None:
    documented = {(State(before), State(after)): when for before, after, when in table("From")}
    assert documented == MOVES


def test_every_state_is_documented_in_order() -> None:
    assert [row[0] for row in table("State")] == [str(state) for state in State]


def test_every_outcome_is_documented() -> None:
    assert tuple(row[0].strip("`") for row in table("Outcome")) == OUTCOMES
