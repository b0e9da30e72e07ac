"""What an act changed: two JSON values side by side, as far as they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A field and its two values as text; ``None`` where it has none on that side, "" is the name of the whole."""

    name: str
    before: str | None
    after: str | None


def differences(before: Any, after: Any) -> list[Difference]:
    """The fields that differ, those of objects within objects by their path: ``totals.USD``."""
    old, new = dict(_fields(before)), dict(_fields(after))
    names = [*old, *(name for name in new if name not in old)]
    return [
        Difference(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)
    ]


def _fields(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    if value is None and not path:
        return
    if not isinstance(value, dict) or not value or depth > 3:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return
    for name, inner in value.items():
        yield from _fields(inner, f"{path}.{name}" if path else str(name), depth + 1)
