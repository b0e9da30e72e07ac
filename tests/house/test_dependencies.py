"""What is installed and what is imported."""

import re
import subprocess
import sys
from importlib.metadata import distribution
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
