"""What every request passes and every answer gets, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from batchwright.console.envelope import HEADERS, MOST_BODY_BYTES, Envelope


async def echo(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


async def breaks(_: Request) -> Response:
    raise RuntimeError("postgresql://user:secret@host/db")


@pytest.fixture
def web() -> TestClient:
    inner = Router(routes=[Route("/echo", echo, methods=["GET", "POST"]), Route("/breaks", breaks)])
    return TestClient(Envelope(inner, hosts={"127.0.0.1", "[::1]"}, https=False), base_url="http://127.0.0.1")


@pytest.mark.parametrize("path", ["/echo", "/breaks", "/nothing"])
def test_every_answer_carries_the_security_headers_and_an_id_of_its_own(web: TestClient, path: str) -> None:
    first, second = web.get(path), web.get(path)
    assert HEADERS.items() <= dict(first.headers).items() | {(name, first.headers[name]) for name in HEADERS}
    assert len({first.headers["x-request-id"], second.headers["x-request-id"]}) == 2
    assert "strict-transport-security" not in first.headers


def test_where_people_come_by_https_browsers_are_told_to_stay_there() -> None:
    inner = Router(routes=[Route("/echo", echo)])
    web = TestClient(Envelope(inner, hosts={"127.0.0.1"}, https=True), base_url="http://127.0.0.1")
    assert web.get("/echo").headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1:80:80"])
def test_a_request_for_another_host_is_refused(web: TestClient, host: str) -> None:
    refused = web.get("/echo", headers={"Host": host})
    assert (refused.status_code, refused.json()["field"]) == (400, "Host")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_a_host_of_ours_is_taken_with_any_port(web: TestClient, host: str) -> None:
    assert web.get("/echo", headers={"Host": host}).status_code == 200


def test_a_body_that_is_too_large_is_refused_by_its_length_and_as_it_comes(web: TestClient) -> None:
    said = web.post("/echo", content=b"x" * (MOST_BODY_BYTES + 1))
    came = web.post("/echo", content=iter([b"x" * 600_000, b"x" * 600_000]))
    lied = web.post("/echo", headers={"Content-Length": "9" * 30})
    assert [one.status_code for one in (said, came, lied)] == [413, 413, 413]
    assert web.post("/echo", content=b"x" * MOST_BODY_BYTES).json() == {"bytes": MOST_BODY_BYTES}


def test_of_an_exception_nobody_foresaw_the_id_is_told_and_nothing_else(web: TestClient) -> None:
    with capture_logs() as logged:
        failed = web.get("/breaks")
    document: dict[str, Any] = json.loads(failed.text)
    assert failed.status_code == document["status"] == 500
    assert "secret" not in failed.text
    entries = [line for line in logged if line["event"] == "a request failed"]
    assert [line["request_id"] for line in entries] == [failed.headers["x-request-id"]]
    assert document["instance"].endswith(failed.headers["x-request-id"])


def test_each_request_is_one_line_of_the_log_without_its_query(web: TestClient) -> None:
    with capture_logs() as logged:
        web.get("/echo?token=bw_secret")
    (line,) = [line for line in logged if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"], line["whole"]) == ("GET", "/echo", 200, True)
    assert "bw_secret" not in str(line)
