"""A door of the API: one path and method that lead to one operation, and what all doors have in common."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final, get_args, get_origin
from urllib.parse import quote, urlencode

from anyio import to_thread
from fastapi import APIRouter, Depends
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from batchwright.console.addresses import AddressRoute
from batchwright.console.api.bodies import StrictRequest, check_text, check_type
from batchwright.console.api.keyed import PARAMETER, keyed, outwait
from batchwright.console.problems import MEDIA_TYPE, Problem
from batchwright.console.traffic import HEAVY_READS, PAGE_SECONDS, WAITS, Traffic
from batchwright.console.waiting import Seen
from batchwright.engine.store.controls import Version
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.access.authentication import authenticate_token
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.idempotency import StillAtWork
from batchwright.operations.paging import LONGEST_PAGE, PAGE, Page
from batchwright.operations.runs.driving import driven_run
from batchwright.operations.versions import digest, encoded

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
RunsHere = Callable[[Any], bool]
BEARER: Final = "Bearer "
PREFIX: Final = "/api/v1"
_LOOKS: Final = "batchwright_looks"
"""The attribute of a route's function that lets the caller in by itself."""


class Body(BaseModel):
    """What a request may hold; a name that is not known is refused, so that a typo never means *all*."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Why(Body):
    """Why an act is done; it is recorded in the audit trail."""

    reason: str | None = None


NO_REASON: Final = Why()
"""What an act that may do without a body is given when there is none."""


class Query(BaseModel):
    """The parameters of a listing, all of them in the address; unknown ones are refused, too."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(Query):
    """What every listing in pages takes: how many items, and the `next` of the page before."""

    limit: int = Field(PAGE, ge=1, le=LONGEST_PAGE)
    after: str | None = None


class ProblemDocument(BaseModel):
    """An error (RFC 9457): `detail` says what is wrong, `field` where, `remedy` what to do about it."""

    class Fault(BaseModel):
        """One of several things that are wrong."""

        field: str
        detail: str

    type: str
    title: str
    status: int
    detail: str
    instance: str
    field: str | None
    remedy: str | None
    errors: list[Fault]
    run_id: str | None = None


@dataclass(frozen=True)
class Call:
    """One authenticated request: what a door hands on to its operation."""

    app: Application
    actor: Actor
    request: Request
    traffic: Traffic
    _held: ExitStack

    def hold(self, what: str, most: int) -> None:
        """Count this among what its caller has at work until it is answered to its last byte.

        Raises `Problem` (429) where that would be more than `most` at a time.
        """
        self._held.enter_context(self.traffic.limits.at_a_time(what, self.actor.name, most))

    async def changed(self, run_id: str, seen: Version | None, seconds: float) -> Seen | None:
        """The run when it is at another version than was seen; ``None`` where the caller has to look (`RunWatcher`)."""
        self.hold("waits", WAITS)
        return await self.traffic.watch.changed(self.request, self.actor, run_id, seen, seconds)


@dataclass
class _Entrance:
    """Where one request comes in."""

    request: Request
    right: Right
    act: str
    was_asked: bool = False
    """Whether it was asked who calls."""

    def enter(self) -> Call:
        """Who calls, if they may. Raises `Unauthenticated`, `Problem` (429) and `Forbidden`."""
        self.was_asked = True
        app: Application = self.request.app.state.application
        with app.database.snapshot():
            actor = authenticated(self.request)
            permit(app, actor, self.right, self.act)
        return Call(app, actor, self.request, self.request.app.state.traffic, self.request.state.held)

    def look(self, function: Callable[..., Any]) -> Any:
        """What the function answers to the call; it reads the same state of the database as who lets the caller in."""
        app: Application = self.request.app.state.application
        with app.database.snapshot():
            return function(call=self.enter())


async def _call(request: Request) -> Any:  # in no thread, which a plain function would be given
    return request.state.call


CALL: Final = Depends(_call)
"""The default of a door's parameter ``call``."""


