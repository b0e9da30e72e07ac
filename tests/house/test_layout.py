"""How the code is laid out, beyond what the linter and the formatter look at."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORN = re.compile(r"^ *[)\]}].*  # (?!fmt: )|-> \($", re.MULTILINE)
"""What the formatter makes of a header or a literal that is too long with its comment or its name."""


def test_no_header_is_torn_by_a_comment_behind_it() -> None:
    files = [file for folder in ("src", "tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 400
    assert {str(file): found for file in files if (found := TORN.findall(file.read_text("utf-8")))} == {}
