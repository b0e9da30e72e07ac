"""The chain of migrations gives the very tables that the program works with."""

from __future__ import annotations

from importlib.resources import files

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

import batchwright.billing.tables
import batchwright.notifications.tables
import batchwright.operations.tables  # noqa: F401
from batchwright.engine.store.database import Database, upgrade
from batchwright.engine.store.migrating import known_revisions, newest_revision
from batchwright.engine.store.tables import lease_metadata, metadata

pytestmark = pytest.mark.on_both


# An index on an expression cannot be read back from SQLite; tests/engine/test_plans.py sees these used.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
def test_a_migrated_database_has_the_tables_columns_and_indexes_of_the_program(migrated_url: str) -> None:
    database = Database(migrated_url)
    wanted = [metadata] if database.is_sqlite else [metadata, lease_metadata]
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, wanted)  # type: ignore[arg-type]
        tables = set(inspect(connection).get_table_names())
    database.close()
    assert differences == []
    assert tables == {table for one in wanted for table in one.tables} | {"alembic_version"}


def test_an_upgrade_of_an_upgraded_database_changes_nothing(migrated_url: str) -> None:
    upgrade(migrated_url)
    database = Database(migrated_url)
    assert database.revision() == newest_revision()
    database.close()


def test_the_migrations_are_one_chain_in_the_order_of_the_names_of_their_files() -> None:
    script = ScriptDirectory(str(files("batchwright.migrations")))
    chain = [one.revision for one in script.walk_revisions()]
    assert chain == sorted(known_revisions(), reverse=True)
    assert [newest_revision()] == script.get_heads()
    assert len(script.get_bases()) == 1
