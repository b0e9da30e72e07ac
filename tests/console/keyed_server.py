"""A web process of a test, without a worker: prints its port. With `die` it ends before its first answer to a call with
a key leaves, when the act is committed; of a synchronous run before the answer is kept.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from batchwright.console.api import keyed
from batchwright.console.server import listen, serve
from batchwright.operations import idempotency
from batchwright.operations.actor import Door
from batchwright.operations.app import make_application
from tests.support.application import make_settings


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still there")


if __name__ == "__main__":
    url, folder, *wishes = sys.argv[1:]
    if wishes == ["die"]:
        for module, name in ((keyed, "_response"), (idempotency, "_completed")):
            setattr(module, name, die)
    app = make_application(make_settings(url, Path(folder)), door=Door.API)
    listening = listen("127.0.0.1", 0)
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.exit(serve(app, listening, host="127.0.0.1", worker=False))
