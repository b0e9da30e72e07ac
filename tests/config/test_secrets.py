"""No password in what names a database or a URL, however it is written or mistyped."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchwright.cli.main import main
from batchwright.config.secrets import url_without_password, without_password
from batchwright.config.settings import SettingsError, load_settings
from batchwright.config.tracebacks import message_of
from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
from batchwright.notifications.ping_address import check_ping

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hush@host/db", "postgresql://u:****@host/db"),
        ("postgresql://host/db?user=u&password=hush", "postgresql://host/db?user=u&password=****"),
        ("postgresql://u@host/db?sslpassword=hush&x=1", "postgresql://u@host/db?sslpassword=****&x=1"),
        ("postgresql://host/db?pass%77ord=hush", "postgresql://host/db?pass%77ord=****"),
        ("postgresql://host/db?PASSWORD=hush@h", "postgresql://host/db?PASSWORD=****"),
        ("postgresql://u:hu@sh@host/db", "postgresql://u:****@host/db"),
        ("postgresql://u:hu/s?h@host/db", "postgresql://u:****@host/db"),
        ("postgresql://u:hu sh@host/db", "postgresql://u:****@host/db"),
        ("postgresql://u:hu#sh@host/db", "postgresql://u:****@host/db"),
        ("postgresql://u:hush/db", "postgresql://u:****"),
        ("postgresql:/u:hush@host/db", "postgresql:/u:****@host/db"),
        ("postgresql//u:hush@host/db", "postgresql//u:****@host/db"),
        ("u:hush@host/db", "u:****@host/db"),
        ("host=h password=hush dbname=d", "host=h password=**** dbname=d"),
        ("host=h password = 'hu sh' dbname=d", "host=h password = **** dbname=d"),
        ("postgresql://host:5432/db?user=u@x", "postgresql://host:5432/db?user=u@x"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("sqlite:////tmp/a:b.db", "sqlite:////tmp/a:b.db"),
        ("dask://scheduler:8786", "dask://scheduler:8786"),
        ("http://127.0.0.1:8000,", "http://127.0.0.1:8000,"),
        ("https://batch.example.com/x", "https://batch.example.com/x"),
        ("postgresql://u:***@host/db", "postgresql://u:***@host/db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert url_without_password(url) == shown
    assert url_without_password(shown) == shown


def test_a_message_is_shown_without_the_passwords_of_urls_in_it() -> None:
    said = "cannot use 'postgresql://u:hush@h/d?sslpassword=hush': no. Ask ann@example.com; password=hush"
    expected = "cannot use 'postgresql://u:****@h/d?sslpassword=****': no. Ask ann@example.com; password=****"
    assert without_password(said) == expected
    assert message_of(ValueError(said)) == expected


@pytest.mark.parametrize("plain", ["", "a: b", "see ann@example.com: 10:30", "no password given", "x=1"])
def test_other_text_stays(plain: str) -> None:
    assert without_password(plain) == plain


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://u:hush/db"),
        ("DATABASE_URL", "postgresql://u:hu@hush@host/db"),
        ("DATABASE_URL", "postgresql://u:hu/hush@host/db"),
        ("DATABASE_URL", "mysql://u:hush@host/db"),
        ("DATABASE_URL", "u:hush@host://db"),
        ("DATABASE_URL", "u:hush@host/db"),
        ("DATABASE_URL", "host=h password=hush"),
        ("DATABASE_URL", "sqlite:///x.db?password=hush"),
        ("BASE_URL", "https://u:hush@host"),
        ("EXECUTOR", "dask://u:hush@host:1"),
        ("MAIL__SMTP_HOST", "u:hush@host"),
        ("JOBS", "postgresql://u:hush@host/db"),
        ("TIME_ZONE", "postgresql://u:hush@host/db"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_without_its_password(
    variable: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({f"BATCHWRIGHT_{variable}": value}, tmp_path)
    assert "hush" not in str(refusal.value)


def test_a_password_in_a_setting_that_is_taken_is_not_shown(tmp_path: Path) -> None:
    settings = load_settings({"BATCHWRIGHT_ACTOR": "postgresql://u:hush@host/db"}, tmp_path)
    assert "hush" not in str(settings.lines())


def test_whatever_ends_a_command_is_told_without_a_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError("nothing at postgresql://u:hush@host/db")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("batchwright.cli.session.load_settings", fail)
    done = CliRunner().invoke(main, ["runs", "list", "--json"])
    assert (done.exit_code, "u:****@host/db" in done.stdout) == (1, True)
    assert "hush" not in done.output


def test_a_database_is_named_without_a_password() -> None:
    database = Database("postgresql+psycopg://u:hush@h/d?password=hush&sslpassword=hush&host=/tmp")
    assert "hush" not in database.display_url
    assert "host=%2Ftmp" in database.display_url


def test_a_ping_address_with_a_password_is_refused_without_it() -> None:
    with pytest.raises(Refused) as refusal:
        check_ping("https://u:hush@example.com/x", allows_private=False)
    assert "hush" not in str(refusal.value)


def test_only_what_hides_passwords_makes_a_text_of_a_database_url() -> None:
    found = subprocess.run(
        ["grep", "-rn", "render_as_string", SOURCE, "--include=*.py"], capture_output=True, text=True
    )
    assert "url_without_password(" in found.stdout
    elsewhere = [
        line
        for line in found.stdout.splitlines()
        if "url_without_password(" not in line and "/testing/" not in line
    ]
    assert elsewhere == []
