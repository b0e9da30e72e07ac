"""Another user of the machine, for what must hold between users. Only an administrator can act as one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

OTHER = 65534
"""`nobody`, who owns nothing on any machine."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user, which takes root")

# The other user may be unable to read the interpreter's own files: what is imported is imported before.
_BECOME = """
import importlib, os, sys
for name in sys.argv.pop(1).split(","):
    importlib.import_module(name)
os.setgroups([])
os.setgid({other})
os.setuid({other})
os.umask(0o022)
sys.dont_write_bytecode = True
"""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """An empty folder that anybody may write; those of pytest let no other user pass."""
    folder = Path(tempfile.mkdtemp(prefix="batchwright-shared-", dir="/tmp"))
    try:
        folder.chmod(0o777)
        yield folder
    finally:
        shutil.rmtree(folder)


def run_as_other(
    folder: Path, code: str, *words: str, modules: Sequence[str], env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the code as the other user, in that folder, after the modules were imported; `sys.argv[1:]` are the words."""
    return subprocess.run(
        [sys.executable, "-P", "-c", _BECOME.format(other=OTHER) + code, ",".join(modules), *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
