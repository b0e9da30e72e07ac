"""What the web process takes of memory it gives back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

THREADS = """
import ctypes, threading
from batchwright.console.server import give_memory_back

give_memory_back()
all_there, kept = threading.Barrier(5), []

def work():
    kept.append(bytearray(100_000))
    all_there.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
all_there.wait()
for thread in threads:
    thread.join()
of_c = ctypes.CDLL(None)
of_c.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(of_c.fdopen(1, b"w"))
of_c.malloc_info(0, out)
of_c.fflush(out)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
def test_threads_of_the_web_share_a_heap() -> None:
    told = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True).stdout
    assert told.count("<heap nr=") == 1, told
