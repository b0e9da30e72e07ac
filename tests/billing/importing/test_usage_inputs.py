"""Usage inputs: order of arrival, ids made up and given, and ids across the chunks a file is read in."""

from __future__ import annotations

import io

import pytest

from batchwright.billing.importing import ImportRefused, csv_reader
from batchwright.billing.records.ids import next_ids
from tests.billing.importing.books import COMPANY, TAKEN_OVER, Books

_HEADER = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"
_IDS = "SELECT usage_input_id FROM usage_input ORDER BY id"


def _line(an_id: str, asset: str = "AL-1") -> str:
    return f"{an_id},{asset},2023-06-05,1,Each\n"


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "CHUNK_LINES", 2)


def test_inputs_are_loaded_as_written_in_their_order(company: Books) -> None:
    assert company.rows(
        "SELECT usage_input_id, usage_date, CAST(quantity AS text), product_uom, description, status, code, message,"
        " rated_amount, draft_rated_amount, deleted FROM usage_input ORDER BY id"
    ) == [
        ("IN-00007052", "2023-06-05", "20", "Each", None, "Loaded", None, None, None, None, 0),
        ("IN-00007053", "2023-07-08", "10", "Each", "July", "Loaded", None, None, None, None, 0),
        ("IN-00000001", "2023-02-05", "-3.5", "Hour", None, "Loaded", None, None, None, None, 0),
    ]


def test_columns_may_come_in_any_order_and_optional_ones_may_be_missing(company: Books) -> None:
    content = "\ufeffquantity,product_uom,usage_date,asset_line_item_id\r\n0.5,Each,2023-06-05,AL-1\r\n\r\n"
    assert company.load({"usage_inputs.csv": content}).files[0].loaded == 1
    assert company.rows("SELECT usage_input_id, product_uom FROM usage_input ORDER BY id")[-1] == (
        "IN-00000002",
        "Each",
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [("20.00", "20"), ("0.125", "0.125"), ("-0", "0"), ("007.10", "7.1"), ("1" * 18, "1" * 18)],
)
def test_quantities_are_kept_exactly(company: Books, given: str, kept: str) -> None:
    company.load({"usage_inputs.csv": f"{_HEADER}X,AL-1,2023-06-05,{given},Each\n"})
    assert company.rows("SELECT CAST(quantity AS text) FROM usage_input WHERE usage_input_id = 'X'") == [
        (kept,)
    ]


def test_made_up_ids_skip_those_that_were_imported(company: Books) -> None:
    company.load({"usage_inputs.csv": _HEADER + _line("IN-00000003") + _line("IN-00000002")})
    company.load({"usage_inputs.csv": _HEADER + _line("") + _line("")})
    assert [row[0] for row in company.rows(_IDS)][-2:] == ["IN-00000004", "IN-00000005"]


def test_made_up_ids_skip_those_of_the_same_file(company: Books) -> None:
    company.load({"usage_inputs.csv": _HEADER + _line("") + _line("IN-00000002")})
    assert [row[0] for row in company.rows(_IDS)][-2:] == ["IN-00000003", "IN-00000002"]


@pytest.mark.usefixtures("small_chunks")
def test_a_made_up_id_gives_way_to_a_later_line_that_claims_it(company: Books) -> None:
    lines = [_line(""), _line(""), _line("IN-00000003"), _line(""), _line("IN-00000002"), _line("X")]
    company.load({"usage_inputs.csv": _HEADER + "".join(lines)})
    ids = [row[0] for row in company.rows(_IDS)][3:]
    assert ids == ["IN-00000006", "IN-00000004", "IN-00000003", "IN-00000005", "IN-00000002", "X"]


@pytest.mark.usefixtures("small_chunks")
def test_an_id_that_gave_way_is_taken_by_the_line_that_claimed_it(company: Books) -> None:
    lines = [_line(""), _line("Y"), _line("IN-00000002"), _line("X"), _line("IN-00000002")]
    with pytest.raises(
        ImportRefused, match=r"line 6, column usage_input_id: 'IN-00000002' appears on an earlier"
    ):
        company.load({"usage_inputs.csv": _HEADER + "".join(lines)})


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("update", [False, True])
def test_an_id_that_comes_again_in_a_later_chunk_is_refused(company: Books, update: bool) -> None:
    lines = [_line("X"), _line("Y"), _line("Z"), _line("X")]
    with pytest.raises(ImportRefused, match=r"line 5, column usage_input_id: 'X' appears on an earlier line"):
        company.load({"usage_inputs.csv": _HEADER + "".join(lines)}, update=update)


@pytest.mark.usefixtures("small_chunks")
def test_an_id_that_is_updated_twice_is_refused(company: Books) -> None:
    lines = [_line("IN-00007052"), _line("Y"), _line("IN-00007052")]
    with pytest.raises(
        ImportRefused, match=r"line 4, column usage_input_id: 'IN-00007052' appears on an earlier"
    ):
        company.load({"usage_inputs.csv": _HEADER + "".join(lines)}, update=True)


@pytest.mark.usefixtures("small_chunks")
def test_every_kind_of_file_may_be_read_in_many_chunks(books: Books) -> None:
    report = books.load({**COMPANY, **TAKEN_OVER})
    assert (report.skipped, books.counts()["usage_input"]) == (0, 3)


