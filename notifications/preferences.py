"""Which mail of ended runs a recipient wants, as they chose."""

from __future__ import annotations

from typing import Final

ALWAYS, ERRORS, NEVER, DIGEST = "always", "errors", "never", "digest"

CHOICES: Final = (ALWAYS, ERRORS, NEVER, DIGEST)
"""Every mail; only of runs with errors, failed, aborted or not wholly done; none; one mail a day with all runs."""
