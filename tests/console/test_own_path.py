"""Where who signs in is led to."""

from __future__ import annotations

import pytest

from batchwright.console.pages.session import own_path


@pytest.mark.parametrize(
    "asked",
    [
        *(
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
        ),
        *(
            "/\t/evil.example",
            "\t//evil.example",
            "/\n/evil.example",
            " //evil.example",
            "javascript:alert(1)",
        ),
        *(
            "/%0d%0aSet-Cookie:a=b\r\nX: y",
            "evil.example",
            "",
            "/sign-out",
            "/sign-in?next=/",
            "/" + "a" * 3_000,
        ),
    ],
)
def test_nobody_is_led_to_a_place_that_is_not_ours(asked: str) -> None:
    assert own_path(asked) == "/"


def test_a_path_of_ours_stays_as_it_is_with_its_query() -> None:
    for path in ("/", "/runs?badge=Failed&after=x", "/usage-inputs/IN-1", "/customers/M%C3%BCller"):
        assert own_path(path) == path
