"""Effects outside the database that a job may have, made comparable: files, and mail sent by the job itself."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Outside(Protocol):
    """Something outside the database that a job changes."""

    name: str

    def clear(self) -> None:
        """Bring it back to how it was when the test began."""

    def seen(self) -> Mapping[str, str]:
        """How it is now: what people call each part, and its content."""


class Files:
    """Every file of a folder, or one file. As they are now is how they are brought back."""

    def __init__(self, path: Path) -> None:
        self.name = f"files {path}"
        self._path = path
        self._before = self._contents()

    def clear(self) -> None:
        for file in self._files():
            file.unlink()
        for file, content in self._before.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def seen(self) -> Mapping[str, str]:
        return {f"file {file.name}": repr(content) for file, content in self._contents().items()}

    def _contents(self) -> dict[Path, bytes]:
        return {file: file.read_bytes() for file in self._files()}

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(file for file in self._path.rglob("*") if file.is_file())
        return [self._path] if self._path.is_file() else []


class SmtpCapture:
    """A mail server on loopback that accepts everything; ``messages`` holds what came, headers and all.

    For jobs that send mail themselves: give them ``host`` and ``port``.
    """

    name = "mail sent by the job"

    def __init__(self) -> None:
        self.messages: list[str] = []
        captured = self.messages

        class Handler(_SmtpSession):
            messages = captured

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def clear(self) -> None:
        self.messages.clear()

    def seen(self) -> Mapping[str, str]:
        times: dict[str, int] = {}
        for message in self.messages:
            times[message] = times.get(message, 0) + 1
        return {
            f"mail {message!r}": f"came {number} time{'s' if number > 1 else ''}"
            for message, number in times.items()
        }

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _SmtpSession(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to get rid of a message."""

    messages: list[str]

    def handle(self) -> None:
        self._say("220 capture")
        while line := self.rfile.readline():
            command = line.decode("utf-8", "replace").strip().upper()
            if command == "DATA":
                self._say("354 go on")
                self.messages.append(self._content())
            if command == "QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _content(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode("utf-8", "replace").rstrip("\r\n")) != ".":
            lines.append(line.removeprefix("."))
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


__all__ = ["Files", "Outside", "SmtpCapture"]
