"""Importing CSV files: the door, the rules of each file, and the order they are loaded in."""

from batchwright.billing.importing.importing import FileReport, ImportReport, Progress, import_files
from batchwright.billing.importing.problems import ImportRefused, Problem

__all__ = ["FileReport", "ImportRefused", "ImportReport", "Problem", "Progress", "import_files"]
