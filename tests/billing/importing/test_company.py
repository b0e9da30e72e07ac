"""What a whole folder brings into the books."""

from __future__ import annotations

from tests.billing.importing.books import COMPANY, Books


def test_every_row_is_loaded_and_reported(books: Books) -> None:
    report = books.load(COMPANY)
    assert {file.file: (file.rows, file.loaded, file.updated, file.skipped) for file in report.files} == {
        name: (content.count("\n") - 1, content.count("\n") - 1, 0, 0) for name, content in COMPANY.items()
    }
    assert (report.billing_schedules_made, report.usage_schedules_made, report.skipped) == (7, 17, 0)
    assert books.counts() == {
        "customer": 2,
        "account": 3,
        "price_book": 2,
        "price": 4,
        "price_tier": 2,
        "contract": 2,
        "contract_account": 2,
        "custom_line_item": 2,
        "asset_line_item": 3,
        "billing_schedule": 7,
        "usage_schedule": 17,
        "usage_input": 3,
        "id_counter": 3,
    }
