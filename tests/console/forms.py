"""What is read from the forms of pages."""

from __future__ import annotations

import re


def token_in(page: str) -> str:
    """The `csrf_token` of a form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]
