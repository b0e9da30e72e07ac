"""Jobs by name: what the settings name wrongly is said plainly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.registry import Registry
from tests.engine.jobs import Parcels

OURS = [
    "data-recalculation",
    "draft-usage-rating",
    "usage-input-deletion",
    "usage-input-reset",
    "usage-rating",
    "usage-unrating",
]
JOB = """
from batchwright.engine import BatchJob

class Sweep(BatchJob):
    name = "{name}"
    type = "Sweeping"

    def start(self, context):
        return []

    def execute(self, scope):
        pass

not_a_job = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_job_is_found_by_its_import_path_in_the_working_directory(folder: Path) -> None:
    (folder / "chores_found.py").write_text(JOB.format(name="sweep"))
    registry = Registry(["chores_found:Sweep"])
    assert registry.get("sweep").type == "Sweeping"
    assert registry.names() == sorted([*OURS, "sweep"])


def test_a_job_in_the_working_directory_is_found_before_a_package_of_that_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder / "site-packages"
    elsewhere.mkdir()
    (elsewhere / "chores_here.py").write_text("raise AssertionError('the wrong one')\n")
    (folder / "chores_here.py").write_text(JOB.format(name="sweep"))
    monkeypatch.syspath_prepend(str(elsewhere))
    registry = Registry(["chores_here:Sweep"])
    assert (registry.names(), registry.broken()) == (sorted([*OURS, "sweep"]), [])
    assert (sys.path[0], sys.path[-1]) == (str(elsewhere), str(folder))


def test_the_working_directory_is_not_searched_for_the_jobs_of_installed_packages(folder: Path) -> None:
    before = [*sys.path]
    assert Registry().names() == OURS
    assert sys.path == before


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nowhere",
        "nowhere:Job",
        "chores_bad:Missing",
        "chores_bad:not_a_job",
        "chores_bad",
        ":Job",
        "a..b:C",
    ],
)
def test_a_bad_import_path_is_told_and_the_other_jobs_are_there(folder: Path, path: str) -> None:
    (folder / "chores_bad.py").write_text(JOB.format(name="sweep"))
    registry = Registry([path, "chores_bad:Sweep"])
    assert registry.names() == sorted([*OURS, "sweep"])
    (said,) = registry.broken()
    assert said.startswith(f"cannot import the job {path!r}: ")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def broken(:\n", "SyntaxError: "),
        ("1 / 0\n", "ZeroDivisionError: "),
        ("raise SystemExit('not on this machine')\n", "SystemExit: not on this machine"),
        ("import nowhere_at_all\n", "ModuleNotFoundError: "),
        (JOB.replace('name = "{name}"', ""), "TypeError: its class attribute 'name' is not text"),
        (JOB.replace("def execute", "def excute"), "TypeError: it does not say how to execute"),
    ],
)
def test_a_job_that_cannot_be_used_is_told_with_the_reason(folder: Path, source: str, why: str) -> None:
    (folder / "chores_broken.py").write_text(source)
    registry = Registry(["chores_broken:Sweep"])
    (said,) = registry.broken()
    assert said.startswith(f"cannot import the job 'chores_broken:Sweep': {why}")
    sys.modules.pop("chores_broken", None)
    with pytest.raises(
        Refused, match="there is no job named 'sweep'; cannot import the job 'chores_broken:Sweep'"
    ):
        registry.get("sweep")


def test_an_import_that_hangs_is_told_and_the_other_jobs_are_there(folder: Path) -> None:
    (folder / "chores_gate.py").write_text("import threading\nGATE = threading.Event()\n")
    (folder / "chores_hang.py").write_text("from chores_gate import GATE\nGATE.wait(60)\n")
    (folder / "chores_good.py").write_text(JOB.format(name="sweep"))
    registry = Registry(["chores_hang:Sweep", "chores_good:Sweep"])
    registry.load(seconds=0.2)
    assert registry.names() == sorted([*OURS, "sweep"])
    (said,) = registry.broken()
    assert "'chores_hang:Sweep': TimeoutError: its import takes longer than 0.2 s" in said
    sys.modules["chores_gate"].GATE.set()


def test_an_import_with_a_limit_tells_what_the_module_raised(folder: Path) -> None:
    (folder / "chores_exit.py").write_text("raise SystemExit('not here')\n")
    registry = Registry(["chores_exit:Sweep"])
    registry.load(seconds=60)
    assert registry.broken() == ["cannot import the job 'chores_exit:Sweep': SystemExit: not here"]


def test_two_jobs_of_one_name_are_refused_with_the_places_of_both(folder: Path) -> None:
    for module in ("chores_one", "chores_two"):
        (folder / f"{module}.py").write_text(JOB.format(name="sweep"))
    with pytest.raises(Refused, match=r"chores_one:Sweep and chores_two:Sweep"):
        Registry(["chores_one:Sweep", "chores_two:Sweep"]).names()


def test_a_job_named_twice_by_the_same_path_is_one_job(folder: Path) -> None:
    (folder / "chores_twice.py").write_text(JOB.format(name="sweep"))
    assert "sweep" in Registry(["chores_twice:Sweep"] * 2).names()


def test_an_unknown_job_is_refused_with_the_nearest_name() -> None:
    registry = Registry()
    registry.add(Parcels)
    with pytest.raises(Refused) as refusal:
        registry.get("parcel")
    assert (refusal.value.field, refusal.value.remedy) == ("job", "Did you mean parcels?")


def test_an_unknown_job_that_resembles_none_is_refused_with_all_names() -> None:
    with pytest.raises(Refused) as refusal:
        Registry().get("zzz")
    assert refusal.value.remedy == f"There are: {', '.join(OURS)}"


def test_a_folder_named_like_one_of_our_packages_hides_none_of_them(tmp_path: Path) -> None:
    for name in ("config", "jobs", "engine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "chores.py").write_text(JOB.format(name="sweep"))
    code = "from batchwright.engine.registry import Registry; print(Registry(['chores:Sweep']).names())"
    # -P: like an installed command, Python does not look in the working directory first.
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{sorted([*OURS, 'sweep'])}\n", "")


def test_importing_the_engine_opens_nothing(tmp_path: Path) -> None:
    code = """
import sys
opened = []

def note(event, arguments):
    if event == "socket.connect" or event == "sqlite3.connect" or event.startswith("subprocess."):
        opened.append((event, arguments))
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        if "__pycache__" not in str(arguments[0]):
            opened.append((event, arguments))

sys.addaudithook(note)
import importlib, pkgutil, threading
from batchwright import engine
for module in pkgutil.walk_packages(engine.__path__, "batchwright.engine."):
    importlib.import_module(module.name)
print(opened, threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[] 1\n", "")
    assert list(tmp_path.iterdir()) == []
