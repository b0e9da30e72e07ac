"""Templates to HTML, with what every page shows: whose database this is, who looks at it, what time it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from batchwright.console.pages import static_files
from batchwright.operations.app import Application

TEMPLATES: Final = Path(__file__).parent / "templates"


class Renderer:
    """Renders the pages of one application. Everything is escaped; a name that a template does not know is a fault."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals["static"] = static_files.address_of

    def page(
        self, request: Request, template: str, *, status: int = 200, visitor: Any = None, **values: Any
    ) -> HTMLResponse:
        """The page that a template makes of these values. Without a `visitor` its frame has no menu."""
        html = self._environment.get_template(template).render(request=request, visitor=visitor, **values)
        return HTMLResponse(html, status)


def renderer_of(request: Request) -> Renderer:
    """The renderer of the application that answers a request."""
    renderer: Renderer = request.app.state.renderer
    return renderer
