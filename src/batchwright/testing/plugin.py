"""The pytest plugin: a clock, a mailbox, a job in line on a throw-away database, and restarts after every kill.

Whatever is heavy is imported by the fixture that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from batchwright.engine.job import BatchJob
    from batchwright.testing.clock import FakeClock
    from batchwright.testing.databases import Databases
    from batchwright.testing.fork_server import ForkServer
    from batchwright.testing.mailbox import Mailbox
    from batchwright.testing.outside import Outside, SmtpCapture
    from batchwright.testing.runner import JobRunner
    from batchwright.testing.sandbox import Data, Sandbox

OPTION = "--batchwright-postgres"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where throw-away databases are made."""
    parser.getgroup("batchwright").addoption(
        OPTION,
        metavar="URL",
        help="try jobs on PostgreSQL instead of SQLite: a database of the server, as"
        " postgresql+psycopg://user:password@host/database; its user may create databases",
    )


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that moves only when somebody sleeps on it; it begins at noon UTC on 15 June 2023."""
    from batchwright.testing.clock import FakeClock

    return FakeClock(datetime(2023, 6, 15, 12, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def batchwright_databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """Makes throw-away databases: SQLite, or PostgreSQL where the option names a server."""
    from batchwright.testing.databases import PostgresDatabases, SqliteDatabases

    url = request.config.getoption(OPTION)
    made: Databases = PostgresDatabases(url) if url else SqliteDatabases(tmp_path_factory.mktemp("databases"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def batchwright_fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Where the processes come from that tests kill."""
    from batchwright.testing.fork_server import ForkServer

    fork_server = ForkServer(tmp_path_factory.mktemp("fork_server"))
    yield fork_server
    fork_server.close()


@pytest.fixture
def batchwright_sandbox(
    tmp_path_factory: pytest.TempPathFactory,
    batchwright_databases: Databases,
    batchwright_fork_server: ForkServer,
) -> Iterator[Sandbox]:
    """A throw-away database of this test, a mailbox, and children."""
    from batchwright.testing.sandbox import Sandbox

    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"), batchwright_databases, batchwright_fork_server)
    yield sandbox
    sandbox.close()


@pytest.fixture
def mailbox(batchwright_sandbox: Sandbox) -> Mailbox:
    """The mails about runs that were driven in this test."""
    return batchwright_sandbox.mailbox


@pytest.fixture
def smtp_capture() -> Iterator[SmtpCapture]:
    """A mail server for jobs that send mail themselves."""
    from batchwright.testing.outside import SmtpCapture

    server = SmtpCapture()
    yield server
    server.close()


@pytest.fixture
def job_runner(batchwright_sandbox: Sandbox, fake_clock: FakeClock) -> JobRunner:
    """Runs a job in line on a throw-away database, and kills it where the test says."""
    from batchwright.testing.runner import JobRunner

    return JobRunner(batchwright_sandbox, fake_clock)


@pytest.fixture
def assert_restart_safe(batchwright_sandbox: Sandbox) -> Callable[..., None]:
    """A function that kills the job at every point in turn and compares with an undisturbed run."""
    from batchwright.testing.restart import RestartCheck

    def check(
        job: BatchJob,
        data: Data,
        *,
        outside: Sequence[Outside] = (),
        ignore: Mapping[str, Sequence[str]] | None = None,
        scope_size: int | None = None,
        any_scopes: bool = True,
    ) -> None:
        """Raise an `AssertionError` that names point, table and row, unless the job can be restarted anywhere.

        `data` writes tables and rows through the connection it is called with. `outside` are effects outside the
        database that are compared, too: `Files(path)`, or the `smtp_capture`. `ignore` names columns not to be
        compared, by table. `any_scopes=False` allows the result to depend on the scopes' size and order.
        """
        RestartCheck(batchwright_sandbox, job, data, outside, ignore or {}, scope_size, any_scopes).run()

    return check
