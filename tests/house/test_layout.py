"""How the code is laid out, beyond what the linter and the formatter look at."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TORN = re.compile(r"^ *[)\]}].*  # (?!fmt: )|-> \($", re.MULTILINE)
"""What the formatter makes of a header or a literal that is too long with its comment or its name."""


def test_no_header_is_torn_by_a_comment_behind_it() -> None:
    files = [file for folder in ("src", "tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 400
    assert {str(file): found for file in files if (found := TORN.findall(file.read_text("utf-8")))} == {}


def test_no_module_imports_from_a_test_module() -> None:
    """What two of them share stands beside them, or in tests/support: a test module is for pytest alone."""
    files = [file for folder in ("tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 250
    found = {
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [f"{node.module}.{one.name}" for one in node.names]
            if isinstance(node, ast.ImportFrom)
            else [one.name for one in node.names]
        )
        if any(part.startswith("test_") for part in name.split("."))
    }
    assert found == set()
