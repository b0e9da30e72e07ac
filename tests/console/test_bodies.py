"""How the JSON of a request is read."""

from __future__ import annotations

import pytest

from batchwright.console.api.bodies import MOST_DEPTH, parsed
from batchwright.console.problems import Problem


def test_a_body_is_read_as_it_stands() -> None:
    assert parsed(b'{"a": [1, "0.5", null, true], "b": {}}') == {"a": [1, "0.5", None, True], "b": {}}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"quantity": 1.5}', None),
        (b'{"quantity": 1e3}', None),
        (b'{"quantity": NaN}', None),
        (b'{"quantity": -Infinity}', None),
        (b'{"quantity": 12345678901234567890}', None),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "c"),
        (b'{"a": ["x", {"b": "\\ud800"}]}', "/a/1/b"),
        (b'{"a": "x\\u0000"}', "/a"),
        (b'{"a": 1', None),
        (b"\xff{}", None),
        ("{}".encode("utf-16"), None),
        (b'{"a": "\xed\xa0\x80"}', None),
        (b"", None),
        (b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1), None),
        (b"[" * 100_000, None),
    ],
)
def test_what_could_be_read_wrong_is_refused_with_what_is_wrong(body: bytes, field: str | None) -> None:
    with pytest.raises(Problem) as refused:
        parsed(body)
    assert (refused.value.status, refused.value.field) == (400, field)


def test_as_deep_as_is_allowed_is_read() -> None:
    assert parsed(b"[" * MOST_DEPTH + b"]" * MOST_DEPTH)
