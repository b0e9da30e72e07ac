"""The page on which CSV files are uploaded, with what was refused of them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.routes import imports
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_uploads
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
