"""The page on which CSV files are uploaded, with what was refused of them."""

from __future__ import annotations

import csv
import re
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from batchwright.billing.importing.importing import KINDS
from batchwright.console.pages.routes import imports
from batchwright.operations.app import Application
from batchwright.operations.billing import imports as operation
from batchwright.operations.billing.imports import file_guides, import_uploads
from batchwright.operations.billing.loaded import Kind, list_loaded
from tests.console.conftest import Visit
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

ADMIN = "Billing Utilities Admin"
GOOD = "customer_id,name\nC-1,One\nC-2,Two\n"
BAD = "customer_id,name\nC-1,One\n,<b>Nobody</b>\n"


def sent(text: str, name: str = "customers.csv") -> list[tuple[str, tuple[str, bytes, str]]]:
    return [("files", (name, text.encode(), "text/csv"))]


def test_a_file_with_a_bad_line_is_refused_by_line_mended_and_uploaded_again(
    app: Application, web: TestClient, visit: Visit
) -> None:
    token = visit(ADMIN)
    assert "Nothing was imported yet" in web.get("/imports").text
    form = {"csrf_token": token, "reason": "monthly"}
    refused = web.post("/imports", data=form, files=sent(BAD))
    assert refused.status_code == 422
    assert "customers.csv, line 3, column customer_id" in refused.text
    assert "ticking Skip bad lines" in refused.text
    assert 'value="monthly"' in refused.text
    assert list(list_loaded(app, Kind.CUSTOMER, actor=ACTOR)) == []
    mended = web.post("/imports", data=form, files=sent(GOOD), follow_redirects=False)
    assert (mended.status_code, mended.headers["Location"]) == (303, "/imports?done=imported")
    assert len(list(list_loaded(app, Kind.CUSTOMER, actor=ACTOR))) == 2
    again = unescape(web.post("/imports", data=form, files=sent(GOOD)).text)
    assert 'or import with "Update what is there"' in again
    page = web.get("/imports").text
    assert page.count('<tr id="import-') == 1
    assert "monthly" in page
    assert ">Update<" not in page


def test_bad_lines_are_skipped_where_that_is_ticked_and_shown_as_text(
    app: Application, web: TestClient, visit: Visit
) -> None:
    form = {"csrf_token": visit(ADMIN), "skip_bad": "true"}
    answer = web.post("/imports", data=form, files=sent(BAD))
    assert answer.status_code == 200
    assert "1 line left out" in answer.text
    assert "&lt;b&gt;Nobody&lt;/b&gt;" in answer.text
    assert "<b>Nobody" not in answer.text
    assert len(list(list_loaded(app, Kind.CUSTOMER, actor=ACTOR))) == 1


def test_a_check_counts_what_would_be_loaded_and_changes_nothing(
    app: Application, web: TestClient, visit: Visit
) -> None:
    form = {"csrf_token": visit(ADMIN), "skip_bad": "true", "check": "1"}
    answer = web.post("/imports", data=form, files=sent(BAD))
    counts = re.findall(r'data-head="(Rows|Added|Updated|Skipped)"[^>]*><div>(\d+)<', answer.text)
    assert counts == [("Rows", "2"), ("Added", "1"), ("Updated", "0"), ("Skipped", "1")]
    assert "nothing is imported yet" in answer.text
    assert "would be imported" in answer.text
    assert "Nothing was imported yet" in answer.text
    assert list(list_loaded(app, Kind.CUSTOMER, actor=ACTOR)) == []


def test_more_bad_lines_than_can_be_shown_are_refused_and_load_nothing(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "MOST_BAD_LINES", 1)
    form = {"csrf_token": visit(ADMIN), "skip_bad": "true"}
    answer = web.post("/imports", data=form, files=sent(BAD + ",Another\n"))
    assert (answer.status_code, "2 lines are bad, and no more than 1" in answer.text) == (422, True)
    assert list(list_loaded(app, Kind.CUSTOMER, actor=ACTOR)) == []


def test_each_file_there_is_has_its_columns_a_template_and_an_example_that_can_be_read(
    web: TestClient, visit: Visit
) -> None:
    visit(ADMIN)
    page = unescape(web.get("/imports").text)
    places = []
    for kind, guide in zip(KINDS, file_guides(), strict=True):
        template = web.get(f"/imports/templates/{kind.name}")
        assert template.headers["Content-Disposition"] == f'attachment; filename="{kind.name}"'
        assert template.text == ",".join(column.name for column in kind.columns) + "\r\n"
        cells = next(csv.reader([guide["example"]]))
        for column, cell in zip(kind.columns, cells, strict=True):
            assert cell or column.optional or column.may_be_blank, column.name
            if cell:
                column.read(cell)
        assert guide["example"] in page
        places.append(page.index(f"<strong>{kind.name}</strong>"))
    assert places == sorted(places)
    assert web.get("/imports/templates/passwd").status_code == 404


def test_what_is_no_file_of_an_import_is_refused_by_its_name(web: TestClient, visit: Visit) -> None:
    form = {"csrf_token": visit(ADMIN)}
    for files, said in (
        ([], "no file was chosen"),
        (sent("", ""), "no file was chosen"),
        (sent(GOOD, "../../customers.csv"), "is not a file that can be imported"),
        (sent(GOOD, "<svg onload=alert(1)>.csv"), "is not a file that can be imported"),
    ):
        answer = web.post("/imports", data=form, files=files)
        assert (answer.status_code, said in answer.text, "<svg onload" in answer.text) == (422, True, False)


def test_how_far_an_import_is_is_told_while_it_is_at_work(
    app: Application, web: TestClient, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = visit(ADMIN)
    looks = []
    load = import_uploads

    def look() -> str:
        return " ".join(web.get("/imports", headers={"X-Live-Region": "region_at_work"}).text.split())

    def followed(*given: Any, progress: Any, **more: Any) -> Any:
        looks.append(look())

        def tell(*far: Any) -> None:
            progress(*far)
            looks.append(look())

        return load(*given, progress=tell, **more)

    monkeypatch.setattr(imports, "import_uploads", followed)
    web.post("/imports", data={"csrf_token": token}, files=sent(GOOD))
    before, within = looks
    assert "customers.csv <span" in before
    assert "0 of about 2 rows, waiting for its turn" in before
    assert "2 of about 2 rows, finishing" in within
    assert "progress" not in look()


def test_only_who_may_import_sees_the_page(web: TestClient, visit: Visit) -> None:
    token = visit("operator")
    assert 'href="/imports"' not in web.get("/runs").text
    assert web.post("/imports", data={"csrf_token": token}, files=sent(GOOD)).status_code == 403
    visit(ADMIN)
    assert 'href="/imports"' in web.get("/runs").text
