"""Text from outside steers no terminal: not from files, ids, settings, servers or exceptions."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
import structlog

from batchwright.cli import output
from batchwright.cli.output import Coloured, Column, say, write_facts, write_json, write_rows
from batchwright.config.logging import configure_logging
from batchwright.config.texts import clean, clean_line
from tests.cli.conftest import Batchwright

STEERING = "\x1b[2J\x9b31m\x07\r\x7f\u202e"
SOURCE = Path(output.__file__).parent


def is_harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße\nan alle", "Grüße\nan alle"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\x00b\rc\td", r"a\x00b\rc\td"),
        ("Empf\udce4nger", "Empfänger"),
        ("\udc9b1m", r"\x9b1m"),
        ("\ud800", r"\ud800"),
        ("\u202egro\u200b", r"\u202egro\u200b"),
    ],
)
def test_text_is_made_harmless(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(shown) == shown
    assert clean_line(f"  {text} \n ") == " ".join(shown.split()) or "\\t" in shown or "\\r" in shown


def test_every_way_to_answer_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"name": STEERING}
    columns = (Column("name", "Name"),)
    say(STEERING)
    say("a\n\tb")  # as drivers of databases lay their messages out
    say((STEERING, Coloured(STEERING, None)), err=True)
    write_facts([(STEERING, STEERING)])
    write_rows([row], columns, format="table", nothing="")
    write_rows([row], columns, format="json", nothing="")
    write_json(row)
    out, err = capsys.readouterr()
    assert is_harmless(out + err), out + err
    assert r"\x1b[2J" in out
    assert "a\n        b\n" in out


def test_csv_steers_no_terminal_and_keeps_data_in_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = (Column("name", "Name"),)
    write_rows([{"name": STEERING}], columns, format="csv", nothing="")
    assert STEERING in capsys.readouterr().out
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)
    write_rows([{"name": STEERING}], columns, format="csv", nothing="")
    assert is_harmless(screen.getvalue())


def test_a_log_on_a_terminal_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    before = structlog.get_config()
    try:
        configure_logging()
        try:
            raise ValueError(STEERING)
        except ValueError:
            structlog.get_logger().exception("server said", reason=STEERING)
    finally:
        structlog.configure(**before)
    assert is_harmless(screen.getvalue()), screen.getvalue()
    assert "ValueError" in screen.getvalue()


def hostile_import(batchwright: Batchwright, folder: Path) -> str:
    file = folder / f"customers{STEERING.replace(chr(0), '')}.csv"
    file.write_text(f"customer_id,{STEERING}\n1,2\n", encoding="utf-8")
    return batchwright("import", str(file)).stderr


def hostile_header(batchwright: Batchwright, folder: Path) -> str:
    file = folder / "customers.csv"
    unbroken = STEERING.replace("\r", "")
    file.write_text(f"customer_id,{unbroken}\n{unbroken},2\n", encoding="utf-8")
    result = batchwright("import", str(file))
    return result.stdout + result.stderr


def hostile_setting(batchwright: Batchwright, folder: Path) -> str:
    key = STEERING.encode("unicode_escape").decode().replace("\\x", "\\u00")
    (folder / "batchwright.toml").write_text(f'"{key}" = 1\n"mail"."{key}" = 2\n', encoding="utf-8")
    result = batchwright("config", "check")
    return result.stdout + result.stderr


def hostile_id(batchwright: Batchwright, folder: Path) -> str:
    results = [batchwright("runs", "show", f"JR-{STEERING}"), batchwright("mail", "show", STEERING, "--json")]
    return "".join(result.stdout + result.stderr for result in results)


def hostile_word(batchwright: Batchwright, folder: Path) -> str:
    results = [
        batchwright(STEERING),
        batchwright("runs", f"--{STEERING}"),
        batchwright("-v", "import", STEERING),
    ]
    return "".join(result.stdout + result.stderr for result in results)


@pytest.mark.parametrize(
    "door",
    [hostile_import, hostile_header, hostile_setting, hostile_id, hostile_word],
    ids=lambda d: d.__name__,
)
def test_no_door_lets_it_through(
    door: object, database: str, batchwright: Batchwright, working_directory: Path
) -> None:
    said = door(batchwright, working_directory)  # type: ignore[operator]
    assert is_harmless(said), repr(said)
    assert "\\x1b" in said or "\\u001b" in said


def test_only_answers_write_to_the_terminal() -> None:
    pattern = r"click\.s\?echo(\|\bprint(\|std\(out\|err\)\.write(\|print_exc"
    found = subprocess.run(["grep", "-rn", pattern, SOURCE, "--include=*.py"], capture_output=True, text=True)
    assert f"{SOURCE}/output.py" in found.stdout
    elsewhere = [
        line
        for line in found.stdout.splitlines()
        if not line.startswith(f"{SOURCE}/output.py") and ".console.print(Text(clean(" not in line
    ]
    assert elsewhere == []
