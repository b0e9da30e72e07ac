"""Looks of the script at live regions, answered before a page is asked: most see what was just made for others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from batchwright.console.pages.render import LIVE, no_content_if_unchanged, zone_of
from batchwright.console.pages.session import visitor
from batchwright.console.pages.sharing import SharedAnswers
from batchwright.console.problems import Problem


class Looks:
    """Around the pages. Who looks is found out as for a page, at each look; nothing else is read of one that is shared.

    Args:
        refuse: makes the answer to who may not look.
    """

    def __init__(self, pages: FastAPI, refuse: Callable[[Request, Problem], Awaitable[Response]]) -> None:
        self._pages, self._refuse = pages, refuse
        self._looks: SharedAnswers = pages.state.looks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have the pages do so."""
        asked: ASGIApp = self._pages
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request({**scope, "app": self._pages})
            if LIVE in request.headers:
                asked = await self._answer(request) or asked
        await asked(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        try:
            request.state.visitor = await run_in_threadpool(visitor, request)
        except Problem as problem:
            return await self._refuse(request, problem)
        found = self._looks.fresh(look_key(request, request.state.visitor.role))
        return None if found is None else answer_of(request, found)


def look_key(request: Request, role: str) -> Hashable:
    """What all share who look at the same region: with the role and the zone they are shown the same."""
    return str(request.url), request.headers[LIVE], role, zone_of(request).key


def answer_of(request: Request, shared: Response) -> Response:
    """A shared answer, for this one who looks."""
    region = Response(shared.body, shared.status_code, media_type=shared.media_type)
    return no_content_if_unchanged(request, region)
