"""`batchwright schedules`: what the commands take, say and answer in JSON."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Batchwright, error_of

EXAMPLE = Path(__file__).resolve().parents[2] / "crontab.example"
NIGHTLY = ("schedules", "add", "Nightly", "0 0 0 ? * * *", "draft-usage-rating")


@pytest.fixture
def empty(migrated_sqlite_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without a record, of a file; both kinds are tried with the operations."""
    shutil.copytree(migrated_sqlite_folder, tmp_path / "empty")
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", f"sqlite:///{tmp_path / 'empty' / 'batchwright.db'}")
    monkeypatch.setenv("BATCHWRIGHT_ACTOR", "erika")


def answer(batchwright: Batchwright, *words: str, stdin: str = "") -> Any:
    result = batchwright(*words, "--json", stdin=stdin)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_schedule_is_made_listed_and_shown(database: str, batchwright: Batchwright) -> None:
    made = answer(
        batchwright,
        *NIGHTLY,
        *shlex.split(
            "--param include_rated=true --time-zone Europe/Berlin --misfire all --grace 30 --cap 3 --overlap queue "
            "--start 2030-01-01 --end 2030-02-01T00:00Z --owner jane@example.com --notify ops@example.com "
            "--start-within 5 --finish-within 90 --ping https://hc-ping.com/1 --reason Close --scope-size 50 "
            "--error-ceiling 5% --no-mail"
        ),
    )
    assert made == {
        "name": "Nightly",
        "cron": "0 0 0 ? * * *",
        "job": "draft-usage-rating",
        "parameters": {"usage_input_ids": None, "asset_line_item_ids": None, "include_rated": True},
        "time_zone": "Europe/Berlin",
        "misfire": "all",
        "grace_seconds": 30,
        "cap": 3,
        "overlap": "queue",
        "start": "2029-12-31T23:00:00.000Z",
        "end": "2030-02-01T00:00:00.000Z",
        "owner": "jane@example.com",
        "notify": ["ops@example.com"],
        "paused": False,
        "next_fire_at": "2029-12-31T23:00:00.000Z",
        "last_fire_at": None,
    }
    assert answer(batchwright, "schedules", "list") == [{**made, "trouble": None}]
    shown = answer(batchwright, "schedules", "show", "Nightly")
    assert {**shown, **made} == shown
    assert (shown["ping"], shown["reason"], shown["mail_owner"]) == ("https://hc-ping.com/1", "Close", False)
    text = batchwright("schedules", "show", "Nightly").stdout
    for said in (
        "At 00:00 every day",
        "all, 3 at most, grace 30 s",
        "90 minutes",
        "jane@example.com (no mail)",
    ):
        assert said in text


@pytest.mark.usefixtures("empty")
def test_only_what_update_names_is_changed_and_none_takes_a_term_away(batchwright: Batchwright) -> None:
    made = answer(
        batchwright, *NIGHTLY, "--grace", "30", "--notify", "ops@example.com", "--end", "2030-01-01"
    )
    changed = answer(
        batchwright, "schedules", "update", "Nightly", *shlex.split("--grace none --notify none --cap 3")
    )
    assert changed == made | {"grace_seconds": None, "notify": [], "cap": 3}
    changed = answer(batchwright, "schedules", "update", "Nightly", "--end", "none", "--job", "usage-rating")
    assert (changed["end"], changed["job"]) == (None, "usage-rating")
    assert "include_rated" not in changed["parameters"]
    result = batchwright("schedules", "update", "Nightly", "--json")
    assert (result.exit_code, "nothing to change" in error_of(result)["message"]) == (2, True)


@pytest.mark.usefixtures("empty")
def test_next_shows_ten_times_in_the_zone_and_in_utc(batchwright: Batchwright) -> None:
    answer(batchwright, *NIGHTLY, "--time-zone", "America/New_York", "--start", "2030-01-01")
    rows = answer(batchwright, "schedules", "next", "Nightly")
    assert len(rows) == 10
    assert rows[0] == {"fire_at": "2030-01-01T05:00:00.000Z", "local_time": "2030-01-01T00:00:00-05:00"}
    assert answer(batchwright, "schedules", "next", "Nightly", "--limit", "2") == rows[:2]
    assert (
        "Tue 2030-01-01 00:00:00 -0500  2030-01-01 05:00:00"
        in batchwright("schedules", "next", "Nightly").stdout
    )
    batchwright("schedules", "pause", "Nightly")
    paused = batchwright("schedules", "next", "Nightly")
    assert "The schedule is paused" in paused.stderr
    assert len(paused.stdout.splitlines()) == 11


@pytest.mark.usefixtures("empty")
def test_pause_resume_remove_hold_and_release_say_what_they_did(batchwright: Batchwright) -> None:
    batchwright(*NIGHTLY)
    for words, said in (
        ("pause Nightly --reason close", "Nightly is paused."),
        ("resume Nightly", "Nightly is resumed and fires next at"),
        ("hold-all --reason upgrade", "No schedule fires until"),
        ("list", "Name"),
        ("release-all", "Schedules fire again."),
        ("update Nightly --cap 2", "Nightly is changed and fires next at"),
        ("fires Nightly", ""),
        ("remove Nightly", "Nightly is removed."),
    ):
        result = batchwright("schedules", *words.split())
        assert (result.exit_code, result.stdout.startswith(said)) == (0, True), result.output
        assert ("All schedules are held since" in result.stderr) == (words == "list")
    assert batchwright("schedules", "list").stderr == "There is no schedule.\n"


