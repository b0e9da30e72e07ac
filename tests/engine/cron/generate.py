"""Random expressions that are valid, every part of the grammar among them."""

from __future__ import annotations

from hypothesis import strategies as st

from batchwright.engine.cron.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOURS, MINUTES, MONTH, SECONDS, Field

Text = st.SearchStrategy[str]


def _terms(field: Field) -> Text:
    value = st.integers(field.lowest, field.highest)
    step = st.integers(1, field.largest_step)
    terms = [
        st.just("*"),
        value.map(str),
        st.builds("*/{}".format, step),
        st.builds("/{}".format, step),
        st.builds("{}/{}".format, value, step),
        st.builds("{}-{}".format, value, value),
        st.builds("{}-{}/{}".format, value, value, step),
    ]
    if field.names:
        name = st.sampled_from(sorted(field.names)).flatmap(
            lambda word: st.sampled_from([word, word.lower(), word.title()])
        )
        terms += [name, st.builds("{}-{}".format, name, name)]
    return st.one_of(terms)


def _lists(term: Text) -> Text:
    return st.lists(term, min_size=1, max_size=3).map(",".join)


def _month_days() -> Text:
    day, offset = st.integers(1, 31), st.integers(0, 30)
    special = st.one_of(
        st.sampled_from(["L", "LW", "lw"]),
        st.builds("{}W".format, day),
        st.builds("L-{}".format, offset),
        st.builds("L-{}W".format, offset),
    )
    return _lists(st.one_of(_terms(DAY_OF_MONTH), special))


def _weekdays() -> Text:
    day = st.one_of(st.integers(1, 7).map(str), st.sampled_from(sorted(DAY_OF_WEEK.names)))
    special = st.one_of(
        st.just("L"), st.builds("{}L".format, day), st.builds("{}#{}".format, day, st.integers(1, 5))
    )
    return st.one_of(_lists(_terms(DAY_OF_WEEK)), special)


def _years() -> Text:
    year = st.integers(2020, 2040)
    spans = st.tuples(year, year).map(lambda pair: f"{min(pair)}-{max(pair)}")
    return st.one_of(st.just(""), st.just(" *"), st.one_of(year.map(str), spans).map(" {}".format))


def expressions() -> Text:
    """Any valid expression of six or seven fields."""
    days = st.one_of(
        st.builds("{} {} ?".format, _month_days(), _lists(_terms(MONTH))),
        st.builds("? {} {}".format, _lists(_terms(MONTH)), _weekdays()),
    )
    times = st.builds("{} {} {}".format, *[_lists(_terms(field)) for field in (SECONDS, MINUTES, HOURS)])
    return st.builds("{} {}{}".format, times, days, _years())


def frequent_expressions() -> Text:
    """Expressions that fire several times a day, so that a short window holds some."""
    hours = st.sampled_from(["*", "0/2", "1-5", "22-3", "0,1,2,3,12", "*/3"])
    days = st.sampled_from(["* * ?", "? * *", "? * 1-7", "L,1/1 * ?", "? * SUN-SAT"])
    return st.builds(
        "{} {} {} {}".format,
        st.one_of(st.sampled_from(["0", "30", "0,59"]), _lists(_terms(SECONDS))),
        _lists(_terms(MINUTES)),
        hours,
        days,
    )