class _Route(AddressRoute):
    """Authenticates and permits before it reads parameters: 401 before 403 before 422."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to its last byte, and let go of what it held."""
        with ExitStack() as held:
            scope.setdefault("state", {})["held"] = held
            await super().handle(scope, receive, send)

    def get_route_handler(self) -> Handler:
        """The handler, with what comes before it."""
        handle = super().get_route_handler()
        known, several = _query_names(self)
        right = Right(self.openapi_extra["x-role"]) if self.openapi_extra else Right.ADMINISTER
        wanted = _media_type(self)
        needed = self.body_field is not None and self.body_field.field_info.is_required()
        looks = getattr(self.endpoint, _LOOKS, False)

        async def answer(request: Request) -> Response:
            entrance = _Entrance(request, right, self.operation_id or "")
            lane = request.app.state.traffic.reads_lane
            request.state.call = entrance if looks else await to_thread.run_sync(entrance.enter, limiter=lane)
            if request.method == "GET":
                READ_SECONDS.set(PAGE_SECONDS)
            try:
                _check_query(request, known, several)
                _check_address(request)
                if wanted is not None and (needed or _has_body(request)):
                    check_type(request, wanted)
                if wanted is None and _has_body(request):
                    # Of no use, but one that breaks off is refused, and then nothing may be done.
                    await request.body()
                return await handle(StrictRequest(request.scope, request.receive))
            except StillAtWork as first:
                return await outwait(request.state.call, first, _of_run)
            except (Problem, RequestValidationError):
                if not entrance.was_asked:
                    await to_thread.run_sync(entrance.enter, limiter=lane)
                raise

        return answer


def _query_names(route: APIRoute) -> tuple[set[str], set[str]]:
    """The parameters that the address may have, and those of them that may be repeated; each in a model, or alone."""
    known: dict[str, Any] = {}
    for field in route.dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            known |= {one.alias or name: one.annotation for name, one in model.model_fields.items()}
        else:
            known[field.alias] = model
    return set(known), {name for name, annotation in known.items() if _takes_several(annotation)}


def _media_type(route: APIRoute) -> str | None:
    """What a body has to be; ``None`` where there is none."""
    if route.body_field is None:
        return None
    return "multipart/form-data" if isinstance(route.body_field.field_info, Form) else "application/json"


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def authenticated(request: Request) -> Actor:
    """Who calls. Raises `Unauthenticated`, and `Problem` (429) for one who calls too often."""
    app: Application = request.app.state.application
    header = request.headers.get("authorization", "")
    token = header[len(BEARER) :] if header[: len(BEARER)].lower() == BEARER.lower() else ""
    token = token.strip()
    address = request.client.host if request.client else "unknown"
    traffic: Traffic = request.app.state.traffic
    with traffic.anonymous.admit(address, token):
        actor = authenticate_token(app, token, address)
    request.state.user, request.state.door = actor.name, str(actor.door)
    traffic.limits.admit(actor.name)
    return actor


def _takes_several(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_takes_several, get_args(annotation)))


def _check_query(request: Request, known: set[str], several: set[str]) -> None:
    """Refuse a name that is not known, and one that is repeated but in a list: of two values one would be lost."""
    for name in request.query_params:
        if name in known - several and len(request.query_params.getlist(name)) > 1:
            raise given_twice(name)
        if name not in known:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"There is no parameter {name!r} here",
                name,
                f"There are: {', '.join(sorted(known))}" if known else "Leave it out: there are none here",
            )


