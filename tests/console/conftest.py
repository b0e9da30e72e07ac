"""The web on an application of its own, called in this process, and users with tokens."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Never

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from batchwright.billing import sample
from batchwright.console.pages import banners
from batchwright.console.server import make_asgi
from batchwright.console.traffic import Limits, Traffic
from batchwright.console.waiting import WATCHER
from batchwright.operations.access.tokens import make_token
from batchwright.operations.access.users import add_user
from batchwright.operations.actor import Unauthenticated
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.testing.clock import StandingClock
from tests.console.checked import CheckedClient
from tests.console.furniture import furnish
from tests.console.pages_there_are import JOB, WalkedJob, furnish_pages
from tests.console.visits import visit_as
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.seed_table import FILES

Caller = Callable[[str], dict[str, str]]
Visit = Callable[[str], str]


@pytest.fixture
def clock() -> StandingClock:
    """The clock of `app`."""
    return StandingClock(NOW)


@pytest.fixture
def app(migrated_url: str, tmp_path: Path, clock: StandingClock) -> Iterator[Application]:
    """An application on a migrated database without a record."""
    application = make_application(make_settings(migrated_url, tmp_path), clock=clock)
    named = application.default_actor
    application.default_actor = lambda: nobody() if _SERVING.get() else named()  # type: ignore[method-assign]
    yield application
    for thread in threading.enumerate():
        if thread.name == WATCHER:
            thread.join(10)
    application.close()


@pytest.fixture
def company(app: Application) -> None:
    """The sample company in the database of `app`."""
    import_paths(app, [sample.folder()], actor=ACTOR)


@pytest.fixture
def traffic(app: Application) -> Traffic:
    """What the requests of `web` and `doors` share; they may come as often as a test wants."""
    return Traffic(app, Limits(burst=1_000_000), Limits(burst=1_000_000))


_SERVING: Final = ContextVar("_SERVING", default=False)
"""Whether a request is answered: then nobody acts who did not sign in, as in `serve`, though `app` is Python's."""


def nobody() -> Never:
    """Refuse who is not named, as behind a web door."""
    raise Unauthenticated("nobody is named who acts")


def _serving(asgi: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        _SERVING.set(True)
        await asgi(scope, receive, send)

    return answer


@pytest.fixture
def web(app: Application, traffic: Traffic) -> Iterator[TestClient]:
    """Calls the web as `serve` would answer, without a worker."""
    asgi = _serving(make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic))
    with TestClient(asgi, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def doors(app: Application, traffic: Traffic) -> Iterator[CheckedClient]:
    """The same, each answer held to what its door declares."""
    asgi = _serving(make_asgi(app, host="127.0.0.1", worker_expected=False, traffic=traffic))
    with CheckedClient(asgi, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def seed(app: Application, tmp_path: Path) -> None:
    """The first table of the vendor's page: one asset with two inputs, of 20 and 10."""
    folder = tmp_path / "seed"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    import_paths(app, [folder], actor=ACTOR)


@pytest.fixture
def furnished(app: Application, caller: Caller) -> None:
    """Something behind every address, in the database of `app`."""
    furnish(app)


@pytest.fixture
def caller(app: Application) -> Caller:
    """Headers with the token of a user of that role, who is made at the first call; first of all an administrator."""
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    made: dict[str, dict[str, str]] = {}

    def headers(role: str) -> dict[str, str]:
        if role not in made:
            email = f"{role.split()[0].lower()}@example.com"
            add_user(app, email, role, actor=ACTOR)
            made[role] = {"Authorization": f"Bearer {make_token(app, email, actor=ACTOR).text}"}
        return made[role]

    return headers


@pytest.fixture
def visit(app: Application, web: TestClient, caller: Caller) -> Visit:
    """Signs the browser `web` in as a user of that role, and returns the `csrf_token` of its forms."""

    def sign_in(role: str) -> str:
        caller(role)  # makes the user
        return visit_as(web, app, f"{role.split()[0].lower()}@example.com")

    return sign_in


@pytest.fixture(scope="session")
def furnished_folder(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite_folder: Path
) -> tuple[Path, str]:
    """A folder with a database that has something behind every page, and the id of a selection. Copy it."""
    folder = tmp_path_factory.mktemp("pages") / "furnished"
    shutil.copytree(migrated_sqlite_folder, folder)
    with closing(_application_in(folder)) as app:
        return folder, furnish_pages(app)


def _application_in(folder: Path) -> Application:
    settings = make_settings(f"sqlite:///{folder / 'batchwright.db'}", folder)
    return make_application(settings, clock=StandingClock(NOW))


@pytest.fixture
def furnished_app(furnished_folder: tuple[Path, str], tmp_path: Path) -> Iterator[Application]:
    """An application with something behind every page, and script in every text; on SQLite."""
    banners.forget()
    shutil.copytree(furnished_folder[0], tmp_path, dirs_exist_ok=True)
    with closing(_application_in(tmp_path)) as app:
        app.registry.get(JOB)
        app.registry.add(WalkedJob)
        yield app


@pytest.fixture
def selection(furnished_folder: tuple[Path, str]) -> str:
    """The id of one in `furnished_app`."""
    return furnished_folder[1]
