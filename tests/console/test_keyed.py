"""What is sent again with an `Idempotency-Key` is done once, and answered alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import File, Form, UploadFile
from starlette.responses import Response
from starlette.testclient import TestClient

from batchwright.console.api import keyed
from batchwright.console.api.application import make_web
from batchwright.console.api.door import CALL, Call, Doors, answer
from batchwright.console.envelope import Envelope
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Traffic
from batchwright.engine.dispatch import Dispatcher
from batchwright.notifications.deliver import Mailer
from batchwright.operations import idempotency, keyed_call_store
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.access.permissions import Right
from batchwright.operations.app import Application
from batchwright.operations.idempotency import prune_keyed_calls
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import FakeClock
from tests.console.conftest import Caller
from tests.support.application import ACTOR, NOW

RUNS = "/api/v1/runs"
ONE: dict[str, Any] = {"job": "draft-usage-rating", "reason": "July"}
SYNC = ONE | {"mode": "sync"}
REPLAYED = "idempotent-replayed"
HOUR = 3600

sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> FakeClock:
    """The clock of `app`."""
    return FakeClock(NOW)


@pytest.fixture
def post(web: TestClient, caller: Caller) -> Callable[..., Any]:
    """Sends a body with a key, as an operator."""

    def send(body: Any, key: str = "a", path: str = RUNS, role: str = "operator") -> Any:
        return web.post(path, json=body, headers=caller(role) | {"Idempotency-Key": key})

    return send


Post = Callable[..., Any]


def number_of_runs(app: Application) -> int:
    return len(list(list_runs(app, actor=ACTOR)))


@sqlite
def test_the_same_call_is_answered_alike_and_done_once(app: Application, post: Post) -> None:
    first, second = post(ONE), post(dict(reversed(ONE.items())))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    repeated = ("location", "retry-after", "content-type")
    assert [first.headers[name] for name in repeated] == [second.headers[name] for name in repeated]
    assert (REPLAYED in first.headers, second.headers[REPLAYED]) == (False, "true")
    assert number_of_runs(app) == 1
    assert post(ONE, key="b").json()["run_id"] != first.json()["run_id"]


@sqlite
def test_a_call_without_a_key_is_done_each_time(app: Application, web: TestClient, caller: Caller) -> None:
    for _ in range(2):
        assert REPLAYED not in web.post(RUNS, json=ONE, headers=caller("operator")).headers
    assert number_of_runs(app) == 2


@sqlite
def test_another_call_with_the_key_is_refused(app: Application, post: Post) -> None:
    run_id = post(ONE).json()["run_id"]
    for refused in (post(ONE | {"reason": "June"}), post({}, path=f"{RUNS}/{run_id}/abort")):
        assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")
    assert number_of_runs(app) == 1


@sqlite
def test_a_call_that_means_another_version_is_another_call(
    web: TestClient, caller: Caller, seed: None
) -> None:
    amendment = "/api/v1/asset-line-items/AL-1/amendment"
    headers = caller("operator") | {"Idempotency-Key": "a"}
    tag = web.get(amendment, headers=headers).headers["etag"]
    done, again, other = (
        web.post(amendment, json={}, headers=headers | {"If-Match": given}) for given in (tag, tag, "*")
    )
    assert [one.status_code for one in (done, again, other)] == [200, 200, 422]
    assert (again.content, again.headers[REPLAYED]) == (done.content, "true")
    assert other.json()["field"] == "Idempotency-Key"


@sqlite
def test_a_key_is_its_users_own(app: Application, post: Post) -> None:
    assert post(ONE).json()["run_id"] != post(ONE, role="administrator").json()["run_id"]
    assert number_of_runs(app) == 2


@sqlite
def test_a_refusal_is_not_kept_and_the_key_is_free_for_what_is_mended(app: Application, post: Post) -> None:
    assert post(ONE | {"notify": ["no address"]}).status_code == 422
    mended = post(ONE)
    assert (mended.status_code, REPLAYED in mended.headers) == (202, False)


@sqlite
def test_a_refused_attempt_is_in_the_audit_trail(app: Application, post: Post) -> None:
    body = {"job": "data-recalculation", "parameters": {}}
    assert [post(body).status_code for _ in range(2)] == [403, 403]
    acts = [entry["act"] for entry in list_audit(app)]
    assert acts.count("permission.refused") == 2
    assert number_of_runs(app) == 0


@sqlite
@pytest.mark.parametrize("key", ["", "é", "x" * 256, "a\tb"])
def test_what_is_no_key_is_refused(post: Post, key: str) -> None:
    refused = post(ONE, key=key.encode("latin-1"))
    assert (refused.status_code, refused.json()["field"]) == (422, "Idempotency-Key")


@sqlite
def test_two_keys_are_refused_and_one_of_255_characters_is_taken(
    web: TestClient, post: Post, caller: Caller
) -> None:
    both = [*caller("operator").items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert web.post(RUNS, json=ONE, headers=both).status_code == 422
    assert post(ONE, key="x" * 255).status_code == 202


@sqlite
def test_an_answer_is_kept_for_48_hours(app: Application, clock: FakeClock, post: Post) -> None:
    first = post(ONE).json()["run_id"]
    clock.sleep(48 * HOUR)
    assert post(ONE).json()["run_id"] == first
    clock.sleep(1)
    second = post(ONE).json()["run_id"]
    assert second != first
    prune_keyed_calls(app)
    assert post(ONE).json()["run_id"] == second
    clock.sleep(49 * HOUR)
    prune_keyed_calls(app)
    with app.database.read() as connection:
        assert not keyed_call_store.any_before(connection, clock.now())


@sqlite
def test_a_synchronous_run_is_answered_again_with_its_outcomes(app: Application, post: Post) -> None:
    first, second = post(SYNC), post(SYNC)
    assert (first.status_code, first.json()["outcomes"]) == (200, [])
    assert (second.content, second.headers[REPLAYED]) == (first.content, "true")
    assert number_of_runs(app) == 1


@sqlite
def test_where_the_answer_of_a_synchronous_run_was_lost_it_is_made_of_the_run(
    app: Application, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "_completed", lambda *_: 1 / 0)
        assert post(SYNC).status_code == 500
    again = post(SYNC)
    assert (again.status_code, again.json()["status"], again.json()["outcomes"]) == (200, "Completed", [])
    assert again.headers[REPLAYED] == "true"
    assert post(SYNC).content == again.content
    assert number_of_runs(app) == 1


@sqlite
def test_a_synchronous_run_at_work_is_waited_for_and_then_named_in_a_refusal(
    app: Application, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # its process is gone
        patch.setattr(Dispatcher, "work", lambda *_: 1 / 0)
        assert post(SYNC).status_code == 500
    monkeypatch.setattr(keyed, "MOST_SECONDS", 0)
    refused = post(SYNC)
    assert (refused.status_code, refused.json()["run_id"]) == (409, "JR-00000001")
    assert refused.headers["retry-after"] == "5"
    assert post(SYNC | {"reason": "June"}).status_code == 422  # before it is told to wait


@sqlite
def test_who_waits_for_a_synchronous_run_gets_its_answer(
    app: Application, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, looked = threading.Event(), threading.Event()
    work, kept_answer = Dispatcher.work, idempotency.kept_answer

    def work_slowly(*given: Any) -> Any:
        at_work.set()
        assert looked.wait(60)
        return work(*given)

    def look(*given: Any) -> Any:
        try:
            return kept_answer(*given)
        finally:
            looked.set()

    monkeypatch.setattr(Dispatcher, "work", work_slowly)
    monkeypatch.setattr(keyed, "kept_answer", look)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, SYNC)
        assert at_work.wait(60)
        second = post(SYNC)
        assert (second.status_code, second.headers[REPLAYED]) == (200, "true")
        assert second.json() == first.result(60).json()
    assert number_of_runs(app) == 1


@sqlite
def test_mail_is_sent_when_the_call_has_committed(
    app: Application, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        drive_submitted(app, submit_run(app, "draft-usage-rating", {}, actor=ACTOR, claim=True))
    mail_id = list_mail(app, actor=ACTOR)[0]["mail_id"]
    sent: list[tuple[object, ...]] = []

    def is_kept() -> bool:
        with app.database.read() as connection:
            return keyed_call_store.any_before(connection, NOW + timedelta(1))

    def send(_mailer: Mailer, *mail_ids: str, stop: object) -> None:
        with ThreadPoolExecutor(1) as elsewhere:
            sent.append((*mail_ids, elsewhere.submit(is_kept).result(60)))

    monkeypatch.setattr(Mailer, "send", send)
    for _ in range(2):
        assert post({"again": True}, path=f"/api/v1/mail/{mail_id}/retry").status_code == 200
    assert sent == [(mail_id, True)]


@pytest.mark.on_both
def test_of_fifty_calls_at_once_with_one_key_one_is_done(app: Application, caller: Caller) -> None:
    headers = caller("operator") | {"Idempotency-Key": "a"}
    asgi = [make_asgi(app, host="127.0.0.1", worker_expected=False) for _ in range(2)]
    start = threading.Barrier(50)
    with (
        TestClient(asgi[0], base_url="http://127.0.0.1") as one,
        TestClient(asgi[1], base_url="http://127.0.0.1") as two,
    ):

        def send(number: int) -> Any:
            start.wait(60)
            return (one, two)[number % 2].post(RUNS, json=ONE, headers=headers)

        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))
    assert {one.status_code for one in answers} == {202}
    assert len({one.content for one in answers}) == 1
    assert sum(REPLAYED in one.headers for one in answers) == 49
    assert number_of_runs(app) == 1


doors = Doors("tests", "")
done: list[str] = []


def take_files() -> None:
    """Take files."""


@doors.door("POST", "/files", take_files, Right.LOOK, answers={200: None})
def files(
    note: Annotated[str, Form()], files: Annotated[list[UploadFile], File()], call: Call = CALL
) -> Response:
    done.append(note)
    return answer([len(file.file.read()) for file in files])


@doors.door("POST", "/secrets", take_files, Right.LOOK, answers={200: None}, secret=True)
def secret(call: Call = CALL) -> Response:
    done.append("secret")
    return answer({"text": "bw_secret"})


@pytest.fixture
def own(app: Application, caller: Caller) -> Iterator[TestClient]:
    """Calls doors of this test's own, with a key."""
    done.clear()
    web = make_web(app, Traffic(app))
    web.include_router(doors)
    asgi = Envelope(web, hosts={"127.0.0.1"}, https=False)
    headers = caller("viewer") | {"Idempotency-Key": "a"}
    with TestClient(asgi, base_url="http://127.0.0.1", headers=headers) as client:
        yield client