def given_twice(name: str) -> Problem:
    """The refusal of a parameter with two values, of which one would be lost."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is given more than once", name, "Give one value")


def _check_address(request: Request) -> None:
    """Nothing has a name, and nothing is found by a text, that no database keeps."""
    for name, text in request.path_params.items():
        check_text(text, name, HTTPStatus.NOT_FOUND)
    for name, text in request.query_params.multi_items():
        check_text(text, name, HTTPStatus.UNPROCESSABLE_ENTITY)


class Doors(APIRouter):
    """The doors of one noun, which is their tag in the documentation."""

    def __init__(self, noun: str, prefix: str = PREFIX) -> None:
        super().__init__(prefix=prefix, tags=[noun], route_class=_Route)
        self.operations: set[Callable[..., Any]] = set()
        """What these doors lead to."""

    def door(
        self,
        method: str,
        path: str,
        operation: Callable[..., Any],
        right: Right,
        *,
        answers: Mapping[int, Any],
        others: Sequence[HTTPStatus] = (),
        form: str | None = None,
        heavy: bool = False,
        name: str | None = None,
        secret: bool = False,
        runs_here: RunsHere = lambda body: False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make the decorated function the door of an operation, whose name is its ``operationId``.

        Args:
            right: what the caller needs before anything is read; the operation may ask for more.
            answers: the model of each successful answer by its status, or the media type of a file; ``None`` for
                one without a body.
            others: refusals beyond those of every door.
            form: what sets a file apart from other answers of the operation, at the end of its ``operationId``.
            heavy: whether it reads much, as every file does, and is kept to a lane of its own, with few at a time for
                each caller.
            name: the ``operationId`` of one of several doors that lead to the same operation.
            secret: whether the answer holds something that is shown once: it is not kept for an `Idempotency-Key`.
            runs_here: whether a run may be done before a body is answered, which then waits for a lane of few.
        """
        name = name or (operation.__name__ if form is None else f"{operation.__name__}_{form}")
        self.operations.add(operation)
        heavy = heavy or form is not None
        extra: dict[str, Any] = {"x-role": right.value, **({"x-heavy": True} if heavy else {})}
        if method == "POST":
            extra["parameters"] = [PARAMETER]
        add = self.api_route(
            path,
            methods=[method],
            operation_id=name,
            name=name,
            response_class=JSONResponse if form is None else Response,
            response_model=None,
            status_code=min(answers),
            responses=_answers_told(method, answers, others),
            summary=_first_line(operation),
            description="",
            openapi_extra=extra,
        )

        def add_as_told(function: Callable[..., Any]) -> Callable[..., Any]:
            if method == "POST":
                function = _act(keyed(function, _of_run, secret=secret), runs_here)
            elif method == "GET" and not heavy:
                function = _look(function)
            return add(_in_lane(function) if heavy else function)

        return add_as_told


def _look(function: Callable[..., Any]) -> Callable[..., Any]:
    """The door of a light read, in one thread and one read transaction with who lets the caller in; what the function
    gives to wait for, it waits for after that.
    """

    async def door(*, call: _Entrance, **given: Any) -> Any:
        lane = call.request.app.state.traffic.reads_lane
        answered = await to_thread.run_sync(call.look, partial(function, **given), limiter=lane)
        return await answered if inspect.isawaitable(answered) else answered

    setattr(door, _LOOKS, True)
    return signed_as(door, function)


def _act(function: Callable[..., Any], runs_here: RunsHere) -> Callable[..., Any]:
    """The door of an act in a thread of its own; one that does a run there waits for the lane of those."""

    async def door(*, call: Call, **given: Any) -> Any:
        is_here = any(isinstance(one, Body) and runs_here(one) for one in given.values())
        lane = call.traffic.runs_lane if is_here else None
        return await to_thread.run_sync(partial(function, call=call, **given), limiter=lane)

    return signed_as(door, function)


def _in_lane(function: Callable[..., Any]) -> Callable[..., Any]:
    """The door of a heavy read, which waits for its lane; what it gives to wait for, it waits for out of that."""

    async def door(**given: Any) -> Any:
        call: Call = given["call"]
        call.hold("heavy reads", HEAVY_READS)
        answered = await to_thread.run_sync(partial(function, **given), limiter=call.traffic.heavy_lane)
        return await answered if inspect.isawaitable(answered) else answered

    return signed_as(door, function)


