import pytest
from sqlalchemy import create_engine, inspect

from batchwright.engine.store.database import Database
from batchwright.engine.store.migrating import newest_revision

pytestmark = pytest.mark.on_both


def tables(url: str) -> list[str]:
    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def test_a_fresh_database_has_no_table(database_url: str) -> None:
    assert tables(database_url) == []


def test_a_migrated_database_is_at_the_newest_revision(migrated_url: str) -> None:
    database = Database(migrated_url)
    try:
        assert database.revision() == newest_revision()
    finally:
        database.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_migrated_database_has_nothing_that_another_test_wrote(migrated_url: str, turn: int) -> None:
    assert "left_behind" not in tables(migrated_url)
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE left_behind (number INTEGER)")
    engine.dispose()
    assert "left_behind" in tables(migrated_url)
