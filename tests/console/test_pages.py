"""What every page has in common."""

from __future__ import annotations

from starlette.testclient import TestClient

from batchwright.console.pages import static_files


def test_the_style_sheet_is_kept_by_browsers_under_a_name_that_says_its_content(web: TestClient) -> None:
    answer = web.get(static_files.address_of("console.css"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_nothing_but_the_files_of_the_package_is_served(web: TestClient) -> None:
    for name in ("console.css", "..%2f__init__.py", "%2e%2e/application.py", "", "console.000000000000.css"):
        assert web.get(f"/static/{name}").status_code == 404, name


def test_an_address_without_a_page_is_told_as_a_page_with_the_script_escaped(web: TestClient) -> None:
    answer = web.get('/"><svg onload=alert(1)>')
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<svg onload" not in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
