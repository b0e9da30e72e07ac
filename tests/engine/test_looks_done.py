"""Jobs that would look done and not be are refused before they run."""

from __future__ import annotations

from typing import Any, ClassVar

import pydantic
import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Finish
from batchwright.engine.registry import Registry
from batchwright.engine.run import State
from batchwright.engine.submit import Request, submit
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig


async def nothing(self: object, given: object) -> None:
    """What nobody awaits."""


async def yields(self: object, given: object) -> Any:
    yield given


@pytest.mark.parametrize("method", ["start", "execute", "finish", "compute", "apply", "preview"])
@pytest.mark.parametrize("body", [nothing, yields])
def test_an_async_method_is_refused_at_registration(method: str, body: object) -> None:
    job = type("Async", (Parcels,), {method: body})
    with pytest.raises(Refused, match=f"{method} is async"):
        Registry().add(job)


@pytest.mark.parametrize("method", ["execute", "finish", "check", "apply"])
def test_a_method_that_yields_where_nobody_iterates_is_refused_at_registration(method: str) -> None:
    def yields(self: object, *given: object) -> Any:
        yield given

    with pytest.raises(Refused, match=f"{method} yields"):
        Registry().add(type("Yielding", (Parcels,), {method: yields}))


@pytest.mark.parametrize("given", [lambda: nothing(None, None), lambda: (one for one in "x")])
@pytest.mark.parametrize("method", ["execute", "finish", "apply"])
def test_what_only_gives_something_to_await_or_iterate_is_not_done(
    rig: Rig, spy: type[Parcels], method: str, given: Any
) -> None:
    setattr(spy, method, lambda self, *args: given())
    rig.fill(2)
    run = rig.drive()
    said = [run.error or "", *(one.message or "" for one in rig.outcomes(run))]
    assert "nothing of it was done" in "".join(said)
    assert (run.state, run.errored) == ((State.FAILED, 0) if method == "finish" else (State.COMPLETED, 2))


class Secret(BaseModel):
    api_key: SecretStr


class SecretWithin(BaseModel):
    api_key: dict[str, Secret | None]


class SecretNumber(BaseModel):
    api_key: pydantic.Secret[int]


class SecretInAList(BaseModel):
    api_keys: list[SecretBytes] | None = None


@pytest.mark.parametrize("parameters", [Secret, SecretInAList, SecretWithin, SecretNumber])
def test_a_secret_parameter_is_refused_with_the_way_to_read_it(parameters: type[BaseModel]) -> None:
    job = type("Secretive", (Parcels,), {"Parameters": parameters})
    with pytest.raises(Refused, match=r"os\.environ\['API_KEYS?'\]"):
        Registry().add(job)


class Plain(BatchJob):
    """Cannot run dry."""

    name = "plain"
    type = "Plain"
    start = Parcels.start
    scope_size: ClassVar[int] = 7

    def execute(self, scope: Any) -> None:
        pass


def test_a_dry_run_leaves_out_a_follower_that_cannot_run_dry(rig: Rig, spy: type[Parcels]) -> None:
    submitted: list[str | None] = []

    def finish(self: Parcels, finish: Finish) -> None:
        submitted.append(finish.submit(Plain()))

    spy.finish = finish  # type: ignore[method-assign]
    rig.registry.add(Plain)
    rig.fill(1)
    assert rig.drive(mode="dry_run").state is State.COMPLETED
    assert rig.drive().state is State.COMPLETED
    assert [one is None for one in submitted] == [True, False]


@pytest.mark.parametrize("by_itself", [False, True])
def test_a_run_that_ends_holds_no_dedup_key_against_its_own_follower(
    rig: Rig, spy: type[Parcels], by_itself: bool
) -> None:
    submitted: list[str | None] = []

    def finish(self: Parcels, finish: Finish) -> None:
        if submitted:
            return
        if by_itself:
            submitted.append(submit(finish.connection, spy(), Request(actor="dana"), NOW).run_id)
        else:
            submitted.append(finish.submit(spy()))

    spy.dedup_key = "one at a time"  # type: ignore[method-assign, assignment]
    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(1)
    run = rig.drive()
    assert (run.state, len(submitted)) == (State.COMPLETED, 1)
    with pytest.raises(Refused, match=str(submitted[0])):
        rig.submit()


@pytest.mark.parametrize("size", [0, -1, 1.5, "200", True, 10**10])
def test_a_scope_size_that_is_none_is_refused(rig: Rig, size: Any) -> None:
    rig.fill(1)
    with pytest.raises(Refused) as refused:
        rig.submit(scope_size=size)
    assert refused.value.field == "scope_size"
    assert refused.value.remedy


def test_a_scope_size_of_the_job_that_is_none_is_refused(rig: Rig, spy: type[Parcels]) -> None:
    rig.fill(1)
    spy.scope_size = 0
    with pytest.raises(Refused, match="0 is not a valid number"):
        rig.submit()


@pytest.mark.parametrize("ceiling", [5, 1.5, True, "", "5 %"])
def test_an_error_ceiling_that_is_none_is_refused(rig: Rig, ceiling: Any) -> None:
    rig.fill(1)
    with pytest.raises(Refused) as refused:
        rig.submit(error_ceiling=ceiling)
    assert refused.value.field == "error_ceiling"