@sqlite
def test_files_are_compared_by_fields_and_by_what_is_in_them(own: TestClient) -> None:
    sent = [("files", ("a.csv", b"1")), ("files", ("b.csv", b"22"))]
    first = own.post("/files", data={"note": "x"}, files=sent)
    again = own.post("/files", data={"note": "x"}, files=sent)  # with another boundary between the parts
    assert (first.json(), again.json(), again.headers[REPLAYED]) == ([1, 2], [1, 2], "true")
    others = [
        own.post("/files", data={"note": "y"}, files=sent),
        own.post("/files", data={"note": "x"}, files=[sent[0], ("files", ("b.csv", b"23"))]),
        own.post("/files", data={"note": "x"}, files=[sent[0], ("files", ("c.csv", b"22"))]),
        own.post("/files", data={"note": "x"}, files=sent[:1]),
    ]
    assert [one.status_code for one in others] == [422] * 4
    assert done == ["x"]


@sqlite
def test_an_answer_with_a_secret_is_not_kept(app: Application, own: TestClient) -> None:
    assert own.post("/secrets").json() == {"text": "bw_secret"}
    again = own.post("/secrets")
    assert (again.status_code, again.json()["field"], done) == (409, "Idempotency-Key", ["secret"])
    with app.database.read() as connection:
        assert keyed_call_store.read(connection, 2, "a", app.clock.now())["body"] is None  # type: ignore[index]


def test_a_door_that_waits_cannot_be_one_transaction() -> None:
    async def slow(call: Call = CALL) -> Response:
        return answer({})

    with pytest.raises(TypeError, match="one transaction"):
        doors.door("POST", "/slow", take_files, Right.LOOK, answers={200: None})(slow)
