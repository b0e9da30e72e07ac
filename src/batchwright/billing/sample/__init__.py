"""The sample company: three customers, twelve assets, every price model, one bad input for every outcome code.

What `batchwright demo` loads and many tests start from. The files are those of docs/importing.md.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def folder() -> Path:
    """The folder with the sample company's CSV files, ready for an import."""
    return Path(str(files("batchwright.billing.sample") / "data"))
