"""Numbers, nesting, characters and terminals beyond what people type: a clear refusal, or the right answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchwright.cli.main import main
from tests.cli.conftest import Batchwright

BIG = str(10**19)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "words",
    [
        *(
            f"{noun} list --limit {BIG}"
            for noun in ("runs", "mail", "audit", "users", "schedules", "usage-inputs")
        ),
        f"runs show {BIG}",
        f"runs show JR-{BIG}{BIG}",
        f"mail show ML-{BIG}",
        f"runs move JR-{BIG} --front",
        f"run draft-usage-rating --scope-size {BIG}",
        f"run draft-usage-rating --error-ceiling {BIG}",
        f"usage-inputs edit IN-1 --quantity {BIG}",
        f"cron next 0\u00a00\u00a00\u00a0*\u00a0*\u00a0? -n {BIG}",
    ],
)
def test_a_number_beyond_what_a_database_counts_to_is_refused_clearly(
    batchwright: Batchwright, database: str, words: str
) -> None:
    done = batchwright(*(word.replace("\u00a0", " ") for word in words.split(" ")))
    assert done.exit_code in (0, 2), done.stderr
    assert "Overflow" not in done.stderr


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("value", ["x" * 10_000, "'x y\\" * 2_000], ids=["word", "words"])
@pytest.mark.parametrize(
    "words",
    [
        "runs show",
        "runs list --status",
        "run",
        "run draft-usage-rating --usage-input",
        "usage-inputs edit IN-1 --quantity",
        "users role a@example.com",
        "cron explain",
        "audit verify --newest-hash",
    ],
)
def test_what_is_refused_is_not_told_whole_where_it_is_very_long(
    batchwright: Batchwright, database: str, words: str, value: str
) -> None:
    done = batchwright(*words.split(" "), value)
    assert done.exit_code in (1, 2)
    assert len(done.stdout + done.stderr) < 6_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", "1e300"),
        ("LEASE_SECONDS", "86401"),
        ("LEASE_SECONDS", "0.001"),
        ("MAX_ACTIVE_RUNS", BIG),
        ("MAX_ACTIVE_RUNS", "1000001"),
        ("SCOPE_SIZE", BIG),
        ("ERROR_CEILING", BIG),
    ],
)
def test_a_setting_beyond_all_use_is_refused_by_name(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BATCHWRIGHT_{name}", value)
    done = batchwright("config", "check")
    assert done.exit_code == 1
    assert done.stdout.startswith(name.lower())


def test_settings_nested_too_deeply_are_refused(batchwright: Batchwright, working_directory: Path) -> None:
    (working_directory / "batchwright.toml").write_text("jobs = " + "[" * 100_000)
    done = batchwright("config", "check")
    assert (done.exit_code, "nested too deeply" in done.stdout) == (1, True)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("name", ["caf\u0065\u0301", "a\u200bb", "a\u3164b", "a\ufe0fb", "a\u2800"])
def test_the_name_of_a_schedule_that_looks_like_another_is_refused(
    batchwright: Batchwright, database: str, name: str
) -> None:
    done = batchwright("schedules", "add", name, "0 0 0 * * ?", "draft-usage-rating")
    assert (done.exit_code, "the name" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_pipe_in_place_of_a_csv_file_is_refused_at_once(
    batchwright: Batchwright, database: str, working_directory: Path
) -> None:
    os.mkfifo(working_directory / "customers.csv")
    for path in ("customers.csv", "."):
        done = batchwright("import", path)
        assert done.exit_code == 2
        assert "customers.csv: is not a regular file" in done.stderr


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize(
    "words",
    ["schedules apply FILE", "run draft-usage-rating --ids-from FILE", "usage-inputs reset --ids-from FILE"],
)
def test_a_pipe_into_which_nobody_writes_and_a_stream_without_end_are_refused(
    batchwright: Batchwright,
    database: str,
    working_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
) -> None:
    os.mkfifo(working_directory / "pipe")
    monkeypatch.setattr("batchwright.cli.options.LONGEST_TEXT", 1000)
    for file, said in (("pipe", "nobody writes into it"), ("/dev/zero", "more than 1,000 bytes")):
        done = batchwright(*words.replace("FILE", file).split())
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_pipe_in_place_of_the_database_keeps_nobody_waiting(
    batchwright: Batchwright, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(working_directory / "pipe")
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", "sqlite:///pipe")
    for words in ("runs list", "db upgrade", "db check", "import ."):
        done = batchwright(*words.split())
        assert done.exit_code == 2, done.stderr


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        ({"NO_COLOR": "1", "TERM": "xterm"}, False),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "", "TERM": "xterm"}, True),
    ],
)
def test_a_terminal_gets_colours_unless_it_or_who_sits_there_wants_none(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], is_coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["config", "show", "--nonsense"], color=True)
    assert "No such option" in done.stderr
    assert ("\x1b[31m" in done.stderr) is is_coloured
    assert ("\x1b" in done.stderr) is is_coloured