def signed_as(door: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The door, which FastAPI takes for the function: it gives it what that takes."""
    door.__doc__ = function.__doc__
    # What FastAPI looks at; __wrapped__ would tell it to call this as a function of no event loop.
    door.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return door


def _answers_told(
    method: str, answers: Mapping[int, Any], others: Sequence[HTTPStatus]
) -> dict[int | str, dict[str, Any]]:
    """What the description says of each status: the refusals of every door and ``others``, and the answers."""
    usual = {401, 403, 404, 422, 429, 500, 503} | {status.value for status in others}
    if method != "GET":
        usual |= {400, 409, 413, 415}
    told: dict[int | str, dict[str, Any]] = {status: _refusal_of(status) for status in sorted(usual)}
    if method == "GET":
        told[304] = {"description": "Not changed since the answer whose ETag is sent as `If-None-Match`"}
    return told | {status: _answer_of(model) for status, model in answers.items()}


def _answer_of(model: Any) -> dict[str, Any]:
    if model is None:
        return {}
    return (
        {"content": {model: {"schema": {"type": "string"}}}} if isinstance(model, str) else {"model": model}
    )


def _of_run(call: Call, run_id: str) -> Response | None:
    view = driven_run(call.app, run_id, actor=call.actor)
    return None if view is None else answer(view)


def _refusal_of(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def _first_line(operation: Callable[..., Any]) -> str:
    return (operation.__doc__ or "").strip().partition("\n")[0]


def answer(
    content: Any,
    *,
    request: Request | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    version: str = "",
) -> Response:
    """The JSON answer. With the ``request`` it has an ``ETag`` of its body, and is left out where the caller has it.

    ``content`` of bytes is encoded already.
    ``version`` is a part of the tag that stays where no more changed than what always does.
    """
    body = content if isinstance(content, bytes) else encoded(content)
    told = dict(headers or {})
    if request is not None:
        tag = etag_of(body, version)
        told["ETag"] = tag
        if seen_tags(request) & {tag.removeprefix("W/"), "*"}:
            return Response(status_code=HTTPStatus.NOT_MODIFIED.value, headers=told)
    return Response(body, status, told, media_type="application/json")


def etag_of(body: bytes, version: str = "") -> str:
    """The weak validator of a body: the same for everybody who sees the same."""
    return f'W/"{version}{digest(body)}"'


def seen_tags(request: Request) -> set[str]:
    """The tags of ``If-None-Match``, in their quotes: whether they are weak makes no difference there (RFC 9110)."""
    given = ",".join(request.headers.getlist("if-none-match"))
    return {"*"} if given.strip() == "*" else set(re.findall(r'"[^"]*"', given))


def etag(shown: Any) -> str:
    """The same of a JSON value that is not sent here."""
    return etag_of(encoded(shown))


def page_answer(call: Call, page: Page[Any]) -> Response:
    """A page of a listing, with the address of the next one in the header ``Link``."""
    headers = {}
    if page.next is not None:
        asked = [(name, value) for name, value in call.request.query_params.multi_items() if name != "after"]
        where = f"{quote(call.request.scope['path'])}?{urlencode([*asked, ('after', page.next)])}"
        headers["Link"] = f'<{where}>; rel="next"'
    return answer({"items": page.items, "next": page.next}, request=call.request, headers=headers)


def versions_seen(call: Call) -> Sequence[str] | None:
    """The versions of the header ``If-Match``; ``None`` for a ``*``. Raises `Problem` (428) where it is missing."""
    given = call.request.headers.get("if-match", "").strip()
    if not given:
        raise Problem(
            HTTPStatus.PRECONDITION_REQUIRED,
            "Nothing says which version is meant",
            "If-Match",
            "Send the header ETag of what was shown as If-Match",
        )
    return None if given == "*" else [tag.strip().removeprefix("W/").strip('"') for tag in given.split(",")]
