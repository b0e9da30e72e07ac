"""What browsers call themselves, in words."""

from __future__ import annotations

import pytest

from batchwright.operations.browsers import browser_words

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0", "Firefox on Android"),
        (f"{WINDOWS} {WEBKIT} Chrome/126.0.0.0 Safari/537.36", "Chrome on Windows"),
        (f"{WINDOWS} {WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.87", "Edge on Windows"),
        (f"{WINDOWS} {WEBKIT} Chrome/125.0.0.0 Safari/537.36 OPR/111.0.0.0", "Opera on Windows"),
        (
            f"Mozilla/5.0 (Linux; Android 14; SM-S911B) {WEBKIT} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile"
            " Safari/537.36",
            "Samsung Internet on Android",
        ),
        (
            f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/126.0.0.0 Safari/537.36",
            "Chrome on ChromeOS",
        ),
        (
            f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/126.0.0.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (f"{PHONE} Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{PHONE} CriOS/126.0.6478.153 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (f"{PHONE} FxiOS/128.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"
            " Safari/605.1.15",
            "Safari on macOS",
        ),
    ],
)
def test_a_browser_that_is_known_is_named_with_its_system(text: str, words: str) -> None:
    assert browser_words(text) == words


@pytest.mark.parametrize(
    "text",
    ["curl/8.5.0", "Firefox", "", "Mozilla/5.0 (Plan 9) Firefox/3.0", "Mozilla/5.0 (X11; Linux) Lynx/2.8"],
)
def test_what_is_not_known_is_shown_as_it_is(text: str) -> None:
    assert browser_words(text) == text


def test_what_is_not_known_and_long_is_shortened() -> None:
    assert browser_words("Browser" * 20) == f"{('Browser' * 20)[:59]}…"
    assert browser_words(None) == ""


def test_words_are_found_soon_in_what_is_made_to_take_long() -> None:
    assert browser_words("Mozilla/5.0 (X11) " + "Version/1" * 20_000).endswith("…")
