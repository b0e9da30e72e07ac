"""The front page: what it tells people to type works as pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from batchwright.config.settings import CONFIG_VARIABLE, MailSettings, Settings, variable_of

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(sys.executable).parent


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def shell_blocks() -> list[list[str]]:
    """The lines of each block marked `sh`."""
    return [
        block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```", readme(), re.DOTALL | re.MULTILINE)
    ]


def test_every_make_target_in_the_readme_exists() -> None:
    code = "\n".join(re.findall(r"`[^`\n]+`|^```.*?^```|^ {4}[^\n]*$", readme(), re.DOTALL | re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", code))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert named >= {"demo", "test"}
    assert named - targets == set()


def test_every_variable_in_the_readme_is_a_setting() -> None:
    names = [*Settings.model_fields, *(f"mail.{name}" for name in MailSettings.model_fields)]
    known = {CONFIG_VARIABLE, *map(variable_of, names)}
    named = set(re.findall(r"\bBATCHWRIGHT_[A-Z_]*[A-Z]\b", readme()))
    assert "BATCHWRIGHT_DATABASE_URL" in named
    assert {name for name in named if not name.startswith("BATCHWRIGHT_ACTORS__")} - known == set()


def test_the_shortest_real_use_works_as_pasted(tmp_path: Path) -> None:
    [lines] = [block for block in shell_blocks() if any("pip install" in line for line in block)]
    # That the wheel can be installed is tested in test_wheel.py; here the environment at hand stands for it.
    installing = [line for line in lines if re.search(r"-m venv |bin/pip install |bin/activate$", line)]
    assert len(installing) == 3
    (tmp_path / "rating").mkdir()
    told = "\n".join(run_all([line for line in lines if line not in installing], tmp_path))
    assert "JR-00000001  Draft usage rating" in told
    assert "negative_quantity" in told


def run_all(lines: list[str], home: Path) -> list[str]:
    """Runs the lines in one shell, from the repository's root; what each of them printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")}
    environment |= {"HOME": str(home), "PATH": f"{BINARIES}{os.pathsep}{environment['PATH']}"}
    # A run with errored records ends with 3, which is no failure.
    typed = [f"{line} || [ $? -eq 3 ]" if line.startswith("batchwright run ") else line for line in lines]
    done = subprocess.run(
        ["bash", "-ec", "\n".join(typed)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
