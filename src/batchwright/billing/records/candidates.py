"""Which usage inputs a run takes where nobody names them: by asset, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

from sqlalchemy import Connection

from batchwright.billing.records.driver import Driver
from batchwright.billing.tables import DRAFT_CANDIDATE, IN_ERROR, NOT_RATED

ASSETS_PER_PAGE = 500
_PAGE = 20_000


class Candidates(Enum):
    """Inputs that a job takes; the value is their condition."""

    DRAFT = f"{DRAFT_CANDIDATE}"
    DRAFT_AND_RATED = f"NOT deleted AND (status = 'Rated' OR ({DRAFT_CANDIDATE}))"
    # Spelled out as a part of the index's own condition: SQLite would not find that the one implies the other.
    LOADED = f"{DRAFT_CANDIDATE} AND status = 'Loaded'"
    LOADED_AND_ERRORS = "NOT deleted AND (status = 'Loaded' OR (status = 'Error' AND error_by = 'rating'))"
    RATED = "NOT deleted AND status = 'Rated'"
    ERRORS = f"{IN_ERROR}"
    NOT_RATED = f"{NOT_RATED}"


def count_candidates(connection: Connection, wanted: Candidates, at_most: int) -> int:
    """How many such inputs there are; counted no further than one beyond ``at_most``."""
    [(count,)] = Driver(connection).rows(
        f"SELECT count(*) FROM (SELECT 1 FROM usage_input WHERE {wanted.value} LIMIT ?) AS u", at_most + 1
    )
    return int(count)


def all_candidates(connection: Connection, wanted: Candidates) -> Iterator[tuple[int, list[int]]]:
    """Every asset that has such inputs, in order of key, with their keys."""
    last = 0
    while page := _grouped(connection, wanted, "asset_key > ?", last, "LIMIT ?", ASSETS_PER_PAGE):
        yield from page
        last, _ = page[-1]


def candidates_of(
    connection: Connection, asset_keys: Sequence[int], wanted: Candidates
) -> dict[int, list[int]]:
    """The same of these assets; those without such an input are missing."""
    keys = Driver(connection).keys(asset_keys)
    return dict(_grouped(connection, wanted, "asset_key {among}", keys))


def owners_of(connection: Connection, input_keys: Sequence[int]) -> list[tuple[int, int]]:
    """(asset key, input key) of these inputs, whatever their status."""
    driver = Driver(connection)
    return driver.rows("SELECT asset_key, id FROM usage_input WHERE id {among}", driver.keys(input_keys))


def stale_assets(connection: Connection) -> Iterator[int]:
    """Assets with draft values on a pending schedule, in order of key."""
    driver = Driver(connection)
    last = 0
    while True:
        page = driver.rows(
            "SELECT DISTINCT s.asset_key FROM usage_schedule AS s"
            " JOIN billing_schedule AS b ON b.id = s.billing_schedule_key"
            " WHERE s.draft_rated_quantity IS NOT NULL AND b.status = 'Pending Billing' AND s.asset_key > ?"
            " ORDER BY s.asset_key LIMIT ?",
            last,
            _PAGE,
        )
        if not page:
            return
        yield from (asset for (asset,) in page)
        (last,) = page[-1]


def _grouped(
    connection: Connection, wanted: Candidates, condition: str, value: Any, limit: str = "", *more: Any
) -> list[tuple[int, list[int]]]:
    # One row for an asset, its keys as text: ten times fewer rows to fetch.
    driver = Driver(connection)
    rows = driver.rows(
        f"SELECT asset_key, {driver.joined('id')} FROM usage_input WHERE {wanted.value} AND {condition}"
        f" GROUP BY asset_key ORDER BY asset_key {limit}",
        value,
        *more,
    )
    keys: list[list[int]] = json.loads(f"[[{'],['.join([text for _, text in rows])}]]") if rows else []
    return [(asset, sorted(of_asset)) for (asset, _), of_asset in zip(rows, keys, strict=True)]