@pytest.mark.usefixtures("empty")
def test_a_move_that_makes_no_sense_is_refused(batchwright: Batchwright) -> None:
    batchwright(*NIGHTLY)
    for words in ("resume Nightly", "release-all", "pause None", "run-now None", "remove None"):
        result = batchwright("schedules", *words.split(), "--json")
        assert result.exit_code == 2
        assert error_of(result)["remedy"]


def test_run_now_drives_the_run_here_and_leaves_the_schedule_alone(
    company: str, batchwright: Batchwright
) -> None:
    made = answer(batchwright, *NIGHTLY)
    result = batchwright("schedules", "run-now", "Nightly", "--json")
    assert result.exit_code == 3, result.output
    run = json.loads(result.stdout)
    assert (run["status"], run["job"], run["schedule"]) == ("Completed", "draft-usage-rating", None)
    assert answer(batchwright, "schedules", "list") == [{**made, "trouble": None}]
    assert answer(batchwright, "schedules", "fires", "Nightly") == []
    queued = answer(batchwright, "schedules", "run-now", "Nightly", "--enqueue")
    assert queued["status"] in ("Holding", "Queued")


@pytest.mark.usefixtures("empty")
def test_backfill_previews_and_then_runs_each_time_once(batchwright: Batchwright) -> None:
    batchwright(*NIGHTLY)
    words = ("schedules", "backfill", "Nightly", "--from", "2026-06-01", "--to", "2026-06-02")
    planned = answer(batchwright, *words, "--preview")
    assert [row["run_id"] for row in planned] == [None, None]
    assert answer(batchwright, "runs", "list") == []
    done = batchwright(*words, "--json")
    assert "\n2 runs.\n" in done.stderr
    made = json.loads(done.stdout)
    assert [row | {"run_id": None} for row in made] == planned
    assert answer(batchwright, *words) == []
    fires = answer(batchwright, "schedules", "fires", "Nightly", "--limit", "1")
    assert fires == [
        {
            "nominal_time": "2026-06-02T00:00:00.000Z",
            "last_nominal_time": "2026-06-02T00:00:00.000Z",
            "count": 1,
            "run_id": made[1]["run_id"],
            "decision": "started",
            "reason": None,
        }
    ]
    listed = answer(batchwright, "schedules", "list")
    assert listed[0]["last_fire_at"] == "2026-06-02T00:00:00.000Z"


@pytest.mark.usefixtures("empty")
def test_the_example_file_is_applied_and_the_second_time_there_is_no_change(batchwright: Batchwright) -> None:
    dry = batchwright("schedules", "apply", str(EXAMPLE), "--dry-run")
    assert dry.exit_code == 0
    assert dry.stdout.startswith('+ "Draft Rating Job"  0 0 0 ? * * *  UTC  draft-usage-rating\n')
    assert dry.stdout.endswith(": a dry run, nothing was written\n")
    assert answer(batchwright, "schedules", "list") == []
    first = answer(batchwright, "schedules", "apply", str(EXAMPLE))
    assert list(first) == ["added", "changed", "removed", "unchanged"]
    assert first["added"][0] == "Draft Rating Job"
    again = batchwright("schedules", "apply", str(EXAMPLE))
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (0, "no change")
    assert answer(batchwright, "schedules", "apply", str(EXAMPLE)) == {
        "added": [],
        "changed": [],
        "removed": [],
        "unchanged": first["added"],
    }


@pytest.mark.usefixtures("empty")
def test_apply_shows_each_term_of_what_it_adds_that_is_not_the_default(batchwright: Batchwright) -> None:
    options = (
        "--misfire all --cap 3 --grace 60 --overlap queue --owner dana --notify a@example.com --no-mail"
        " --scope-size 24"
    )
    text = (
        f'@daily "A" draft-usage-rating --include-rated {options}\n@daily "B" usage-rating --overlap skip\n'
    )
    planned = batchwright("schedules", "apply", "-", "--dry-run", stdin=text)
    assert planned.stdout.splitlines() == [
        '+ "A"  @daily  UTC  draft-usage-rating',
        "    parameters: include_rated=True",
        "    owner: dana",
        "    misfire: all",
        "    grace_seconds: 60",
        "    cap: 3",
        "    overlap: queue",
        "    notify: a@example.com",
        "    mail_owner: False",
        "    scope_size: 24",
        '+ "B"  @daily  UTC  usage-rating',
        "2 added, 0 changed, 0 removed, 0 unchanged: a dry run, nothing was written",
    ]


