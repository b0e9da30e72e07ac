"""`batchwright serve` as a process of its own: it answers, refuses to be reached by http, and ends with its worker."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from batchwright.cli.exits import FAILED, REFUSED
from tests.cli.conftest import PROGRAM, Batchwright

WAIT = 90.0
"""Seconds after which a process hangs, however busy the machine is."""


class Served:
    """A `serve` with the lines of its stderr, by which one knows when it has done something."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *options],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        found = re.search(r"http://\S+", self.line(lambda line: line.startswith("Serving ")))
        assert found is not None
        self.url = found[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._came:
                self.lines.append(line)
                self._came.notify_all()
        with self._came:
            self.lines.append("")
            self._came.notify_all()

    def line(self, wanted: Callable[[str], bool], number: int = 1) -> str:
        """The first line like that, or a later one; it comes."""

        def found() -> list[str]:
            return [line for line in self.lines if wanted(line)]

        with self._came:
            ended = self._came.wait_for(lambda: len(found()) >= number or "" in self.lines, WAIT)
            assert ended, self.lines
            assert len(found()) >= number, self.lines
            return found()[number - 1]

    def entry(self, event: str, **facts: Any) -> dict[str, Any]:
        """The first entry of the log of that event with those facts."""

        def is_it(line: str) -> bool:
            entry = json.loads(line) if line.startswith("{") else {}
            return entry.get("event") == event and facts.items() <= entry.items()

        entry: dict[str, Any] = json.loads(self.line(is_it))
        return entry

    def worker(self, number: int = 1) -> int:
        """The process id of its worker, or of a later one."""
        said = self.line(lambda line: line.startswith("Working on "), number)
        return int(said.rpartition("process ")[2].rstrip(".\n"))

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of an answer."""
        request = urllib.request.Request(
            self.url + path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=WAIT) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end."""
        self.process.send_signal(number)
        code = self.process.wait(WAIT)
        self._reader.join(WAIT)
        return code


Serve = Callable[..., Served]


@pytest.fixture
def serve(working_directory: Path) -> Iterator[Serve]:
    """Starts `serve` with options and settings, in a folder of its own."""
    started: list[Served] = []

    def start(*options: str, **environment: str) -> Served:
        started.append(Served(*options, **environment))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
        assert one.process.stderr is not None
        one.process.stderr.close()


def test_it_makes_its_database_answers_logs_each_request_and_ends_with_its_worker(serve: Serve) -> None:
    served = serve()
    served.worker()
    link = served.line(lambda line: "/first-administrator?code=" in line)
    elsewhere = served.line(lambda line: "where this does not listen" in line)
    assert elsewhere.startswith("Links in mails and invitations of other commands and workers lead to ")
    assert elsewhere.rstrip().endswith(f"set BATCHWRIGHT_BASE_URL={served.url}, for workers too.")
    assert "You become the first" in served.get(link.strip().removeprefix(served.url))[1]
    assert served.get("/healthz") == (HTTPStatus.OK, "ok\n")
    status, answer = served.get("/api/v1/runs/JR-00000001?secret=1", X_Forwarded_For="203.0.113.7")
    assert (status, json.loads(answer)["status"]) == (HTTPStatus.UNAUTHORIZED, 401)
    entry = served.entry("request", path="/api/v1/runs/JR-00000001")
    expected = {"method": "GET", "status": 401, "whole": True, "address": "127.0.0.1", "user": None}
    assert expected.items() <= entry.items()
    assert json.loads(answer)["instance"].endswith(entry["request_id"])
    assert not any("secret" in line for line in served.lines)
    assert "batchwright_database_up 1.0" in served.get("/metrics")[1]
    worker = served.worker()
    assert Path(f"/proc/{worker}/cmdline").read_text().split("\0")[-3:] == ["--served-at", served.url, ""]
    assert served.end() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


@pytest.mark.long
def test_an_address_is_believed_of_a_configured_proxy_alone(serve: Serve) -> None:
    served = serve("--no-worker", BATCHWRIGHT_PROXIES="127.0.0.1", BATCHWRIGHT_BASE_URL="https://localhost")
    assert not any("does not listen" in line for line in served.lines)
    served.get("/healthz", X_Forwarded_For="203.0.113.7")
    assert served.entry("request", path="/healthz")["address"] == "203.0.113.7"
    assert served.get("/healthz", Host="evil.example.com")[0] == HTTPStatus.BAD_REQUEST
    assert served.end(signal.SIGINT) == 0


@pytest.mark.long
def test_a_worker_that_is_killed_is_started_anew_and_drains_when_the_web_is_killed(serve: Serve) -> None:
    served = serve()
    os.kill(served.worker(), signal.SIGKILL)
    second = served.worker(2)
    assert served.entry("the worker ended; another one is started")["code"] == -signal.SIGKILL
    served.process.kill()
    served.line(lambda line: line.startswith("Stopped; what was not done"))
    assert served.end(signal.SIGKILL) == -signal.SIGKILL  # stderr is closed: the worker is gone, too
    assert served.lines[-1] == "", second


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "give --allow-http"),
        (["--host", "::"], "give --allow-http"),
        (["--port", "70000"], "70000"),
    ],
)
def test_what_other_machines_could_reach_by_http_is_refused(
    batchwright: Batchwright, options: list[str], said: str
) -> None:
    ended = batchwright("serve", *options)
    assert ended.exit_code == REFUSED
    assert said in ended.stderr


@pytest.mark.parametrize(("option", "code"), [("--port", FAILED), ("--metrics-port", REFUSED)])
def test_a_port_that_is_taken_is_told(batchwright: Batchwright, option: str, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = batchwright("serve", option, str(taken.getsockname()[1]))
    assert (ended.exit_code, "in use" in ended.stderr) == (code, True)
