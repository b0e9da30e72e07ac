"""The style sheet and the script, under names that say their content, so that browsers keep them for long."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_KEPT: Final = "public, max-age=31536000, immutable"


@cache
def _served() -> dict[str, bytes]:
    """The files by the names they are served under; nothing else of the machine can be named."""
    return {_hashed(path): path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in _TYPES}


def _hashed(path: Path) -> str:
    return f"{path.stem}.{sha256(path.read_bytes()).hexdigest()[:12]}{path.suffix}"


@cache
def address_of(name: str) -> str:
    """Where a file of the folder is served: of "console.css" it is "/static/console.0f3a….css"."""
    return f"/static/{_hashed(FOLDER / name)}"


def _answer(request: Request) -> Response:
    name: str = request.path_params["name"]
    content = _served().get(name)
    if content is None:
        raise HTTPException(404)
    return Response(content, headers={"Cache-Control": _KEPT}, media_type=_TYPES[Path(name).suffix])


ROUTE: Final = Route("/static/{name}", _answer, methods=["GET"])