def test_next_ids_go_on_where_they_ended(company: Books) -> None:
    with company.database.write() as connection:
        assert next_ids(connection, "IN-", 2) == ["IN-00000002", "IN-00000003"]
        assert next_ids(connection, "IN-", 1) == ["IN-00000004"]
        assert next_ids(connection, "US-", 1) == ["US-00000018"]
        assert next_ids(connection, "BS-", 0) == []


def test_next_ids_pass_a_long_row_of_imported_ones(company: Books) -> None:
    lines = "".join(_line(f"IN-{number:08d}") for number in range(2, 3002))
    company.load({"usage_inputs.csv": _HEADER + lines})
    with company.database.write() as connection:
        assert next_ids(connection, "IN-", 2) == ["IN-00003002", "IN-00003003"]


def test_progress_tells_rows_and_the_fraction_read(company: Books) -> None:
    seen: list[tuple[str, int, float]] = []
    lines = "".join(_line(f"X-{number}") for number in range(12_000))
    company.load({"usage_inputs.csv": _HEADER + lines}, progress=lambda *told: seen.append(told))
    assert [(file, rows) for file, rows, _ in seen] == [
        ("usage_inputs.csv", 5000),
        ("usage_inputs.csv", 10_000),
        ("usage_inputs.csv", 12_000),
    ]
    assert [fraction for *_, fraction in seen] == sorted(fraction for *_, fraction in seen)
    assert seen[-1][2] == 1.0


_COLUMNS = "asset_line_item_id,usage_date,quantity,product_uom,description\n"
_NAMELESS = _COLUMNS + "AL-1,2023-06-05,1,Each,a\nAL-1,2023-06-06,2,Each,\n"
_SAME = {
    "as it was": _NAMELESS,
    "saved by a spreadsheet": "\ufeff" + _NAMELESS.replace("\n", "\r\n") + "\r\n",
    "columns in another order": (
        "quantity,asset_line_item_id,usage_date,product_uom,description\n"
        "1,AL-1,2023-06-05,Each,a\n2,AL-1,2023-06-06,Each,\n"
    ),
    "quoted, with more zeros": _NAMELESS.replace(",1,Each", ',1.00,"Each"'),
    "sorted": "\n".join(_NAMELESS.splitlines()[place] for place in (0, 2, 1)),
    "beside lines with ids": (
        "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom,description\n"
        "IN-9,AL-1,2023-06-05,1,Each,\n,AL-1,2023-06-05,1,Each,a\n,AL-1,2023-06-06,2,Each,\n"
    ),
}  # fmt: skip
_OTHER = {
    "another quantity": _NAMELESS.replace(",1,Each", ",1.5,Each"),
    "a line more": _NAMELESS + "AL-1,2023-06-06,2,Each,\n",
    "a line fewer": _NAMELESS.replace("AL-1,2023-06-06,2,Each,\n", ""),
    "all with ids": _HEADER + _line("IN-8") + _line("IN-9"),
}


@pytest.mark.on_both
@pytest.mark.parametrize("content", _SAME.values(), ids=_SAME)
def test_lines_without_ids_that_were_imported_before_want_again(company: Books, content: str) -> None:
    company.load({"usage_inputs.csv": _NAMELESS})
    before = company.counts()
    for update in (False, True):
        with pytest.raises(ImportRefused, match=r"were imported before, at 2023-07-10 12:00:00 UTC.*--again"):
            company.load({"usage_inputs.csv": content}, update=update)
    assert company.counts() == before
    company.load({"usage_inputs.csv": content}, again=True)
    with pytest.raises(ImportRefused, match="imported before"):
        company.load({"usage_inputs.csv": content}, update=True)


@pytest.mark.parametrize("content", _OTHER.values(), ids=_OTHER)
def test_any_other_file_may_come(company: Books, content: str) -> None:
    company.load({"usage_inputs.csv": _NAMELESS})
    report = company.load({"usage_inputs.csv": content})
    assert report.files[0].loaded == report.files[0].rows


def test_a_file_with_ids_alone_may_come_again_as_an_update(company: Books) -> None:
    content = _HEADER + _line("IN-8") + _line("IN-9")
    company.load({"usage_inputs.csv": content})
    assert company.load({"usage_inputs.csv": content}, update=True).files[0].updated == 2


def test_a_file_of_which_lines_were_left_out_is_the_same_file_when_they_have_become_good(
    company: Books,
) -> None:
    content = _NAMELESS + "AL-7,2023-06-05,1,Each,unknown\nAL-1,no day,1,Each,\n"
    assert company.load({"usage_inputs.csv": content}, skip_bad=io.StringIO()).skipped == 2
    header = COMPANY["asset_line_items.csv"].splitlines()[0]
    asset = "AL-7,n,C-1,A-1,internet,2023-01-01,2023-12-31,Half Yearly,,,,,,\n"
    company.load({"asset_line_items.csv": f"{header}\n{asset}"})
    with pytest.raises(ImportRefused, match="imported before"):
        company.load({"usage_inputs.csv": content}, skip_bad=io.StringIO())


def test_a_file_of_which_nothing_was_loaded_may_come_again(company: Books) -> None:
    content = "asset_line_item_id,usage_date,quantity,product_uom\nAL-7,2023-06-05,1,Each\n"
    with pytest.raises(ImportRefused, match="not a known asset"):
        company.load({"usage_inputs.csv": content})
    company.load({"usage_inputs.csv": content}, skip_bad=io.StringIO())
    assert company.load({"usage_inputs.csv": content}, skip_bad=io.StringIO()).skipped == 1
