"""What is refused: exit code 2, a clear message, nothing changed, nothing made."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Batchwright, Program, error_of, place_of
from tests.cli.tree import leaves

# A line that parses, for each command that needs a database to be there.
NEED_A_DATABASE = [
    "run draft-usage-rating",
    "run usage-rating",
    "run usage-unrating",
    "run usage-input-reset --usage-input IN-1",
    "run usage-input-deletion --where status=Error",
    "run data-recalculation --customer C --period 2023-06 --reason Other",
    "recalculation offer",
    "recalculation charges",
    "runs list",
    "runs show JR-00000001",
    "runs outcomes JR-00000001",
    "runs retry JR-00000001",
    "runs resume JR-00000001",
    "runs preview JR-00000001",
    "runs apply JR-00000001",
    "runs hold JR-00000001",
    "runs prune --older-than 90d",
    "runs abort JR-00000001",
    "runs pause JR-00000001",
    "runs move JR-00000001 --front",
    "worker",
    "usage-inputs list",
    "usage-inputs show IN-1",
    "usage-inputs add --asset-line-item A --usage-date 2023-06-05 --quantity 1 --product-uom Each",
    "usage-inputs edit IN-1 --quantity 2",
    "usage-inputs delete IN-1",
    "usage-inputs reset IN-1",
    "usage-schedules list",
    "billing-schedules list",
    "billing-schedules show BS-1",
    "billing-schedules set-status BS-1 --status invoiced",
    "customers list",
    "customers show C",
    "accounts list",
    "accounts show A",
    "price-books list",
    "price-books show B",
    "prices list",
    "prices show B/P",
    "contracts list",
    "contracts show C",
    "custom-line-items list",
    "custom-line-items show L",
    "asset-line-items list",
    "asset-line-items show A",
    "asset-line-items amend A",
    "forecast",
    "schedules add N '0 0 0 ? * *' draft-usage-rating",
    "schedules list",
    "schedules show N",
    "schedules update N --cap 3",
    "schedules pause N",
    "schedules resume N",
    "schedules rewind N",
    "schedules remove N",
    "schedules run-now N",
    "schedules next N",
    "schedules fires N",
    "schedules apply -",
    "schedules backfill N --from 2023-06-01 --to 2023-06-02",
    "schedules hold-all",
    "schedules release-all",
    "jobs list",
    "jobs show draft-usage-rating",
    "mail list",
    "mail show ML-1",
    "mail retry ML-1",
    "mail preview draft-usage-rating",
    "users add erika@example.com --role viewer",
    "users list",
    "users role erika@example.com viewer",
    "users password erika@example.com --password-stdin",
    "users token erika@example.com",
    "users tokens erika@example.com",
    "users sessions erika@example.com",
    "users revoke-token erika@example.com nightly",
    "users disable erika@example.com",
    "users enable erika@example.com",
    "users preferences erika@example.com --mail never",
    "audit list",
    "audit verify",
    "workers list",
    "db check",
    "db backup copy.db",
    "doctor",
]
MAKE_OR_NEED_NONE = {
    ("demo",),
    ("import",),
    ("serve",),
    ("cron", "explain"),
    ("cron", "next"),
    ("db", "upgrade"),
    ("config", "show"),
    ("config", "check"),
}


def test_every_command_is_tried_without_a_database_or_needs_none() -> None:
    tried = {
        words for words in leaves() for line in NEED_A_DATABASE if line.split()[: len(words)] == list(words)
    }
    assert set(leaves()) - tried == MAKE_OR_NEED_NONE


@pytest.mark.parametrize("line", NEED_A_DATABASE)
def test_in_an_empty_folder_a_command_refuses_names_the_place_and_makes_no_file(
    line: str, batchwright: Batchwright, working_directory: Path
) -> None:
    as_json = () if line == "worker" else ("--json",)  # a worker answers nothing
    result = batchwright(*shlex.split(line), *as_json)
    assert result.exit_code == 2
    said = error_of(result)["message"] if as_json else result.stderr
    assert str(working_directory / "batchwright.db") in said
    assert list(working_directory.iterdir()) == []


def test_a_refusal_names_message_field_and_remedy_on_stderr(batchwright: Batchwright) -> None:
    result = batchwright("runs", "list")
    assert result.exit_code == 2
    assert result.stdout == ""
    first, field, remedy = result.stderr.splitlines()
    assert first.startswith("Error: there is no Batchwright database at ")
    assert field == "  Field: database_url"
    assert remedy.startswith("  Remedy: Make it with `batchwright db upgrade`")


BAD_WORDS = [
    ("runs list --limit 0", "--limit", "0 is not in the range"),
    ("runs list --limit three", "--limit", "'three' is not a valid integer"),
    ("runs list --limit", "--limit", "requires an argument"),
    ("runs list extra", None, "unexpected extra argument"),
    ("runs show", "RUN", "Missing argument 'RUN'"),
    ("runs outcomes JR-1 --format xml", "--format", "'xml' is not one of"),
    ("runs outcomes JR-1 --json --format csv", None, "exclude each other"),
    ("run draft-usage-rating --scope-size 0", "--scope-size", "0 is not in the range"),
    ("run draft-usage-rating --scope-size 2.5", "--scope-size", "'2.5' is not a valid integer"),
    ("run draft-usage-rating --sync --enqueue", None, "--sync and --enqueue exclude each other"),
    ("run draft-usage-rating --sync --batch", None, "--sync and --batch exclude each other"),
    ("run draft-usage-rating --ids-from missing.txt", "--ids-from", "cannot read 'missing.txt'"),
    ("run draft-usage-rating --ids-from .", "--ids-from", "cannot read '.'"),
    ("forecast --by week", "--by", "'week' is not one of"),
    ("billing-schedules set-status BS-1", "--status", "Missing option '--status'"),
    (
        "billing-schedules set-status BS-1 --ready-by 2023-07-01 --status invoiced",
        None,
        "ID and --ready-by exclude each other",
    ),
    ("usage-inputs delete", "ID...", "Missing argument"),
    ("usage-inputs add --asset-line-item A", "--usage-date", "Missing option '--usage-date'"),
    ("import", "PATH...", "Missing argument"),
    ("jobs list --limit 3", "--limit", "No such option '--limit'"),
]


@pytest.mark.parametrize(("line", "field", "message"), BAD_WORDS, ids=[line for line, _, _ in BAD_WORDS])
def test_bad_words_are_refused_in_json_where_json_was_asked_for(
    line: str, field: str | None, message: str, batchwright: Batchwright
) -> None:
    # First, so that it is not taken for the value of an option that lacks one.
    command, *rest = line.split()
    words = (
        [command, *rest, "--json"]
        if not line.endswith("--limit")
        else [command, rest[0], "--json", *rest[1:]]
    )
    result = batchwright(*words)
    assert result.exit_code == 2
    error = error_of(result)
    assert message in error["message"]
    assert error["field"] == field


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds no id"), (b"\n  \r\n", "holds no id"), (b"\xff\xfe\x00", "is not UTF-8 text")],
)
def test_a_file_of_ids_without_an_id_does_not_mean_everything(
    content: bytes, message: str, batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "ids.txt").write_bytes(content)
    from_file = batchwright("run", "draft-usage-rating", "--ids-from", "ids.txt", "--json")
    from_stdin = batchwright("run", "draft-usage-rating", "--ids-from", "-", "--json", stdin=content)
    for result in (from_file, from_stdin):
        assert result.exit_code == 2
        assert error_of(result)["field"] == "--ids-from"
        assert message in error_of(result)["message"]


def test_ids_given_twice_are_refused(batchwright: Batchwright) -> None:
    result = batchwright("usage-inputs", "reset", "IN-1", "--ids-from", "-", "--json", stdin="IN-2\n")
    assert result.exit_code == 2
    assert "as arguments or with --ids-from, not both" in error_of(result)["message"]


BAD_VALUES = [
    ("runs list --status Done", "status", "'Done'"),
    ("runs show JR-99999999", "run_id", "JR-99999999"),
    ("runs outcomes JR-99999999", "run_id", "JR-99999999"),
    ("runs retry JR-99999999", "run_id", "JR-99999999"),
    ("runs resume JR-99999999", "run_id", "JR-99999999"),
    (
        "run draft-usage-rating --usage-input IN-NONE --usage-input IN-NOR-THIS",
        "usage_input_ids",
        "IN-NONE, IN-NOR-THIS",
    ),
    ("run draft-usage-rating --asset-line-item ALI-NONE", "asset_line_item_ids", "ALI-NONE"),
    ("run draft-usage-rating --error-ceiling 101%", "error_ceiling", "'101%'"),
    ("run draft-usage-rating --error-ceiling many", "error_ceiling", "'many'"),
    ("run draft-usage-rating --notify nobody", "notify", "nobody"),
    ("usage-inputs list --status Done", "status", "'Done'"),
    ("usage-inputs list --asset-line-item ALI-NONE", "asset_line_item_id", "ALI-NONE"),
    ("usage-inputs show IN-NONE", "usage_input_id", "IN-NONE"),
    ("usage-inputs edit IN-NONE --quantity 1", "usage_input_id", "IN-NONE"),
    ("usage-inputs edit IN-00007052", None, "nothing to change"),
    ("usage-inputs edit IN-00007052 --quantity 1,000", "quantity", "'1,000'"),
    ("usage-inputs edit IN-00007052 --quantity NaN", "quantity", "'NaN'"),
    ("usage-inputs edit IN-00007052 --quantity 1e400", "quantity", "'1e400'"),
    ("usage-inputs edit IN-00007052 --usage-date 2023-06-31", "usage_date", "'2023-06-31'"),
    ("usage-inputs edit IN-00007052 --usage-date 6/5/2023", "usage_date", "'6/5/2023'"),
    ("usage-inputs delete IN-00007052 IN-NONE", "usage_input_id", "IN-NONE"),
    ("usage-inputs reset", None, "no usage inputs were named"),
    ("usage-inputs reset --status Loaded", "status", "Loaded"),
    ("usage-inputs reset --code no_price", None, "no usage inputs were named"),
    ("billing-schedules set-status BS-01311820 --status paid", "status", "'paid'"),
    ("billing-schedules set-status --status invoiced", "billing_schedule_ids", "no id was given"),
    ("billing-schedules set-status BS-NONE BS-01311820 --status invoiced", "billing_schedule_ids", "BS-NONE"),
    ("billing-schedules set-status --ready-by 2023-06-31 --status invoiced", "ready_by", "'2023-06-31'"),
    ("billing-schedules set-status --ready-by 2023-07-01 --status pending_billing", "ready_by", "move on"),
    ("billing-schedules list --status Done", "status", "'Done'"),
    ("billing-schedules list --period 2023-13", "period", "'2023-13'"),
    ("billing-schedules list --period 2023-06-01", "period", "'2023-06-01'"),
    ("billing-schedules list --ready-by soon", "ready_by", "'soon'"),
    ("billing-schedules list --customer C-NONE", "customer_id", "C-NONE"),
    ("billing-schedules show BS-NONE", "billing_schedule_id", "BS-NONE"),
    ("asset-line-items show ALI-NONE", "asset_line_item_id", "ALI-NONE"),
    ("customers show C-NONE", "customer_id", "C-NONE"),
    ("prices show PB-US-2023/none", "price_id", "PB-US-2023/none"),
    ("prices show PB-US-2023", "price_id", "PB-US-2023"),
    ("contracts show CT-HL-2023 --on 2023-06-31", "on", "2023-06-31"),
    ("usage-schedules list --asset-line-item ALI-NONE", "asset_line_item_id", "ALI-NONE"),
    ("jobs show draft-usage-ratin", "job", "draft-usage-ratin"),
    ("mail preview draft", "job", "draft"),
    ("mail show ML-NONE", "mail_id", "ML-NONE"),
    ("import missing.csv", None, "missing.csv"),
]


@pytest.mark.parametrize(("line", "field", "message"), BAD_VALUES, ids=[line for line, _, _ in BAD_VALUES])
def test_bad_values_are_refused_with_the_value_and_change_nothing(
    line: str,
    field: str | None,
    message: str,
    company_folder: Path,
    batchwright: Batchwright,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", f"sqlite:///{company_folder / 'batchwright.db'}")

    def state() -> list[str]:
        looks = (["usage-inputs", "list"], ["runs", "list"], ["billing-schedules", "list"], ["audit", "list"])
        return [batchwright(*words, "--json").stdout for words in looks]

    before = state()
    result = batchwright(*line.split(), "--json")
    assert result.exit_code == 2, result.output
    error = error_of(result)
    assert message in error["message"]
    assert field is None or (error["field"] or "").startswith(field)
    assert error["remedy"]
    assert state() == before


def test_settings_that_cannot_be_used_are_refused_all_of_them_at_once(
    batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "batchwright.toml").write_text(
        "scope_sise = 3\nlease_seconds = -1\n", encoding="utf-8"
    )
    result = batchwright("runs", "list", "--json")
    assert result.exit_code == 2
    error = error_of(result)
    assert "scope_sise" in error["message"]
    assert "lease_seconds" in error["message"]


def test_a_fault_of_the_program_is_told_in_a_line_with_the_way_to_the_traceback(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.cli.commands.config.current_settings", lambda: 1 / 0)
    result = batchwright("config", "show", "--json")
    assert result.exit_code == 1
    assert error_of(result)["message"] == "ZeroDivisionError: division by zero"
    assert "-v" in error_of(result)["remedy"]
    assert "Traceback" not in result.stderr
    assert "Traceback" in batchwright("-v", "config", "show").stderr


def test_a_database_that_does_not_answer_is_refused_with_its_place(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://somebody:secret@127.0.0.1:1/nothing"
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", url)
    result = batchwright("runs", "list", "--json")
    assert result.exit_code == 2
    assert place_of(url) in error_of(result)["message"]
    assert "secret" not in result.output


def test_the_program_as_a_process_refuses_with_exit_code_2_and_only_json_on_stdout(program: Program) -> None:
    result: subprocess.CompletedProcess[str] = program("runs", "list", "--json")
    assert result.returncode == 2
    assert list(json.loads(result.stdout)) == ["error"]
    assert result.stderr.startswith("Error: there is no Batchwright database")


def test_bytes_that_are_no_text_are_refused_at_the_edge(program: Program) -> None:
    result = program("runs", "show", b"JR-\xff", "--json")
    assert result.returncode == 2
    error = json.loads(result.stdout)["error"]
    assert "Argument 3, 'JR-\\udcff', is not text" in error["message"]
    assert "Traceback" not in result.stderr


def test_a_demo_in_a_folder_that_cannot_be_made_is_refused(
    batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "file").touch()
    result = batchwright("demo", "--folder", "file/demo")
    assert result.exit_code == 2
    assert "the folder file/demo cannot be written: Not a directory" in result.stderr
    assert "Field: --folder" in result.stderr


@pytest.mark.parametrize("words", [("usage-inputs", "list"), ("runs", "list", "--json"), ("no", "--json")])
def test_a_full_disk_is_told_without_the_words_of_the_program(
    words: tuple[str, ...], company_folder: Path
) -> None:
    url = f"sqlite:///{company_folder / 'batchwright.db'}"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PROGRAM, *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "BATCHWRIGHT_DATABASE_URL": url},
            check=False,
        )
    said = "No such command 'no'." if words[0] == "no" else "No space left on device"
    assert done.returncode == (2 if words[0] == "no" else 1)
    assert done.stderr.startswith(f"Error: {said}\n  Remedy: ")
    assert "Traceback" not in done.stderr


def test_closed_streams_do_not_end_a_command(company_folder: Path) -> None:
    url = f"sqlite:///{company_folder / 'batchwright.db'}"
    line = f"{PROGRAM} usage-inputs list >&- 2>&-"
    env = {**os.environ, "BATCHWRIGHT_DATABASE_URL": url}
    assert subprocess.run(["sh", "-c", line], env=env, check=False).returncode == 0


@pytest.mark.parametrize(
    "words", ["usage-inputs reset --ids-from -", "users password erika@example.com --password-stdin"]
)
def test_a_closed_stdin_is_an_empty_one(words: str, company_folder: Path) -> None:
    env = {**os.environ, "BATCHWRIGHT_DATABASE_URL": f"sqlite:///{company_folder / 'batchwright.db'}"}
    line = ["sh", "-c", f"{PROGRAM} {words} --json <&-"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["field"] in ("--ids-from", "password")
