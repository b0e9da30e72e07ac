"""Jobs registered from outside: listed, explained and run without a command being written for them."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from batchwright.engine.store.database import Database
from tests.cli.conftest import Batchwright, Program, error_of
from tests.cli.letters import fill, letter

DAY = ("--param", "day=2023-06-30")


@pytest.fixture
def letters(database: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Four letters; their job lies in the working directory, beside a broken one. The database's URL."""
    shutil.copy(Path(__file__).with_name("letters.py"), working_directory / "own_letters.py")
    (working_directory / "own_broken.py").write_text("def broken(:\n", encoding="utf-8")
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "own_broken:Job,own_letters:PostLetters")
    monkeypatch.syspath_prepend(str(working_directory))
    made = Database(database)
    with made.write() as connection:
        fill(connection, 4)
    made.close()
    return database


def notes(url: str) -> dict[int, str | None]:
    database = Database(url)
    with database.read() as connection:
        found = {row.id: row.note for row in connection.execute(select(letter).order_by(letter.c.id))}
    database.close()
    return found


def test_a_job_of_ones_own_is_run_by_its_name_with_typed_parameters(letters: str, program: Program) -> None:
    only = ("--param", "only=1", "--param", "only=4")
    more = ("--param", "kind=express", "--param", "stamp=1.60", "--param", 'size={"width": 3}')
    done = program("run", "post-letters", *DAY, *only, *more, "--sync", "--json", "--reason", "June")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert (run["job"], run["mode"], run["reason"], run["processed"]) == ("post-letters", "sync", "June", 2)
    assert [outcome["outcome"] for outcome in run["outcomes"]] == ["ok", "ok"]
    assert run["parameters"]["only"] == [1, 4]
    assert run["parameters"]["size"] == {"width": 3}
    assert notes(letters) == {1: "30 June 1.60 express", 2: None, 3: None, 4: "30 June 1.60 express"}


def test_the_commands_that_follow_a_run_offer_no_retry_where_its_job_has_none(
    letters: str, batchwright: Batchwright
) -> None:
    ended = batchwright("run", "post-letters", *DAY, "--param", "stamp=0")
    shown = batchwright("runs", "show", "JR-00000001")
    for said in (ended.stdout, shown.stdout):
        assert "runs outcomes JR-00000001 --outcome error" in said
        assert "runs retry" not in said
    resumed = batchwright("runs", "resume", "JR-00000001", "--json")
    assert "runs retry" not in error_of(resumed)["remedy"]


def test_the_list_of_jobs_to_run_has_those_of_ones_own_and_names_what_cannot_be_imported(
    letters: str, batchwright: Batchwright
) -> None:
    shown = batchwright("run", "--help").stdout
    ours, own = shown.index("draft-usage-rating"), shown.index("post-letters          Posts letters.")
    assert ours < own < shown.index("Not in the list:") < shown.index("'own_broken:Job': SyntaxError")


def test_the_list_of_jobs_to_run_is_shown_without_a_database_and_whatever_the_settings_are(
    batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "batchwright.toml").write_text("scope_sise = 3\n", encoding="utf-8")
    shown = batchwright("run", "--help")
    assert shown.exit_code == 0
    assert "draft-usage-rating" in shown.stdout
    assert "scope_sise" in shown.stdout
    assert batchwright("run", "post-letters").exit_code == 2


def test_a_command_that_comes_with_the_program_imports_no_other_job(
    database: str, working_directory: Path, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    (working_directory / "own_noisy.py").write_text("open('imported', 'w')\n", encoding="utf-8")
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "own_noisy:Job")
    monkeypatch.syspath_prepend(str(working_directory))
    batchwright("run", "draft-usage-rating", "--help")
    batchwright("runs", "list")
    assert not (working_directory / "imported").exists()


def test_the_help_of_a_job_names_its_parameters_with_types_and_defaults(
    letters: str, batchwright: Batchwright
) -> None:
    shown = batchwright("run", "post-letters", "--help").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for line in (
        "day date; required; The day of posting.",
        "up_to whole number from 1; default: 9",
        "only list of whole number",
        "stamp decimal number; default: 0.80",
        "kind one of plain, express; default: plain",
        "size object (JSON)",
        "dry true or false; default: false",
    ):
        assert line in lines


def test_the_example_that_jobs_show_gives_runs(letters: str, batchwright: Batchwright) -> None:
    shown = batchwright("jobs", "show", "post-letters")
    (example,) = [line for line in shown.stdout.splitlines() if line.startswith("Example")]
    words = shlex.split(example.removeprefix("Example"))
    assert words[:3] == ["batchwright", "run", "post-letters"]
    assert batchwright(*words[1:]).exit_code == 0
    assert None not in notes(letters).values()


def test_the_jobs_are_listed_whole_beside_one_that_cannot_be_imported(
    letters: str, batchwright: Batchwright
) -> None:
    listed = batchwright("jobs", "list", "--json")
    ours = [
        "data-recalculation",
        "draft-usage-rating",
        "usage-input-deletion",
        "usage-input-reset",
        "usage-rating",
        "usage-unrating",
    ]
    assert sorted(job["name"] for job in json.loads(listed.stdout)) == sorted(["post-letters", *ours])
    assert "cannot import the job 'own_broken:Job': SyntaxError" in listed.stderr


BAD = [
    ("", "day", "day: Field required"),
    ("--param day=2023-06-31", "day", "'2023-06-31'"),
    ("--param day=2023-06-30 --param up_to=many", "up_to", "'many'"),
    ("--param day=2023-06-30 --param up_to=0", "up_to", "not '0'"),
    ("--param day=2023-06-30 --param upto=3", "upto", "no parameter 'upto'"),
    ("--param day=2023-06-30 --param day=2023-07-01", "day", "2023-06-30, 2023-07-01"),
    ("--param day=2023-06-30 --param only=1 --param only=x", "only.1", "'x'"),
    ("--param day=2023-06-30 --param kind=slow", "kind", "'slow'"),
    ("--param day=2023-06-30 --param size=3x", "size", "'3x' is not JSON"),
    ("--param day", "param", "'day' is not NAME=VALUE"),
    ("--param =3", "param", "'=3' is not NAME=VALUE"),
    ("--param day=2023-06-30 --dry-run", "mode", "cannot run dry"),
    ("--param day=2023-06-30 --notify nobody", "notify", "'nobody'"),
]


@pytest.mark.parametrize(("words", "field", "message"), BAD, ids=[words for words, _, _ in BAD])
def test_a_bad_parameter_is_refused_with_field_value_and_remedy_and_nothing_is_done(
    letters: str, batchwright: Batchwright, words: str, field: str, message: str
) -> None:
    result = batchwright("run", "post-letters", *words.split(), "--json")
    assert result.exit_code == 2
    error = error_of(result)
    assert error["field"] == field
    assert message in error["message"]
    assert error["remedy"]
    assert json.loads(batchwright("runs", "list", "--json").stdout) == []


def test_a_misspelt_job_of_ones_own_is_refused_with_the_name_that_was_meant(
    letters: str, batchwright: Batchwright
) -> None:
    result = batchwright("run", "post-leters")
    assert result.exit_code == 2
    assert "Did you mean 'post-letters'?" in result.stderr
    assert "own_broken:Job" in result.stderr
