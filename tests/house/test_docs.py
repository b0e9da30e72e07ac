"""The pages under docs/: every one is found, every command and setting in them exists, the example job runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchwright.billing.records.inputs import CODES
from batchwright.cli.main import main
from batchwright.config.settings import FILE_NAME, load_settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BINARIES = Path(sys.executable).parent
DECISIONS = DOCS / "decisions"
PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")] + sorted(DOCS.rglob("*.md"))
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are marked with this language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `batchwright` of every such command in blocks marked `sh`."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "batchwright" in words:
                words = words[words.index("batchwright") + 1 :]
                # A job of the page's own is not here.
                if words[:1] != ["run"] or "BATCHWRIGHT_JOBS=" not in block:
                    yield words


def links(page: Path) -> set[str]:
    """The files that a page links to or shows, without addresses of other places."""
    found = re.findall(r'(?:\]\(|src(?:set)?=")([^)#\s"]+)', page.read_text(encoding="utf-8"))
    return {link for link in found if "://" not in link}


def headings(page: Path, level: str) -> list[str]:
    """The headings of this level, such as `##`."""
    return re.findall(rf"^{level} (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def anchor_of(heading: str) -> str:
    """What a link to a heading has behind the `#`."""
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def links_to_headings(page: Path) -> list[tuple[str, str]]:
    """File and heading of each such link of a page; no file where it is the page itself."""
    return re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("found", "least"),
    [
        (links, 60),
        (links_to_headings, 15),
        (commands, 100),
        (lambda page: blocks(page, "toml"), 1),
    ],
    ids=["links", "links to headings", "commands", "settings files"],
)
def test_the_pages_hold_what_the_tests_of_each_page_look_for(
    found: Callable[[Path], Iterable[object]], least: int
) -> None:
    assert len([one for page in PAGES for one in found(page)]) >= least


@pytest.mark.parametrize("folder", [DOCS, DECISIONS], ids=["docs", "decisions"])
def test_every_page_is_linked_from_the_index_of_its_folder(folder: Path) -> None:
    pages = {page.name for page in folder.glob("*.md")} - {"index.md"}
    assert len(pages) > 10
    assert pages - links(folder / "index.md") == set()
    assert "decisions/index.md" in links(DOCS / "index.md")


def test_the_index_of_decisions_has_one_line_for_each_in_the_order_of_its_page() -> None:
    listed = re.findall(r"^- \[(.+)\]\((.+)#.+\)$", (DECISIONS / "index.md").read_text("utf-8"), re.MULTILINE)
    assert len(listed) > 100
    for page in set(DECISIONS.glob("*.md")) - {DECISIONS / "index.md"}:
        assert [heading for heading, file in listed if file == page.name] == headings(page, "##")


def words() -> dict[str, str]:
    """The module of each word of the glossary by the word's anchor."""
    page = (DOCS / "glossary.md").read_text("utf-8")
    entries = re.findall(r"^### (.+)\n\n(?:.+\n)*?.*`(\S+\.py)`$", page, re.MULTILINE)
    assert [word for word, _ in entries] == headings(DOCS / "glossary.md", "###")
    return {anchor_of(word): module for word, module in entries}


def test_every_word_of_the_glossary_lives_in_a_module_that_exists() -> None:
    assert len(words()) >= 30
    assert {
        module for module in words().values() if not (ROOT / "src" / "batchwright" / module).is_file()
    } == set()


def test_every_page_links_the_glossary_and_every_word_is_linked_from_a_page() -> None:
    linked = {page: re.findall(r"glossary\.md(?:#([\w-]+))?\)", page.read_text("utf-8")) for page in PAGES}
    pages = set(DOCS.glob("*.md")) - {DOCS / "glossary.md"}
    assert {page.name for page in pages if not linked[page]} == set()
    assert words().keys() - {word for found in linked.values() for word in found} == set()


@by_page
def test_no_page_says_that_one_thing_is_no_other_or_ends_on_without(page: Path) -> None:
    """Two turns of phrase that a reader trips over: write "is not a", and name what is missing or the default."""
    odd = r"(?i)(?<!there )\b(?:is|are|was|were) no\b(?! (?:longer|more))|\bwithout[.,;:)]"
    assert re.findall(odd, page.read_text("utf-8")) == []


def test_every_code_of_an_input_in_error_is_explained_on_a_page_of_rating() -> None:
    pages = "".join((DOCS / f"{name}-rating.md").read_text("utf-8") for name in ("draft", "usage"))
    assert [code for code in CODES if f"`{code}`" not in pages] == []


@by_page
def test_every_link_leads_to_a_file(page: Path) -> None:
    assert {link for link in links(page) if not (page.parent / link).exists()} == set()


@by_page
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    for file, anchor in links_to_headings(page):
        target = (page.parent / file if file else page).read_text(encoding="utf-8")
        assert anchor in {anchor_of(heading) for heading in re.findall(r"^#+ (.*)$", target, re.MULTILINE)}


