"""The file of schedules: what a line means, which variables hold for it, and what is refused with its number."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from batchwright.cli.commands.run import run as run_command
from batchwright.engine.registry import Registry
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.schedules.crontab import (
    CrontabLine,
    CrontabRefused,
    SchemaOf,
    option_of,
    scan_crontab,
)

EXAMPLE = Path(__file__).parents[2] / "crontab.example"
NIGHTLY = '0 0 0 ? * * *  "Draft Rating Job"  draft-usage-rating'

_registry = Registry()


def read_crontab(text: str, schema_of: SchemaOf) -> list[CrontabLine]:
    lines, problems = scan_crontab(text, schema_of)
    if problems:
        raise CrontabRefused(problems)
    return lines


def schema_of(job: str) -> dict[str, Any]:
    return _registry.get(job).Parameters.model_json_schema()


def read(*lines: str) -> list[ScheduleRequest]:
    return [line.request for line in read_crontab("\n".join(lines), schema_of)]


def refusal_of(*lines: str) -> CrontabRefused:
    with pytest.raises(CrontabRefused) as refused:
        read(*lines)
    return refused.value


def test_a_line_is_an_expression_a_name_and_a_job() -> None:
    (request,) = read(NIGHTLY)
    assert request == ScheduleRequest(name="Draft Rating Job", cron="0 0 0 ? * * *", job="draft-usage-rating")


@pytest.mark.parametrize("when", ["15 2 * * 0", "@daily", "0 15 2 ? * SUN", "0\t15 2 ? * 1 2030"])
def test_the_expression_may_be_of_unix_or_salesforce(when: str) -> None:
    (request,) = read(f'{when} "A" usage-rating')
    assert request.cron == when


def test_comments_and_blank_lines_mean_nothing() -> None:
    assert read("# " + NIGHTLY, "", "   # nothing", "\t") == []


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    (request,) = read("\ufeffTZ=Europe/Berlin\r", NIGHTLY + "\r")
    assert (request.time_zone, request.job) == ("Europe/Berlin", "draft-usage-rating")


def test_variables_hold_for_the_lines_below_them_until_they_are_set_again() -> None:
    lines = read(
        '@daily "A" usage-rating',
        "TZ=Europe/Berlin",
        "MISFIRE = all",
        '@daily "B" usage-rating',
        'TZ="UTC"',
        "OVERLAP='queue'",
        '@daily "C" usage-rating',
    )
    assert [(request.time_zone, request.misfire, request.overlap) for request in lines] == [
        ("UTC", "latest", "skip"),
        ("Europe/Berlin", "all", "skip"),
        ("UTC", "all", "queue"),
    ]


def test_mailto_names_addresses_and_an_empty_one_names_nobody_again() -> None:
    lines = read(
        "MAILTO=a@example.com, B <b@example.com>",
        '@daily "A" usage-rating',
        "MAILTO=",
        '@daily "B" usage-rating',
    )
    assert [list(request.notify) for request in lines] == [["a@example.com", "B <b@example.com>"], []]


def test_an_option_goes_before_the_variable() -> None:
    (request,) = read(
        "TZ=Europe/Berlin",
        "MISFIRE=all",
        "OVERLAP=queue",
        '@daily "A" usage-rating --time-zone UTC --misfire=skip --overlap allow',
    )
    assert (request.time_zone, request.misfire, request.overlap) == ("UTC", "skip", "allow")


def test_all_terms_of_a_schedule_can_be_written() -> None:
    (request,) = read(
        '@daily "A" usage-rating --grace 30 --cap 3 --start 2026-11-01 --end=2026-12-01T00:00Z --owner dana'
        " --start-within 5 --finish-within 90 --ping https://example.com/ping --reason 'Month end' --scope-size 50"
        " --error-ceiling 5% --no-mail --notify a@example.com --notify b@example.com"
    )
    assert request == ScheduleRequest(
        name="A",
        cron="@daily",
        job="usage-rating",
        grace_seconds=30,
        cap=3,
        start=datetime(2026, 11, 1),  # noqa: DTZ001  (a wall time of the schedule's zone)
        end=datetime(2026, 12, 1, tzinfo=UTC),
        owner="dana",
        start_within_minutes=5,
        finish_within_minutes=90,
        ping="https://example.com/ping",
        reason="Month end",
        scope_size=50,
        error_ceiling="5%",
        mail_owner=False,
        notify=("a@example.com", "b@example.com"),
    )


def test_options_of_the_job_become_its_parameters() -> None:
    (request,) = read('@daily "A" draft-usage-rating --usage-input IN-1 --usage-input=IN-2 --include-rated')
    assert request.parameters == {"usage_input_ids": ["IN-1", "IN-2"], "include_rated": "true"}


def test_parameters_may_be_given_by_name() -> None:
    (request,) = read('@daily "A" draft-usage-rating --param asset_line_item_ids=ALI-1')
    assert request.parameters == {"asset_line_item_ids": ["ALI-1"]}


@pytest.mark.parametrize(
    ("parameter", "is_list", "option"),
    [
        ("usage_input_ids", True, "usage-input"),
        ("customer_id", False, "customer"),
        ("periods", True, "period"),
        ("include_rated", False, "include-rated"),
        ("address", False, "address"),
    ],
)
def test_the_option_of_a_parameter_is_its_name_for_one_value(
    parameter: str, is_list: bool, option: str
) -> None:
    assert option_of(parameter, is_list) == option


WITHOUT_A_PLACE = {
    "--sync",
    "--batch",
    "--enqueue",
    "--json",
    "--ids-from",
    "--where",
    "--timeout",
    "--dry-run",
}


@pytest.mark.parametrize("job", sorted(run_command.commands))
def test_every_option_of_batchwright_run_is_read_or_refused_with_a_reason(job: str) -> None:
    values = {"scope-size": "10", "notify": "a@example.com"}
    tried = set()
    for option in run_command.commands[job].params:
        if not isinstance(option, click.Option) or "--help" in option.opts:
            continue
        (name,) = [word for word in option.opts if word.startswith("--")]
        words = name if option.is_flag else f"{name} {values.get(name[2:], 'x')}"
        line = f'@daily "A" {job} {words}'
        if name in WITHOUT_A_PLACE:
            assert "has no place in a schedule" in refusal_of(line).message
        else:
            assert len(read(line)) == 1, line
        tried.add(name)
    assert tried > WITHOUT_A_PLACE - {"--ids-from", "--where"}


BAD = [
    ("0 0 0 * * *  draft-usage-rating", "name", "double quotes is missing"),
    ('0 0 0 ? * * "Draft draft-usage-rating', "name", "not closed"),
    ('0 0 25 ? * * "A" usage-rating', "hours", "25"),
    ('0 0 0 * * * "A" usage-rating', "day of week", "?"),
    ('"A" usage-rating', "expression", ""),
    ('@daily "A"', "job", "missing"),
    ('@daily "A" --no-mail', "job", "missing"),
    ('@daily "A" usage-ratin', "job", "usage-ratin"),
    ('@daily "A" usage-rating --reason "open', "options", "not closed"),
    ('@daily "A" usage-rating IN-1', "options", "'IN-1' is not an option"),
    ('@daily "A" usage-rating --grace soon', "grace", "'soon' is not a whole number"),
    ('@daily "A" usage-rating --grace', "grace", "has no value"),
    ('@daily "A" usage-rating --grace --no-mail', "grace", "has no value"),
    ('@daily "A" usage-rating --start tomorrow', "start", "'tomorrow' is not a valid time"),
    ('@daily "A" usage-rating --misfir all', "misfir", "no option --misfir"),
    ('@daily "A" usage-rating --misfire all --misfire skip', "misfire", "given twice"),
    ('@daily "A" usage-rating --param nothing=1', "nothing", "no parameter 'nothing'"),
    ('@daily "A" usage-rating --time-zone Europe/Berlim', "time zone", "Europe/Berlim"),
    ("TZ=Europe/Berlim", "time zone", "Europe/Berlim"),
    ("MISFIRE=never", "MISFIRE", "'never'"),
    ("OVERLAP=never", "OVERLAP", "'never'"),
    ("MAILTO=nobody", "MAILTO", "'nobody'"),
    ("SHELL=/bin/sh", "SHELL", "means nothing here"),
    ("CRON_TZ=Europe/Berlin", "CRON_TZ", "the time zone's name in other crons"),
    ('CRON_TZ=Europe/Berlin 0 0 * * * "A" usage-rating', "CRON_TZ", "stands before an expression"),
    ('TZ=UTC @daily "A" usage-rating', "TZ", "stands before an expression"),
    ('0 0 * * * root "A" usage-rating', "user", "'root' is the user of a line of /etc/crontab"),
    ('@daily\twww-data "A" usage-rating', "user", "'www-data' is the user"),
    ('*/5 * * * *\twww-data\t"A" usage-rating', "user", "'www-data' is the user"),
    ('*/5 * * * * svc.billing "A" usage-rating', "user", "'svc.billing' is the user"),
    ('0 0 0 * * ? billing_1 "A" usage-rating', "user", "'billing_1' is the user"),
]


@pytest.mark.parametrize(("line", "field", "message"), BAD, ids=[line for line, _, _ in BAD])
def test_a_line_that_cannot_be_used_is_refused_with_its_number_field_and_remedy(
    line: str, field: str, message: str
) -> None:
    refused = refusal_of("# a comment", line)
    assert refused.message.startswith("line 2: ")
    assert message in refused.message
    assert refused.field == field
    assert refused.remedy


def test_what_is_known_of_other_crons_has_its_own_remedy() -> None:
    assert refusal_of("CRON_TZ=Europe/Berlin").remedy == "Write TZ=Europe/Berlin"
    assert "--owner root" in str(refusal_of('0 0 * * * root "A" usage-rating').remedy)
    assert "TZ=UTC on a line of its own" in str(refusal_of('TZ=UTC @daily "A" usage-rating').remedy)


class Own(BaseModel):
    """Parameters of the names of a schedule's options."""

    end: str
    owner: str = "nobody"
    cap: int = 0
    notify: bool = False


