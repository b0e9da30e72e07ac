"""The bench measures what it says, on few records."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest
from sqlalchemy import text

from batchwright.config.settings import Settings
from batchwright.engine.store.database import Database
from batchwright.operations.app import make_application
from bench.__main__ import comparisons, table
from bench.company import Company, fill
from bench.doors import measure as measure_doors
from bench.doors import pages_asked
from bench.floor import touch_all
from bench.growth import cases, fill_history, plans
from bench.growth import measure as measure_growth
from bench.history import History, prepare
from bench.measure import Pair, Result, measure
from bench.pages import measure as measure_pages
from bench.pages import reads
from bench.trail import AUDIT, MAIL
from bench.trail import fill as fill_trail
from bench.trail import measured as measured_trail
from tests.engine.looks import LOOKS


def _silent(_text: str) -> None:
    pass


def _result(inputs: int, seconds: float, peak: int) -> Result:
    pairs = tuple(Pair(seconds, seconds * share, 1.0, peak, peak) for share in (0.5, 0.9, 0.6))
    return Result("sqlite", Company(inputs), pairs)


@pytest.mark.timeout(300)
def test_a_case_is_measured_in_pairs_of_fresh_processes(database_kind: str, database_url: str) -> None:
    result = measure(database_kind, database_url, Company(2_000), scope_size=500, pairs=1, say=_silent)
    assert len(result.pairs) == 1
    assert result.pairs[0].rating_seconds > 0
    assert result.pairs[0].floor_seconds > 0
    assert result.peak > 20_000_000


def test_the_floor_writes_every_input_and_every_schedule_that_has_one(database_url: str) -> None:
    database = Database(database_url)
    fill(database, Company(500))
    assert touch_all(database, assets=50, assets_per_scope=20) == 500
    with database.read() as connection:
        blank = connection.execute(text("SELECT count(*) FROM usage_input WHERE draft_run_key IS NULL"))
        assert blank.scalar_one() == 0
        wrong = connection.execute(
            text("""
            SELECT count(*) FROM usage_schedule s WHERE (draft_fee_amount IS NOT NULL) <> EXISTS (
                SELECT 1 FROM usage_input i WHERE i.asset_key = s.asset_key
                AND i.usage_date BETWEEN s.period_start_date AND s.period_end_date)""")
        )
        assert wrong.scalar_one() == 0
    database.close()


def test_the_generated_records_are_the_same_at_every_call(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        database = Database(f"sqlite:///{tmp_path / name}.db")
        fill(database, Company(300, bad_every=7))
        with database.read() as connection:
            found.append(connection.execute(text("SELECT * FROM usage_input ORDER BY id")).fetchall())
        database.close()
    assert found[0] == found[1]
    assert sum(row.quantity.startswith("-") for row in found[0]) == 300 // 7


def test_the_ratio_is_the_median_of_the_pairs() -> None:
    assert _result(1_000, seconds=2.0, peak=100).ratio == pytest.approx(0.6)


def test_the_large_case_is_compared_with_the_small_one_of_its_database() -> None:
    small, large = (
        _result(1_000, seconds=2.0, peak=100_000_000),
        _result(10_000, seconds=22.0, peak=120_000_000),
    )
    assert comparisons([small, large]) == [
        "sqlite: 10,000 inputs against 1,000: 1.10 times the time per record, 1.20 times the peak memory"
    ]
    assert len(table([small, large])) == 4


@pytest.mark.long
def test_growth_tells_what_each_forecast_of_a_case_leaves_behind(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / str(number)}.db" for number, _ in enumerate(cases("sqlite"))]
    measured = list(measure_growth("sqlite", urls, Company(300), forecasts=1))
    assert [case.name for case in measured] == cases("sqlite")
    for case in measured:
        assert len(case.seconds) == 1
        assert case.size[0] > 0
        assert case.line().startswith(f"| {case.name} |")


def test_each_read_of_the_pages_has_its_times_and_its_plan(migrated_url: str) -> None:
    history = History(runs=400, large=3, records=4_000)
    prepare(migrated_url, history, inputs=200)
    lines = list(measure_pages(migrated_url, history, 200, times=2))
    assert [line.split(" | ")[0] for line in lines] == [read.name for read in reads(history, 200)]
    lines = [line for line in lines if line.startswith(("runs", "run ", "outcomes"))]
    assert all("ix_" in line or "_index" in line or "uq_" in line or "_key" in line for line in lines), lines


def test_every_filter_of_a_page_that_is_a_list_has_a_value_in_the_bench() -> None:
    doors = [door for door, _ in pages_asked(defaultdict(int))]
    assert len(doors) == len(set(doors)) > 120
    assert {"/", "/runs period=2026-03", "/usage-inputs sums=true"} <= set(doors)


@pytest.mark.long
def test_every_door_and_every_page_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, history = f"sqlite:///{tmp_path / 'bench.db'}", History(runs=400, large=3, records=4_000)
    prepare(url, history, inputs=200)
    asyncio.run(measure_doors("sqlite", url, history, of="both", like="", times=2))
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) > 200
    assert {line[1] for line in lines if "/api/" not in line[0]} == {"200", "204", "303"}


def test_growth_names_what_each_repeated_statement_reads(migrated_url: str) -> None:
    database = Database(migrated_url)
    fill_history(database, 1_500)
    told = list(plans(database))
    database.close()
    assert [name for name, _, _ in told] == list(LOOKS)
    assert all(places and milliseconds for _, places, milliseconds in told)


def test_each_filter_of_the_audit_trail_and_of_the_mail_is_measured(
    database_kind: str, database_url: str
) -> None:
    fill_trail(database_url, database_kind, entries=2_000, mails=500)
    app = make_application(Settings(database_url=database_url))
    found = list(measured_trail(app, 2_000, 500, times=2))
    app.close()
    assert len(found) == len(AUDIT) + len(MAIL)
    assert all(first > 0 and anywhere > 0 for _, first, anywhere in found)
