"""How much work an act is, counted where a clock would measure the machine as well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def at_most_calls(limit: int) -> Iterator[None]:
    """Raise ``AssertionError`` as soon as the block has made more calls than that, of functions in Python or in C."""
    made = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")
        assert made <= limit, f"more than {limit:,} calls"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
