"""What people type into the filters of lists, and the address that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from batchwright.console.pages.typed import month_of
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from tests.console.conftest import Visit
from tests.support.application import ACTOR

CUSTOMERS = """customer_id,name
C-1,Acme
C-2,Acme Nord
C-3,Bauer & Söhne
C-4,twin
C-5,Twin
acme nord,Other
"""


@pytest.fixture
def customers(app: Application, tmp_path: Path) -> None:
    """Some whose names are alike."""
    (tmp_path / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
    import_paths(app, [tmp_path / "customers.csv"], actor=ACTOR)


@pytest.mark.parametrize(
    ("text", "month"),
    [
        *(
            (text, "2023-10")
            for text in ("10/2023", "10.2023", "2023/10", "Oct 2023", "October, 2023", "oct. 2023")
        ),
        *((text, "2023-10") for text in ("2023 Oct", " 10 - 2023 ", "2023-10")),
        *((text, "2023-03") for text in ("3/2023", "2023-3", "Mar 2023", "mar2023", "2023 march")),
        ("Sept 2023", "2023-09"),
        *(
            (text, None)
            for text in ("10/23", "23/10", "13/2023", "0/2023", "2023", "Ma 2023", "Okt 2023", "")
        ),
        *((text, None) for text in ("10/10/2023", "Oct 23", "octoberx 2023", "2023-10-01", "\uff110/2023")),
    ],
)
def test_a_month_is_read_as_people_write_it_and_nothing_that_could_be_another(
    text: str, month: str | None
) -> None:
    assert month_of(text) == month


@pytest.mark.parametrize(
    ("path", "name"),
    [("/runs", "period"), ("/billing-schedules", "period"), ("/forecast", "from"), ("/forecast", "to")],
)
def test_a_month_in_other_words_becomes_the_canonical_address(
    web: TestClient, visit: Visit, path: str, name: str
) -> None:
    visit("viewer")
    answer = web.get(f"{path}?{name}=Oct+2023", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?{name}=2023-10")
    assert web.get(f"{path}?{name}=2023-10", follow_redirects=False).status_code == 200
    unclear = web.get(f"{path}?{name}=10/23", follow_redirects=False)
    assert unclear.status_code == 422
    assert "YYYY-MM" in unclear.text


LISTS = (
    "/runs",
    "/usage-inputs",
    "/billing-schedules",
    "/asset-line-items",
    "/accounts",
    "/forecast",
    "/billing-utilities",
)


@pytest.mark.parametrize("path", LISTS)
def test_a_customer_is_found_by_id_or_name_in_every_list_that_has_the_filter(
    web: TestClient, visit: Visit, customers: None, path: str
) -> None:
    visit("viewer")
    for text, found in (
        ("C-1", None),
        ("Acme", "C-1"),
        ("BAUER", "C-3"),
        ("söhne", "C-3"),
        ("acme nord", None),
        ("Acme Nord", "C-2"),
    ):
        answer = web.get(
            path,
            params={"customer_id": text, "limit": 25} if path != "/forecast" else {"customer_id": text},
            follow_redirects=False,
        )
        if found is None:
            assert answer.status_code == 200
        else:
            kept = "" if path == "/forecast" else "&limit=25"
            assert answer.headers["location"] == f"{path}?customer_id={found}{kept}"


def test_a_customer_that_could_be_several_is_refused_with_their_ids(
    web: TestClient, visit: Visit, customers: None
) -> None:
    visit("viewer")
    answer = web.get("/runs?customer_id=twin")
    assert answer.status_code == 422
    assert "could be several customers: C-4 (twin), C-5 (Twin)" in answer.text.replace("&#39;", "'")
    assert "Give the id of the one that is meant" in answer.text
    errors = web.get("/runs?customer_id=twin&errors=true").text
    assert 'href="/runs?customer_id=C-5&amp;errors=true"' in errors
    assert web.get("/usage-inputs?customer_id=nobody").status_code == 422
    assert web.get("/runs?customer_id=nobody").status_code == 200
