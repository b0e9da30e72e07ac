"""A real SMTP server on loopback that answers word for word what it is told to, or does not answer at all."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable

SILENCE = None
CLOSE = b""
Answer = bytes | None
Says = Answer | Callable[[int], Answer]
"""An answer, or one by how often this stage was reached before (0 the first time)."""

_USUAL: dict[str, Says] = {
    "CONNECT": b"220 ready",
    "EHLO": b"250-here\r\n250 SIZE 10000000",
    "MAIL": b"250 ok",
    "RCPT": b"250 ok",
    "DATA": b"354 go on",
    "DOT": b"250 taken",
    "RSET": b"250 ok",
    "QUIT": b"221 bye",
}


class ScriptedSmtp:
    """`says` has the answer of each stage; `DOT` is that after the message. `messages` is what came, accepted or not.

    After an answer in `closes_after` the connection is closed. `reached` counts the stages; `at` waits for one.
    """

    host = "127.0.0.1"

    def __init__(self, **says: Says) -> None:
        self.says = {**_USUAL, **says}
        self.closes_after: set[str] = set()
        self.messages: list[bytes] = []
        self.reached: Counter[str] = Counter()
        self._news = threading.Condition()
        self._over = threading.Event()
        self._listening = socket.create_server((self.host, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> ScriptedSmtp:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def at(self, stage: str, times: int = 1, seconds: float = 20) -> None:
        """Wait until the stage was reached so often. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(lambda: self.reached[stage] >= times, seconds):
                raise TimeoutError(f"{stage} was reached {self.reached[stage]} of {times} times")

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                if not self._answer(connection, "CONNECT"):
                    return
                for line in lines:
                    stage = line[:4].decode("latin-1").upper()
                    said = self._answer(connection, stage)
                    if not said:
                        return
                    if stage == "DATA" and said.startswith(b"354") and not self._take(connection, lines):
                        return
            except OSError:
                return

    def _take(self, connection: socket.socket, lines: Iterable[bytes]) -> bytes:
        message = b""
        for line in lines:
            if line == b".\r\n":
                break
            message += line
        self.messages.append(message)
        return self._answer(connection, "DOT")

    def _answer(self, connection: socket.socket, stage: str) -> bytes:
        """Say it; empty when the connection is to be closed."""
        says = self.says.get(stage, b"502 unknown")
        said = says(self.reached[stage]) if callable(says) else says
        with self._news:
            self.reached[stage] += 1
            self._news.notify_all()
        if said is SILENCE:
            self._over.wait()
        if not said:
            return CLOSE
        connection.sendall(said + b"\r\n")
        return CLOSE if stage in self.closes_after or stage == "QUIT" else said