def read_own(line: str) -> list[CrontabLine]:
    return read_crontab(line, lambda job: Own.model_json_schema())


def test_an_option_of_the_schedule_is_never_also_the_job_s_parameter_of_that_name() -> None:
    line = '@daily "A" own --end 2030-01-01 --owner dana --cap 3 --notify a@example.com --param end=never'
    (read_line,) = read_own(line)
    request = read_line.request
    assert (request.end, request.owner, request.cap, request.notify) == (
        date(2030, 1, 1),
        "dana",
        3,
        ("a@example.com",),
    )
    assert request.parameters == {"end": "never"}


def test_of_several_bad_lines_each_has_its_own_field_and_remedy_on_a_line() -> None:
    refused = refusal_of('@daily "A" usage-rating --grace soon', NIGHTLY, "SHELL=sh")
    assert refused.message.splitlines() == [
        "line 1: 'soon' is not a whole number (grace). Write digits only, such as 30",
        "line 3: the variable SHELL means nothing here (SHELL)."
        " There are TZ, MISFIRE, OVERLAP and MAILTO; take the line out",
    ]


def test_every_bad_line_is_named() -> None:
    refused = refusal_of('@daily "A" nothing', NIGHTLY, "SHELL=sh", '@dayly "B" usage-rating')
    assert refused.lines == (1, 3, 4)
    assert all(f"line {number}: " in refused.message for number in (1, 3, 4))


