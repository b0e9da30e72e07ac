"""The application of the jobs' tests.

Beside it stands the command line over the same database, which is how most of a page is tried.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchwright.cli.main import main
from batchwright.operations.app import Application
from tests.jobs.conftest import app, applications, write
from tests.support.application import ACTOR

__all__ = ["app", "applications", "write"]

Batchwright = Callable[..., Any]
Load = Callable[..., None]


@pytest.fixture
def mail_folder(tmp_path: Path) -> Path:
    """Where the mail of commands is written."""
    return tmp_path / "mail"


@pytest.fixture
def batchwright(
    app: Application, tmp_path: Path, mail_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Batchwright:
    """Types a command with `--json`, on the database of `app`; gives the document it answers with.

    ``exit_code`` is what the command has to end with.
    """
    for variable in [name for name in os.environ if name.startswith("BATCHWRIGHT_")]:
        monkeypatch.delenv(variable)
    settings = {
        "DATABASE_URL": app.database.url.render_as_string(hide_password=False),
        "EXECUTOR": "inline",
        "ACTOR": ACTOR.name,
        "MAIL__DIRECTORY": str(mail_folder),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"BATCHWRIGHT_{name}", value)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, exit_code: int = 0) -> Any:
        done = CliRunner().invoke(main, [*words, "--json"])
        assert done.exit_code == exit_code, done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def load(batchwright: Batchwright, tmp_path: Path) -> Load:
    """Imports files, given by name, with the options of `import`."""
    numbers = count(1)

    def load_files(files: Mapping[str, str], *options: str) -> None:
        folder = tmp_path / f"import-{next(numbers)}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
        batchwright("import", str(folder), *options)

    return load_files
