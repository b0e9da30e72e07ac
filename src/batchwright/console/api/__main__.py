"""Writes the OpenAPI document to standard output, as it is kept in `docs/openapi.json`."""

from __future__ import annotations

import json
import sys

from fastapi import FastAPI

from batchwright.console.api.application import add_doors
from batchwright.console.api.document import document_of

if __name__ == "__main__":
    web = FastAPI(title="Batchwright")
    add_doors(web)
    sys.stdout.write(json.dumps(document_of(web), indent=1, ensure_ascii=False) + "\n")
