"""What is very long in a refusal is shortened, and nothing else."""

from __future__ import annotations

import pytest

from batchwright.config.texts import LONGEST_LINE, LONGEST_WORD, without_middle

LONG = "A" + "x" * 9_998 + "Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"unknown run: {'x' * LONGEST_WORD}",
        "It doesn't stand as the user's run needs it. " * 80,
        "\n".join(f"line {number}: it's wrong" for number in range(1_000)),
    ],
)
def test_what_people_read_stays_as_it_is(text: str) -> None:
    assert without_middle(text) == text


@pytest.mark.parametrize(
    "frame", ["{}", "unknown run: {}", "status {!r} is not known", "See `show {}`, please"]
)
def test_of_a_long_word_the_ends_and_the_length_are_said(frame: str) -> None:
    said = f"A{'x' * 149}… (10,000 characters) …{'x' * 49}Z"
    assert without_middle(frame.format(LONG)) == frame.format(said)
    assert without_middle(frame.format(LONG) + f"\n{LONG}") == frame.format(said) + f"\n{said}"


def test_of_a_long_line_of_words_the_ends_and_the_length_are_said() -> None:
    line = "it's " * 2_000
    assert without_middle(f"one\n{line}\ntwo") == (
        f"one\n{line[:1_000]}… (10,000 characters) …{line[-50:]}\ntwo"
    )
    assert without_middle(line[:LONGEST_LINE]) == line[:LONGEST_LINE]


@pytest.mark.parametrize("text", ["'" * 10**6, "x" * 10**6, f"{'x' * LONGEST_WORD} " * 10_000, "a'" * 10**6])
def test_it_takes_no_time_to_speak_of(text: str) -> None:
    assert len(without_middle(text)) < 2_000