@pytest.mark.usefixtures("empty")
def test_apply_shows_what_it_changes_removes_and_leaves(batchwright: Batchwright) -> None:
    batchwright("schedules", "apply", "-", stdin='@daily "A" usage-rating\n@daily "B" usage-rating\n')
    text = '@hourly "A" usage-rating --grace 60 --notify a@example.com --notify b@example.com\n'
    left = batchwright("schedules", "apply", "-", "--dry-run", stdin=text)
    assert left.stdout.splitlines() == [
        '~ "A"',
        "    cron: @daily → @hourly",
        "    grace_seconds: none → 60",
        "    notify: none → a@example.com, b@example.com",
        '  "B" is not in the file and stays; --prune would remove it',
        "0 added, 1 changed, 0 removed, 0 unchanged: a dry run, nothing was written",
    ]
    assert answer(batchwright, "schedules", "apply", "-", "--prune", stdin=text) == {
        "added": [],
        "changed": ["A"],
        "removed": ["B"],
        "unchanged": [],
    }


@pytest.mark.usefixtures("empty")
def test_what_was_understood_of_a_first_and_a_last_day_is_printed(batchwright: Batchwright) -> None:
    end = "2030-02-01 23:59:59 Europe/Berlin (2030-02-01 22:59:59 UTC)"
    made = batchwright(
        *NIGHTLY, "--time-zone", "Europe/Berlin", "--start", "2030-01-01", "--end", "2030-02-01"
    )
    start = "2030-01-01 00:00:00 Europe/Berlin (2029-12-31 23:00:00 UTC)"
    assert made.stdout.endswith(f" It starts at {start} and ends at {end}.\n")
    changed = batchwright("schedules", "update", "Nightly", "--start", "none")
    assert changed.stdout.endswith(f" It ends at {end}.\n")
    assert "It ends" not in batchwright("schedules", "update", "Nightly", "--grace", "9").stdout
    text = 'TZ=Europe/Berlin\n@daily "A" usage-rating --end 2030-02-01\n'
    applied = batchwright("schedules", "apply", "-", stdin=text)
    assert applied.stdout.splitlines()[:2] == [
        '+ "A"  @daily  Europe/Berlin  usage-rating',
        f"    end: {end}",
    ]
    filled = batchwright(
        *shlex.split("schedules backfill Nightly --from 2026-06-01 --to 2026-06-02 --preview --json")
    )
    assert filled.stderr == (
        "Its times from 2026-06-01 00:00:00 Europe/Berlin (2026-05-31 22:00:00 UTC) to "
        "2026-06-02 23:59:59 Europe/Berlin (2026-06-02 21:59:59 UTC).\n2 runs.\n"
    )
    assert len(json.loads(filled.stdout)) == 2


@pytest.mark.usefixtures("empty")
def test_a_file_with_bad_lines_is_refused_with_their_numbers(
    batchwright: Batchwright, working_directory: Path
) -> None:
    result = batchwright(
        "schedules", "apply", "-", "--json", stdin='@daily "A" nothing\n61 * * * * "B" usage-rating'
    )
    assert result.exit_code == 2
    message = error_of(result)["message"]
    assert "line 1: there is no job named 'nothing'" in message
    assert "line 2: minutes: 61" in message
    assert answer(batchwright, "schedules", "list") == []
    (working_directory / "latin").write_bytes(b"\xe4")
    for file, said in (("missing", "cannot read 'missing'"), ("latin", "is not UTF-8 text")):
        result = batchwright("schedules", "apply", file, "--json")
        assert (result.exit_code, said in error_of(result)["message"]) == (2, True)


BAD = [
    ("add N '0 0 0 * * *' usage-rating", "day of week"),
    ("add N '0 0 0 ? * *' usage-ratin", "job"),
    ("add N '0 0 0 ? * *' usage-rating --time-zone Nowhere", "time zone"),
    ("add N '0 0 0 ? * *' usage-rating --param nothing=1", "nothing"),
    ("add N '0 0 0 ? * *' usage-rating --param usage_input_ids=IN-NONE", "usage_input_ids"),
    ("add N '0 0 0 30 2 ?' usage-rating", "cron"),
    ("add N '0 0 0 ? * *' usage-rating --start tomorrow", "--start"),
    ("add N '0 0 0 ? * *' usage-rating --misfire never", "misfire"),
    ("add N '0 0 0 ? * *' usage-rating --grace soon", "--grace"),
    ("add N '0 0 0 ? * *' usage-rating --cap 0", "--cap"),
    ("add N '0 0 0 ? * *' usage-rating --ping ftp://x", "ping"),
    ("backfill N --from 2026-06-01", "--to"),
    ("backfill N --from soon --to 2026-06-01", "--from"),
    ("next N --limit 0", "--limit"),
]


@pytest.mark.usefixtures("empty")
def test_bad_words_and_values_are_refused_with_the_part_named(batchwright: Batchwright) -> None:
    for line, field in BAD:
        result = batchwright("schedules", *shlex.split(line), "--json")
        assert result.exit_code == 2, line
        error = error_of(result)
        assert error["field"] == field, (line, error)
        assert error["remedy"], line
    assert answer(batchwright, "schedules", "list") == []
