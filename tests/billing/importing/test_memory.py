"""The import streams: what it holds in memory does not grow with the file."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.billing.importing.books import Books

_HEADER = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"


def _peak(books: Books, prefix: str, count: int) -> int:
    lines = "".join(f"{prefix}{number},AL-1,2023-06-05,{number}.5,Each\n" for number in range(count))
    folder = books.folder(prefix, {"usage_inputs.csv": _HEADER + lines})
    del lines
    tracemalloc.start()
    try:
        books.load_paths([folder])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.long
def test_peak_memory_does_not_grow_with_the_number_of_usage_inputs(company: Books) -> None:
    _peak(company, "warm", 100)
    small, large = _peak(company, "small", 10_000), _peak(company, "large", 40_000)
    assert large < 1.1 * small
