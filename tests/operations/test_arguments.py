"""Functions of Python check what they are given as the command line does."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations import execute_batch, schedule
from batchwright.operations.app import Application
from batchwright.operations.billing import BillingService
from tests.engine.jobs import Parcels


@pytest.fixture
def parcels(app: Application) -> Application:
    """With the job."""
    app.registry.add(Parcels)
    return app


@pytest.mark.parametrize("size", [0, 1.5, "200", True])
def test_execute_batch_refuses_a_scope_size_that_is_none(parcels: Application, size: Any) -> None:
    with pytest.raises(Refused) as refused:
        execute_batch(Parcels(), scope_size=size, app=parcels)
    assert (refused.value.field, bool(refused.value.remedy)) == ("scope_size", True)


@pytest.mark.parametrize("job", [Parcels, "parcels", None])
def test_what_is_no_job_is_refused(parcels: Application, job: Any) -> None:
    for call in (
        lambda: execute_batch(job, app=parcels),
        lambda: schedule("n", "0 0 6 * * ?", job, app=parcels),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.field == "job"


@pytest.mark.parametrize("app", ["app", object(), Application, False])
def test_what_is_no_application_is_refused(app: Any) -> None:
    for call in (
        lambda: execute_batch(Parcels(), app=app),
        lambda: schedule("n", "0 0 6 * * ?", Parcels(), app=app),
        lambda: BillingService(app),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert (refused.value.field, bool(refused.value.remedy)) == ("app", True)


def test_what_is_no_connection_is_refused(parcels: Application) -> None:
    for connection in ("sqlite://", parcels.database, parcels.database.engine, False):
        with pytest.raises(Refused) as refused:
            execute_batch(Parcels(), app=parcels, connection=connection)  # type: ignore[arg-type]
        assert (refused.value.field, bool(refused.value.remedy)) == ("connection", True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cap", "5"),
        ("cap", True),
        ("scope_size", 1.5),
        ("scope_size", "200"),
        ("start", 20230615),
        ("end", "2023-06-15"),
        ("time_zone", None),
        ("notify", "dana@example.com"),
        ("misfire", None),
        ("grace_seconds", 1.5),
        ("error_ceiling", 5),
        ("mail_owner", "no"),
        ("captain", 5),
    ],
)
def test_schedule_refuses_a_field_of_another_kind(parcels: Application, field: str, value: Any) -> None:
    with pytest.raises(Refused) as refused:
        schedule("nightly", "0 0 6 * * ?", Parcels(), app=parcels, **{field: value})
    assert (refused.value.field, bool(refused.value.remedy)) == (field, True)


@pytest.mark.parametrize("value", ["no", 1, 0])
def test_billing_refuses_a_mode_that_is_neither(app: Application, value: Any) -> None:
    with pytest.raises(Refused) as refused:
        BillingService(app).draft_pending_usage_input(["IN-1"], process_synchronously=value)
    assert refused.value.field == "process_synchronously"
