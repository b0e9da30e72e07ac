"""The statements that listings and schedulers repeat find their rows by an index, however long the history is."""

from __future__ import annotations

import pytest

from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import LIVE_DEDUP_KEY
from tests.engine.looks import LOOKS, planned


@pytest.mark.parametrize("name", LOOKS)
def test_a_statement_on_a_long_history_uses_its_index(migrated_url: str, name: str) -> None:
    look, indexes = LOOKS[name]
    database = Database(migrated_url)
    try:
        with database.read() as connection:
            if not database.is_sqlite:  # which has few rows here, and would read them all
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            with planned(connection) as plans:
                look(connection)
            assert any(index in plan for plan in plans for index in indexes.split("|")), plans
    finally:
        database.close()


def test_a_run_that_ended_is_not_among_the_live_ones() -> None:
    assert {str(state) for state in (State.COMPLETED, State.FAILED, State.ABORTED)} == {
        word for word in str(LIVE_DEDUP_KEY).split("'") if word.isalpha()
    }