def test_of_very_many_bad_lines_the_first_are_named_and_the_rest_counted() -> None:
    refused = refusal_of(*["SHELL=sh"] * 50)
    assert "and 30 more lines (50 in all)" in refused.message


def test_a_name_that_stands_twice_is_refused_with_both_lines() -> None:
    refused = refusal_of(NIGHTLY, "", NIGHTLY)
    assert refused.message == "line 3: the schedule 'Draft Rating Job' is named in line 1 already"


def test_the_example_begins_with_the_nightly_job_of_the_seed() -> None:
    first, *others = read_crontab(EXAMPLE.read_text(encoding="utf-8"), schema_of)
    assert first.request == ScheduleRequest(
        name="Draft Rating Job", cron="0 0 0 ? * * *", job="draft-usage-rating"
    )
    assert len(others) > 2


def test_the_example_shows_for_the_system_s_cron_what_the_line_above_says() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    shown = [(lines[at - 1], line) for at, line in enumerate(lines) if "batchwright -q run" in line]
    assert len(shown) >= 3
    for ours, theirs in shown:
        job_and_options = theirs.partition(" run ")[2].removesuffix(" --enqueue").split()
        assert job_and_options[0] == ours.rpartition('"')[2].split()[0]
        assert set(job_and_options) <= set(ours.rpartition('"')[2].split())


_WORDS = st.sampled_from(
    [
        "0",
        "*",
        "?",
        "@daily",
        '"A"',
        '"',
        "usage-rating",
        "--grace",
        "--grace=",
        "TZ=",
        "=",
        "#",
        "\\",
        "'",
        "--",
        "x",
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=12).map(" ".join)))
def test_any_text_is_read_or_refused_line_by_line(text: str) -> None:
    refused: CrontabRefused | None = None
    lines: list[CrontabLine] = []
    try:
        lines = read_crontab(f"# a comment\n{text}", schema_of)
    except CrontabRefused as error:
        refused = error
    assert all(line.request.cron and line.request.job == "usage-rating" for line in lines)
    if refused is not None:
        assert min(refused.lines) >= 2
        assert refused.message.startswith("line ")
        assert refused.remedy
