"""Which executor the settings mean."""

from __future__ import annotations

import pytest

from batchwright.config.settings import Settings
from batchwright.engine.cluster import Dask
from batchwright.engine.executors import Executor, Inline, Local
from batchwright.operations.app import make_application

POSTGRES = "postgresql+psycopg://somebody@127.0.0.1:1/nowhere"


@pytest.mark.parametrize(
    ("database_url", "executor", "meant"),
    [
        ("sqlite:///nowhere.db", "local", Inline),
        ("sqlite:///nowhere.db", "inline", Inline),
        (POSTGRES, "inline", Inline),
        (POSTGRES, "local", Local),
        (POSTGRES, "dask://127.0.0.1:1", Dask),
    ],
)
def test_the_setting_names_the_executor_and_nothing_is_started_yet(
    database_url: str, executor: str, meant: type[Executor]
) -> None:
    app = make_application(Settings(database_url=database_url, executor=executor))
    assert type(app.executor) is meant
    app.executor.close()
    app.close()


def test_the_executor_is_local_where_nobody_says_otherwise() -> None:
    assert Settings().executor == "local"
