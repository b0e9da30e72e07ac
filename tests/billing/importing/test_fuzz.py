"""Whatever the bytes, an import succeeds or is refused; no other exception comes out of it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwright.billing.importing import ImportRefused, import_files
from batchwright.billing.importing.importing import KINDS
from tests.billing.importing.books import COMPANY, NOW, TAKEN_OVER, Books, write
from tests.support.rungs import depth

_FILES = {**COMPANY, **TAKEN_OVER}
_HEADERS = {kind.name: ",".join(column.name for column in kind.columns) for kind in KINDS}
_FUZZ = settings(
    max_examples=depth(25, 150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)

_NASTY = st.sampled_from(
    [
        *(
            b"",
            b",",
            b'"',
            b"\n",
            b"\r",
            b"\r\n",
            b"\0",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\t",
            b";",
            b"'",
            b"=1",
            b"-",
            b"+1",
        ),
        *(
            b"2023-06-31",
            b"0000-00-00",
            b"9999-12-31",
            b"2999-12-31",
            b"1900-01-01",
            b"NaN",
            b"1e400",
            b"-0",
            b".",
        ),
        *(
            b"9" * 30,
            b"0.000000000001",
            b"999999999999999999",
            "“1”".encode(),
            "٣".encode(),
            "\u202e".encode(),
        ),
        *(
            b"AL-1",
            b"IN-00007052",
            b"IN-00000001",
            b"Yearly",
            b"Superseded",
            b"true",
            b"volume",
            b"per_unit",
            b"A-9",
        ),
        *("é".encode(), b"x" * 70, b"\\N", b"\\.", b"$1", b"%s", b"\x1f", b"\xed\xa0\x80", "\ufffe".encode()),
    ]
)


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, bytes]:
    """The small company with a few of its bytes cut, replaced or repeated, in one or two of its files."""
    files = {name: content.encode() for name, content in _FILES.items()}
    for name in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2)):
        for _ in range(draw(st.integers(1, 4))):
            content = files[name]
            start = draw(st.integers(0, len(content)))
            end = draw(st.integers(start, min(len(content), start + 12)))
            piece = draw(st.one_of(_NASTY, st.binary(max_size=4), st.just(content[start:end] * 2)))
            files[name] = content[:start] + piece + content[end:]
    return files


@st.composite
def _rows(draw: st.DrawFn) -> dict[str, bytes]:
    """A file with its right header and cells of any kind."""
    kind = draw(st.sampled_from(KINDS))
    cell = st.one_of(_NASTY, st.text(max_size=8).map(lambda text: text.encode(errors="replace")))
    width = len(kind.columns)
    rows = draw(
        st.lists(st.lists(cell, min_size=width, max_size=width).map(b",".join), min_size=1, max_size=4)
    )
    return {kind.name: b"\n".join([_HEADERS[kind.name].encode(), *rows])}


def _any_bytes() -> st.SearchStrategy[dict[str, bytes]]:
    return st.dictionaries(st.sampled_from(sorted(_FILES)), st.binary(max_size=200), min_size=1, max_size=2)


class _TakeBack(Exception):
    """Ends the transaction of an import that went well."""


def _outcome(books: Books, folder: Path, files: Mapping[str, bytes], *, update: bool, skip: bool) -> str:
    path = write(folder, files)
    try:
        with books.database.write() as connection:
            import_files(connection, [path], update=update, skip_bad=io.StringIO() if skip else None, now=NOW)
            raise _TakeBack
    except _TakeBack:
        return "imported"
    except ImportRefused as refused:
        has_remedies = bool(refused.problems) and all(problem.remedy for problem in refused.problems)
        return "refused" if has_remedies else "refused without a remedy"
    finally:
        for name in files:
            (path / name).unlink()


@_FUZZ
@given(files=st.one_of(_any_bytes(), _rows(), _mutated()), update=st.booleans(), skip=st.booleans())
def test_any_bytes_are_imported_or_refused(
    standing_company: Books, tmp_path: Path, files: dict[str, bytes], update: bool, skip: bool
) -> None:
    assert _outcome(standing_company, tmp_path / "fuzz", files, update=update, skip=skip) in (
        "imported",
        "refused",
    )


@_FUZZ
@given(files=_mutated(), update=st.booleans(), skip=st.booleans())
def test_a_mutated_company_is_imported_into_empty_books_or_refused(
    empty_books: Books, tmp_path: Path, files: dict[str, bytes], update: bool, skip: bool
) -> None:
    assert _outcome(empty_books, tmp_path / "fuzz", files, update=update, skip=skip) in (
        "imported",
        "refused",
    )


@pytest.mark.parametrize("skip", [False, True])
def test_the_unmutated_company_is_imported(empty_books: Books, tmp_path: Path, skip: bool) -> None:
    files = {name: content.encode() for name, content in _FILES.items()}
    assert _outcome(empty_books, tmp_path / "fuzz", files, update=False, skip=skip) == "imported"
