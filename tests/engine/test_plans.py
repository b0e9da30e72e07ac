"""The statements that listings and schedulers repeat find their rows by an index, however long the history is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from batchwright.engine.store.run_log import Place, RunQuery, page
from batchwright.engine.store.scopes import PreviewPlace, preview_kinds, preview_page, preview_sums
from batchwright.engine.store.tables import LIVE_DEDUP_KEY
from tests.engine.looks import AT, IN_ORDER, LOOKS, RUN_LISTS, planned


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


SORTS = ("USE TEMP B-TREE", "Sort", "Seq Scan", "SCAN run\n")


def plans_by_index(url: str, look: Callable[[Connection], object]) -> list[str]:
    """The plans of a look where PostgreSQL, too, reads small tables by their indexes."""
    database = Database(url)
    try:
        with database.read() as connection:
            if not database.is_sqlite:
                for way in ("seqscan", "bitmapscan"):
                    connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            with planned(connection) as plans:
                look(connection)
            return list(plans)
    finally:
        database.close()


@pytest.mark.parametrize("name", RUN_LISTS)
def test_a_page_of_the_run_log_sorts_nothing_but_what_is_live_or_started_since(
    migrated_url: str, name: str
) -> None:
    wanted, _ = RUN_LISTS[name]
    plans = plans_by_index(
        migrated_url, lambda connection: page(connection, wanted, 20, Place(50, 50, AT, 50))
    )
    few = [plan for plan in plans if "ix_run_start_number" in plan or "scope" in plan]
    in_order = [f"{plan}\n" for plan in plans if plan not in few]
    assert len(few) == (2 if wanted.with_errors else 1), plans
    assert in_order
    assert not [plan for plan in in_order for word in SORTS if word in plan]


@pytest.mark.parametrize("name", IN_ORDER)
def test_a_page_of_the_audit_trail_and_of_the_mail_is_read_in_order_and_sorts_nothing(
    migrated_url: str, name: str
) -> None:
    look, index = IN_ORDER[name]
    (plan,) = plans_by_index(migrated_url, look)
    assert index in plan
    assert not [word for word in SORTS if word in plan], plan


@pytest.mark.parametrize("after", [None, PreviewPlace("USD", 50, 7)])
def test_a_page_of_a_preview_is_read_in_order_and_sorts_nothing(
    migrated_url: str, after: PreviewPlace | None
) -> None:
    database = Database(migrated_url)
    try:
        with database.read() as connection:
            if not database.is_sqlite:
                for way in ("seqscan", "bitmapscan"):
                    connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
            with planned(connection) as plans:
                preview_page(connection, 1, "usage_input", 20, after)
                preview_kinds(connection, 1)
            with planned(connection) as sums:
                list(preview_sums(connection, 1, "usage_input"))
            assert any(
                f"{how} ix_preview_line_order" in sums[0]
                for how in ("COVERING INDEX", "Index Only Scan using")
            )
            assert len(plans) == (2 if after is None else 4)
            assert all("ix_preview_line_order" in plan for plan in plans), plans
            assert not [plan for plan in plans for word in SORTS if word in plan]
    finally:
        database.close()


def test_a_run_that_ended_is_not_among_the_live_ones() -> None:
    assert {str(state) for state in (State.COMPLETED, State.FAILED, State.ABORTED)} == {
        word for word in str(LIVE_DEDUP_KEY).split("'") if word.isalpha()
    }


def test_sqlite_holds_the_runs_of_several_filters_against_keys_of_indexes_not_against_rows(
    migrated_url: str,
) -> None:
    database = Database(migrated_url)
    wanted = RunQuery(with_errors=True, equal={"actor": "a", "job": "a"})
    with database.read() as connection, planned(connection) as plans:
        page(connection, wanted, 20, None)
    database.close()
    if database.is_sqlite:
        assert "SCAN run USING INDEX ix_run_begun_at_id_errored" in plans[1], plans
        for index in ("ix_run_job_begun_at_id", "ix_run_actor_begun_at_id"):
            assert f"SEARCH other USING COVERING INDEX {index}" in plans[1], plans
