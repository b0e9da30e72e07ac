"""Templates to HTML. Everything is escaped; a name that a template does not know is a fault."""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from batchwright.console.pages import static_files
from batchwright.console.pages.cells import KeptRows, cell
from batchwright.console.pages.formats import FILTERS
from batchwright.console.prefix import prefixed
from batchwright.operations.app import Application

TEMPLATES: Final = Path(__file__).parent / "templates"
LIVE: Final = "X-Live-Region"
VERSION: Final = "X-Live-Version"
"""The headers of the script's look at one region of a page: the block that it wants, and the version that it has."""
ZONE_COOKIE: Final = "zone"
FROM_A_PAGE: Final = {"visit", "banners", "notice"}
"""What of the values of the frame a page brings; its own have other names."""
_TICKING: Final = re.compile(r"(data-ticks=)\"\d+\">[^<]*")
_REGION: Final = re.compile(r"region_[a-z_]{1,40}")

NAVIGATION: Final = (
    ("", (("/", "Overview", "gauge"),)),
    (
        "Operations",
        (
            ("/runs", "Runs", "list"),
            ("/jobs", "Jobs", "play"),
            ("/schedules", "Schedules", "clock"),
            ("/mail", "Mail", "mail"),
            ("/workers", "Workers", "worker"),
        ),
    ),
    (
        "Billing",
        (
            ("/usage-inputs", "Usage inputs", "meter"),
            ("/asset-line-items", "Assets", "box"),
            ("/billing-schedules", "Billing schedules", "calendar"),
            ("/forecast", "Forecast", "chart"),
            ("/billing-utilities", "Billing utilities", "wrench"),
        ),
    ),
    (
        "Reference data",
        (
            ("/customers", "Customers", "person"),
            ("/accounts", "Accounts", "card"),
            ("/contracts", "Contracts", "paper"),
            ("/price-books", "Price books", "book"),
            ("/prices", "Prices", "tag"),
            ("/custom-line-items", "Custom line items", "plus"),
            ("/imports", "Imports", "upload"),
        ),
    ),
    ("Administration", (("/users", "Users", "people"), ("/audit", "Audit", "shield"))),
)
"""What the frame leads to, in groups: address, name and icon of each page."""
NEEDS: Final = {"/imports": "Billing Utilities Admin", "/users": "administrator", "/audit": "administrator"}
"""The role without which it does not lead there."""


class Renderer:
    """Renders the pages of one application; ``paths`` are those that there are."""

    def __init__(self, app: Application, paths: Collection[str]) -> None:
        self._app = app
        self._paths = frozenset(paths)
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["static"] = static_files.address_of
        self._environment.globals.update(make_cell=cell, make_kept_row=KeptRows().row)
        self._environment.filters.update(FILTERS)
        self._environment.filters["version"] = version_of

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page that a template makes of these values; of a look of the script only the region that it names.

        A region is a block whose name begins with ``region_``.
        """
        frame = self._values(request)
        clash = frame.keys() & values.keys() - FROM_A_PAGE
        if clash:
            raise TypeError(f"{template}: the frame has values of these names: {sorted(clash)}")
        known = frame | values
        known["ui"] = self._environment.get_template("macros.html").make_module(known)
        loaded = self._environment.get_template(template)
        region = request.headers.get(LIVE, "")
        if not region or status != 200:
            return self._answer(loaded.render(known), status)
        if not _REGION.fullmatch(region) or region not in loaded.blocks:
            return Response(status_code=404)
        return self._answer("".join(loaded.blocks[region](loaded.new_context(known))), status)

    def _answer(self, html: str, status: int) -> Response:
        return HTMLResponse(prefixed(html, self._app.settings.base_path), status)

    def _values(self, request: Request) -> dict[str, Any]:
        """What every template knows, also that of an error of who is not signed in."""
        settings = self._app.settings
        return {
            "path": path_of(request),
            "label": settings.label,
            "colour": settings.colour,
            "zone": zone_of(request),
            "now": self._app.clock.now(),
            "navigation": NAVIGATION,
            "roles_of_pages": NEEDS,
            "has": self._paths.__contains__,
            "visit": None,
            "banners": (),
            "notice": None,
        }


def path_of(request: Request) -> str:
    """The path of a page as it stands in an address, whatever signs an id in it has."""
    return quote(request.scope["path"], safe="/@")


def zone_of(request: Request) -> ZoneInfo:
    """The reader's zone: what their browser set in a cookie, else UTC."""
    try:
        return ZoneInfo(request.cookies.get(ZONE_COOKIE, "UTC").replace("%2F", "/"))
    except (ValueError, OSError):  # no such zone
        return ZoneInfo("UTC")


def no_content_if_unchanged(request: Request, region: Response) -> Response:
    """The answer to who asks for a region: 204 where it is still what the script has, else the region."""
    version = request.headers.get(VERSION, "")
    known = f'data-version="{version}"'.encode()
    unchanged = region.status_code == 200 and known in bytes(region.body)
    return Response(status_code=204) if unchanged else region


def version_of(html: str) -> str:
    """Tells two states of a region apart, whatever ticks by itself."""
    return sha256(_TICKING.sub(r"\1", str(html)).encode()).hexdigest()[:16]


def renderer_of(request: Request) -> Renderer:
    """The renderer of the application that answers a request."""
    renderer: Renderer = request.app.state.renderer
    return renderer
