"""What people choose for themselves: their mail, the zone of times, and whether keys of one letter work."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

from fastapi import Query
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from batchwright.console.pages.open_forms import open_page
from batchwright.console.pages.render import ZONE_COOKIE, zone_of
from batchwright.console.pages.session import cookie_path
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Pages, Params, Visit, text_of
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.access.unsubscribing import unsubscribe
from batchwright.operations.access.users import set_mail, show_me

pages = Pages()
PATH: Final = "/preferences"
KEYS_COOKIE: Final = "keys"
A_YEAR: Final = 31_536_000
NOTICES["own_mail"] = "Your choice of mail is saved."
NOTICES["browser"] = "Saved in this browser."


@pages.page(PATH)
def preferences(params: Annotated[Params, Query()], visit: Visit = VISIT) -> Response:
    """What who looks has chosen."""
    return _page(visit, str(show_me(visit.app, actor=visit.actor)["mail"]))


@pages.act(PATH, Right.LOOK)
def choose_mail(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Say which mail of runs one gets."""
    wanted = text_of(form, "mail") or ""
    try:
        set_mail(visit.app, visit.email, wanted, actor=visit.actor)
    except Forbidden:
        raise
    except Refused as refused:
        return _page(visit, wanted, refused=refused)
    return visit.go(PATH, done="own_mail")


@pages.act(f"{PATH}/browser", Right.LOOK)
def choose_of_browser(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Keep the zone and the keys in cookies of this browser, which its script reads, too."""
    zone = text_of(form, "zone") or "UTC"
    if zone not in zones():
        refused = Refused(f"there is not a time zone {zone!r}", field="zone", remedy="Choose one of the list")
        return _page(visit, str(show_me(visit.app, actor=visit.actor)["mail"]), refused=refused)
    answer = visit.go(PATH, done="browser")
    for name, value in ((ZONE_COOKIE, zone), (KEYS_COOKIE, "on" if "keys" in form else "off")):
        answer.set_cookie(name, value, max_age=A_YEAR, path=cookie_path(visit.request), samesite="lax")
    return answer


@pages.get(f"{PATH}/unsubscribe")
def unsubscribe_page(request: Request, who: str = "", code: str = "") -> Response:
    """Whether the recipient of a mail wants no more; opening it does nothing."""
    return _code_untold(open_page(request, "unsubscribe.html", who=who, code=code, done=False))


@pages.post(f"{PATH}/unsubscribe")
def unsubscribing(request: Request, who: str = "", code: str = "") -> Response:
    """Send them none any more. What the mail program sends by itself has no session: the code is the proof."""
    app = request.app.state.application
    try:
        email = unsubscribe(app, who, code)
    except Refused as refused:
        return _code_untold(
            open_page(request, "unsubscribe.html", refused=refused, who=who, code=code, done=False)
        )
    return _code_untold(open_page(request, "unsubscribe.html", who=email, code=code, done=True))


def _code_untold(answer: Response) -> Response:
    """The address of this page holds a code, which goes with no other request."""
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _page(visit: Visit, mail: str, refused: Refused | None = None) -> Response:
    return visit.page(
        "preferences.html",
        status=200 if refused is None else 422,
        mail=mail,
        own_zone=zone_of(visit.request).key,
        zones=zones(),
        keys_work=visit.request.cookies.get(KEYS_COOKIE) != "off",
        only_files=visit.app.settings.mail.transport == "file",
        refused=refused,
    )


@cache
def zones() -> list[str]:
    """The zones that there are, by name."""
    return sorted(available_timezones())
