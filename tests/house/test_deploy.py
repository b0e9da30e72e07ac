"""The files under deploy/: what they start exists, what they set is a setting, and nothing runs as root."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import batchwright
from batchwright.cli.main import main
from batchwright.config.settings import (
    CONFIG_VARIABLE,
    RUNS_AT_HAND,
    MailSettings,
    Settings,
    load_settings,
    variable_of,
)
from batchwright.console.traffic import CONNECTIONS_OF_A_RUN, SYNCHRONOUS_RUNS
from batchwright.engine.store.engines import FOR_LEASES
from batchwright.operations.worker.worker import WorkerProcess

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
FILES = sorted(DEPLOY.iterdir())
PAGE = ROOT / "docs" / "deploying.md"
PROGRAM = "/srv/batchwright/venv/bin/batchwright"
SERVICES = ("web", "worker")
CODE = Path(batchwright.__file__).parent
REQUESTS = 40
"""Threads for requests, as anyio and Starlette have them."""
LISTENS, STANDS_IN = 1, 1
"""Connections of a process that are in no pool."""
by_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
by_service = pytest.mark.parametrize("service", SERVICES)


def module_of(file: Path) -> str:
    """The name by which a file of the package is imported."""
    return ".".join(file.relative_to(CODE.parent).with_suffix("").parts)


def values(unit: Path, key: str) -> list[str]:
    """What a unit says of a key."""
    return re.findall(rf"^{key}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return loaded


def instructions(name: str) -> list[str]:
    """The arguments of each such instruction of the container file."""
    text = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def image_command(instruction: str) -> list[str]:
    """The words of an instruction in the form of a list."""
    [words] = [yaml.safe_load(text[text.index("[") :]) for text in instructions(instruction)]
    assert isinstance(words, list)
    return words


def commands() -> Iterator[list[str]]:
    """The words after `batchwright` of every command that the files start, and that the page runs in a container."""
    for unit in UNITS:
        [start] = values(unit, "ExecStart")
        program, *words = shlex.split(start)
        assert program == PROGRAM
        yield words
    assert image_command("ENTRYPOINT") == ["batchwright"]
    yield image_command("CMD")
    for service in SERVICES:
        yield compose()["services"][service]["command"]
    for typed in re.findall(
        r"(?:run --rm|exec) worker (?:batchwright )?(.*)$", PAGE.read_text("utf-8"), re.M
    ):
        yield shlex.split(typed)


def test_every_command_exists_with_its_options() -> None:
    found = list(commands())
    assert len(found) >= 8
    for words in found:
        # `--help` is answered only when all words before it could be read, and nothing is run.
        answer = CliRunner().invoke(main, [*words, "--help"])
        assert answer.exit_code == 0, f"batchwright {shlex.join(words)}: {answer.output}"


@pytest.mark.parametrize("file", [*FILES, PAGE], ids=lambda file: file.name)
def test_every_variable_is_a_setting(file: Path) -> None:
    names = [*Settings.model_fields, *(f"mail.{name}" for name in MailSettings.model_fields)]
    named = set(re.findall(r"\bBATCHWRIGHT_[A-Z_]*[A-Z]\b", file.read_text("utf-8")))
    assert named - {CONFIG_VARIABLE, *map(variable_of, names)} == set()


def test_the_settings_of_the_units_are_good(tmp_path: Path) -> None:
    lines = (DEPLOY / "batchwright.env").read_text("utf-8").splitlines()
    environ = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert load_settings(environ, tmp_path).console_url == "https://batchwright.example.com"


@by_service
def test_the_settings_of_a_container_are_good(service: str, tmp_path: Path) -> None:
    given = compose()["services"][service]["environment"]
    environ = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in given.items()}
    settings = load_settings(environ, tmp_path)
    assert settings.database_url == "postgresql+psycopg://batchwright@database/batchwright"
    assert settings.console_url == "http://127.0.0.1:8000"


def test_the_page_counts_the_connections_that_the_code_opens() -> None:
    lanes = sum(
        int(getattr(import_module(module_of(file)), size, size))
        for file in (CODE / "console").glob("*.py")
        for size in re.findall(r"CapacityLimiter\((\w+)\)", file.read_text("utf-8"))
    )
    duties = 1 + len(re.findall(r"self\._\w+\.start\(\)", inspect.getsource(WorkerProcess.run)))
    runs = SYNCHRONOUS_RUNS * CONNECTIONS_OF_A_RUN
    serve, worker, process = REQUESTS + runs + lanes + LISTENS, duties + LISTENS + STANDS_IN, RUNS_AT_HAND + 2
    defaults = Settings()
    two = 2 * (worker + process * 2) + 3 * defaults.max_active_runs
    overflow = int(compose()["services"]["web"]["environment"]["BATCHWRIGHT_MAX_OVERFLOW"])
    limited = defaults.pool_size + overflow + FOR_LEASES + LISTENS
    said = " ".join(PAGE.read_text("utf-8").replace("\N{MULTIPLICATION SIGN}", "x").split())
    for words in (
        f"| {worker} + 3 for each run it drives",
        f"| {process}: one for each of four runs",
        f"| {serve}: {REQUESTS} requests",
        f"`pool_size + max_overflow + {FOR_LEASES + LISTENS + STANDS_IN}`: five for heartbeats",
        f"`pool_size + max_overflow + {FOR_LEASES + LISTENS}`: five for heartbeats",
        f"`n x ({worker} + {process} x p) + 3 x max_active_runs + {serve}`",
        f"two workers on machines of two processors {two + serve}",
        f"it takes {limited} at most, and all together {two + limited}",
    ):
        assert words in said, words
    assert two + limited < 97
    [unit] = [value for unit in UNITS for value in values(unit, "Environment")]
    assert unit == f"BATCHWRIGHT_MAX_OVERFLOW={overflow}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_image_is_of_a_named_registry(file: Path) -> None:
    images = re.findall(r"^(?:FROM| *image:) +(\S+)", file.read_text("utf-8"), re.MULTILINE)
    assert {image for image in images if not re.fullmatch(r"[a-z]+:[\w.-]+", image)} == set()


@by_unit
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze here")
    unit_file = tmp_path / unit.name.replace("@.", "@1.")
    # It looks whether the program is there.
    unit_file.write_text(
        unit.read_text("utf-8").replace(PROGRAM, f"{Path(sys.executable).parent}/batchwright")
    )
    done = subprocess.run(
        [verify, "verify", "--man=no", unit_file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@by_unit
def test_systemd_finds_a_unit_hardened(unit: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze here")
    # Of 100, which is no hardening at all.
    command = [verify, "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


@by_unit
def test_a_unit_runs_as_a_user_that_can_write_to_its_folder_alone(unit: Path) -> None:
    wanted = {
        "User": "batchwright",
        "ProtectSystem": "strict",
        "ReadWritePaths": "/srv/batchwright",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "KillMode": "mixed",
        "EnvironmentFile": "/etc/batchwright/batchwright.env",
    }
    assert {key: values(unit, key) for key in wanted} == {key: [value] for key, value in wanted.items()}


def test_the_user_of_the_image_is_not_root() -> None:
    user, _, group = instructions("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0


@by_service
def test_a_container_cannot_write_to_its_image_or_gain_rights(service: str) -> None:
    described = compose()["services"][service]
    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in described


def test_only_the_web_has_a_port_and_only_for_this_machine() -> None:
    ports = {name: service.get("ports", []) for name, service in compose()["services"].items()}
    assert ports == {"web": ["127.0.0.1:8000:8000"], "worker": [], "database": []}


def test_what_the_image_is_built_from_is_there_and_not_ignored() -> None:
    copied = {
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert {source for source in copied if not (ROOT / source).exists()} == set()
    built = compose()["x-batchwright"]["build"]
    assert (DEPLOY / built["context"]).resolve() == ROOT
    assert (ROOT / built["dockerfile"]).is_file()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_whether_the_web_answers(status: int, code: int) -> None:
    [check] = [text for text in instructions("HEALTHCHECK") if "/healthz" in text]
    [program, *words] = yaml.safe_load(check[check.index("[") :])
    assert program == "python"
    paths = []

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing is said."""

    with HTTPServer(("127.0.0.1", 0), Web) as web:
        threading.Thread(target=web.handle_request, daemon=True).start()
        local = [word.replace("8000", str(web.server_port)) for word in words]
        done = subprocess.run([sys.executable, *local], check=False, timeout=20)
    assert (done.returncode, paths) == (code, ["/healthz"])
