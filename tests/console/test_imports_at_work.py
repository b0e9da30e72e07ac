"""How far imports are, as their page tells it."""

from __future__ import annotations

from io import BytesIO

from batchwright.console.pages.formats import roughly
from batchwright.console.pages.imports_at_work import ImportsAtWork


def test_what_is_left_of_an_import_follows_from_its_pace() -> None:
    seconds = [0.0]
    at_work = ImportsAtWork(now=lambda: seconds[0])
    files = [("customers.csv", BytesIO(b"customer_id,name\n" + b"C,One\n" * 999 + b"C,Last"))]
    with at_work.one("jane@example.com", files) as one:
        assert files[0][1].tell() == 0
        [begun] = at_work.views()
        assert (begun["rows"], begun["lines"], begun["left"]) == (0, 1_000, "waiting for its turn")
        one.tell("customers.csv", 100, 0.1)
        seconds[0] = 10.0
        one.tell("customers.csv", 200, 0.2)
        [going] = at_work.views()
        assert (going["rows"], going["left"]) == (200, f"{roughly(80.0)} left")
        one.tell("customers.csv", 1_000, 1.0)
        assert at_work.views()[0]["left"] == "finishing"
    assert at_work.views() == []


def test_of_two_that_are_alike_each_ends_for_itself() -> None:
    at_work = ImportsAtWork()
    with at_work.one("ada@example.com", [("customers.csv", BytesIO(b"a\n1\n"))]) as first:
        with at_work.one("ada@example.com", [("customers.csv", BytesIO(b"a\n1\n"))]):
            pass
        first.tell("customers.csv", 1, 1.0)
        assert [one["rows"] for one in at_work.views()] == [1]
    assert at_work.views() == []