@by_page
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    for words in commands(page):
        # `--help` is answered only when all words before it could be read, and nothing is run.
        answer = CliRunner().invoke(main, [*words, "--help"])
        assert answer.exit_code == 0, f"batchwright {shlex.join(words)}: {answer.output}"


@by_page
def test_every_settings_file_of_a_page_is_good(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        (tmp_path / FILE_NAME).write_text(block, encoding="utf-8")
        load_settings({}, tmp_path)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with the files of the example job."""
    for name, program in example_files():
        (tmp_path / name).write_text(program, encoding="utf-8")
    return tmp_path


def example_files() -> list[tuple[str, str]]:
    """The files of the example job by name, as the page has them."""
    page = (DOCS / "writing-a-job.md").read_text("utf-8")
    return re.findall(r"^`(\w+\.py)`.*?^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_the_example_is_a_tested_job_in_thirty_lines(example: Path) -> None:
    (job, program), (test, checks), *_ = example_files()
    assert (job, test) == ("award_points.py", "test_award_points.py")
    assert len([line for line in f"{program}{checks}".splitlines() if line.strip()]) <= 30
    # Not as one of our own tests: without our settings for pytest, as its author has it.
    done = shell("python -m pytest -q -p no:cacheprovider --rootdir .", example)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_example_job_runs_as_the_page_says(example: Path) -> None:
    _, typed = blocks(DOCS / "writing-a-job.md", "sh")

    assert shell(typed, example).returncode == 0
    outcomes = "batchwright runs outcomes JR-00000001 --format json"
    report = json.loads(
        shell(f"export BATCHWRIGHT_JOBS=award_points:AwardPoints\n{outcomes}", example).stdout
    )

    assert [(row["record_id"], row["outcome"], row["code"]) for row in report] == [
        ("1", "ok", None),
        ("2", "error", "negative_amount"),
        ("3", "ok", None),
    ]
    assert points(example) == [12, None, 9]


def test_the_job_that_can_run_dry_does_what_its_page_says(example: Path) -> None:
    (example / "test_lower_domains.py").write_text(DRY_CHECKS, encoding="utf-8")
    done = shell("python -m pytest -q -p no:cacheprovider --rootdir . test_lower_domains.py", example)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


DRY_CHECKS = """
from lower_domains import LowerDomains, contact
from sqlalchemy import insert

ADDRESSES = ["ann@Example.COM", "bob@example.com", "nonsense"]

def contacts(connection):
    contact.create(connection)
    rows = [{"id": key, "email": email} for key, email in enumerate(ADDRESSES, 1)]
    connection.execute(insert(contact), rows)

def test_dry_then_wet(job_runner):
    job_runner.fill(contacts)
    job_runner.run(LowerDomains(from_id=1), mode="dry_run")
    assert [row.email for row in job_runner.rows(contact)] == ADDRESSES
    run = job_runner.run(LowerDomains())
    assert [row.email for row in job_runner.rows(contact)] == ["ann@example.com", *ADDRESSES[1:]]
    assert [one.code for key, one in sorted(job_runner.outcomes(run).items())] == [None, "lower_already", "no_domain"]

def test_killed_anywhere(assert_restart_safe):
    assert_restart_safe(LowerDomains(), contacts)
"""


def test_the_walk_through_of_an_amendment_prints_what_its_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("BATCHWRIGHT_")]:
        monkeypatch.delenv(variable)
    page = (DOCS / "amendment.md").read_text("utf-8")
    section = page[page.index("## The page's example") :]
    [planting, *walk] = re.findall(
        r"^```sh\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", section, re.DOTALL | re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    assert shell(planting[0], tmp_path).returncode == 0
    shown = 0
    for typed, expected in walk:
        printed = "".join(in_this_process(line, monkeypatch) for line in typed.splitlines())
        if expected:
            assert printed == expected
            shown += 1
    assert shown == 7


def in_this_process(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a line of a page prints: a command of ours, `mkdir` or `cd`. A process for each would take too long."""
    program, *words = shlex.split(line)
    if program == "batchwright":
        answer = CliRunner().invoke(main, words)
        assert answer.exit_code == 0, f"{line}: {answer.output}"
        return answer.stdout
    (folder,) = words
    {"mkdir": os.mkdir, "cd": monkeypatch.chdir}[program](folder)
    return ""


def points(folder: Path) -> list[int | None]:
    program = "import sqlite3, json; print(json.dumps([row[0] for row in sqlite3.connect('batchwright.db')"
    program += ".execute('SELECT points FROM purchase ORDER BY id')]))"
    report: list[int | None] = json.loads(shell(f"python -c {shlex.quote(program)}", folder).stdout)
    return report


def shell(typed: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a person gets who pastes this into a shell with the environment activated."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")}
    environment["PATH"] = f"{BINARIES}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-c", typed]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
