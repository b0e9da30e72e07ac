"""A real HTTP server on loopback that counts its calls and answers what it is told to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Notes each call as `METHOD path` in `calls`, its Host in `hosts`; answers with `status`, in turn with `statuses`.

    Where `location` is set, each answer leads there.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hosts: list[str | None] = []
        self.location: str | None = None
        self.status = 200
        self.statuses: list[int] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.calls.append(f"{self.command} {self.path}")
                owner.hosts.append(self.headers["Host"])
                self.send_response(owner.statuses.pop(0) if owner.statuses else owner.status)
                self.send_header("Content-Length", "2")
                if owner.location is not None:
                    self.send_header("Location", owner.location)
                self.end_headers()
                self.wfile.write(b"OK")

            do_POST = do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._server.server_port}/ping/123"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; connections are refused."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
