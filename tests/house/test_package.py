"""One import package: its public face, the links beside it, and authors whose modules have the same names as ours."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import batchwright

ROOT = Path(__file__).resolve().parents[2]
LINKS = ("config", "engine", "jobs", "notifications")


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports, at its head or anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_links_at_the_top_lead_into_the_package() -> None:
    for name in LINKS:
        link = ROOT / name
        assert link.is_symlink()
        assert not Path(link.readlink()).is_absolute()
        assert link.resolve() == ROOT / "src" / "batchwright" / name


def test_nothing_imports_through_the_links() -> None:
    files = [file for folder in ("src", "tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 400
    assert {str(file): found for file in files if (found := imported(file) & set(LINKS))} == {}


def test_what_an_installation_puts_on_the_path_is_batchwright_alone() -> None:
    inside = {entry.name for entry in (ROOT / "src").iterdir()} - {"__pycache__"}
    assert inside == {"batchwright"}


def test_the_page_of_the_python_api_names_what_can_be_imported_and_nothing_else() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## Names of `batchwright`\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(batchwright.__all__)
    for name in batchwright.__all__:
        assert getattr(batchwright, name).__name__ == name


def test_a_job_is_subclassed_without_loading_the_application() -> None:
    program = (
        "import sys; from batchwright import BatchJob; print('batchwright.operations.app' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_package_can_be_run_as_a_module() -> None:
    command = [sys.executable, "-m", "batchwright", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python -m batchwright 0.")
