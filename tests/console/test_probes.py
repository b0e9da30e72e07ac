"""What machines ask: is the process alive, is it ready?"""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from batchwright.console.server import make_asgi
from batchwright.operations.app import Application
from batchwright.operations.workers import Presence


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_serve_is_ready_with_a_worker_that_beats_and_says_until_then_what_is_missing(
    app: Application,
) -> None:
    web = TestClient(make_asgi(app, host="127.0.0.1", worker_expected=True), base_url="http://127.0.0.1")
    assert web.get("/healthz").text == "ok\n"
    waiting = web.get("/readyz")
    assert (waiting.status_code, waiting.json()) == (503, {"ready": False, "missing": ["worker"]})
    assert int(waiting.headers["Retry-After"]) > 0
    Presence(app).beat()
    ready = web.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "missing": []})
