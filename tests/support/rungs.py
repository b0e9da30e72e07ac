"""Two rungs of tests: the short one that `make test` runs, and the long one that `--long` adds.

`@pytest.mark.long` puts a test, or a set of parameters, on the long rung. Of the tests that a fixture repeats on
PostgreSQL, those marked `on_both` belong to the short rung: SQL, locks or isolation matter to them.
`depth(short, long)` is how far a test goes that is on both.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

import hypothesis
import pytest

from tests.support.postgres import in_memory

T = TypeVar("T")

NOT_RUN = pytest.StashKey[int]()
_OPTION = "--long"
_is_long = False

# The machine may be busy: how long one example takes says nothing here. A failure prints how to repeat it.
hypothesis.settings.register_profile("long", deadline=None, print_blob=True)
hypothesis.settings.register_profile("short", hypothesis.settings.get_profile("long"), max_examples=30)


def depth(short: T, long: T) -> T:
    """The first on the short rung, the second on the long one."""
    return long if _is_long else short


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_OPTION, action="store_true", help="every test, and each as deep as it goes")


def pytest_configure(config: pytest.Config) -> None:
    global _is_long
    _is_long = config.getoption(_OPTION)
    hypothesis.settings.load_profile("long" if _is_long else "short")
    config.stash[NOT_RUN] = 0
    memory = in_memory()
    if memory is not None:  # what commits waits for no disk there
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _is_long:
        return
    left_out = [item for item in items if item.get_closest_marker("long") or _is_only_a_repetition(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        config.stash[NOT_RUN] = len(left_out)
        kept = set(items) - set(left_out)
        items[:] = [item for item in items if item in kept]


def _is_only_a_repetition(item: pytest.Item) -> bool:
    """Whether a fixture, not the test itself, asks for PostgreSQL, and the test has not asked for both."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("on_both"):
        return False
    values: dict[str, Any] = (getattr(item, "callspec", None) and item.callspec.params) or {}
    named = " ".join(str(mark.args[0]) for mark in item.iter_markers("parametrize"))
    return any(value == "postgresql" and name not in named for name, value in values.items())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of xdist tells the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["not_run"] = session.config.stash[NOT_RUN]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    output = getattr(node, "workeroutput", {})
    node.config.stash[NOT_RUN] = max(node.config.stash[NOT_RUN], output.get("not_run", 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    number = config.stash[NOT_RUN]
    if number:
        terminalreporter.write_line(f"{number:,} tests of the long rung were not run: make test-long")
