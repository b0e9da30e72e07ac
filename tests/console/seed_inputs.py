"""The usage inputs of the vendor's table, and the words of the pages that show them."""

from __future__ import annotations

import html
import re

JUNE, JULY = "IN-00007052", "IN-00007053"
HOSTILE = '"><script>alert(1)</script>'


def words(page: str) -> str:
    """What is to be read on a page, without markup."""
    main = page.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", main)).split())
