"""The wheel, as somebody else installs it: away from this folder, beside modules of any name of their own."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
# Names of folders in the package that an author may well have, too.
COMMON_NAMES = ("cli", "config", "engine", "jobs", "operations", "testing")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the hatchling that is installed here, so that no package index is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], folder)
    [built] = folder.glob("batchwright-*.whl")
    return built


@pytest.fixture(scope="module")
def binaries(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a clean environment with the wheel in it.

    The dependencies come from the environment that runs the tests, through a `.pth` file: that is quick and
    needs no network. Its own `.pth` files are not read in this way, and so our editable installation is not.
    """
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(python)]
    _run([*pip, "install", "--no-deps", "--no-index", str(wheel)], home)
    own = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], home)
    Path(own.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "bin"


@pytest.fixture
def crowded_folder(tmp_path: Path) -> Path:
    """A working directory with a `config` and a `jobs` of its own, which must not be imported."""
    for name in COMMON_NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "raise AssertionError('the wrong one')", encoding="utf-8"
        )
    return tmp_path


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    data = {name.partition(".data/")[2] for name in names if ".data/" in name}
    inside = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    files = (path for path in SOURCE.rglob("*") if path.is_file())
    ours = {str(path.relative_to(SOURCE)) for path in files if "__pycache__" not in path.parts}
    assert inside == ours
    assert data == {"data/share/batchwright/crontab.example"}


def test_the_command_works_beside_packages_of_the_same_names(binaries: Path, crowded_folder: Path) -> None:
    assert "Usage: batchwright" in _run([str(binaries / "batchwright"), "--help"], crowded_folder)


def test_the_jobs_of_the_wheel_are_listed(binaries: Path, crowded_folder: Path) -> None:
    command = str(binaries / "batchwright")
    _run([command, "db", "upgrade"], crowded_folder)
    listed = _run([command, "jobs", "list", "--json"], crowded_folder)
    assert "draft-usage-rating" in {job["name"] for job in json.loads(listed)}


def test_the_demo_runs_from_the_wheel(binaries: Path, crowded_folder: Path) -> None:
    shown = _run([str(binaries / "batchwright"), "demo", "--folder", "sample"], crowded_folder)
    assert "JR-00000001" in shown
    assert list((crowded_folder / "sample").rglob("*.eml"))


def test_batchwright_is_all_that_the_wheel_puts_on_the_path(binaries: Path, crowded_folder: Path) -> None:
    program = "import batchwright, sysconfig; print(batchwright.__file__, sysconfig.get_path('purelib'))"
    # -P: the working directory is not searched, as it is not for an installed command.
    output = _run([str(binaries / "python"), "-P", "-c", program], crowded_folder).split()
    file, site = map(Path, output)
    assert file == site / "batchwright" / "__init__.py"
    named = {entry.name.partition("-")[0] for entry in site.iterdir()}
    assert named == {"batchwright", "dependencies.pth"}


def test_the_wheel_that_is_built_from_the_source_distribution_is_the_same(
    wheel: Path, tmp_path: Path
) -> None:
    hatchling = str(Path(sys.executable).parent / "hatchling")
    _run([hatchling, "build", "-t", "sdist", "-d", str(tmp_path)], ROOT)
    [sdist] = tmp_path.glob("batchwright-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = sdist.with_name(sdist.name.removesuffix(".tar.gz"))
    _run([hatchling, "build", "-t", "wheel", "-d", str(tmp_path)], unpacked)
    [rebuilt] = tmp_path.glob("batchwright-*.whl")
    assert _contents(rebuilt) == _contents(wheel)


def _contents(wheel: Path) -> dict[str, int]:
    """The checksum of each file by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist()}


def _run(command: Sequence[str], folder: Path) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("BATCHWRIGHT_", "PYTHON"))
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
