import os
import pickle
import pwd
from pathlib import Path

import pytest

from batchwright.config.settings import MailSettings, Settings, SettingsError, load_settings
from tests.support.users import OTHER, needs_root, run_as_other, shared_folder


def settings_of(directory: Path, toml: str = "", /, **environ: str) -> Settings:
    return flagged(directory, {}, toml, **environ)


def flagged(directory: Path, flags: dict[str, object], toml: str = "", /, **environ: str) -> Settings:
    if toml:
        (directory / "batchwright.toml").write_text(toml, encoding="utf-8")
    variables = {f"BATCHWRIGHT_{name}": value for name, value in environ.items()}
    return load_settings({"HOME": "/root", **variables}, directory, **flags)


def problems_of(directory: Path, toml: str = "", /, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(directory, toml, **environ)
    return [str(problem) for problem in caught.value.problems]


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert settings == Settings(
        database_url=f"sqlite:///{tmp_path}/batchwright.db",
        mail=MailSettings(
            transport="file",
            directory=tmp_path / "mail",
            sender="batchwright@localhost",
            templates=None,
            attachment_limit=5_000_000,
            smtp_host="localhost",
            smtp_port=25,
            smtp_username=None,
            smtp_password=None,
            smtp_security="auto",
        ),
        executor="local",
        actor=pwd.getpwuid(os.getuid()).pw_name,
        actors={},
        max_active_runs=5,
        pool_size=5,
        max_overflow=-1,
        pool_timeout=30,
        lease_seconds=30,
        scope_size=None,
        error_ceiling=None,
        base_url="http://127.0.0.1:8000",
        time_zone="UTC",
        jobs=(),
        ping_private=False,
    )


def test_a_flag_is_stronger_than_the_environment_and_that_than_the_file(tmp_path: Path) -> None:
    toml = "max_active_runs = 1\nscope_size = 1\nlease_seconds = 1\n"
    environ = {"SCOPE_SIZE": "2", "LEASE_SECONDS": "2"}
    settings = flagged(tmp_path, {"lease_seconds": 3}, toml, **environ)
    assert (settings.max_active_runs, settings.scope_size, settings.lease_seconds) == (1, 2, 3)


def test_a_flag_of_none_and_an_empty_variable_count_as_not_given(tmp_path: Path) -> None:
    settings = flagged(tmp_path, {"scope_size": None}, "scope_size = 7", SCOPE_SIZE="")
    assert settings.scope_size == 7


def test_nested_settings_come_from_all_sources(tmp_path: Path) -> None:
    toml = "[mail]\nsmtp_host = 'mail.example.com'\n"
    settings = flagged(tmp_path, {"mail__transport": "smtp"}, toml, MAIL__SMTP_PORT="587")
    assert (settings.mail.transport, settings.mail.smtp_host, settings.mail.smtp_port) == (
        "smtp",
        "mail.example.com",
        587,
    )


def test_a_flag_that_is_no_setting_is_a_fault_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'flavour' is not a setting"):
        load_settings({}, tmp_path, flavour="sweet")


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("scope_size = 9", encoding="utf-8")
    assert settings_of(tmp_path, "scope_size = 7", CONFIG="other.toml").scope_size == 9


def test_a_named_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, CONFIG="nowhere.toml")
    assert "nowhere.toml" in problem
    assert "environment variable BATCHWRIGHT_CONFIG" in problem
    assert "No such file" in problem


def test_a_file_that_is_not_toml_is_a_problem_with_its_line(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "scope_size = 7\nscope_size = = 8\n")
    assert "is not TOML" in problem
    assert "line 2" in problem


def test_a_file_that_is_not_utf_8_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "batchwright.toml").write_bytes(b"actor = '\xff'")
    [problem] = problems_of(tmp_path)
    assert "is not UTF-8 (byte 10)" in problem


def test_all_problems_of_all_sources_are_shown_together(tmp_path: Path) -> None:
    toml = "scope_sise = 1\n[mail]\nsmtp_port = 99999\n"
    problems = problems_of(tmp_path, toml, LEASE_SECONDS="soon", EXECUTER="inline")
    assert problems == [
        "scope_sise (from batchwright.toml, key scope_sise): there is no such setting. "
        "Did you mean scope_size?",
        "BATCHWRIGHT_EXECUTER (from environment variable BATCHWRIGHT_EXECUTER): there is no such setting. "
        "Did you mean BATCHWRIGHT_EXECUTOR?",
        "mail.smtp_port = 99999 (from batchwright.toml, key mail.smtp_port): "
        "it should be less than or equal to 65535. Give a port from 1 to 65535, such as 25 or 587.",
        "lease_seconds = soon (from environment variable BATCHWRIGHT_LEASE_SECONDS): it should be a valid "
        "number, unable to parse string as a number. Give a number of seconds from 0.1, such as 30.",
    ]


