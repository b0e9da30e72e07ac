"""The service below a path of a server that has other things, too: where `base_url` has a path.

Within, every address is as if there were none. What is asked for loses the path here, if a proxy has not taken it off;
what is answered gets it: addresses in headers here, those in pages by the `Renderer`, cookies by who sets them.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OWN_ADDRESS: Final = re.compile(r"^(<?)(?=/(?!/))")
_IN_PAGE: Final = re.compile(r'(?<=\s)((?:href|src|action)=")(?=/(?!/))')
"""Where an address of ours begins. What data say is escaped: no quotation mark stands there but the template's."""


class Prefix:
    """Around all that answers. ``prefix`` is like "/billing"."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in ("location", "link"):
                    if name in headers:
                        headers[name] = _OWN_ADDRESS.sub(rf"\1{self._prefix}", headers[name])
            await send(message)

        path = self._within(scope["path"], scope.get("root_path", ""))
        await self._app({**scope, "path": path, "root_path": ""}, receive, sending)

    def _within(self, path: str, root_path: str) -> str:
        before = root_path or self._prefix
        return path.removeprefix(before) or "/" if f"{path}/".startswith(f"{before}/") else path


def prefixed(html: str, prefix: str) -> str:
    """A page whose addresses of ours begin with the prefix."""
    return _IN_PAGE.sub(rf"\1{prefix}", html) if prefix else html
