"""The front page: what it tells people to type works as pasted."""

from __future__ import annotations

import os
import re
import shlex
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
    output = "\n".join(run_all([line for line in lines if line not in installing], tmp_path))
    assert "JR-00000001  Draft usage rating" in output
    assert "negative_quantity" in output


def test_the_output_in_the_readme_is_what_the_demo_prints(tmp_path: Path) -> None:
    [shown] = re.findall(r"^```text\n(.*?)^```", readme(), re.DOTALL | re.MULTILINE)
    printed = timeless("\n".join(run_all([f"batchwright demo --folder {tmp_path / 'demo'}"], tmp_path)))
    assert len(shown.splitlines()) == 10
    for paragraph in timeless(shown).strip().split("\n\n"):
        lines = paragraph.splitlines()
        assert [line for line in printed.splitlines() if line in lines] == lines


def timeless(text: str) -> str:
    """A text in which each duration is the same."""
    return re.sub(r"in [\d.]+ s\b", "in 0 s", text)


def test_the_job_of_the_readme_runs_by_the_commands_below_it(tmp_path: Path) -> None:
    [(name, program)] = re.findall(
        r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", readme(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / name).write_text(program, encoding="utf-8")
    [typed] = [block for block in shell_blocks() if any("BATCHWRIGHT_JOBS" in line for line in block)]
    table = "CREATE TABLE purchase (id INTEGER PRIMARY KEY, cents BIGINT, points BIGINT)"
    made = f"{table}; INSERT INTO purchase VALUES (1, 1250, NULL), (2, -300, NULL), (3, 990, NULL)"
    python = shlex.join(
        ["python", "-c", f"import sqlite3; sqlite3.connect('batchwright.db').executescript({made!r})"]
    )
    listed = "batchwright runs outcomes JR-00000001"
    typed = [f"cd {tmp_path}", "batchwright db upgrade", python, *typed, listed]
    *_, first, second, third = run_all(typed, tmp_path)
    assert [line.split()[:2] for line in (first, second, third)] == [["1", "ok"], ["2", "error"], ["3", "ok"]]
    assert "negative_amount" in second


def test_no_command_of_the_readme_is_left_untried() -> None:
    """The two blocks above, and the targets of make: `demo` is run as its command, `test` is what runs this."""
    made, *tried = shell_blocks()
    assert [line.split()[:2] for line in made] == [["make", "demo"], ["make", "test"]]
    assert [
        any(word in line for line in block) for block, word in zip(tried, ("pip", "JOBS"), strict=True)
    ] == [True, True]


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
