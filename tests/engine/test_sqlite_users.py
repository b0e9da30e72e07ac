"""An SQLite database in the hands of several users of the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.users import OTHER, needs_root, run_as_other, shared_folder

MODULES = [
    "batchwright.engine.store.database",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "alembic.script.revision",
]
REQUIRE = """
from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
try:
    Database(f"sqlite:///{os.getcwd()}/batchwright.db").require()
    print("good")
except Refused as refusal:
    print(refusal)
"""


def require_as_other(folder: Path) -> str:
    done = run_as_other(folder, REQUIRE, modules=MODULES)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
def test_who_may_not_write_to_the_database_is_told_so(migrated_sqlite_folder: Path) -> None:
    with shared_folder() as folder:
        folder.chmod(0o755)
        shutil.copy(migrated_sqlite_folder / "batchwright.db", folder)
        (folder / "batchwright.db").chmod(0o644)
        said = require_as_other(folder)
        assert "you may not write to the file of the database" in said
        assert "Ask root, its owner" in said
        assert [path.name for path in folder.iterdir()] == ["batchwright.db"]


@needs_root
def test_who_may_write_by_their_group_works_with_it(migrated_sqlite_folder: Path) -> None:
    with shared_folder() as folder:
        shutil.copy(migrated_sqlite_folder / "batchwright.db", folder)
        os.chown(folder / "batchwright.db", 0, OTHER)
        (folder / "batchwright.db").chmod(0o660)
        assert require_as_other(folder) == "good\n"
