"""Every part of every promise has tests that `make test` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "promises.md"

PROMISES = {
    "1. A scope is one transaction": (
        "its changes, ledger entries and mark commit together, or not at all",
        "two honest runs over the same asset never charge it twice",
        "a status moves only from the one that was read",
    ),
    "2. Any process may die at any instant": (
        "the run goes on by itself from the last committed scope",
        "no record is lost, none is done twice",
        "a process that was only asleep commits nothing when it wakes up",
    ),
    "3. A schedule fires once": (
        "for each nominal time, however many schedulers run",
        "a time that is not run is recorded with its reason",
    ),
    "4. Every record has an outcome": (
        "ok, error, skipped or not reached, and one alone",
        '"Completed" never hides an error',
    ),
    "5. Mail is never lost and never decides": (
        "it is recorded in the transaction that ends the run",
        "SMTP may be down for days",
        "a run's status does not depend on it",
    ),
    "6. Money is exact": (
        "rounded once per input, nothing lost in a sum",
        "never a zero in place of an error",
        "every amount can be explained from what it was computed with",
    ),
    "7. One set of operations": ("the same permission check", "the same audit entry"),
}


def published() -> dict[tuple[str, str], list[str]]:
    """The tests of the page by promise and part. An empty cell is that above it."""
    promise = part = ""
    tests: dict[tuple[str, str], list[str]] = defaultdict(list)
    for cells in re.findall(
        r"^\| (.*?) ?\| (.*?) ?\| `(tests/.+::.+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE
    ):
        promise, part = cells[0] or promise, cells[1] or part
        tests[promise, part].append(cells[2])
    return tests


def test_the_page_has_every_part_of_every_promise_and_no_other() -> None:
    assert list(published()) == [(promise, part) for promise, parts in PROMISES.items() for part in parts]


@pytest.mark.timeout(300)
def test_every_test_of_the_page_runs_on_both_databases_in_the_short_suite() -> None:
    tests = {test for tests in published().values() for test in tests}
    files = sorted({test.partition("::")[0] for test in tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds: dict[str, set[str]] = defaultdict(set)
    for test, parameters in re.findall(r"^(tests/\S+?)\[(.*)\]$", done.stdout, re.MULTILINE):
        kinds[test] |= set(parameters.split("-")) & {"sqlite", "postgresql"}
    assert {test: kinds[test] for test in tests} == {test: {"sqlite", "postgresql"} for test in tests}
