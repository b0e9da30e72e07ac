"""`python -m bench`: how fast draft rating is, beside the floor of the database it works on. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from itertools import pairwise

from bench.company import Company
from bench.measure import Result, databases, measure

BESIDE = 10
"""The small case beside the large one has this share of its inputs."""
MEGABYTE = 1_000_000


def main() -> None:
    given = _arguments()
    names = ("sqlite", "postgresql") if given.database == "both" else (given.database,)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors, scopes of {given.scope:,} inputs"
    )
    results = []
    for name in names:
        with databases(name) as new_url:
            for company in _companies(given):
                results.append(measure(name, new_url(), company, given.scope, given.pairs, _say))  # noqa: PERF401
    print()
    for line in table(results):
        print(line)
    for line in comparisons(results):
        print(line)


def table(results: list[Result]) -> list[str]:
    """The figures, a line for each case; a Markdown table."""
    head = ("database", "inputs", "assets", "records/s", "floor/s", "ratio", "pairs", "peak MB", "mail s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for result in results:
        cells = (
            result.database,
            f"{result.company.inputs:,}",
            f"{result.company.assets:,}",
            f"{result.records_per_second:,.0f}",
            f"{result.floor_per_second:,.0f}",
            f"{result.ratio:.2f}",
            " ".join(f"{pair.ratio:.2f}" for pair in result.pairs),
            f"{result.peak / MEGABYTE:,.0f}",
            f"{result.mail_seconds:.1f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def comparisons(results: list[Result]) -> list[str]:
    """What a record costs in the large case, and the memory it takes, against the small case of the same database."""
    lines = []
    for small, large in pairwise(results):
        same = small.database == large.database and small.company.assets > 1 and large.company.assets > 1
        if same and small.company.inputs < large.company.inputs:
            cost = large.seconds_per_record / small.seconds_per_record
            lines.append(
                f"{large.database}: {large.company.inputs:,} inputs against {small.company.inputs:,}: "
                f"{cost:.2f} times the time per record, {large.peak / small.peak:.2f} times the peak memory"
            )
    return lines


def _companies(given: argparse.Namespace) -> list[Company]:
    companies = [] if given.alone else [Company(max(10, given.records // BESIDE))]
    companies.append(Company(given.records))
    if given.asset_with:
        companies.append(Company(given.asset_with, inputs_per_asset=given.asset_with))
    return companies


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Draft rating of generated inputs, against the floor of the database. See docs/bench.md.",
        epilog="Example: python -m bench --records 100000 --database sqlite --pairs 3",
    )
    parser.add_argument(
        "--records", type=_count, default=1_000_000, help="inputs of the large case (1,000,000)"
    )
    parser.add_argument("--alone", action="store_true", help="leave out the case with a tenth of them")
    parser.add_argument(
        "--asset-with", type=_count, metavar="N", help="also a case of one asset with N inputs"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--scope", type=_count, default=2_000, help="inputs in a scope (2,000)")
    parser.add_argument("--pairs", type=_count, default=5, help="interleaved pairs of rating and floor (5)")
    return parser.parse_args()


def _count(text: str) -> int:
    number = int(text.replace(",", "").replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return number


if __name__ == "__main__":
    main()