def test_the_error_names_the_fields_and_the_remedies(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_of(tmp_path, SCOPE_SIZE="0", MAX_ACTIVE_RUNS="0")
    assert caught.value.field == "max_active_runs, scope_size"
    assert caught.value.remedy == "Give a whole number from 1. Give a whole number of records from 1."
    assert str(caught.value).startswith("2 settings cannot be used:\n  max_active_runs = 0 ")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("BATCHWRIGHT_DATABASE", "BATCHWRIGHT_DATABASE_URL"),
        ("BATCHWRIGHT_MAIL_TRANSPORT", "BATCHWRIGHT_MAIL__TRANSPORT"),
        ("BATCHWRIGHT_actor", "BATCHWRIGHT_ACTOR"),
        ("batchwright_executor", "BATCHWRIGHT_EXECUTOR"),
        ("BATCHWRIGHT_ACTORS", "BATCHWRIGHT_ACTOR"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_closest_one(
    tmp_path: Path, variable: str, meant: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({variable: "x"}, tmp_path)
    [problem] = caught.value.problems
    assert (problem.setting, problem.remedy) == (variable, f"Did you mean {meant}?")


def test_a_table_that_was_given_as_a_value_is_refused(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "mail = 'smtp'")
    assert problem.endswith("it must be a table. Write its settings below a line [mail].")


def test_an_unknown_key_in_a_table_is_refused(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "[mail]\nsmtp_prot = 25")
    assert "key mail.smtp_prot" in problem
    assert "Did you mean mail.smtp_port?" in problem


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("DATABASE_URL", "mysql://ann:hush@db/books", "kind 'mysql'"),
        ("DATABASE_URL", "books.db", "is not a URL"),
        ("DATABASE_URL", "sqlite://", "names no file"),
        ("DATABASE_URL", "sqlite:///:memory:", "in memory"),
        ("DATABASE_URL", "sqlite:///a.db?mode=ro", "options after '?'"),
        ("DATABASE_URL", "postgresql://ann:hush@db", "names no database"),
        ("DATABASE_URL", "postgresql://ann:hush@db:port/books", "no usable port"),
        ("MAIL__TRANSPORT", "pigeon", "'file' or 'smtp'"),
        ("MAIL__SENDER", "nobody", "is not a mail address"),
        ("MAIL__SENDER", "jobs@example.com\nBcc: all@example.com", "line break"),
        ("MAIL__TEMPLATES", "nowhere", "there is no directory"),
        ("MAIL__ATTACHMENT_LIMIT", "five", "is not a size"),
        ("MAIL__ATTACHMENT_LIMIT", "-5 MB", "is not a size"),
        ("MAIL__SMTP_HOST", " ", "is not the name or address of a host"),
        ("MAIL__SMTP_PORT", "0", "greater than or equal to 1"),
        ("MAIL__SMTP_PASSWORD", "hush", "without mail.smtp_username"),
        ("MAIL__SMTP_SECURITY", "ssl", "'auto', 'none', 'starttls' or 'tls'"),
        ("EXECUTOR", "ray", "is not a known executor"),
        ("EXECUTOR", "dask://cluster", "the host and the port"),
        ("EXECUTOR", "dask://cluster:8786", "cannot work on an SQLite file"),
        ("ACTOR", "jane\nBcc: all@example.com", "line break"),
        ("ACTORS__JANE", "Jane", "is not a mail address"),
        ("MAX_ACTIVE_RUNS", "0", "greater than or equal to 1"),
        ("MAX_ACTIVE_RUNS", "many", "valid integer"),
        ("LEASE_SECONDS", "0", "greater than or equal to 0.1"),
        ("LEASE_SECONDS", "inf", "finite number"),
        ("SCOPE_SIZE", "2.5", "valid integer"),
        ("ERROR_CEILING", "101%", "more than all records"),
        ("ERROR_CEILING", "1.5", "neither a whole number"),
        ("ERROR_CEILING", "-1", "neither a whole number"),
        ("BASE_URL", "batchwright.example.com", "address of a web server"),
        ("BASE_URL", "https://example.com/a b", "more after its host than a path"),
        ("BASE_URL", "https://example.com/a;b", "more after its host than a path"),
        ("BASE_URL", "https://example.com/../b", "more after its host than a path"),
        ("BASE_URL", "https://example.com/b?c", "more after its host than a path"),
        ("TIME_ZONE", "Mars/Olympus", "IANA"),
        ("TIME_ZONE", "../etc/passwd", "IANA"),
        ("TIME_ZONE", "localtime", "no time zone of its own"),
        ("TIME_ZONE", "posix/Europe/Berlin", "no time zone of its own"),
        ("JOBS", "my_package.my_job", "'my_package.my_job' is not an import path"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, name: str, value: str, shown: str
) -> None:
    [problem] = problems_of(tmp_path, **{name: value})
    assert shown in problem
    assert f"environment variable BATCHWRIGHT_{name}" in problem
    assert "hush" not in problem
    assert "\n" not in problem


@pytest.mark.parametrize("setting", ["max_active_runs", "lease_seconds", "scope_size"])
def test_a_truth_value_is_not_a_number(tmp_path: Path, setting: str) -> None:
    [problem] = problems_of(tmp_path, f"{setting} = true")
    assert "is a truth value, not a number" in problem


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("sqlite:////var/lib/books.db", "sqlite:////var/lib/books.db"),
        ("postgresql+psycopg://ann:a%23b@db:5433/books", "postgresql+psycopg://ann:a%23b@db:5433/books"),
        ("postgresql://db/books?sslmode=require", "postgresql+psycopg://db/books?sslmode=require"),
    ],
)
def test_a_database_url_is_taken_as_sqlalchemy_wants_it(tmp_path: Path, given: str, taken: str) -> None:
    assert settings_of(tmp_path, DATABASE_URL=given).database_url == taken


def test_relative_paths_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    environ = {
        "DATABASE_URL": "sqlite:///data/books.db",
        "MAIL__DIRECTORY": "out",
        "MAIL__TEMPLATES": "texts",
    }
    settings = settings_of(tmp_path, **environ)
    assert settings.database_url == f"sqlite:///{tmp_path}/data/books.db"
    assert (settings.mail.directory, settings.mail.templates) == (tmp_path / "out", tmp_path / "texts")


@pytest.mark.parametrize(
    ("given", "size"),
    [("5 MB", 5_000_000), ("1.5MB", 1_500_000), ("4 MiB", 4_194_304), ("500 kb", 500_000), ("700", 700)],
)
def test_a_size_is_given_in_words(tmp_path: Path, given: str, size: int) -> None:
    assert settings_of(tmp_path, MAIL__ATTACHMENT_LIMIT=given).mail.attachment_limit == size


@pytest.mark.parametrize(("given", "ceiling"), [("10", "10"), ("5 %", "5%"), ("2.5%", "2.5%"), ("0", "0")])
def test_an_error_ceiling_is_a_count_or_a_share(tmp_path: Path, given: str, ceiling: str) -> None:
    assert settings_of(tmp_path, ERROR_CEILING=given).error_ceiling == ceiling


def test_an_error_ceiling_may_be_a_number_in_the_file(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "error_ceiling = 10").error_ceiling == "10"


def test_jobs_are_a_list_in_the_file_and_comma_separated_in_the_environment(tmp_path: Path) -> None:
    jobs = ("mine.nightly:Nightly", "mine.weekly:Weekly")
    assert settings_of(tmp_path, JOBS=" mine.nightly:Nightly, mine.weekly:Weekly,").jobs == jobs
    assert settings_of(tmp_path, "jobs = ['mine.nightly:Nightly', 'mine.weekly:Weekly']").jobs == jobs


def test_actors_are_kept_in_lower_case_and_the_environment_is_stronger(tmp_path: Path) -> None:
    toml = "[actors]\nJane = 'jane@example.com'\nbob = 'bob@example.com'\n"
    settings = settings_of(tmp_path, toml, ACTORS__BOB="robert@example.com")
    assert settings.actors == {"jane": "jane@example.com", "bob": "robert@example.com"}


def test_the_console_has_an_address_only_where_one_is_given(tmp_path: Path) -> None:
    assert settings_of(tmp_path).console_url is None
    assert (
        settings_of(tmp_path, BASE_URL="https://batch.example.com").console_url == "https://batch.example.com"
    )


def test_links_lead_to_where_a_service_answers_unless_an_address_is_given(tmp_path: Path) -> None:
    here = "http://127.0.0.1:9000"
    served = settings_of(tmp_path).served_at(here)
    assert (served.base_url, served.console_url) == (here, None)
    given = settings_of(tmp_path, BASE_URL="http://127.0.0.1:8000")
    assert given.served_at(here) is given


def test_dask_works_on_a_server_database(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://db/books", "EXECUTOR": "dask://cluster:8786"}
    assert settings_of(tmp_path, **environ).executor == "dask://cluster:8786"


def test_a_setting_cannot_be_changed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.actor = "mallory"  # type: ignore[misc]


def test_the_settings_travel_to_another_process(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, SCOPE_SIZE="3")
    assert pickle.loads(pickle.dumps(settings)).lines() == settings.lines()


def test_a_database_has_a_label_and_a_colour_of_a_few(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, LABEL="Production", COLOUR="red")
    assert (settings.label, settings.colour) == ("Production", "red")
    assert (settings_of(tmp_path).label, settings_of(tmp_path).colour) == (None, "grey")
    for wrong in ({"COLOUR": "scarlet"}, {"LABEL": "two\nlines"}, {"LABEL": "x" * 41}):
        [problem] = problems_of(tmp_path, **wrong)
        assert "Give" in problem


def test_a_limit_of_connections_leaves_one_for_each_run_and_one_more(tmp_path: Path) -> None:
    assert settings_of(tmp_path, POOL_SIZE="2", MAX_OVERFLOW="4").max_overflow == 4
    assert settings_of(tmp_path, POOL_SIZE="1", MAX_ACTIVE_RUNS="900").max_overflow == -1
    for runs, size, overflow, needed in (("5", "5", "0", 6), ("1", "2", "2", 5), ("20", "5", "15", 21)):
        [problem] = problems_of(tmp_path, MAX_ACTIVE_RUNS=runs, POOL_SIZE=size, MAX_OVERFLOW=overflow)
        assert f"{needed} are needed" in problem
    for wrong in ({"POOL_SIZE": "0"}, {"MAX_OVERFLOW": "-2"}, {"POOL_TIMEOUT": "0"}):
        [problem] = problems_of(tmp_path, **wrong)
        assert "Give a" in problem


def test_the_lines_show_every_setting_with_its_origin_and_no_password(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://ann:hush@db/books?password=hush", "MAIL__SMTP_PASSWORD": "hush"}
    toml = "scope_size = 3\n[mail]\nsmtp_username = 'ann'\n[actors]\njane = 'jane@example.com'\n"
    settings = flagged(tmp_path, {"lease_seconds": 2.5}, toml, **environ)
    lines = {line.name: (line.value, line.origin) for line in settings.lines()}
    assert len(lines) == 28
    assert lines["ping_private"] == ("false", "default")
    assert lines["database_url"] == (
        "postgresql+psycopg://ann:****@db/books?password=****",
        "environment variable BATCHWRIGHT_DATABASE_URL",
    )
    assert lines["mail.smtp_password"] == ("****", "environment variable BATCHWRIGHT_MAIL__SMTP_PASSWORD")
    assert lines["scope_size"] == ("3", "batchwright.toml, key scope_size")
    assert lines["lease_seconds"] == ("2.5", "--lease-seconds")
    assert lines["actors.jane"] == ("jane@example.com", "batchwright.toml, key actors.jane")
    assert lines["mail.attachment_limit"] == ("5 MB", "default")
    assert lines["jobs"] == (None, "default")


def test_no_password_shows_in_the_representation(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://ann:hush@db/books", "MAIL__SMTP_USERNAME": "ann"}
    assert "hush" not in repr(settings_of(tmp_path, **environ, MAIL__SMTP_PASSWORD="hush"))


def test_loading_makes_no_file(tmp_path: Path) -> None:
    settings_of(tmp_path)
    assert list(tmp_path.iterdir()) == []


def found_file(directory: Path, *, owner: int = 0, mode: int = 0o644) -> Path:
    file = directory / "batchwright.toml"
    file.write_text('[mail]\nsmtp_username = "u"\nsmtp_password = "secret"\n')
    file.chmod(mode)
    if owner:
        os.chown(file, owner, -1)
    return file


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_a_file_in_the_working_directory_that_anybody_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    found_file(tmp_path, mode=mode)
    [problem] = problems_of(tmp_path)
    assert "may be written by anybody" in problem
    assert "BATCHWRIGHT_CONFIG" in problem


@needs_root
def test_a_file_in_the_working_directory_of_another_user_is_refused_and_one_that_is_named_taken(
    tmp_path: Path,
) -> None:
    file = found_file(tmp_path, owner=OTHER, mode=0o666)
    [problem] = problems_of(tmp_path)
    assert "belongs neither to you nor to root" in problem
    assert settings_of(tmp_path, CONFIG=str(file)).mail.smtp_username == "u"
    assert settings_of(tmp_path, CONFIG="batchwright.toml").mail.smtp_username == "u"


@needs_root
def test_a_link_of_another_user_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    found_file(tmp_path / "elsewhere")
    link = tmp_path / "batchwright.toml"
    link.symlink_to("elsewhere/batchwright.toml")
    assert settings_of(tmp_path).mail.smtp_username == "u"
    os.chown(link, OTHER, -1, follow_symlinks=False)
    assert "belongs neither" in problems_of(tmp_path)[0]


@needs_root
def test_another_user_reads_their_own_file_and_that_of_root() -> None:
    load = "from pathlib import Path\ntry: print(load_settings({}, Path.cwd()).mail.smtp_username)\n"
    code = f"from batchwright.config.settings import *\n{load}except SettingsError as error: print(error)"
    for owner, said in ((0, "u"), (OTHER, "u"), (4242, "belongs neither")):
        with shared_folder() as folder:
            found_file(folder, owner=owner)
            done = run_as_other(folder, code, modules=["batchwright.config.settings"])
            assert said in done.stdout, done.stderr


def test_a_pipe_in_place_of_the_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "batchwright.toml")
    assert "is not a regular file" in problems_of(tmp_path)[0]
    named = {"BATCHWRIGHT_CONFIG": "batchwright.toml"}
    for environ, said in (
        (named, "is not a regular file"),
        ({"BATCHWRIGHT_CONFIG": "/dev/zero"}, "more than 1,000,000"),
    ):
        with pytest.raises(SettingsError, match=said):
            load_settings(environ, tmp_path)
    assert load_settings({"BATCHWRIGHT_CONFIG": "/dev/null"}, tmp_path).time_zone == "UTC"


@pytest.mark.parametrize(
    ("toml", "secret"),
    [
        ('[mail]\nsmtp_username = "u"\nsmtp_password = "s"\n', "mail.smtp_password"),
        ('database_url = "postgresql://u:s@host/db"\n', "database_url"),
        ('database_url = "postgresql://host/db?user=u&password=s"\n', "database_url"),
        ('database_url = "postgresql://host/db"\n', None),
        ('time_zone = "UTC"\n', None),
    ],
)
def test_secrets_that_every_user_may_read_are_told_of(tmp_path: Path, toml: str, secret: str | None) -> None:
    for environ in ({}, {"CONFIG": "batchwright.toml"}):
        settings = settings_of(tmp_path, toml, **environ)
        (tmp_path / "batchwright.toml").chmod(0o644)
        problems = settings.exposed_secrets()
        assert [problem.setting for problem in problems] == ([secret] if secret else [])
        assert all("chmod o-r" in problem.remedy and problem.value == "****" for problem in problems)
        (tmp_path / "batchwright.toml").chmod(0o640)
        assert settings.exposed_secrets() == []


def test_a_secret_of_the_environment_is_nobodys_to_read(tmp_path: Path) -> None:
    (tmp_path / "batchwright.toml").write_text('time_zone = "UTC"\n')
    environ = {"DATABASE_URL": "postgresql://u:s@host/db"}
    assert settings_of(tmp_path, **environ).exposed_secrets() == []


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "POSTGRES"])
def test_a_postgresql_database_is_taken_by_all_its_names(tmp_path: Path, scheme: str) -> None:
    url = settings_of(tmp_path, DATABASE_URL=f"{scheme}://u@host/db").database_url
    assert url == "postgresql+psycopg://u@host/db"
