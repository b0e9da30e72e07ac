"""`Idempotency-Key`: a call that is sent twice with the same key is done once, and answered alike."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio import to_thread
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.problems import Problem
from batchwright.operations.idempotency import FIELD, Answer, Key, StillAtWork, answer_once, kept_answer
from batchwright.operations.tables import LONGEST_IDEMPOTENCY_KEY

if TYPE_CHECKING:
    from batchwright.console.api.door import Call

REPLAYED: Final = "Idempotent-Replayed"
MOST_SECONDS: Final = 30.0
"""So long a call waits for the first one with its key."""
SECONDS_BETWEEN_LOOKS: Final = 0.2
RETRY_AFTER_SECONDS: Final = 5

PARAMETER: Final[Mapping[str, Any]] = {
    "name": FIELD,
    "in": "header",
    "description": "A text of your own: what is sent again with it is done once, and answered alike for 48 hours",
    "schema": {"type": "string", "pattern": f"^[!-~]([ -~]{{0,{LONGEST_IDEMPOTENCY_KEY - 2}}}[!-~])?$"},
}
"""How it stands in the description of the API."""

OfRun = Callable[["Call", str], Response | None]
"""Answers what a synchronous run came to; `None` while it has not ended."""


def keyed(function: Callable[..., Response], of_run: OfRun, *, secret: bool) -> Callable[..., Response]:
    """The function of a door, which does what is sent again with a key once; its answer is not kept if it is `secret`.

    It runs in one thread, and what it reads and writes there is one transaction with the answer.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__name__} waits: what it does could not be one transaction")

    @functools.wraps(function)
    def door(*, call: Call, **given: Any) -> Response:
        key = _key(call, given)
        if key is None:
            return function(call=call, **given)
        answer = answer_once(
            call.app,
            key,
            lambda: _kept(function(call=call, **given), secret=secret),
            lambda run_id: _of_run(call, run_id, of_run),
        )
        return _response(answer)

    return door


async def outwait(call: Call, first: StillAtWork, of_run: OfRun) -> Response:
    """The answer of the first call with the key, when that is done. Raises `Problem` (409) where it takes too long."""

    def look() -> Answer | None:
        try:
            return kept_answer(call.app, first.key, lambda run_id: _of_run(call, run_id, of_run))
        except StillAtWork:
            return None

    until = time.monotonic() + MOST_SECONDS
    while (answer := await to_thread.run_sync(look)) is None:
        if time.monotonic() > until:
            raise Problem(
                HTTPStatus.CONFLICT,
                first.message,
                first.field,
                first.remedy,
                run_id=first.run_id,
                retry_after=RETRY_AFTER_SECONDS,
            )
        await anyio.sleep(SECONDS_BETWEEN_LOOKS)
    return _response(answer)


def _key(call: Call, given: Mapping[str, Any]) -> Key | None:
    sent = call.request.headers.getlist(FIELD)
    if not sent:
        return None
    if len(sent) > 1:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The key is there twice", FIELD, "Give one")
    assert call.actor.principal is not None  # at a web door
    return Key(call.actor.principal.user_key, sent[0], _fingerprint(call.request, given))


def _fingerprint(request: Request, given: Mapping[str, Any]) -> str:
    """Of the door, the version that is meant, and all that was given, in whatever order; of files name and content."""
    asked = [request.method, request.url.path, given, *request.headers.getlist("if-match")]
    return hashlib.sha256(json.dumps(asked, default=_plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_unset=True)
    if isinstance(value, UploadFile):
        value.file.seek(0)
        digest = hashlib.file_digest(value.file, "sha256").hexdigest()  # type: ignore[arg-type]
        value.file.seek(0)
        return [value.filename, digest]
    return str(value)


def _kept(response: Response, *, secret: bool) -> Answer:
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Answer(response.status_code, headers, bytes(response.body), secret=secret)


def _of_run(call: Call, run_id: str, of_run: OfRun) -> Answer | None:
    response = of_run(call, run_id)
    return None if response is None else _kept(response, secret=False)


def _response(answer: Answer) -> Response:
    replayed = {REPLAYED: "true"} if answer.replayed else {}
    return Response(answer.body, answer.status, {**answer.headers, **replayed})
