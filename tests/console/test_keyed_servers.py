"""Real web processes on one database: what is sent again with a key is done once, whichever of them dies."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from batchwright.engine.clock import SystemClock
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs
from tests.console.conftest import Caller
from tests.support.application import ACTOR

pytestmark = [pytest.mark.long, pytest.mark.on_both]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clock() -> SystemClock:
    """The clock of `app`: that of the servers."""
    return SystemClock()


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    """What calls them."""
    with httpx2.Client(timeout=60) as opened:
        yield opened


@contextmanager
def server(app: Application, folder: Path, *wishes: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process and its address."""
    url = app.database.url.render_as_string(hide_password=False)
    words = [sys.executable, "-m", "tests.console.keyed_server", url, str(folder), *wishes]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@pytest.mark.parametrize("mode", ["batch", "sync"])
def test_after_a_death_between_commit_and_answer_the_same_call_names_the_same_run(
    app: Application, client: httpx2.Client, caller: Caller, tmp_path: Path, mode: str
) -> None:
    headers = caller("operator") | {"Idempotency-Key": "a"}
    body = {"job": "draft-usage-rating", "mode": mode}

    def post(address: str) -> Any:
        return client.post(f"{address}/api/v1/runs", json=body, headers=headers, timeout=60)

    with server(app, tmp_path, "die") as (process, address):
        with pytest.raises(httpx2.TransportError):
            post(address)
        assert process.wait(60) == -signal.SIGKILL
    with server(app, tmp_path) as (_, one), server(app, tmp_path) as (_, two), ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, [one, two] * 25))
    assert {one.status_code for one in answers} == {202 if mode == "batch" else 200}
    assert len({one.content for one in answers}) == 1
    assert {one.headers["idempotent-replayed"] for one in answers} == {"true"}
    (run,) = list_runs(app, actor=ACTOR)
    assert run["run_id"] == answers[0].json()["run_id"]


def test_of_fifty_calls_at_two_processes_one_is_done(
    app: Application, client: httpx2.Client, caller: Caller, tmp_path: Path
) -> None:
    headers = caller("operator") | {"Idempotency-Key": "a"}

    def post(address: str) -> Any:
        sent = {"job": "draft-usage-rating"}
        return client.post(f"{address}/api/v1/runs", json=sent, headers=headers, timeout=60)

    with server(app, tmp_path) as (_, one), server(app, tmp_path) as (_, two), ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, [one, two] * 25))
    assert {one.status_code for one in answers} == {202}
    assert len({one.content for one in answers}) == 1
    assert sum("idempotent-replayed" in one.headers for one in answers) == 49
    assert len(list(list_runs(app, actor=ACTOR))) == 1
