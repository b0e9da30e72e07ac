import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("demo", "test", "test-long", "check", "bench", "soak", "clean", "help")


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Without what an outer `make test` hands down to its inner ones.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_help_explains_the_target(target: str) -> None:
    assert re.search(rf"^{target} +\S", make("help").stdout, re.MULTILINE)


@pytest.mark.parametrize("target", ["demo", "test", "test-long", "check", "bench", "soak"])
def test_a_target_makes_the_virtual_environment_by_itself(target: str) -> None:
    # -n prints what would be done; -W takes the file as changed.
    planned = make("-n", "-W", "constraints.txt", target).stdout
    assert "-c constraints.txt -e '.[postgres,distributed,test,dev]'" in planned


def test_an_older_python_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python"
    program = "import sys; sys.version_info = (3, 10, 1); sys.version = '3.10.1 (old)'; exec(sys.argv[1])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{program}" "$2"\n', encoding="utf-8")
    old.chmod(0o755)
    done = make(".venv", f"PYTHON={old}", folder=tmp_path)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed, this is 3.10.1; name another with PYTHON=" in done.stderr
    assert not (tmp_path / ".venv").exists()
