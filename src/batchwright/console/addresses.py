"""Addresses that hold ids, in which a slash is written as %2F."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


class AddressRoute(APIRoute):
    """A route that keeps a slash of an id apart from those of the address: `/A%2Ffires` is not the fires of `A`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it answers this address: what follows the last id must have been sent as it stands."""
        _, has_id, rest = self.path.rpartition("}")
        sent: bytes = scope.get("raw_path") or b""
        if has_id and sent and not sent.endswith(rest.encode()):
            return Match.NONE, {}
        return super().matches(scope)
