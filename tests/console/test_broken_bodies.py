"""A body that breaks off after its head is refused, and nothing is done: also where the body would be of no use."""

from __future__ import annotations

import pytest

from batchwright.console.server import make_asgi
from batchwright.console.traffic import Traffic
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from tests.console.conftest import Caller
from tests.console.furniture import KNOWN, address_of
from tests.console.raw import answers, serving, statuses
from tests.console.routes_there_are import routes_there_are
from tests.support.application import ACTOR

ACTS = [door for door, _ in routes_there_are() if not door.startswith("GET ")]


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_no_act_is_done_whose_body_breaks_off(app: Application, traffic: Traffic, caller: Caller) -> None:
    token = caller("administrator")["Authorization"]
    before = list(list_audit(app, actor=ACTOR))
    refused = {}
    with serving(make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)) as address:
        for number, door in enumerate(ACTS):
            method, _, path = door.partition(" ")
            head = (
                f"{method} {address_of(path, KNOWN)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\n"
                f"Content-Type: application/json\r\nIf-Match: *\r\nIdempotency-Key: {number}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n"
            )
            refused[door] = statuses(answers(address, f"{head}2\r\n{{}}\r\nno size\r\n".encode()))
    assert refused == {door: [400] for door in ACTS}
    assert len(ACTS) > 40
    assert list(list_audit(app, actor=ACTOR)) == before
