"""Attachments: defused, gzipped when large, given up when too large, in bounded memory."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.notifications.csv_file import GZIP_FROM, CsvFile, encoded_size
from batchwright.notifications.records import Row, gather
from tests.notifications.making import LIMIT, row, source


@given(st.binary(max_size=2_000))
def test_the_size_in_the_message_is_that_of_base64_with_its_line_breaks(content: bytes) -> None:
    assert encoded_size(len(content)) == len(base64.encodebytes(content).replace(b"\n", b"\r\n"))


def test_every_row_is_in_the_file_with_the_columns_of_outcomes_first_and_the_jobs_after() -> None:
    records = gather(
        source([row(1), row(2, amount="-5.00")], [row(3, "no_price", message="=1+1")]), "JR-1", LIMIT
    )
    processed, errored = (_read(file.content) for file in records.files)
    assert [file.name for file in records.files] == ["processed.csv", "errored.csv"]
    assert list(processed[0]) == [
        "record_id",
        "outcome",
        "code",
        "message",
        "amount",
        "currency",
        "asset_line_item_id",
        "usage_date",
        "quantity",
    ]
    assert [r["amount"] for r in processed] == ["12.00", "-5.00"]
    assert errored[0]["message"] == "'=1+1"
    assert errored[0]["record_id"] == "IN-00000003"


def test_a_large_file_is_gzipped_and_whole() -> None:
    many = [row(n) for n in range(10_000)]
    (file,) = gather(source(many), "JR-1", LIMIT).files
    assert file.name == "processed.csv.gz"
    assert file.subtype == "gzip"
    assert len(_read(gzip.decompress(file.content))) == 10_000


def test_a_file_is_gzipped_only_above_the_threshold() -> None:
    file = CsvFile("a.csv", ["x"], LIMIT)
    file.add({"x": "y" * (GZIP_FROM - 5)})
    assert (made := file.finish()) is not None
    assert len(made.content) == GZIP_FROM
    assert made.name == "a.csv"
    larger = CsvFile("a.csv", ["x"], LIMIT)
    larger.add({"x": "y" * (GZIP_FROM - 4)})
    assert (made := larger.finish()) is not None
    assert made.name == "a.csv.gz"


def test_attachments_together_stay_within_the_limit_and_errors_go_first() -> None:
    processed = [row(n) for n in range(1_000)]
    errored = [row(n, "no_price") for n in range(100)]
    whole = gather(source(processed, errored), "JR-1", LIMIT)
    size_of_both = sum(file.size for file in whole.files)
    exactly = gather(source(processed, errored), "JR-1", size_of_both)
    assert [file.name for file in exactly.files] == ["processed.csv", "errored.csv"]
    less = gather(source(processed, errored), "JR-1", size_of_both - 1)
    assert [file.name for file in less.files] == ["errored.csv"]
    assert gather(source(processed, errored), "JR-1", 0).files == ()


def test_the_codes_of_all_errors_are_counted() -> None:
    errored = [row(n, "no_price") for n in range(70)] + [row(n, "no_tier") for n in range(3)]
    assert gather(source((), errored), "JR-1", LIMIT).errored.codes == {"no_price": 70, "no_tier": 3}


@pytest.mark.long
def test_a_million_outcomes_take_flat_memory_and_reading_stops_at_the_limit() -> None:
    limit = 100_000
    read = 0
    closed = []

    def endless(run_id: str, outcome: str) -> Iterator[Row]:
        nonlocal read
        try:
            for read in range(1_000_000 if outcome == "ok" else 0):
                yield row(read)
        finally:
            closed.append(outcome)

    tracemalloc.start()
    records = gather(endless, "JR-1", limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert records.files == ()
    assert not records.processed.complete
    assert len(records.processed.rows) == 50
    assert read < 100_000
    assert peak < 2_000_000
    assert closed == ["error", "ok"]


def _read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
