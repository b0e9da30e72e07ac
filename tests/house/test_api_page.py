"""The page for callers of the HTTP API: what it shows is typed as it stands, to one `serve` on the sample company."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.billing import sample
from batchwright.operations.app import make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR, make_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
BINARIES = Path(sys.executable).parent
MARK = "-- the next block --"
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[tuple[str, str | None]]:
    """The blocks of the page in a language, and what each prints where the page says so."""
    shown = re.findall(
        rf"^```{language}\n(.*?)^```(?:\n\n```text\n(.*?)^```)?",
        PAGE.read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return [(block, text or None) for block, text in shown]


@pytest.fixture
def environment(migrated_url: str, tmp_path: Path) -> dict[str, str]:
    """Variables of a shell in which the sample company is there and forecast, as `batchwright demo` does it."""
    app = make_application(make_settings(migrated_url, tmp_path))
    import_paths(app, [sample.folder()], actor=ACTOR)
    drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True))
    app.close()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")}
    path = f"{BINARIES}{os.pathsep}{inherited['PATH']}"
    return inherited | {
        "PATH": path,
        "BATCHWRIGHT_DATABASE_URL": migrated_url,
        "BATCHWRIGHT_EXECUTOR": "inline",
    }


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a `serve` with a worker."""
    command = [str(BINARIES / "batchwright"), "serve", "--port", "0"]
    with (
        (tmp_path / "serve.log").open("w+") as log,
        subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        (address,) = re.findall(r"http://\S+", process.stderr.readline())
        # What it says from now on goes where nobody has to read it.
        reader = subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)
        try:
            yield address
        finally:
            process.terminate()
            assert process.wait(60) == 0
            reader.wait(60)


def printed(
    command: list[str], programs: list[str], between: str, folder: Path, env: dict[str, str]
) -> list[str]:
    """What each of these prints when they are typed one after another."""
    whole = between.join(programs)
    done = subprocess.run([*command, whole], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout.split(f"{MARK}\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_every_call_on_the_page_is_answered_as_it_says(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    typed = {
        "sh": (["bash", "-euo", "pipefail", "-c"], f"echo\necho '{MARK}'\n"),
        "python": ([sys.executable, "-c"], f"print({MARK!r})\n"),
    }
    checked = 0
    for language, (command, between) in typed.items():
        shown = blocks(language)
        programs = [block.replace(ADDRESS, server) for block, _ in shown]
        said = printed(command, programs, between, tmp_path, environment)
        for (block, expected), text in zip(shown, said, strict=True):
            assert expected in (None, text), block
            checked += expected is not None
    assert checked > 8
