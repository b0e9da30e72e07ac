"""The demo: what it prints, what it leaves, what it refuses."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from batchwright.cli.commands.demo import MARKER, prepare
from batchwright.config.settings import load_settings, operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations.access.sign_in_link import link_signs_in, sign_in_by_link
from batchwright.operations.access.users import list_users, show_me
from batchwright.operations.app import make_application
from tests.cli.conftest import Batchwright


def test_the_demo_shows_schedules_before_and_after_the_log_line_and_the_mail(
    batchwright: Batchwright, working_directory: Path
) -> None:
    result = batchwright("demo")
    assert result.exit_code == 0, result.stderr
    before, after = result.stdout.partition("… and after it")[::2]
    first = ["US-00008316", "2023-06-01", "2023-06-30", "USD"]
    assert first in [line.split() for line in before.splitlines()]
    assert [*first, "20.00", "4000.00"] in [line.split() for line in after.splitlines()]
    assert "JR-00000001  Draft usage rating  Complete (10 errors)" in after
    assert "Subject: Draft usage rating completed" in after
    assert "To: erika@example.com" in after
    assert sorted(path.name for path in working_directory.iterdir()) == ["batchwright-demo"]


def test_no_line_of_the_demo_is_120_columns_wide_but_for_paths(batchwright: Batchwright) -> None:
    lines = batchwright("demo").stdout.splitlines()
    assert [
        line for line in lines if len(line) >= 120 and "batchwright-demo" not in line and "/" not in line
    ] == []


def test_what_the_demo_says_to_try_next_works_as_pasted_in_its_folder(
    batchwright: Batchwright, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, last = batchwright("demo", "--folder", "my demo").stdout.partition("Try next")
    lines = last.partition("Open the console")[0].splitlines()[2:]
    assert "cd 'my demo'" in lines
    monkeypatch.chdir(working_directory / "my demo")
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("batchwright ")]
    assert len(commands) >= 5
    for words in commands:
        result = batchwright(*words)
        assert result.exit_code in (0, 3), (words, result.stderr)


def test_the_demo_ends_with_a_link_that_signs_in_to_its_console_once_as_who_ran_it(
    batchwright: Batchwright, working_directory: Path
) -> None:
    *_, serve, link = batchwright("demo").stdout.splitlines()
    assert shlex.split(serve, comments=True) == ["batchwright", "serve"]
    address, _, code = link.partition("/sign-in/link?code=")
    app = make_application(load_settings({}, working_directory / "batchwright-demo"))
    assert address == app.settings.base_url
    assert [link_signs_in(app, code) for _ in range(2)] == [True, True]
    signed_in = sign_in_by_link(app, code, address="127.0.0.1")
    assert signed_in.actor.name == "erika@example.com"
    assert show_me(app, actor=signed_in.actor)["right"] == "administrator"
    assert not link_signs_in(app, code)
    [user] = list_users(app, actor=signed_in.actor)
    assert (user["os_user"], user["has_password"]) == (operating_system_user(), False)
    app.close()


def test_a_second_demo_replaces_the_first(batchwright: Batchwright, working_directory: Path) -> None:
    assert batchwright("demo").exit_code == 0
    kept = working_directory / "batchwright-demo" / "notes.txt"
    kept.write_text("mine", encoding="utf-8")
    assert batchwright("demo").exit_code == 0
    assert kept.read_text(encoding="utf-8") == "mine"
    assert len(list((working_directory / "batchwright-demo" / "mail").glob("*.eml"))) == 1


def test_a_folder_that_no_demo_made_is_refused_and_left_alone(
    batchwright: Batchwright, working_directory: Path
) -> None:
    folder = working_directory / "company"
    folder.mkdir()
    (folder / "batchwright.db").write_text("precious", encoding="utf-8")
    result = batchwright("demo", "--folder", "company")
    assert result.exit_code == 2
    assert "no earlier demo made it" in result.stderr
    assert [(path.name, path.read_text(encoding="utf-8")) for path in folder.iterdir()] == [
        ("batchwright.db", "precious")
    ]


def test_the_demo_leaves_the_database_of_the_environment_alone_and_says_that_it_is_set(
    batchwright: Batchwright, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", "sqlite:///elsewhere.db")
    result = batchwright("demo")
    assert result.exit_code == 0
    assert "BATCHWRIGHT_DATABASE_URL is set" in result.stdout
    assert not (working_directory / "elsewhere.db").exists()


def test_outside_the_path_the_demo_says_where_the_program_is(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"\nPATH={Path(sys.executable).parent}:$PATH\n" in batchwright("demo").stdout


def test_a_file_in_place_of_the_folder_is_refused(batchwright: Batchwright, working_directory: Path) -> None:
    (working_directory / "file").touch()
    result = batchwright("demo", "--folder", "file")
    assert result.exit_code == 2
    assert "'file' is a file" in result.stderr


def test_a_folder_with_the_mark_as_a_link_is_none_of_an_earlier_demo(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    folder = tmp_path / "hostile"
    folder.mkdir()
    (folder / MARKER).symlink_to("../precious")
    with pytest.raises(Refused, match="no earlier demo made it"):
        prepare(folder)
    assert (tmp_path / "precious").read_text() == "precious"
