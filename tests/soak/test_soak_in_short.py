"""Seeded short versions of the soak, for every run of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak import crash, disk, fuzz, machine, recalculation, rivals, versions
from tests.support.postgres import PostgresServer
from tests.support.rungs import depth


def _silent(_text: str) -> None:
    pass


@pytest.fixture
def second_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database beside that of `database_url`."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'second.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = f"second_{tmp_path.name}".replace("-", "_")
    yield server.create_database(name)
    server.drop_database(name)


@pytest.mark.timeout(300)
@pytest.mark.on_both
def test_a_run_killed_again_and_again_ends_like_one_left_alone(database_url: str, second_url: str) -> None:
    assert (
        crash.compare(
            database_url,
            second_url,
            inputs=depth(400, 2_000),
            kills=depth(1, 5),
            scope_size=20,
            seed=20260101,
            say=_silent,
        )
        == []
    )


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_preview_applied_by_a_run_that_is_killed_comes_to_what_a_run_left_alone_comes_to(
    postgres: PostgresServer,
) -> None:
    names = ("applied_in_peace", "applied_under_kills")
    urls = [postgres.create_database(name) for name in names]
    try:
        found = recalculation.compare(
            *urls, inputs=300, kills=2, scope_size=15, seed=20260102, say=_silent, applied=True
        )
    finally:
        for name in names:
            postgres.drop_database(name)
    assert found.faults == []


@pytest.mark.long
@pytest.mark.timeout(300)
def test_two_runs_at_once_leave_each_asset_with_the_schedules_of_one_of_them(
    postgres: PostgresServer,
) -> None:
    url = postgres.create_database("rivals_in_short")
    try:
        assert rivals.compare(url, seeds=range(depth(1, 5)), say=_silent) == []
    finally:
        postgres.drop_database("rivals_in_short")


@pytest.mark.timeout(300)
def test_the_importer_loads_or_refuses_damaged_files_and_does_nothing_else(database_url: str) -> None:
    assert fuzz.compare(database_url, cases=depth(30, 150), seed=7, say=_silent) == []


@pytest.mark.timeout(300)
def test_a_larger_company_keeps_its_books_whatever_is_done_in_whatever_order(
    database_url: str, tmp_path: Path
) -> None:
    assert machine.compare(database_url, tmp_path, steps=depth(4, 12), inputs=200, seed=3, say=_silent) == []


@pytest.mark.timeout(120)
@pytest.mark.long
def test_a_new_version_of_jobs_is_deployed_worker_by_worker_and_nothing_is_lost(
    database_url: str, tmp_path: Path
) -> None:
    found = versions.compare(
        database_url, tmp_path, runs=40, cron="* * * * * ?", seconds_between=2, workers=2
    )
    assert (found.faults, found.runs > 40) == ([], True)


@pytest.mark.timeout(120)
@pytest.mark.long
def test_runs_go_on_by_themselves_after_the_disk_of_their_database_was_full(tmp_path: Path) -> None:
    try:
        found = disk.compare("database", tmp_path, None, seed=5, say=_silent, seconds=(1.0,))
    except disk.CannotMount as error:
        pytest.skip(f"mounting a small file system needs root: {error}")
    assert (found.faults, found.times.total(), found.retried_scopes > 0) == ([], 1, True)
