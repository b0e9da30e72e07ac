"""One visit to a page: who comes, what they may, and the ways in which a page answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial, wraps
from hashlib import sha256
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from batchwright.console.addresses import AddressRoute
from batchwright.console.api.bodies import check_text
from batchwright.console.api.door import Call, signed_as
from batchwright.console.pages.banners import banners_of
from batchwright.console.pages.looks import answer_of, look_key
from batchwright.console.pages.open_forms import in_lane, status_of, with_retry_after
from batchwright.console.pages.render import LIVE, no_content_if_unchanged, path_of, renderer_of
from batchwright.console.pages.session import CSRF_FIELD, POSTED, VISITOR, Visitor
from batchwright.console.pages.sharing import SharedAnswers
from batchwright.console.pages.typed import month_of
from batchwright.console.problems import Problem
from batchwright.console.traffic import PAGE_SECONDS
from batchwright.engine.errors import Refused
from batchwright.engine.store.read_limit import READ_SECONDS
from batchwright.operations.access.confirming import (
    PASSWORD,
    check_has_password,
    confirm_password,
    password_is_due,
)
from batchwright.operations.access.passwords import NoPassword
from batchwright.operations.access.permissions import ROLES, Forbidden, Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.loaded import SeveralCustomers, customer_named
from batchwright.operations.idempotency import FIELD as KEY_FIELD
from batchwright.operations.idempotency import Answer, Key, KeyConflict, answer_once
from batchwright.operations.paging import Page

LOOK_FIRST: Final = "Look at what became of that; send this one if it is wanted as well"
LENGTHS: Final = (25, 50, 100, 200)
"""How many rows a page of a list may have."""
NOTICES: Final[dict[str, str]] = {
    "ticks-gone": "The list shows something else now: what was ticked before is not selected any more."
}
"""What a page says of the act that led to it, by the value of ``done`` in its address; each module adds its own."""

CURSORS: Final = ("after", "sums_after", "done")
"""The parameters that do not go along with links to the same page."""

Pairs = Sequence[tuple[str, Any]]


class Params(BaseModel):
    """The parameters of a page, all in its address; unknown ones are refused. ``done`` names the act that led here.

    ``customer_id`` may be typed as a name, those named in ``months`` as people write a month: the address then changes.
    """

    model_config = ConfigDict(extra="forbid")
    months: ClassVar[Sequence[str]] = ("period",)

    done: str | None = None


class ListParams(Params):
    """Those of a list in pages. ``after`` is the cursor of the page before."""

    limit: int = Field(50, ge=1, le=200)
    after: str | None = None


@dataclass(frozen=True)
class Confirmation:
    """What somebody is asked before an act.

    Attributes:
        question: the heading, with the id and the numbers: "Abort run JR-…?".
        act: the words on the button: "Abort run".
        back: where *Cancel* leads.
        facts: what will be: label and value of each line.
        warning: what cannot be undone.
        reason: whether a reason is asked for: "required", "optional", or None.
        hidden: fields that go with the form, such as what was shown (`expected`).
        typed: what has to be typed before the act, where it is wide or final.
        danger: whether the button warns.
        body: a template that is included above the reason, for fields of the act's own; it sees ``values``.
        why_not: why it cannot be done as things are: said in place of the form.
    """

    question: str
    act: str
    back: str
    facts: Pairs = ()
    warning: str | None = None
    reason: str | None = "optional"
    hidden: Mapping[str, str] = field(default_factory=dict)
    typed: str | None = None
    danger: bool = False
    body: str | None = None
    why_not: str | None = None


@dataclass(frozen=True)
class Visit:
    """A page that is asked for, or a form that was sent, by a person who may."""

    app: Application
    visitor: Visitor
    request: Request

    @property
    def actor(self) -> Actor:
        """Who acts: what operations take."""
        return self.visitor.actor

    @property
    def csrf_token(self) -> str:
        """What `ui.csrf()` puts into each form."""
        return self.visitor.csrf_token

    @property
    def email(self) -> str:
        """Who is signed in."""
        return self.visitor.email

    @property
    def role(self) -> str:
        """The role that they act with."""
        return self.visitor.role

    def may(self, right: str) -> bool:
        """Whether they have a right, by the name of the lowest role that has it ("operator")."""
        return ROLES.index(self.role) >= ROLES.index(right)

    def call(self) -> Call:
        """The same as a call of the API, for what streams files."""
        return Call(self.app, self.actor, self.request, self.request.app.state.traffic, ExitStack())

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page of a template with these values, ``visit`` among them."""
        if LIVE not in self.request.headers:
            values.setdefault("banners", banners_of(self.app, self.actor))
            values.setdefault("notice", NOTICES.get(self.request.query_params.get("done", "")))
        return renderer_of(self.request).page(self.request, template, status=status, visit=self, **values)

    def confirmation(
        self,
        confirmation: Confirmation,
        *,
        refused: Refused | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Response:
        """The page that asks before an act, whose form is sent to the address of this page.

        After a refusal (422) with what was typed, the ``values``, and why.
        """
        status = 200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value
        return self.page(
            "confirmation.html",
            status=status,
            confirmation=confirmation,
            refused=refused,
            values=values or {},
        )

    def once(self, form: FormData, act: Callable[[], Response]) -> Response:
        """Do what a form asks for once, however often it is sent: known by its field ``form_key``, which `ui.csrf()`
        makes. The second one is answered as the first; while that is at work, by its run. Refuses a form that was
        sent before with something else in it.
        """
        principal = self.actor.principal
        text = text_of(form, "form_key")
        if text is None or principal is None:
            return act()
        sent = ((name, str(value)) for name, value in form.multi_items() if name != PASSWORD)
        said = [self.request.url.path, *sorted(sent)]
        key = Key(principal.user_key, f"form-{text}", sha256(repr(said).encode()).hexdigest())
        try:
            kept = answer_once(self.app, key, lambda: _kept(act()), lambda run_id: None)
        except KeyConflict as busy:
            if busy.run_id is not None:
                return self.go(f"/runs/{busy.run_id}")
            raise Refused("this form was sent already, and is at work", remedy=LOOK_FIRST) from None
        except Refused as refused:
            if refused.field != KEY_FIELD:
                raise
            raise Refused("this form was sent before with something else in it", remedy=LOOK_FIRST) from None
        return Response(kept.body, kept.status, dict(kept.headers))

    def form_key(self) -> str:
        """A key for one form, new each time that it is shown."""
        return secrets.token_urlsafe(16)

    def go(self, path: str, done: str | None = None, **query: Any) -> Response:
        """Go on to a page of ours after an act (303); ``done`` names in `NOTICES` what is said there."""
        return RedirectResponse(address(path, done=done, **query), HTTPStatus.SEE_OTHER.value)

    def link(self, **changed: Any) -> str:
        """The address of this page with other parameters; None leaves one out. Cursors and notices do not go along."""
        params = self.request.query_params
        of = {name: params.getlist(name) for name in params if name not in CURSORS}
        return address(path_of(self.request), **(of | changed))

    def canonical(self, params: Params) -> str | None:
        """The address with what the database calls the customer and the months that were typed; None where it has that.

        Refuses a customer that could be several.
        """
        typed = {
            name: text
            for name, value in params.model_dump(by_alias=True).items()
            if isinstance(value, str) and name in (*params.months, "customer_id")
            for text in [month_of(value) if name in params.months else self._customer(value)]
            if text not in (None, value)
        }
        return self.link(**typed) if typed else None

    def which_customer(self, several: SeveralCustomers) -> Response:
        """The page to choose one of the customers that were meant (422)."""
        picks = [(name, one, self.link(customer_id=one)) for one, name in several.customers]
        status = HTTPStatus.UNPROCESSABLE_ENTITY.value
        return self.page("which_customer.html", status=status, refused=several, picks=picks)

    def _customer(self, text: str) -> str | None:
        check_text(text, "customer_id")
        return customer_named(self.app, text, actor=self.actor)

    def pager(self, page: Page[Any]) -> Mapping[str, str | None]:
        """What `ui.pager` shows: the addresses of *Newest* and *Older*; None where there is no such page."""
        after = self.request.query_params.get("after")
        return {
            "newest": self.link() if after is not None else None,
            "older": None if page.next is None else self.link(after=page.next),
        }


def _kept(response: Response) -> Answer:
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Answer(response.status_code, headers, bytes(response.body))


def address(path: str, **query: Any) -> str:
    """An address with what of the query is set, in the order given."""
    pairs = [(name, value) for name, value in query.items() if value is not None]
    return f"{path}{'&' if '?' in path else '?'}{urlencode(pairs, doseq=True)}" if pairs else path


async def _visit(request: Request, visitor: Visitor = VISITOR) -> Visit:
    empty = [name for name, value in request.query_params.multi_items() if not value]
    if empty and request.method == "GET":  # the fields of a filter that were left blank
        rest = [(name, value) for name, value in request.query_params.multi_items() if value]
        where = f"{path_of(request)}?{urlencode(rest)}" if rest else path_of(request)
        raise Problem(HTTPStatus.SEE_OTHER, "The address without what is blank", headers={"Location": where})
    request.state.visit = Visit(request.app.state.application, visitor, request)
    return request.state.visit  # type: ignore[no-any-return]


VISIT: Final = Depends(_visit)
"""The default of the parameter ``visit`` of every page and act."""
FORM: Final = POSTED
"""The default of the parameter ``form`` of an act: what was sent, checked to come from a page of ours."""


class Answered(Exception):
    """What was sent is answered before the act, which is not done."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


Asks = Callable[[FormData], bool]
"""Whether what is sent is done only for who gave their password lately."""


def _confirmed(asks: Asks) -> Any:
    """Have the password asked for where that is so and it is due."""

    async def confirmed(request: Request, visit: Visit = VISIT, form: FormData = FORM) -> None:
        if asks(form) and await run_in_threadpool(password_is_due, visit.app, visit.actor):
            await _ask_password(request, visit, form)

    return Depends(confirmed)


async def _ask_password(request: Request, visit: Visit, form: FormData) -> None:
    """The page that asks holds what was sent, and sends it again beside the password: then the act goes on."""
    given, refused = form.get(PASSWORD), None
    try:
        await run_in_threadpool(check_has_password, visit.app, visit.actor)
        if isinstance(given, str):
            await in_lane(request, confirm_password, given, actor=visit.actor)
            return
    except Forbidden:
        raise
    except Refused as error:
        refused = error
    raise Answered(await run_in_threadpool(_confirm_page, visit, form, refused))


def _confirm_page(visit: Visit, form: FormData, refused: Refused | None) -> Response:
    own = (CSRF_FIELD, PASSWORD)
    sent = [(name, text) for name, text in form.multi_items() if isinstance(text, str) and name not in own]
    about, status = visit.request.path_params.get("email"), status_of(refused).value
    page = visit.page(
        "confirm_password.html",
        status=status,
        refused=refused,
        sent=sent,
        about=about,
        has_password=not isinstance(refused, NoPassword),
    )
    return with_retry_after(page, refused)


class Pages(APIRouter):
    """The pages and acts of one noun."""

    def __init__(self) -> None:
        super().__init__(route_class=AddressRoute)

    def page(
        self, path: str, right: Right = Right.LOOK, *, shared: bool = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make the decorated function the page at a path, for who has the right. It takes ``visit``, changes nothing,
        and returns a response of that.

        Looks at the regions of a `shared` page are made once for all who come at the same time: nothing within them
        may depend on the visitor but by role and zone; no form, above all.
        """
        add = self._add("GET", path, right)
        return lambda function: add(_looked_at(function, shared=shared))

    def act(
        self,
        path: str,
        right: Right,
        *,
        asks_password: bool | Asks | None = None,
        runs_here: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Make the decorated function what a form does that is sent to a path. It takes ``visit`` and ``form``, calls
        one operation and returns `Visit.go`, or the page of the form again with what was refused.

        An act of administrators asks for the password again, where that was not given lately, unless it says that it
        does not: what only stops something must not wait for that. An act of others asks if it says so, or says so of
        what is sent. One that does a run before it is answered (`runs_here`) waits for a lane of few.
        """
        asks = right is Right.ADMINISTER if asks_password is None else asks_password
        add = self._add("POST", path, right, asks_password=asks)
        return (lambda function: add(_running(function))) if runs_here else add

    def _add(
        self, method: str, path: str, right: Right, *, asks_password: bool | Asks = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        asks = asks_password if callable(asks_password) else lambda _: True

        async def permitted(visit: Visit = VISIT) -> None:
            # Their row was read a moment ago; what they may not do is refused, and audited, by the permission itself.
            if not visit.may(right):
                await run_in_threadpool(permit, visit.app, visit.actor, right, f"{method} {path}")

        return self.api_route(
            path,
            methods=[method],
            dependencies=[
                Depends(permitted),
                *([POSTED] if method == "POST" else []),
                *([_confirmed(asks)] if asks_password else []),
            ],
            response_model=None,
            openapi_extra={"x-role": right.value, "x-asks-password": asks_password is True},
        )


def _looked_at(function: Callable[..., Any], *, shared: bool) -> Callable[..., Any]:
    """The function of a page, which is asked for one of its regions, too."""

    def look(visit: Visit, given: Mapping[str, Any]) -> Response:
        request = visit.request
        if not shared:
            return no_content_if_unchanged(request, function(**given))
        looks: SharedAnswers = request.app.state.looks
        make = partial(function, **given)
        return answer_of(request, looks.answer(look_key(request, visit.role), make))

    @wraps(function)
    def page(**given: Any) -> Response:
        READ_SECONDS.set(PAGE_SECONDS)  # of this page alone: a page runs in a context of its own
        visit: Visit = given["visit"]
        params = given.get("params")
        # All of a page is of one state; a file is read in short pages, for as long as its reader takes.
        with nullcontext() if visit.request.url.path.endswith(".csv") else visit.app.database.snapshot():
            if LIVE in visit.request.headers:
                return look(visit, given)
            if isinstance(params, Params):
                try:
                    elsewhere = visit.canonical(params)
                except SeveralCustomers as several:
                    return visit.which_customer(several)
                if elsewhere is not None:
                    return visit.go(elsewhere)
            return cast(Response, function(**given))

    return page


def _running(function: Callable[..., Any]) -> Callable[..., Any]:
    async def act(**given: Any) -> Any:
        visit: Visit = given["visit"]
        return await to_thread.run_sync(
            partial(function, **given), limiter=visit.request.app.state.traffic.runs_lane
        )

    return signed_as(act, function)


def text_of(form: FormData, name: str) -> str | None:
    """A field of a form without the blanks around it; None where it was left blank."""
    value = form.get(name)
    return value.strip() or None if isinstance(value, str) else None
