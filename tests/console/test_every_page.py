"""What holds for every page and every act, those that come later too: they are found by their routes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from html import unescape
from itertools import product
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from httpx2 import Response
from sqlalchemy import update
from starlette.testclient import TestClient

from batchwright.console.pages.session import COOKIE
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.operations.access.confirming import GOOD_FOR
from batchwright.operations.access.permissions import ROLES, Right
from batchwright.operations.access.sessions import end_sessions
from batchwright.operations.app import Application
from batchwright.operations.tables import app_user, user_session
from tests.console.pages_there_are import SCRIPT, There, email_of, pages_there_are
from tests.console.visits import visit_as
from tests.support.application import ACTOR
from tests.support.rungs import depth

OPEN: Final = "nobody has to be signed in"
BY_CODE: Final = "a code of its address is the proof, of which a foreign page has none"
MAY: Final = {
    BY_CODE: ["/preferences/unsubscribe"],
    OPEN: ["/first-administrator", "/reset", "/reset/password", "/sign-in", "/sign-in/link", "/sign-out"],
    Right.LOOK: [
        "/preferences",
        "/preferences/browser",
        "/preferences/password",
        "/preferences/sessions/end",
        "/preferences/sessions/{session_id}/end",
    ],
    Right.OPERATE: [
        "/apply-schedules",
        "/asset-line-items/{asset_line_item_id}/amend",
        "/jobs/{name}/launch",
        "/mail/{mail_id}/retry",
        "/new-schedule",
        "/retry-failed-mail",
        "/runs/{run_id}/abort",
        "/runs/{run_id}/apply",
        "/runs/{run_id}/move",
        "/runs/{run_id}/pause",
        "/runs/{run_id}/resume",
        "/runs/{run_id}/retry",
        *(
            f"/schedules/{{name}}/{act}"
            for act in ("backfill", "edit", "pause", "remove", "resume", "rewind", "run-now")
        ),
        "/seen/{kind}/{subject}",
        "/ticked-runs",
        "/usage-inputs/add",
        "/usage-inputs/selections",
        "/usage-inputs/selections/{selection_id}/{act}",
        "/usage-inputs/{usage_input_id}/delete",
        "/usage-inputs/{usage_input_id}/draft-rate",
        "/usage-inputs/{usage_input_id}/edit",
        "/usage-inputs/{usage_input_id}/rate",
        "/usage-inputs/{usage_input_id}/reset",
        "/usage-inputs/{usage_input_id}/unrate",
    ],
    Right.BILLING: ["/billing-schedules/status", "/billing-utilities/recalculation", "/imports"],
    Right.ADMINISTER: [
        "/hold-schedules",
        "/prune-runs",
        "/release-schedules",
        "/runs/{run_id}/hold",
        "/users/add",
        "/users/{email}/disable",
        "/users/{email}/enable",
        "/users/{email}/link",
        "/users/{email}/mail",
        "/users/{email}/role",
        "/users/{email}/sessions/end",
        "/users/{email}/sessions/{session_id}/end",
        "/users/{email}/tokens/add",
        "/users/{email}/tokens/{name}/revoke",
    ],
}
"""Who may do each act, by its path."""
STOP: Final = {"/hold-schedules", "/runs/{run_id}/hold"}
"""Acts of administrators that widen nobody's access: they stop something, which must not wait for a password."""
ASKS: Final = {
    *MAY[Right.ADMINISTER],
    "/preferences/sessions/end",
    "/preferences/sessions/{session_id}/end",
} - STOP
"""Acts that ask for the password again (OWASP ASVS 7.5.1, 7.5.2)."""
NEEDED: Final = {path: right for right, paths in MAY.items() for path in paths}
LEAD_ON: Final = {"/first-administrator", "/sign-in", "/sign-in/link"}
"""Pages that lead who is signed in to another one (303)."""
HOSTILE: Final = {
    "markup": SCRIPT,
    "a NUL": "a\0b",
    "half of a surrogate pair": "a\ud800b",
    "ten thousand characters": "9" * 10_000,
    "a number beyond all": "1" + "0" * 30,
    "a number below all": "-1",
}
FOREIGN: Final[dict[str, tuple[dict[str, str], bool]]] = {
    "no token": ({}, False),
    "a foreign Origin": ({"Origin": "https://evil.example"}, True),
    "a page of another site": ({"Sec-Fetch-Site": "cross-site"}, True),
    "no form": ({"Content-Type": "text/plain"}, True),
}
"""What a form of a foreign page is told by: headers, and whether it knows the token."""


@pytest.fixture
def app(furnished_app: Application) -> Application:
    """With something behind every page."""
    return furnished_app


