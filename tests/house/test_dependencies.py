"""What is installed and what is imported."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LATE = {"fastapi", "starlette", "uvicorn", "dask", "distributed"}


def pinned() -> dict[str, str]:
    """The versions of the constraints that hold for the interpreter at hand, by name."""
    pins = map(Requirement, (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """The names of all that `name` with `extras` needs, at any depth."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    names = {name}
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}
        ):
            continue
        names |= needed(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return names


def test_every_package_that_gets_installed_has_its_exact_version_in_the_constraints() -> None:
    names = needed("batchwright", frozenset({"postgres", "distributed", "test", "dev"}), set()) - {
        "batchwright"
    }
    assert {name: distribution(name).version for name in names} == pinned()


def imported(file: Path) -> Iterator[str]:
    """The packages that a file imports, by their first name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_every_package_that_is_imported_is_asked_for_by_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    named = {canonicalize_name(Requirement(one).name) for one in asked}
    homes = packages_distributions()
    names = {name for file in (ROOT / "src").rglob("*.py") for name in imported(file)}
    names -= sys.stdlib_module_names | {"batchwright"}
    assert len(names) > 20
    assert {name for name in names if not named & {*map(canonicalize_name, homes.get(name, ()))}} == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["run", "draft-usage-rating", "--help"]]
)
def test_the_command_line_starts_without_the_web_and_without_dask(
    arguments: list[str], tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        str(Path(sys.executable).parent / "batchwright"),
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    imported = set(re.findall(r"\| +([a-zA-Z0-9_]+)", done.stderr))
    assert "click" in imported
    assert imported & LATE == set()