@pytest.fixture
def web(app: Application) -> Iterator[TestClient]:
    """A browser of `app`."""
    traffic = Traffic(app, Limits(burst=1_000_000), Limits(burst=1_000_000))
    asgi = make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic)
    with TestClient(asgi, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def database(tmp_path: Path, app: Application) -> Iterator[Database]:
    """The rows of `app`."""
    with closing(sqlite3.connect(tmp_path / "batchwright.db", isolation_level=None)) as connection:
        yield Database(connection)


class Database:
    """A database as another process sees it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._seen: tuple[int, dict[str, str]] | None = None

    def rows(self, *, but: str = "nothing") -> dict[str, str]:
        """A digest of each table, without the last use of sessions; of tables named `but…` nothing."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if self._seen is None or self._seen[0] != version:
            names = [
                name
                for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            self._seen = version, {name: self._digest(name) for name in names}
        return {name: digest for name, digest in self._seen[1].items() if not name.startswith(but)}

    def _digest(self, name: str) -> str:
        columns = [row[1] for row in self._connection.execute(f'PRAGMA table_info("{name}")')]
        kept = ", ".join(f'"{one}"' for one in columns if one != "last_used_at")
        rows = self._connection.execute(f'SELECT {kept} FROM "{name}"')
        return sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()


def set_password_back(app: Application, password_hash: str | None = "kept") -> None:
    """Let a quarter of an hour have passed since anybody gave their password, of which that is kept."""
    ago = app.clock.now() - GOOD_FOR
    with app.database.write() as connection:
        connection.execute(update(app_user).values(password_hash=password_hash))
        connection.execute(update(user_session).values(created_at=ago, password_at=None))


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of the form in the page itself, below its frame."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.split("<main", 1)[1])
    return {unescape(name): unescape(value) for name, value in found}


def has_markup(answer: Response) -> bool:
    is_page = answer.headers.get("content-type", "").startswith("text/html")
    return is_page and "<svg onload" in answer.text


def test_who_may_do_each_act_is_written_down_here() -> None:
    there_are = {act.path for act in pages_there_are("POST")}
    assert there_are - NEEDED.keys() == set(), "an act is not in MAY: write who may do it"
    assert NEEDED.keys() - there_are == set(), "there are no such acts any more: strike them out of MAY"


def test_an_act_is_done_for_who_may_and_for_nobody_else(
    app: Application, web: TestClient, database: Database, selection: str
) -> None:
    tokens = {}
    for role in ROLES:
        token = visit_as(web, app, email_of(role))
        tokens[role] = token, web.cookies.pop(COOKIE)
    acts = [act for act in pages_there_are("POST") if NEEDED.get(act.path) not in (OPEN, BY_CODE)]

    def send(act: There, role: str) -> Response:
        token, reference = tokens[role]
        web.cookies.set(COOKIE, reference)
        return web.post(act.address(selection), data={"csrf_token": token}, follow_redirects=False)

    for act in acts:
        lowest = ROLES.index(NEEDED[act.path])
        before = database.rows(but="audit")
        for role in ROLES[:lowest]:
            answer = send(act, role)
            assert answer.status_code == 403, (act.path, role, answer.text)
        assert database.rows(but="audit") == before, act.path
        for role in ROLES[lowest:][: depth(1, len(ROLES))]:
            answer = send(act, role)
            assert answer.status_code in (200, 303, 404, 422), (act.path, role, answer.text)


def test_what_widens_access_or_ends_sessions_asks_for_the_password_and_nothing_else_does() -> None:
    asking = {act.path for act in pages_there_are("POST") if act.asks_password}
    assert asking == ASKS
    assert asking <= {page.path for page in pages_there_are("GET")}, "where Cancel leads"


def test_who_found_an_open_browser_does_nothing_for_which_the_password_is_asked(
    app: Application, web: TestClient, database: Database, selection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = "batchwright.operations.access.confirming.password_fits"
    monkeypatch.setattr(checked, lambda kept, given: given == "seven green bottles")
    token = visit_as(web, app, email_of("administrator"))
    for act in pages_there_are("POST"):
        if not act.asks_password:
            continue
        set_password_back(app)
        before, sent = database.rows(), {"csrf_token": token, "reason": f'so "{act.path}"', "role": "viewer"}
        there = act.address(selection)
        answer = web.post(there, data=sent, follow_redirects=False)
        assert (answer.status_code, "Confirm it is you" in answer.text) == (200, True), (
            act.path,
            answer.text,
        )
        assert database.rows() == before, act.path
        again = hidden_fields(answer.text)
        assert again == sent, act.path
        # CSRF comes first: a foreign page cannot even have passwords tried.
        foreign = again | {"confirm_password": "seven green bottles", "csrf_token": "x"}
        assert web.post(there, data=foreign, follow_redirects=False).status_code == 403
        done = web.post(
            there, data=again | {"confirm_password": "seven green bottles"}, follow_redirects=False
        )
        assert done.status_code in (200, 303, 404, 422), (act.path, done.text)
        assert "Confirm it is you" not in done.text, act.path
        assert "seven green bottles" not in done.text, act.path


def test_who_has_no_password_is_told_how_to_get_one_before_they_type_any(
    app: Application, web: TestClient, database: Database, selection: str
) -> None:
    token = visit_as(web, app, email_of("administrator"))
    set_password_back(app, None)
    before = database.rows()
    for typed in ({}, {"confirm_password": "guess"}):
        answer = web.post("/users/add", data={"csrf_token": token, "email": "x@example.com"} | typed)
        assert (answer.status_code, "you have no password yet" in answer.text) == (422, True)
        assert 'name="confirm_password"' not in answer.text
    assert database.rows() == before


@pytest.mark.parametrize("told_by", FOREIGN)
def test_nothing_is_done_by_a_form_of_a_foreign_page(
    app: Application, web: TestClient, database: Database, selection: str, told_by: str
) -> None:
    headers, knows = FOREIGN[told_by]
    token = visit_as(web, app, email_of("administrator"))
    for act in pages_there_are("POST"):
        before = database.rows()
        there, form = act.address(selection), {"csrf_token": token} if knows else {}
        if "Content-Type" in headers:
            answer = web.post(there, content=f"csrf_token={token}", headers=headers, follow_redirects=False)
        else:
            answer = web.post(there, data=form, headers=headers, follow_redirects=False)
        expected = 422 if NEEDED.get(act.path) == BY_CODE else 403
        assert answer.status_code == expected, (act.path, answer.text)
        assert database.rows() == before, act.path


def test_nothing_is_done_by_a_form_after_signing_out(
    app: Application, web: TestClient, database: Database, selection: str
) -> None:
    token = visit_as(web, app, email_of("administrator"))
    end_sessions(app, email_of("administrator"), actor=ACTOR)
    before = database.rows()
    for act in pages_there_are("POST"):
        answer = web.post(act.address(selection), data={"csrf_token": token}, follow_redirects=False)
        expected = {"/sign-out": 303, **dict.fromkeys(MAY[BY_CODE], 422)}.get(act.path, 403)
        assert answer.status_code == expected, (act.path, answer.text)
        assert database.rows() == before, act.path


def test_every_page_is_there_shows_script_as_text_and_changes_no_row(
    app: Application, web: TestClient, database: Database, selection: str
) -> None:
    visit_as(web, app, email_of("administrator"))
    shown = 0
    for page in pages_there_are("GET"):
        before = database.rows()
        answer = web.get(page.address(selection), follow_redirects=False)
        assert answer.status_code in ((200, 303) if page.path in LEAD_ON else (200,)), (
            page.path,
            answer.text,
        )
        assert database.rows() == before, page.path
        assert not has_markup(answer), page.path
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        shown += "&lt;svg onload" in answer.text
    assert shown >= 10


def cases(selection: str) -> Iterator[tuple[There, str, str, bool]]:
    """Every page and act with each part of its address hostile in turn: it, what is, the address, whether in an id."""
    there_are = [*pages_there_are("GET"), *pages_there_are("POST")]
    for one, (said, value) in product(there_are, HOSTILE.items()):
        text = quote(value.encode("utf-8", "surrogatepass"), safe="")
        for name in one.names:
            there = one.address(selection, **{name: text})
            yield one, f"{said} in {name}", there, said != "a number below all"
        for name in ("another", *one.asked) if one.method == "GET" else ():
            yield one, f"{said} in {name}", f"{one.address(selection)}?{name}={text}", False
        yield one, f"{said} as a name", f"{one.address(selection)}?{text}=1", False


@pytest.mark.timeout(900)
def test_no_page_fails_or_shows_markup_whatever_its_address_brings(
    app: Application, web: TestClient, selection: str
) -> None:
    token = visit_as(web, app, email_of("administrator"))
    # On the short rung some: each part of an address gets another of the six values.
    for one, said, there, in_an_id in list(cases(selection))[:: depth(11, 1)]:
        form = {"csrf_token": token} if one.method == "POST" and in_an_id else None
        answer = web.request(one.method, there, data=form, follow_redirects=False)
        case = f"{one.method} {one.path} with {said}"
        assert answer.status_code < 500, (case, answer.text[:2000])
        assert not in_an_id or answer.status_code >= 400, case
        assert not has_markup(answer), case
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], case
